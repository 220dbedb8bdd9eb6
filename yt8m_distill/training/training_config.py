"""How a model is trained: the choices behind train.py's flags that do not concern the model itself."""

from __future__ import annotations

import dataclasses
import os

from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.models import LABEL_LOSSES

STUDENT_INITS = ("scratch", "teacher")
MIXED_PRECISIONS = ("none", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """One training run.

    Attributes:
      train_dir: directory of checkpoints, model_flags.json and TensorBoard events.
      train_data_pattern: globs of the training records, comma-separated.
      eval_data_pattern: globs of validation records, evaluated after each epoch; "" for none.
      batch_size: examples of one replica in one step.
      num_epochs: passes over the data; of the distillation, where there is one.
      max_steps: stop after so many steps; None for no limit.
      label_loss: name in `LABEL_LOSSES`.
      optimizer, base_learning_rate, learning_rate_decay, learning_rate_decay_examples, clip_gradient_norm: see
        `create_optimizer` and `learning_rate_schedule`.
      regularization_penalty: weight of the summed L2 penalties.
      export_model_steps: steps between checkpoints.
      keep_checkpoints: latest checkpoints kept.
      num_readers: files read at once.
      seed: of initial weights, data order and dropout.
      start_new_model: delete what the train_dir holds and start over.
      mixed_precision: `none`, `bfloat16` or `float16` computation; weights stay float32.
      jit_compile: compile the step with XLA.
      distillation: losses and scheme, or None to train on labels alone.
      teacher_dir: train_dir of the teacher. Serial distillation needs it; a parallel one starts its teacher from it.
      teacher_checkpoint: `latest` or `best` of the teacher's checkpoints.
      student_init: `scratch`, or `teacher` to start from the teacher's weights.
      finetune_epochs: passes on the labels alone that follow the distillation.

    Raises:
      ValueError: a value out of range, or choices that do not go together.
    """

    train_dir: str
    train_data_pattern: str
    eval_data_pattern: str = ""
    batch_size: int = 1024
    num_epochs: int = 5
    max_steps: int | None = None
    label_loss: str = "CrossEntropyLoss"
    optimizer: str = "AdamOptimizer"
    base_learning_rate: float = 0.01
    learning_rate_decay: float = 0.95
    learning_rate_decay_examples: float = 4000000
    clip_gradient_norm: float = 1.0
    regularization_penalty: float = 1.0
    export_model_steps: int = 1000
    keep_checkpoints: int = 5
    num_readers: int = 8
    seed: int = 0
    start_new_model: bool = False
    mixed_precision: str = "none"
    jit_compile: bool = False
    distillation: DistillationConfig | None = None
    teacher_dir: str = ""
    teacher_checkpoint: str = "latest"
    student_init: str = "scratch"
    finetune_epochs: int = 0

    def __post_init__(self):
        if not self.train_dir:
            raise ValueError("train_dir must not be empty.")
        for name in ("batch_size", "num_epochs", "export_model_steps", "keep_checkpoints", "num_readers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1. Received: {getattr(self, name)}.")
        if self.max_steps is not None and self.max_steps < 0:
            raise ValueError(f"max_steps must not be negative. Received: {self.max_steps}.")
        for name in ("base_learning_rate", "learning_rate_decay", "learning_rate_decay_examples"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive. Received: {getattr(self, name)}.")
        for name in ("finetune_epochs", "regularization_penalty", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative. Received: {getattr(self, name)}.")
        _require_one_of("label_loss", self.label_loss, LABEL_LOSSES)
        _require_one_of("student_init", self.student_init, STUDENT_INITS)
        _require_one_of("mixed_precision", self.mixed_precision, MIXED_PRECISIONS)
        _require_one_of("teacher_checkpoint", self.teacher_checkpoint, ("latest", "best"))
        self._check_distillation()

    def _check_distillation(self):
        if self.distillation is None:
            for name, default in (("teacher_dir", ""), ("student_init", "scratch"), ("finetune_epochs", 0)):
                if getattr(self, name) != default:
                    raise ValueError(
                        f"{name}={getattr(self, name)!r} needs --distillation=serial or --distillation=parallel."
                    )
        elif self.distillation.scheme == "serial" and not self.teacher_dir:
            raise ValueError("Serial distillation needs --teacher_dir, the train_dir of a trained teacher.")
        elif self.student_init == "teacher" and not self.teacher_dir:
            raise ValueError(
                "student_init='teacher' needs --teacher_dir, the train_dir of a trained teacher."
            )
        if self.start_new_model and self.teacher_dir and _is_within(self.teacher_dir, self.train_dir):
            raise ValueError(
                f"start_new_model would delete the teacher: teacher_dir={self.teacher_dir!r} lies in "
                f"train_dir={self.train_dir!r}. Give another train_dir."
            )

    def recorded(self) -> dict:
        """What `model_flags.json` records: everything but where the run was started."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "start_new_model"}


def _is_within(path, directory):
    return os.path.join(os.path.abspath(path), "").startswith(os.path.join(os.path.abspath(directory), ""))


def _require_one_of(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}. Received: {value!r}.")
