"""Classifiers: an encoding [B, E] to class probabilities [B, num_classes], float32. One classifier a file."""

from yt8m_distill.models.classifiers.logistic import Logistic
from yt8m_distill.models.classifiers.mixture_of_experts import MixtureOfExperts

__all__ = ["Logistic", "MixtureOfExperts"]
