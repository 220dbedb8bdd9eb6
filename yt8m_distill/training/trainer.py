"""What a run trains, and by which rule: models, optimizers, learning rate, losses."""

from __future__ import annotations

import logging

import tensorflow as tf

from yt8m_distill.distillation import Distiller
from yt8m_distill.models import (
    LABEL_LOSSES,
    BatchPreparation,
    Ensemble,
    Mixup,
    ModelConfig,
    VideoClassifier,
    can_warm_start,
    load_model,
    load_teacher,
    warm_start,
)
from yt8m_distill.stack import keras
from yt8m_distill.training.learning_rate import LinearWarmup, cosine_schedule, learning_rate_schedule
from yt8m_distill.training.optimizers import create_optimizer
from yt8m_distill.training.training_config import TrainingConfig

_logger = logging.getLogger(__name__)


def build_models(
    model_config: ModelConfig, config: TrainingConfig
) -> tuple[VideoClassifier | Ensemble | None, VideoClassifier]:
    """The teacher or the ensemble of teachers, where there is any, and the student or the only model."""
    distillation = config.distillation
    if distillation is None:
        return None, _single_model(model_config, config)
    if config.teacher_dir:
        teacher = load_teacher(config.teacher_dirs, config.teacher_checkpoint)
    else:
        teacher = model_config.reading_all_frames().build()
    student = model_config.build(teacher.classifier if distillation.share_classifier else None)
    first = getattr(teacher, "members", [teacher])[0]
    fits = bool(config.teacher_dirs) and can_warm_start(student, first)
    if config.student_init == "teacher" or (config.student_init == "auto" and fits):
        warm_start(student, first, "A student that starts from its teacher (--student_init=teacher)")
        _logger.info("The student starts from the weights of its teacher.")
    return teacher, student


def _single_model(model_config, config):
    model = model_config.build()
    if config.initial_train_dir and tf.train.latest_checkpoint(config.train_dir) is None:
        source = load_model(config.initial_train_dir)
        warm_start(model, source, f"A model that starts from --initial_train_dir={config.initial_train_dir}")
    return model


def build_trainer(
    teacher: VideoClassifier | Ensemble | None,
    student: VideoClassifier,
    config: TrainingConfig,
    global_batch_size: int,
    num_steps: int,
) -> VideoClassifier | Distiller:
    """The compiled Keras model that `fit` is called on: the student itself, or a Distiller of both.

    Args:
      teacher: None trains the student on labels alone.
      student: what is trained.
      config: of the run.
      global_batch_size: examples of one update over all replicas.
      num_steps: updates of this phase of the run, for a schedule that ends with it.
    """
    schedule = _schedule(config, global_batch_size, num_steps)

    def optimizer_of(variables):
        return _create_optimizer(config, schedule, variables)

    settings = {
        "label_loss": LABEL_LOSSES[config.label_loss],
        "regularization_penalty": config.regularization_penalty,
        "preparation": _preparation(config),
        "jit_compile": config.jit_compile,
    }
    if teacher is None:
        student.compile(optimizer_of(student.trainable_variables), **settings)
        return student
    distiller = Distiller(teacher, student, config.distillation)
    if config.distillation.scheme == "parallel":
        settings["teacher_optimizer"] = optimizer_of(teacher.trainable_variables)
    distiller.compile(optimizer_of(distiller.student_variables()), **settings)
    return distiller


def count_steps(
    config: TrainingConfig,
    num_records: int,
    global_batch_size: int,
    is_finetuning: bool = False,
    num_unlabelled: int = 0,
) -> int:
    """How many updates a phase of a run is going to have, as far as the number of records is known; at least 1.

    Args:
      config: of the run.
      num_records: labelled examples of one pass.
      global_batch_size: examples of one update over all replicas.
      is_finetuning: count those of the fine-tuning, not of the training or distillation before it.
      num_unlabelled: unlabelled examples of one pass, of which fine-tuning has none.
    """
    first = config.num_epochs * -(-(num_records + num_unlabelled) // global_batch_size)
    second = config.finetune_epochs * -(-num_records // global_batch_size)
    if config.max_steps:
        first = min(first, config.max_steps)
        second = min(second, config.max_steps - first)
    return max(1, second if is_finetuning else first)


def _schedule(config, global_batch_size, num_steps):
    if config.learning_rate_schedule == "cosine":
        schedule = cosine_schedule(config.base_learning_rate, num_steps, config.warmup_steps)
    else:
        schedule = learning_rate_schedule(
            config.base_learning_rate,
            config.learning_rate_decay,
            config.learning_rate_decay_examples,
            global_batch_size,
        )
    return LinearWarmup(schedule, config.warmup_steps) if config.warmup_steps else schedule


def _create_optimizer(config, schedule, variables):
    optimizer = create_optimizer(config.optimizer, schedule, config.clip_gradient_norm, config.weight_decay, variables)
    if config.mixed_precision == "float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    if hasattr(optimizer, "build"):
        # Slots must exist before a checkpoint is read into them.
        optimizer.build(variables)
    return optimizer


def _preparation(config):
    mixup = Mixup(config.mixup_alpha, config.mixup_level, config.seed) if config.mixup_alpha else None
    return BatchPreparation(config.gradient_accumulation_steps, config.label_smoothing, mixup)
