"""How a model is trained: the choices behind train.py's flags that do not concern the model itself."""

from __future__ import annotations

import dataclasses
import math
import os

from yt8m_distill.data import BAD_RECORDS
from yt8m_distill.distillation import OF_STATES, DistillationConfig
from yt8m_distill.models import LABEL_LOSSES, MIXUP_LEVELS
from yt8m_distill.training.learning_rate import SCHEDULES

STUDENT_INITS = ("scratch", "teacher", "auto")
MIXED_PRECISIONS = ("none", "bfloat16", "float16")
AVERAGING_OPTIMIZERS = ("MovingAverage", "SWA")
_LARGEST_BATCH = 1_000_000


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """One training run.

    Attributes:
      train_dir: directory of checkpoints, model_flags.json and TensorBoard events.
      train_data_pattern: globs of the training records, comma-separated.
      eval_data_pattern: globs of validation records, evaluated after each epoch; "" for none.
      segment_labels: train and validate on rated segments instead of whole videos.
      batch_size: examples of one replica in one step, or in one of its gradient_accumulation_steps.
      gradient_accumulation_steps: batches whose gradients each update sums.
      num_epochs: passes over the data; of the distillation, where there is one.
      max_steps: stop after so many steps; None for no limit.
      label_loss: name in `LABEL_LOSSES`.
      optimizer, clip_gradient_norm, weight_decay: see `create_optimizer`.
      learning_rate_schedule: `exponential`, the original's staircase, or `cosine`, to 0 at the end of the run; a
        distillation and the fine-tuning after it have one each.
      base_learning_rate, learning_rate_decay, learning_rate_decay_examples: of the staircase, see
        `learning_rate_schedule`; the cosine starts from base_learning_rate, too.
      warmup_steps: steps of a linear rise from 0 that come before the schedule.
      ema_decay: of the moving average of the weights that is evaluated and saved as the model; 0 for none.
      label_smoothing, mixup_alpha, mixup_level: see `BatchPreparation` and `Mixup`; an alpha of 0 mixes nothing.
      regularization_penalty: weight of the summed L2 penalties.
      export_model_steps: steps between checkpoints.
      keep_checkpoints: latest checkpoints kept.
      num_readers: files read at once.
      bad_records: `fail` at the first record that cannot be read, or `skip` it and say so.
      skip_nonfinite: leave out steps whose loss or gradients are NaN or infinite, instead of stopping at the first.
      seed: of initial weights, data order and dropout.
      start_new_model: delete what the train_dir holds and start over.
      initial_train_dir: train_dir of a model of the same network, whose latest weights training starts from; "" for
        fresh weights. In a distillation, `student_init` says it.
      mixed_precision: `none`, `bfloat16` or `float16` computation; weights stay float32.
      jit_compile: compile the step with XLA; not for recurrent models.
      distillation: losses and scheme, or None to train on labels alone.
      teacher_dir: train_dir of the teacher. Serial distillation needs it, and averages the predictions of several,
        comma-separated; a parallel one starts its teacher from it.
      teacher_checkpoint: `latest` or `best` of the teacher's checkpoints.
      student_init: `scratch`; `teacher`, to start from the weights of the teacher, the first of several; or `auto`,
        from those of a trained teacher if they fit.
      teacher_cache: directory of what the teacher said of every training video (see `TeacherCache`), from which a
        serial distillation learns instead of running it; "" to run it.
      unlabelled_data_pattern: globs of more videos for the student of a serial distillation. Their labels are not read.
        The losses are means over all videos of a step, to which an unlabelled one adds nothing in `ce`.
      finetune_epochs: passes on the labels alone that follow the distillation.
      curriculum_frames: frames of the first pass, where a model is to read fewer from pass to pass; 0 for its budget
        from the start (see `frames_of_epoch`).
      curriculum_epochs: passes until it reads its budget.

    Raises:
      ValueError: a value out of range, or choices that do not go together.
    """

    train_dir: str
    train_data_pattern: str
    eval_data_pattern: str = ""
    segment_labels: bool = False
    batch_size: int = 1024
    gradient_accumulation_steps: int = 1
    num_epochs: int = 5
    max_steps: int | None = None
    label_loss: str = "CrossEntropyLoss"
    optimizer: str = "AdamOptimizer"
    learning_rate_schedule: str = "exponential"
    base_learning_rate: float = 0.01
    learning_rate_decay: float = 0.95
    learning_rate_decay_examples: float = 4000000
    warmup_steps: int = 0
    clip_gradient_norm: float = 1.0
    weight_decay: float | None = None
    regularization_penalty: float = 1.0
    ema_decay: float = 0.0
    label_smoothing: float = 0.0
    mixup_alpha: float = 0.0
    mixup_level: str = "encoding"
    export_model_steps: int = 1000
    keep_checkpoints: int = 5
    num_readers: int = 8
    bad_records: str = "fail"
    skip_nonfinite: bool = False
    seed: int = 0
    start_new_model: bool = False
    initial_train_dir: str = ""
    mixed_precision: str = "none"
    jit_compile: bool = False
    distillation: DistillationConfig | None = None
    teacher_dir: str = ""
    teacher_checkpoint: str = "latest"
    student_init: str = "scratch"
    teacher_cache: str = ""
    unlabelled_data_pattern: str = ""
    finetune_epochs: int = 0
    curriculum_frames: int = 0
    curriculum_epochs: int = 0

    def __post_init__(self):
        if not self.train_dir:
            raise ValueError("train_dir must not be empty.")
        for name in (
            "batch_size",
            "gradient_accumulation_steps",
            "num_epochs",
            "export_model_steps",
            "keep_checkpoints",
            "num_readers",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1. Received: {getattr(self, name)}.")
        for name in ("batch_size", "gradient_accumulation_steps"):
            # TensorFlow reserves room for a batch, and ends the process without it.
            if getattr(self, name) > _LARGEST_BATCH:
                raise ValueError(f"{name} must be at most {_LARGEST_BATCH}. Received: {getattr(self, name)}.")
        if self.max_steps is not None and self.max_steps < 0:
            raise ValueError(f"max_steps must not be negative. Received: {self.max_steps}.")
        for name in ("base_learning_rate", "learning_rate_decay", "learning_rate_decay_examples"):
            if not getattr(self, name) > 0:  # NaN is not, either
                raise ValueError(f"{name} must be positive. Received: {getattr(self, name)}.")
        for name in (
            "finetune_epochs",
            "curriculum_frames",
            "curriculum_epochs",
            "regularization_penalty",
            "weight_decay",
            "warmup_steps",
            "mixup_alpha",
            "seed",
        ):
            if not (getattr(self, name) or 0) >= 0:
                raise ValueError(f"{name} must not be negative. Received: {getattr(self, name)}.")
        if self.seed >= 2**32:
            raise ValueError(f"seed must be below 2**32. Received: {self.seed}.")
        if math.isnan(self.clip_gradient_norm):
            raise ValueError(f"clip_gradient_norm must be a number. Received: {self.clip_gradient_norm}.")
        for name in ("ema_decay", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1). Received: {getattr(self, name)}.")
        _require_one_of("label_loss", self.label_loss, LABEL_LOSSES)
        _require_one_of("learning_rate_schedule", self.learning_rate_schedule, SCHEDULES)
        _require_one_of("mixup_level", self.mixup_level, MIXUP_LEVELS)
        _require_one_of("student_init", self.student_init, STUDENT_INITS)
        _require_one_of("mixed_precision", self.mixed_precision, MIXED_PRECISIONS)
        _require_one_of("bad_records", self.bad_records, BAD_RECORDS)
        _require_one_of("teacher_checkpoint", self.teacher_checkpoint, ("latest", "best"))
        self._check_averaging_and_mixup()
        self._check_distillation()
        self._check_unlabelled_and_cache()
        if bool(self.curriculum_frames) != bool(self.curriculum_epochs):
            raise ValueError(
                "A curriculum needs both --curriculum_frames and --curriculum_epochs. Received: "
                f"curriculum_frames={self.curriculum_frames}, curriculum_epochs={self.curriculum_epochs}."
            )

    def _check_averaging_and_mixup(self):
        if self.ema_decay and self.optimizer in AVERAGING_OPTIMIZERS:
            raise ValueError(
                f"optimizer={self.optimizer!r} averages the weights itself. Leave out --ema_decay, or choose another "
                "optimizer."
            )
        if self.mixup_level == "frames":
            if not self.mixup_alpha:
                raise ValueError("mixup_level='frames' needs --mixup_alpha, such as 0.2.")
            for loss in self._losses_of_states():
                raise ValueError(
                    f"Loss {loss!r} compares the states of teacher and student frame by frame, which mixed videos do "
                    f"not have in common. Use --mixup_level=encoding, or leave {loss!r} out of --distillation_losses."
                )

    def _check_distillation(self):
        if self.distillation is None:
            for name, default in (("teacher_dir", ""), ("student_init", "scratch"), ("finetune_epochs", 0)):
                if getattr(self, name) != default:
                    raise ValueError(
                        f"{name}={getattr(self, name)!r} needs --distillation=serial or --distillation=parallel."
                    )
        elif self.initial_train_dir:
            raise ValueError("--initial_train_dir is for training on labels; a student has --student_init=teacher.")
        elif self.distillation.scheme == "serial" and not self.teacher_dirs:
            raise ValueError("Serial distillation needs --teacher_dir, the train_dir of a trained teacher.")
        elif self.student_init == "teacher" and not self.teacher_dirs:
            raise ValueError("student_init='teacher' needs --teacher_dir, the train_dir of a trained teacher.")
        if len(self.teacher_dirs) > 1 and self.distillation.scheme != "serial":
            raise ValueError(
                f"Several teachers need --distillation=serial. Received: teacher_dir={self.teacher_dir!r}."
            )
        sources = [("the teacher: teacher_dir", teacher_dir) for teacher_dir in self.teacher_dirs]
        if self.initial_train_dir:
            sources.append(("what it starts from: initial_train_dir", self.initial_train_dir))
        for name, source in sources:
            if self.start_new_model and _is_within(source, self.train_dir):
                raise ValueError(
                    f"start_new_model would delete {name}={source!r} lies in train_dir={self.train_dir!r}. "
                    "Give another train_dir."
                )

    def _check_unlabelled_and_cache(self):
        if self.teacher_cache and self.bad_records == "skip":
            raise ValueError(
                "A teacher cache holds what the teacher said of every record of a file. Leave out --bad_records=skip, "
                "or --teacher_cache."
            )
        for name in ("teacher_cache", "unlabelled_data_pattern"):
            if not getattr(self, name):
                continue
            losses = self.distillation.losses if self.distillation is not None else ()
            if not ("rep" in losses or "pred" in losses) or self.distillation.scheme != "serial":
                raise ValueError(f"{name} needs --distillation=serial and 'rep' or 'pred' in --distillation_losses.")
            if self.segment_labels:
                raise ValueError(f"{name} is of whole videos: leave out --segment_labels.")
        if self.teacher_cache and self.mixup_alpha:
            raise ValueError(
                "A teacher cache holds what the teacher said of each video, and nothing of mixtures of two. Leave out "
                "--mixup_alpha or --teacher_cache."
            )
        for loss in self._losses_of_states() if self.teacher_cache else ():
            raise ValueError(
                f"A teacher cache holds no intermediate states. Leave {loss!r} out of --distillation_losses, or leave "
                "out --teacher_cache."
            )

    def _losses_of_states(self):
        losses = self.distillation.losses if self.distillation is not None else ()
        return [loss for loss in OF_STATES if loss in losses]

    @property
    def teacher_dirs(self) -> list[str]:
        """The train_dirs of the teachers; none, one or several."""
        return [teacher_dir.strip() for teacher_dir in self.teacher_dir.split(",") if teacher_dir.strip()]

    def recorded(self) -> dict:
        """What `model_flags.json` records: everything but where the run was started."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "start_new_model"}


def _is_within(path, directory):
    return os.path.join(os.path.abspath(path), "").startswith(os.path.join(os.path.abspath(directory), ""))


def _require_one_of(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}. Received: {value!r}.")
