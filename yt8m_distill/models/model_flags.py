"""`model_flags.json`: the file in a train_dir that says which model it holds."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.models.model_config import ModelConfig

FILE_NAME = "model_flags.json"

BUDGET_AND_SIZES = (
    "num_classes",
    "max_frames",
    "frame_sampling",
    "num_sampled_frames",
    "frame_percent",
    "every_n",
)
_MOST_CHARACTERS = 1000  # of a message, which may quote what is in the file
_KEYS = {"model", "feature_sizes", "feature_names", "frame_features", "label_loss", *BUDGET_AND_SIZES}
_KEYS |= {"frame_jitter", "frame_budgets", "hyperparameters", "training", "averaged_checkpoints"}


def write_model_flags(train_dir: str, config: ModelConfig, label_loss: str, training: dict | None = None) -> None:
    """Records a model, whole or not at all.

    The first five keys are the original's (`feature_names` and `feature_sizes` as comma-separated strings); the rest is
    what the original leaves for the user to repeat.

    Args:
      train_dir: where to write.
      config: the model.
      label_loss: name of the loss it is trained with.
      training: how it is trained, for the record and for checks at resumption.
    """
    flags = {
        "model": config.model,
        "feature_sizes": ",".join(map(str, config.feature_sizes)),
        "feature_names": ",".join(config.feature_names),
        "frame_features": config.frame_level,
        "label_loss": label_loss,
        **{name: getattr(config, name) for name in BUDGET_AND_SIZES},
        "frame_jitter": config.frame_jitter,
        "frame_budgets": list(config.frame_budgets),
        "hyperparameters": config.hyperparameters,
    }
    if training is not None:
        flags["training"] = training
    with open_atomic(os.path.join(train_dir, FILE_NAME)) as file:
        file.write(json.dumps(flags, indent=2) + "\n")


def read_model_flags(train_dir: str) -> dict:
    """Reads the flags of a train_dir.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is not a JSON object, or one of other types.
    """
    path = os.path.join(train_dir, FILE_NAME)
    if not tf.io.gfile.exists(path):
        raise FileNotFoundError(f"Cannot find {path}. Did you run train.py on the same --train_dir?")
    with tf.io.gfile.GFile(path) as file:
        try:
            flags = json.loads(file.read())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: is not valid JSON ({error}).") from error
    _check_types(flags, path)
    return flags


def _check_types(flags, path):
    if not isinstance(flags, dict):
        raise ValueError(f"{path}: must hold one JSON object. Received: {type(flags).__name__}.")
    training, budgets = flags.get("training", {}), flags.get("frame_budgets", [])
    distillation = training.get("distillation") if isinstance(training, dict) else None
    texts = ("model", "feature_names", "feature_sizes", "label_loss")
    numbers = budgets if isinstance(budgets, list) else []
    for name, value, wanted, kind in (
        *((name, flags.get(name, ""), str, "a string") for name in texts),
        ("frame_sampling", flags.get("frame_sampling"), (str, type(None)), "a string or null"),
        ("frame_budgets", budgets, list, "a list of whole numbers"),
        *(("frame_budgets", number, int, "a list of whole numbers") for number in numbers),
        ("hyperparameters", flags.get("hyperparameters", {}), dict, "an object"),
        ("training", training, dict, "an object"),
        ("distillation", distillation, (dict, type(None)), "an object"),
    ):
        if not isinstance(value, wanted):
            raise ValueError(f"{path}: {name!r} must be {kind}. Received: {value!r:.100}.")


def model_config_from_flags(flags: dict, path: str = FILE_NAME) -> ModelConfig:
    """The model that `read_model_flags` describes.

    Raises:
      ValueError: a key is missing or unknown, or has a value that makes no model.
    """
    unknown = sorted(set(flags) - _KEYS)
    if unknown:
        raise ValueError(
            f"{path}: has a key {unknown[0]!r:.100} that is unknown. Another version of this package wrote it."
        )
    try:
        return ModelConfig(
            model=flags["model"],
            feature_names=tuple(name.strip() for name in flags["feature_names"].split(",")),
            feature_sizes=tuple(int(size) for size in flags["feature_sizes"].split(",")),
            **{name: flags[name] for name in BUDGET_AND_SIZES},
            frame_jitter=flags.get("frame_jitter", False),  # absent from files written before it existed, as is
            frame_budgets=tuple(flags.get("frame_budgets", ())),
            hyperparameters=flags["hyperparameters"],
        )
    except KeyError as error:
        raise ValueError(
            f"{path}: has no key {error}. It was not written by this package, or by an older version of it."
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {str(error)[:_MOST_CHARACTERS]}") from error
