"""What is checked before a run touches its train_dir: a mistake must not cost the run that is there."""

from __future__ import annotations

from yt8m_distill.models import ZOO, ModelConfig, load_model_config
from yt8m_distill.models.checkpoints import checkpoint_path
from yt8m_distill.training.curriculum import check_curriculum
from yt8m_distill.training.optimizers import create_optimizer
from yt8m_distill.training.strategy import computation_in
from yt8m_distill.training.train_dir import check_is_train_dir
from yt8m_distill.training.trainer import build_models, build_trainer
from yt8m_distill.training.training_config import TrainingConfig


def check_run(model_config: ModelConfig, config: TrainingConfig, is_chief: bool) -> None:
    """Looks for choices that do not fit each other, the teacher or what is in the train_dir.

    Args:
      model_config: the model; the student, in a distillation.
      config: of the run.
      is_chief: this worker is the one that would delete a train_dir.

    Raises:
      ValueError, FileNotFoundError: a choice that does not fit, or a checkpoint that is missing.
      TrainDirError: `start_new_model` on a directory that holds other things.
    """
    model_config.check_layers()
    if config.jit_compile:
        _check_compiles(model_config, config.teacher_dirs)
    check_curriculum(model_config.sampler, config.curriculum_frames)
    if model_config.learned_selection:
        _check_learned_selection(model_config, config)
    create_optimizer(config.optimizer, config.base_learning_rate, weight_decay=config.weight_decay)
    for teacher_dir in config.teacher_dirs:
        checkpoint_path(teacher_dir, config.teacher_checkpoint)
    if config.start_new_model and is_chief:
        _check_before_deleting(model_config, config)


def _check_before_deleting(model_config, config):
    check_is_train_dir(config.train_dir)
    if config.initial_train_dir:
        checkpoint_path(config.initial_train_dir)
    if config.distillation is not None or config.initial_train_dir:
        # Whether a teacher or a source of weights fits, only building both tells.
        with computation_in(config.mixed_precision):
            build_trainer(*build_models(model_config, config), config, global_batch_size=1, num_steps=1)


def _check_learned_selection(model_config, config):
    method = f"--frame_sampling={model_config.frame_sampling}"
    if model_config.learned_selection.needs_trained_model and not config.initial_train_dir:
        raise ValueError(f"{method} chooses frames for a trained network. Give its train_dir as --initial_train_dir.")
    for name, does_not_go in (
        ("distillation", config.distillation is not None),
        ("mixup_alpha", config.mixup_alpha),
        ("segment_labels", config.segment_labels),
    ):
        if does_not_go:
            raise ValueError(
                f"--{name} does not go with {method}, which learns from the labels of whole videos. To start from a "
                "student, train that first and give it as --initial_train_dir."
            )


def _check_compiles(model_config, teacher_dirs):
    if model_config.learned_selection:
        raise ValueError(
            f"--jit_compile does not go with --frame_sampling={model_config.frame_sampling}, whose choices XLA cannot "
            "compile. Leave it out."
        )
    for name in (model_config.model, *(load_model_config(teacher_dir).model for teacher_dir in teacher_dirs)):
        if not ZOO[name].compiles:
            raise ValueError(f"--jit_compile does not go with {name}: XLA compiles no recurrent model. Leave it out.")
