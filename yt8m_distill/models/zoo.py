"""The models by name: which input, which encoder, which classifier, which hyperparameters."""

from __future__ import annotations

import dataclasses
from typing import Callable

from yt8m_distill.models.classifiers import Logistic, MixtureLogistic, MixtureOfExperts
from yt8m_distill.models.encoders.attention_pooling import AttentionPooling
from yt8m_distill.models.encoders.dbof import DeepBagOfFrames
from yt8m_distill.models.encoders.frame_average import FrameAverage
from yt8m_distill.models.encoders.hierarchical_lstm import HierarchicalLstm
from yt8m_distill.models.encoders.mean_features import MeanFeatures
from yt8m_distill.models.encoders.netvlad import NetVlad
from yt8m_distill.models.encoders.nextvlad import MixtureNextVlad, NextVlad
from yt8m_distill.models.encoders.recurrent import Recurrent
from yt8m_distill.models.frame_input import FrameInput

TEACHER_BLOCKS = 20
STUDENT_BLOCKS = 5

# Hyperparameters of every model, with the defaults of the original; models may have other defaults.
COMMON_HYPERPARAMETERS = {
    "video_level_classifier_model": "MoeModel",
    "moe_num_mixtures": 2,
    "moe_l2": 1e-8,
    "moe_prob_gating": False,
    "dropout_rate": 0.0,
    "prior_probability": 0.0,
}
FRAME_HYPERPARAMETERS = {"frame_pooling": 1, "leading_values": "", "bit_depth": 8}


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """One entry of the zoo. The builders take the `ModelConfig`.

    Attributes:
      frame_level: whether the model reads frames or mean features.
      build_encoder: makes the encoder.
      hyperparameters: those of the encoder with their defaults, and other defaults for the common ones.
      build_frame_input: makes the first layer of a frame-level model.
      build_logistic: makes the classifier where that is a `LogisticModel`.
      compiles: whether XLA can compile the model. It cannot compile cuDNN's recurrent kernels, nor steps over what
        only the data tells.
    """

    frame_level: bool
    build_encoder: Callable
    hyperparameters: dict = dataclasses.field(default_factory=dict)
    build_frame_input: Callable = lambda config: FrameInput(name="frame_input")
    build_logistic: Callable = lambda config: _build_logistic(config)
    compiles: bool = True

    def __post_init__(self):
        of_frames = FRAME_HYPERPARAMETERS if self.frame_level else {}
        object.__setattr__(self, "hyperparameters", {**COMMON_HYPERPARAMETERS, **of_frames, **self.hyperparameters})


def build_classifier(config):
    """The classifier that a `ModelConfig` asks for."""
    hyperparameters = config.hyperparameters
    if hyperparameters["video_level_classifier_model"] == "LogisticModel":
        return ZOO[config.model].build_logistic(config)
    return MixtureOfExperts(
        config.num_classes,
        hyperparameters["moe_num_mixtures"],
        hyperparameters["moe_l2"],
        hyperparameters["moe_prob_gating"],
        hyperparameters["prior_probability"],
        name="classifier",
    )


def _build_logistic(config, **penalties):
    return Logistic(
        config.num_classes,
        **penalties,
        prior_probability=config.hyperparameters["prior_probability"],
        name="classifier",
    )


