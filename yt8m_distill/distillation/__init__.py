"""Distillation: losses between teacher and student, and the Distiller that trains by them."""

from yt8m_distill.distillation.cache_writer import prepare_teacher_cache, write_teacher_cache
from yt8m_distill.distillation.distillation_config import (
    ALIGNMENTS,
    LOSS_PRESETS,
    LOSSES,
    OF_STATES,
    SCHEMES,
    DistillationConfig,
)
from yt8m_distill.distillation.distiller import Distiller
from yt8m_distill.distillation.losses import (
    PREDICTION_KL,
    bernoulli_kl,
    categorical_kl,
    masked_state_loss,
    normalized_representation_loss,
    representation_loss,
)
from yt8m_distill.distillation.teacher_identity import teacher_identity

__all__ = [
    "ALIGNMENTS",
    "LOSSES",
    "LOSS_PRESETS",
    "OF_STATES",
    "PREDICTION_KL",
    "SCHEMES",
    "Distiller",
    "DistillationConfig",
    "bernoulli_kl",
    "categorical_kl",
    "masked_state_loss",
    "normalized_representation_loss",
    "prepare_teacher_cache",
    "representation_loss",
    "teacher_identity",
    "write_teacher_cache",
]
