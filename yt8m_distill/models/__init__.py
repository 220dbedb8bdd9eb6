"""Models: input layer, encoders, classifiers, the zoo that makes them by name, their weights and predictions."""

from yt8m_distill.models.batch_preparation import BatchPreparation
from yt8m_distill.models.checkpoint_average import average_checkpoints
from yt8m_distill.models.checkpoints import (
    checkpoint_path,
    checkpoint_step,
    load_model,
    load_model_at,
    load_model_config,
    restore_weights,
)
from yt8m_distill.models.ensemble import Ensemble, load_ensemble, load_teacher
from yt8m_distill.models.label_losses import LABEL_LOSSES
from yt8m_distill.models.mixup import MIXUP_LEVELS, Mixup
from yt8m_distill.models.model_config import ModelConfig, create_model
from yt8m_distill.models.model_flags import model_config_from_flags, read_model_flags, write_model_flags
from yt8m_distill.models.prediction import predict_batches
from yt8m_distill.models.video_classifier import VideoClassifier
from yt8m_distill.models.warm_start import can_warm_start, warm_start
from yt8m_distill.models.zoo import COMMON_HYPERPARAMETERS, ZOO

__all__ = [
    "COMMON_HYPERPARAMETERS",
    "LABEL_LOSSES",
    "MIXUP_LEVELS",
    "ZOO",
    "BatchPreparation",
    "Ensemble",
    "Mixup",
    "ModelConfig",
    "VideoClassifier",
    "average_checkpoints",
    "can_warm_start",
    "checkpoint_path",
    "checkpoint_step",
    "create_model",
    "load_ensemble",
    "load_model",
    "load_model_at",
    "load_model_config",
    "load_teacher",
    "model_config_from_flags",
    "predict_batches",
    "read_model_flags",
    "restore_weights",
    "warm_start",
    "write_model_flags",
]
