"""A train_dir: is it one, may this run go on in it, and the checkpoints in it."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from yt8m_distill.data.directory_lock import lock_directory
from yt8m_distill.models import ModelConfig, read_model_flags, write_model_flags
from yt8m_distill.models.checkpoints import BEST_DIR, CHECKPOINT_NAME
from yt8m_distill.models.model_flags import BUDGET_AND_SIZES, FILE_NAME
from yt8m_distill.training.training_config import TrainingConfig

_FIXED_TOP_LEVEL = ("model", "feature_names", "feature_sizes", *BUDGET_AND_SIZES, "label_loss")
# Dropout has no weights, and where training started is past, so these may change; a change of any other hyperparameter
# is taken for another network.
_FREE_HYPERPARAMETERS = {"dropout_rate", "drop_rate", "attention_dropout", "prior_probability"}
_FIXED_IN_TRAINING = ("optimizer", "mixed_precision")
_FIXED_IN_DISTILLATION = ("scheme", "project_encoding", "share_classifier")
_CHECKPOINT_FILES = (f"{CHECKPOINT_NAME}-", "checkpoint", "events.out.tfevents.", FILE_NAME)
_DIRECTORIES = (BEST_DIR, "eval", "teacher")
_LOCK = ".train.lock"
# What a process leaves that is killed, or finds the disk full, while it writes a checkpoint or the flags.
_LEFTOVER = re.compile(rf"{re.escape(CHECKPOINT_NAME)}-\d+_temp.*|\.{re.escape(FILE_NAME)}\..*\.partial")


class TrainDirError(ValueError):
    """A directory that this run must not use; the message says why and the way out."""


@contextlib.contextmanager
def train_dir_in_use(train_dir: str) -> Iterator[None]:
    """Makes a train_dir and keeps other runs out of it.

    Raises:
      ValueError: another run trains in it.
    """
    tf.io.gfile.makedirs(train_dir)
    refusal = f"Another run is training in {train_dir}. Wait for it, or give another --train_dir"
    with lock_directory(train_dir, _LOCK, refusal):
        yield


def prepare_train_dir(model_config: ModelConfig, config: TrainingConfig) -> None:
    """Makes the train_dir ready for a new run or for one that goes on, and records the flags in it.

    Raises:
      TrainDirError: `start_new_model` on a directory that holds other things, or a run in it whose flags differ in
        what cannot change.
    """
    train_dir = config.train_dir
    _remove_leftovers(train_dir)
    if config.start_new_model:
        empty_train_dir(train_dir)
    elif tf.train.latest_checkpoint(train_dir):
        _check_same_run(read_model_flags(train_dir), model_config, config)
    else:
        _check_lost_no_checkpoint(train_dir)
        _remove_best(train_dir)
    write_model_flags(train_dir, model_config, config.label_loss, config.recorded())


def empty_train_dir(train_dir: str) -> None:
    """Deletes what a train_dir holds (`--start_new_model`).

    Raises:
      TrainDirError: the directory holds something that training did not write.
    """
    # The flags, by which it is known, go last: who is killed in between can start again.
    for name in sorted(check_is_train_dir(train_dir), key=lambda name: name == FILE_NAME):
        _remove(os.path.join(train_dir, name))


def _check_lost_no_checkpoint(train_dir):
    """TrainDirError if the file that names the latest checkpoint is there, and the checkpoint is not."""
    named = tf.train.get_checkpoint_state(train_dir)
    if named is not None:
        raise TrainDirError(
            f"{train_dir} held a run up to {named.model_checkpoint_path}, whose files are not all there. Bring them "
            f"back, name an older checkpoint in {os.path.join(train_dir, 'checkpoint')}, or give --start_new_model to "
            "delete the run."
        )


def _remove_best(train_dir):
    """Removes the best weights of a run that was killed before its first checkpoint: the next one may be another."""
    best = os.path.join(train_dir, BEST_DIR)
    if tf.io.gfile.exists(os.path.join(train_dir, FILE_NAME)) and tf.io.gfile.exists(best):
        _remove(best)


def _remove(path):
    tf.io.gfile.rmtree(path) if tf.io.gfile.isdir(path) else tf.io.gfile.remove(path)


def _remove_leftovers(train_dir):
    for directory in (train_dir, os.path.join(train_dir, BEST_DIR)):
        for name in tf.io.gfile.listdir(directory) if tf.io.gfile.isdir(directory) else ():
            if _LEFTOVER.fullmatch(name.rstrip("/")):
                _remove(os.path.join(directory, name.rstrip("/")))


def check_is_train_dir(train_dir: str) -> list[str]:
    """The names of what a train_dir holds, none if there is no such directory.

    Raises:
      TrainDirError: the directory holds something that training did not write.
    """
    if not tf.io.gfile.exists(train_dir):
        return []
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(train_dir) if name != _LOCK]
    leftovers = [name for name in names if _LEFTOVER.fullmatch(name)]
    is_own = [name.startswith(_CHECKPOINT_FILES) or name in _DIRECTORIES for name in names]
    own = [name for name, known in zip(names, is_own) if known and name not in leftovers]
    foreign = [name for name in names if name not in own and name not in leftovers]
    if foreign or (own and FILE_NAME not in own):
        what = f"it holds {sorted(foreign)[0]!r}" if foreign else f"it has no {FILE_NAME}"
        raise TrainDirError(
            f"--start_new_model would delete {train_dir}, which does not look like a train_dir: {what}. "
            "Delete it yourself, or give another --train_dir."
        )
    return names


def _check_same_run(recorded, model_config, config):
    current = {
        "model": model_config.model,
        "feature_names": ",".join(model_config.feature_names),
        "feature_sizes": ",".join(map(str, model_config.feature_sizes)),
        "label_loss": config.label_loss,
        **{name: getattr(model_config, name) for name in BUDGET_AND_SIZES},
    }
    differences = [(name, recorded.get(name), current[name]) for name in _FIXED_TOP_LEVEL]
    # A hyperparameter younger than the run has the default that the run had without it.
    old = {**model_config.known_hyperparameters(), **recorded.get("hyperparameters", {})}
    new = model_config.hyperparameters
    differences += [(name, old.get(name), new.get(name)) for name in sorted({*old, *new} - _FREE_HYPERPARAMETERS)]
    training = recorded.get("training") or {}
    differences += [(name, training.get(name), getattr(config, name)) for name in _FIXED_IN_TRAINING]
    ema_before = training.get("ema_decay", 0.0)
    if bool(ema_before) != bool(config.ema_decay):  # its value may change
        differences.append(("ema_decay", ema_before, config.ema_decay))
    before, now = training.get("distillation"), config.recorded()["distillation"]
    if (before is None) != (now is None):
        differences.append(("distillation", (before or {}).get("scheme", "none"), (now or {}).get("scheme", "none")))
    elif now is not None:
        differences += [(name, before.get(name), now[name]) for name in _FIXED_IN_DISTILLATION]
    for name, was, wanted in differences:
        if was != wanted:
            raise TrainDirError(
                f"{config.train_dir} holds a run with {name}={_brief(was)}; this run has {name}={_brief(wanted)}, "
                "which cannot change when training goes on. Give another --train_dir, or --start_new_model to delete "
                "the old run."
            )


def _brief(value):
    text = repr(value)
    return text if len(text) < 200 else f"{text[:100]}..."  # a thousand eigenvalues


class CheckpointKeeper:
    """Writes the checkpoints of a run: the latest N, and the best by GAP.

    Args:
      train_dir: where to write.
      checkpoint: the `tf.train.Checkpoint` of the whole training state.
      model: the model alone, for the best checkpoint.
      keep: how many of the latest stay.
      is_chief: False for a worker whose part in saving goes to a scratch directory: all workers of a cluster must take
        part in writing.
    """

    def __init__(self, train_dir, checkpoint, model, keep: int = 5, is_chief: bool = True):
        self.checkpoint = checkpoint
        self._scratch = None if is_chief else tempfile.TemporaryDirectory()
        directory = train_dir if is_chief else self._scratch.name
        self._latest = tf.train.CheckpointManager(checkpoint, directory, keep, checkpoint_name=CHECKPOINT_NAME)
        self._best = tf.train.CheckpointManager(
            tf.train.Checkpoint(model=model),
            os.path.join(directory, BEST_DIR),
            1,
            checkpoint_name=CHECKPOINT_NAME,
        )

    def save(self, step: int) -> str:
        return self._latest.save(checkpoint_number=step)

    def save_best(self, step: int) -> str:
        return self._best.save(checkpoint_number=step)
