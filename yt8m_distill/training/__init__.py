"""Training: its configuration, optimizers, learning rates, tf.distribute strategies, the run itself, evaluation."""

from yt8m_distill.training.evaluation import evaluate, predictions_of
from yt8m_distill.training.learning_rate import SCHEDULES, learning_rate_schedule
from yt8m_distill.training.optimizers import create_optimizer
from yt8m_distill.training.progress import Progress
from yt8m_distill.training.run import train
from yt8m_distill.training.strategy import STRATEGIES, create_strategy, is_chief
from yt8m_distill.training.train_dir import TrainDirError
from yt8m_distill.training.training_config import (
    AVERAGING_OPTIMIZERS,
    MIXED_PRECISIONS,
    STUDENT_INITS,
    TrainingConfig,
)

__all__ = [
    "AVERAGING_OPTIMIZERS",
    "MIXED_PRECISIONS",
    "SCHEDULES",
    "STRATEGIES",
    "STUDENT_INITS",
    "Progress",
    "TrainDirError",
    "TrainingConfig",
    "create_optimizer",
    "create_strategy",
    "evaluate",
    "is_chief",
    "learning_rate_schedule",
    "predictions_of",
    "train",
]
