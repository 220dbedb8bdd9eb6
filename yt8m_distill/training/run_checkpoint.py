"""What a training run saves, and takes up again when it goes on."""

from __future__ import annotations

import contextlib
import dataclasses

import tensorflow as tf

from yt8m_distill.training.train_dir import CheckpointKeeper, TrainDirError

_POSITION_KEY = "position/{}/.ATTRIBUTES/VARIABLE_VALUE"


@dataclasses.dataclass
class RunPosition:
    """How far a run is: the checkpointed state that is not weights.

    Attributes:
      step: updates of the student since the run began.
      phase: 0 for training or distillation, 1 for the fine-tuning after it.
      epoch: passes completed within the phase.
      examples: examples seen of the current pass.
    """

    step: int = 0
    phase: int = 0
    epoch: int = 0
    examples: int = 0


class RunCheckpoint:
    """Everything that resuming a run needs, in the checkpoints of its train_dir.

    Args:
      train_dir: of the run.
      position: how far the run is; saved as it then is.
      parts: what else is saved, by name: models, optimizers. `model` is what the best checkpoint holds.
      keep: how many of the latest checkpoints stay.
      is_chief: as of `CheckpointKeeper`.
    """

    def __init__(self, train_dir: str, position: RunPosition, parts: dict, keep: int, is_chief: bool):
        self.position = position
        self._variables = {
            name: tf.Variable(value, dtype=tf.int64, trainable=False)
            for name, value in dataclasses.asdict(position).items()
        }
        self._checkpoint = tf.train.Checkpoint(**parts, position=self._variables)
        self.keeper = CheckpointKeeper(train_dir, self._checkpoint, parts["model"], keep, is_chief)

    def save(self) -> None:
        """Writes a checkpoint."""
        for name, value in dataclasses.asdict(self.position).items():
            self._variables[name].assign(value)
        self.keeper.save(self.position.step)

    def restore(self, path: str) -> None:
        """Takes up weights and optimizer state.

        Raises:
          TrainDirError: the checkpoint is damaged, or lacks some of the parts.
        """
        with _damage_named(path):
            status = self._checkpoint.restore(path)
            try:
                status.assert_existing_objects_matched().expect_partial()
            except AssertionError as error:
                raise TrainDirError(
                    f"{path} lacks weights or optimizer state that this run has: another version of this package, or "
                    "a run with other flags, wrote it. Give another --train_dir, or --start_new_model to delete it."
                ) from error


def saved_position(path: str) -> RunPosition:
    """How far the run was that wrote a checkpoint.

    Raises:
      TrainDirError: the checkpoint is damaged, or holds weights alone.
    """
    with _damage_named(path):
        reader = tf.train.load_checkpoint(path)
    keys = {field.name: _POSITION_KEY.format(field.name) for field in dataclasses.fields(RunPosition)}
    if not reader.has_tensor(keys["step"]):
        raise TrainDirError(
            f"{path} holds weights alone, not a training run that could go on. Give another --train_dir."
        )
    return RunPosition(**{name: int(reader.get_tensor(key)) for name, key in keys.items()})


@contextlib.contextmanager
def _damage_named(path):
    """TrainDirError in the place of what TensorFlow raises for a checkpoint whose files are cut or missing."""
    try:
        yield
    except (IndexError, ValueError, tf.errors.OpError) as error:
        if isinstance(error, TrainDirError):
            raise
        reason = str(error).split("\n")[0].split(". ")[0].rstrip(".")
        raise TrainDirError(
            f"{path} is damaged ({reason}). Name an older checkpoint in the file 'checkpoint' beside it, or give "
            "--start_new_model to delete the run."
        ) from error
