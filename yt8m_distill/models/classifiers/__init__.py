"""Classifiers: an encoding [B, E] to class probabilities [B, num_classes], float32. One classifier a file.

A classifier may return a dict instead, with `predictions` and what its `auxiliary_losses(outputs, label_loss)` needs to
add to the label loss in training. `classifier.layer_macs()` counts the multiply-accumulates of one video (see
`CountsMacs`).
"""

from yt8m_distill.models.classifiers.logistic import Logistic
from yt8m_distill.models.classifiers.mixture_logistic import MixtureLogistic
from yt8m_distill.models.classifiers.mixture_of_experts import MixtureOfExperts

__all__ = ["Logistic", "MixtureLogistic", "MixtureOfExperts"]
