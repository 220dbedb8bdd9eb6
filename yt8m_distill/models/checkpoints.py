"""Weights of a trained model, from the checkpoints of a train_dir."""

from __future__ import annotations

import logging
import math
import os
import re
import traceback

import tensorflow as tf

from yt8m_distill.models.model_config import ModelConfig
from yt8m_distill.models.model_flags import FILE_NAME, model_config_from_flags, read_model_flags
from yt8m_distill.models.shapes import build_without_values
from yt8m_distill.models.video_classifier import VideoClassifier

# As the original names them: model.ckpt-<step>.
CHECKPOINT_NAME = "model.ckpt"
BEST_DIR = "best"
_SLOT = ".OPTIMIZER_SLOT"
# A truncated file is an IndexError, one without its head or a missing part an OpError.
_UNREADABLE = (ValueError, IndexError, tf.errors.OpError)


def checkpoint_path(train_dir: str, which: str = "latest") -> str:
    """The prefix of a train_dir's checkpoint.

    Args:
      train_dir: directory of a training run, or of an unpacked model archive.
      which: `latest`, or `best` by validation GAP, of a run on segments by their mAP (present when training evaluated).

    Raises:
      FileNotFoundError: there is none yet.
      ValueError: another `which`.
    """
    if which not in ("latest", "best"):
        raise ValueError(f"which must be 'latest' or 'best'. Received: {which!r}.")
    directory = os.path.join(train_dir, BEST_DIR) if which == "best" else train_dir
    path = tf.train.latest_checkpoint(directory)
    if path is None:
        hint = " Training keeps the best checkpoint when it is given --eval_data_pattern." if which == "best" else ""
        raise FileNotFoundError(f"No checkpoint file found in {directory}.{hint}")
    return path


def checkpoint_step(path: str) -> int:
    """The global step in a checkpoint's name; 0 for one without (an unpacked archive)."""
    match = re.search(r"-(\d+)$", path)
    return int(match.group(1)) if match else 0


def load_model(train_dir: str, which: str = "latest") -> VideoClassifier:
    """Rebuilds a trained model from `model_flags.json` and its newest weights. Runs nothing that is stored.

    Args:
      train_dir: directory of a training run, or of an unpacked model archive.
      which: `latest` or `best` checkpoint.

    Raises:
      FileNotFoundError: no model_flags.json or no checkpoint.
      ValueError: model_flags.json makes no model, or the checkpoint belongs to another model.
    """
    config = load_model_config(train_dir)
    return load_model_at(config, checkpoint_path(train_dir, which))


def load_model_config(train_dir: str) -> ModelConfig:
    """The model that a train_dir holds, without its weights; raises as `load_model`."""
    return model_config_from_flags(read_model_flags(train_dir), os.path.join(train_dir, FILE_NAME))


def load_model_at(config: ModelConfig, path: str) -> VideoClassifier:
    """Builds a model and fills it from the checkpoint with the prefix `path`; raises as `restore_weights`."""
    check_size(config, path)
    model = config.build()
    restore_weights(model, path)
    return model


def restore_weights(model: VideoClassifier, path: str) -> None:
    """Fills a model's weights from a checkpoint.

    Args:
      model: built model.
      path: prefix of a checkpoint that was saved from `tf.train.Checkpoint(model=model, ...)`.

    Raises:
      ValueError: the checkpoint is damaged, lacks a weight, holds it in another shape, or holds more than this model
        has.
    """
    try:
        _check_holds_no_more(model, path)
        tf.train.Checkpoint(model=model).restore(path).expect_partial().assert_existing_objects_matched()
    except (AssertionError, *_UNREADABLE) as error:
        _forget_restoring(error)
        raise _not_the_weights(path, model.name, error) from error


def _forget_restoring(error):
    """Frees what a restoration that failed has left. TensorFlow would warn of it behind the message of the error."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        traceback.clear_frames(error.__traceback__)
    finally:
        logger.setLevel(level)


def _not_the_weights(path, name, error):
    reason = str(error).split(". ")[0].rstrip(".")  # TensorFlow's message goes on with the values of weights
    return ValueError(f"{path}: does not hold the weights of this {name}: {reason}.")


def check_size(config, path):
    """ValueError for a damaged checkpoint, or a model of more weights than it holds, before that takes the memory.

    Flags and checkpoint may come from somebody else.
    """
    try:
        num_stored = sum(math.prod(shape) for shape in _stored_weights(path).values())
    except _UNREADABLE as error:
        raise _not_the_weights(path, config.model, error) from error
    try:
        num_wanted = sum(weight.shape.num_elements() for weight in build_without_values(config).weights)
    except (tf.errors.ResourceExhaustedError, tf.errors.InvalidArgumentError, OverflowError) as error:
        # A side of a weight beyond 2**31 makes the operation that reserves its memory fail.
        if isinstance(error, tf.errors.InvalidArgumentError) and "[Op:Empty]" not in str(error):
            raise
        raise ValueError(
            f"{path}: holds {num_stored:,} weights, and {FILE_NAME} describes a {config.model} that fits no memory."
        ) from error
    if num_wanted > num_stored:
        raise ValueError(
            f"{path}: does not hold the weights of this {config.model}: it has {num_stored:,}, and {FILE_NAME} "
            f"describes a model of {num_wanted:,}."
        )


def _check_holds_no_more(model, path):
    """ValueError for weights that restoring would ignore, such as those of a third LSTM layer."""
    stored = _stored_weights(path)
    for part in ("encoder", "classifier"):
        num_own = len(getattr(model, part).weights)
        num_stored = sum(name.startswith(f"model/{part}/") for name in stored)
        if num_stored > num_own:
            raise ValueError(f"it holds {num_stored} weights of the {part}; this one has {num_own}.")


def _stored_weights(path):
    """Name -> shape of the model's weights in a checkpoint."""
    return {n: shape for n, shape in tf.train.list_variables(path) if n.startswith("model/") and _SLOT not in n}
