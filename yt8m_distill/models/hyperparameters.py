"""What values the models' hyperparameters may have. Each name means the same in every model that has it."""

from __future__ import annotations

import math
import numbers

from yt8m_distill.models.encoders.dbof import ACTIVATIONS, POOLING_METHODS
from yt8m_distill.models.encoders.hierarchical_lstm import LSTM_STATES

CLASSIFIERS = ("LogisticModel", "MoeModel")
_LIMIT = 2**31  # of TensorFlow's sizes
_MOST_PARTS = 1000
_MOST_FRAMES = 100_000  # of a ModelConfig's max_frames, too


def check_hyperparameters(hyperparameters: dict) -> None:
    """Checks the hyperparameters of one model, by name and together.

    Raises:
      ValueError: a value out of range, or values that exclude each other.
    """
    for name, value in hyperparameters.items():
        _CHECKS[name](name, value)
    num_blocks, block_length = hyperparameters.get("num_blocks"), hyperparameters.get("block_length")
    if num_blocks is not None and block_length is not None:
        raise ValueError(
            "Give num_blocks or block_length, not both. "
            f"Received: num_blocks={num_blocks}, block_length={block_length}."
        )
    if hyperparameters.get("lightvlad") and hyperparameters.get("softdbow"):
        raise ValueError("Give lightvlad or softdbow, not both.")
    if "mix_number" in hyperparameters:
        _check_mixture(hyperparameters)
    if "skip_min" in hyperparameters:
        _check_skips(hyperparameters)


def check_whole_number(name, value):
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number, at least 1. Received: {value!r:.100}.")
    if value >= _LIMIT:
        raise ValueError(f"{name} must be below 2**31. Received: {value}.")


def _check_count_of_parts(name, value):
    """Of what is made one by one, in Python: a file of flags must not keep somebody waiting for a day."""
    check_whole_number(name, value)
    if value > _MOST_PARTS:
        raise ValueError(f"{name} must be at most {_MOST_PARTS}. Received: {value}.")


def _check_number_of_frames(name, value):
    """Of what videos are padded to, or drawn: no more than the longest video has."""
    check_whole_number(name, value)
    if value > _MOST_FRAMES:
        raise ValueError(f"{name} must be at most {_MOST_FRAMES}. Received: {value}.")


def _check_mixture(hyperparameters):
    if hyperparameters["dropout_rate"]:
        raise ValueError("The mixture's encoding ends with its branches' weights: use drop_rate, not dropout_rate.")
    if hyperparameters["video_level_classifier_model"] != "LogisticModel":
        raise ValueError(
            "Each branch of the mixture has a LogisticModel. "
            f"Received: video_level_classifier_model={hyperparameters['video_level_classifier_model']!r}."
        )


def _check_skips(hyperparameters):
    low, high, step = (hyperparameters[name] for name in ("skip_min", "skip_max", "skip_step"))
    count = len(range(low, high, step))
    if count < 2:
        raise ValueError(
            "skip_min, skip_max and skip_step must leave two skips or more: those from skip_min up to skip_max - 1. "
            f"Received: skip_min={low}, skip_max={high}, skip_step={step}."
        )
    if count > _MOST_PARTS:
        raise ValueError(
            f"skip_min, skip_max and skip_step must leave at most {_MOST_PARTS} skips. "
            f"Received: skip_min={low}, skip_max={high}, skip_step={step}, which leave {count}."
        )


def _optional(check):
    def check_if_given(name, value):
        if value is not None:
            check(name, value)

    return check_if_given


def _one_of(*allowed):
    def check(name, value):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}. Received: {value!r:.100}.")

    return check


def _text(name, value):
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text. Received: {value!r:.100}.")


def _bits(name, value):
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 8:
        raise ValueError(f"{name} must be a whole number from 1 to 8. Received: {value!r:.100}.")


def _boolean(name, value):
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false. Received: {value!r:.100}.")


def _is_number(value):
    try:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _is_list(value):
    return isinstance(value, (list, tuple))


def _rate(name, value):
    if not _is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1). Received: {value!r:.100}.")


def _not_negative(name, value):
    if not _is_number(value) or not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be a number, at least 0. Received: {value!r:.100}.")


def _positive(name, value):
    if not _is_number(value) or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive number. Received: {value!r:.100}.")


def _eigenvalues(name, value):
    wrong = [v for v in value if not (_is_number(v) and 0 <= v < float("inf"))] if _is_list(value) else [value]
    if wrong:
        raise ValueError(f"{name} must list numbers, at least 0. Received: {wrong[0]!r:.100}.")


_CHECKS = {
    "video_level_classifier_model": _one_of(*CLASSIFIERS),
    "moe_num_mixtures": _check_count_of_parts,
    "moe_l2": _not_negative,
    "moe_prob_gating": _boolean,
    "dropout_rate": _rate,
    "prior_probability": _rate,
    "frame_pooling": _check_number_of_frames,
    "leading_values": _text,
    "bit_depth": _bits,
    "lstm_cells": check_whole_number,
    "lstm_layers": _check_count_of_parts,
    "gru_cells": check_whole_number,
    "gru_layers": _check_count_of_parts,
    "bidirectional": _boolean,
    "num_blocks": _optional(check_whole_number),
    "block_length": _optional(_check_number_of_frames),
    "lstm_state": _one_of(*LSTM_STATES),
    "iterations": _check_number_of_frames,
    "sample_random_frames": _boolean,
    "dbof_cluster_size": check_whole_number,
    "dbof_hidden_size": check_whole_number,
    "dbof_pooling_method": _one_of(*POOLING_METHODS),
    "dbof_activation": _one_of(*ACTIVATIONS),
    "dbof_add_batch_norm": _boolean,
    "netvlad_cluster_size": check_whole_number,
    "netvlad_hidden_size": check_whole_number,
    "netvlad_add_batch_norm": _boolean,
    "netvlad_relu": _boolean,
    "lightvlad": _boolean,
    "softdbow": _boolean,
    "gating": _boolean,
    "nextvlad_cluster_size": check_whole_number,
    "nextvlad_hidden_size": check_whole_number,
    "groups": check_whole_number,
    "expansion": check_whole_number,
    "gating_reduction": check_whole_number,
    "drop_rate": _rate,
    "eigenvalues": _optional(_eigenvalues),
    "mix_number": _check_count_of_parts,
    "cl_temperature": _positive,
    "cl_lambda": _not_negative,
    "attention_hidden_size": check_whole_number,
    "attention_layers": _check_count_of_parts,
    "attention_heads": check_whole_number,
    "attention_dropout": _rate,
    "skip_min": check_whole_number,
    "skip_max": check_whole_number,
    "skip_step": check_whole_number,
    "skip_end": _one_of("stop", "clamp"),
    "skip_reward": _one_of("immediate", "delayed", "gap"),
    "skip_baseline": _one_of("value", "batch", "none"),
    "skip_entropy": _not_negative,
    "skip_epsilon": _rate,
    "policy_backprop": _boolean,
    "saliency_inputs": _text,
    "saliency_objective": _one_of("ac", "sal_cl", "sal_rank"),
    "saliency_union_inputs": _text,
    "saliency_union_objective": _one_of("ac", "sal_cl", "sal_rank"),
    "saliency_union_size": _optional(check_whole_number),
    "saliency_hidden_size": check_whole_number,
    "saliency_window": _check_number_of_frames,
}