def default_num_blocks(num_slots: int, is_student: bool) -> int:
    """The authors' 20 blocks for a teacher and 5 for a student, or the largest smaller number that divides the frames.

    Blocks of one frame would leave the lower level nothing to recur over, so they have two at least. The authors'
    student cannot be built for k=6, which the paper reports: 3 blocks of 2 frames is our choice.
    """
    highest = max(1, min(num_slots // 2, STUDENT_BLOCKS if is_student else TEACHER_BLOCKS))
    return max(number for number in range(1, highest + 1) if num_slots % number == 0)


def block_length(config) -> int:
    """Frames of a block of the H-RNN that a `ModelConfig` asks for."""
    values = config.hyperparameters
    if values["block_length"] is not None:
        return values["block_length"]
    num_blocks = values["num_blocks"] or default_num_blocks(config.num_steps, config.has_frame_budget)
    return -(-config.num_steps // num_blocks)


def _build_mean_features(config):
    return MeanFeatures(name="encoder")


def _build_frame_average(config):
    return FrameAverage(name="encoder")


def _build_lstm(config):
    values = config.hyperparameters
    return Recurrent("lstm", values["lstm_cells"], values["lstm_layers"], values["bidirectional"], name="encoder")


def _build_gru(config):
    values = config.hyperparameters
    return Recurrent("gru", values["gru_cells"], values["gru_layers"], values["bidirectional"], name="encoder")


def _build_hierarchical_lstm(config):
    values = config.hyperparameters
    length = block_length(config)
    # Of all frames, there are as many as a batch has.
    num_blocks = -(-config.num_steps // length) if config.has_frame_budget else None
    return HierarchicalLstm(
        length, values["lstm_cells"], values["lstm_layers"], values["lstm_state"], num_blocks, name="encoder"
    )


def _build_dbof(config):
    values = config.hyperparameters
    return DeepBagOfFrames(
        values["iterations"],
        values["dbof_cluster_size"],
        values["dbof_hidden_size"],
        values["dbof_pooling_method"],
        values["dbof_activation"],
        values["dbof_add_batch_norm"],
        values["sample_random_frames"],
        name="encoder",
    )


def _build_netvlad(config):
    values = config.hyperparameters
    variant = "netrvlad" if values["lightvlad"] else "softdbow" if values["softdbow"] else "netvlad"
    return NetVlad(
        config.seen_feature_sizes,
        values["netvlad_cluster_size"],
        values["netvlad_hidden_size"],
        variant,
        values["netvlad_relu"],
        values["gating"],
        values["netvlad_add_batch_norm"],
        name="encoder",
    )


def _nextvlad_settings(config):
    values = config.hyperparameters
    return {
        "feature_sizes": config.seen_feature_sizes,
        "cluster_size": values["nextvlad_cluster_size"],
        "groups": values["groups"],
        "expansion": values["expansion"],
        "hidden_size": values["nextvlad_hidden_size"],
        "gating_reduction": values["gating_reduction"],
        "drop_rate": values["drop_rate"],
    }


def _build_nextvlad(config):
    return NextVlad(**_nextvlad_settings(config), name="encoder")


def _build_mixture_nextvlad(config):
    return MixtureNextVlad(config.hyperparameters["mix_number"], **_nextvlad_settings(config), name="encoder")


def _build_nextvlad_input(config):
    return FrameInput.reverse_whitened(
        config.feature_names, config.seen_feature_sizes, config.hyperparameters["eigenvalues"], name="frame_input"
    )


def _build_nextvlad_logistic(config):
    return _build_logistic(config, l2=1e-5, bias_l2=1e-5)


def _build_mixture_logistic(config):
    values = config.hyperparameters
    return MixtureLogistic(
        config.num_classes,
        values["mix_number"],
        values["cl_temperature"],
        values["cl_lambda"],
        prior_probability=values["prior_probability"],
        name="classifier",
    )


def _build_attention_pooling(config):
    values = config.hyperparameters
    return AttentionPooling(
        values["attention_hidden_size"],
        values["attention_layers"],
        values["attention_heads"],
        values["attention_dropout"],
        name="encoder",
    )


_LOGISTIC = {"video_level_classifier_model": "LogisticModel"}
_LSTM = {"lstm_cells": 1024, "lstm_layers": 2}
_NEXTVLAD = {
    **_LOGISTIC,
    "nextvlad_cluster_size": 128,
    "nextvlad_hidden_size": 2048,
    "groups": 8,
    "expansion": 2,
    "gating_reduction": 8,
    "drop_rate": 0.5,
    "eigenvalues": None,
}

ZOO = {
    "LogisticModel": ModelSpec(False, _build_mean_features, _LOGISTIC),
    "MoeModel": ModelSpec(False, _build_mean_features),
    "FrameLevelLogisticModel": ModelSpec(True, _build_frame_average, _LOGISTIC),
    "DbofModel": ModelSpec(
        True,
        _build_dbof,
        {
            "iterations": 30,
            "sample_random_frames": True,
            "dbof_cluster_size": 8192,
            "dbof_hidden_size": 1024,
            "dbof_pooling_method": "max",
            "dbof_activation": "sigmoid",
            "dbof_add_batch_norm": True,
        },
    ),
    "LstmModel": ModelSpec(True, _build_lstm, {**_LSTM, "bidirectional": False}, compiles=False),
    "GruModel": ModelSpec(
        True, _build_gru, {"gru_cells": 1024, "gru_layers": 2, "bidirectional": False}, compiles=False
    ),
    "HierarchicalLstmModel": ModelSpec(
        True,
        _build_hierarchical_lstm,
        {**_LSTM, "num_blocks": None, "block_length": None, "lstm_state": "all"},
        compiles=False,
    ),
    # The defaults of the VLAD models are their published settings, not those of their code's flags.
    "NetVLADModelLF": ModelSpec(
        True,
        _build_netvlad,
        {
            "moe_l2": 1e-6,
            "moe_prob_gating": True,
            "netvlad_cluster_size": 256,
            "netvlad_hidden_size": 1024,
            "netvlad_add_batch_norm": True,
            "netvlad_relu": False,
            "lightvlad": False,
            "softdbow": False,
            "gating": True,
        },
    ),
    "NeXtVLADModel": ModelSpec(True, _build_nextvlad, _NEXTVLAD, _build_nextvlad_input, _build_nextvlad_logistic),
    "MixtureNeXtVLADModel": ModelSpec(
        True,
        _build_mixture_nextvlad,
        {
            **_NEXTVLAD,
            "nextvlad_cluster_size": 112,
            "gating_reduction": 16,
            "mix_number": 3,
            "cl_temperature": 3.0,
            "cl_lambda": 9.0,
        },
        _build_nextvlad_input,
        _build_mixture_logistic,
    ),
    "AttentionPoolingModel": ModelSpec(
        True,
        _build_attention_pooling,
        {
            "attention_hidden_size": 512,
            "attention_layers": 2,
            "attention_heads": 8,
            "attention_dropout": 0.1,
        },
    ),
}
