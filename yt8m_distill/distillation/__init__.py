"""Distillation: losses between teacher and student, and the Distiller that trains by them."""

from yt8m_distill.distillation.distillation_config import (
    ALIGNMENTS,
    LOSS_PRESETS,
    LOSSES,
    SCHEMES,
    DistillationConfig,
)
from yt8m_distill.distillation.distiller import Distiller, warm_start
from yt8m_distill.distillation.losses import (
    PREDICTION_KL,
    bernoulli_kl,
    categorical_kl,
    masked_state_loss,
    representation_loss,
)

__all__ = [
    "ALIGNMENTS",
    "LOSSES",
    "LOSS_PRESETS",
    "PREDICTION_KL",
    "SCHEMES",
    "Distiller",
    "DistillationConfig",
    "bernoulli_kl",
    "categorical_kl",
    "masked_state_loss",
    "representation_loss",
    "warm_start",
]
