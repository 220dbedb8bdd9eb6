"""One logistic regression a class."""

from __future__ import annotations

import math

import tensorflow as tf

from yt8m_distill.models.macs import CountsMacs
from yt8m_distill.stack import keras


def slim_l2(weight: float):
    """The regularizer that TF-Slim calls l2_regularizer(weight): weight * sum(w^2) / 2. Keras' L2 has no half."""
    return keras.regularizers.L2(weight / 2) if weight else None


def prior_bias(probability: float):
    """Initializer of the bias of a sigmoid that is to start at this probability; 0 for the original's zeros.

    With zeros every class starts at 1/2, or at 1/3 of a mixture of experts, and a run of few steps spends most of them
    on learning that classes are rare. Source: Lin et al., "Focal Loss for Dense Object Detection" (arXiv:1708.02002),
    section 4.1, where it is 0.01.
    """
    return keras.initializers.Constant(math.log(probability / (1 - probability))) if probability else "zeros"


class Logistic(CountsMacs, keras.layers.Layer):
    """A dense layer and a sigmoid for each class, with the original's L2 penalty on its weights.

    Source: `LogisticModel` of the original's video_level_models.py.

    Args:
      num_classes: number of classes.
      l2: weight of the penalty on the kernel, in TF-Slim's convention.
      bias_l2: the same for the bias.
      prior_probability: what every class starts at; 0 for the original's zero bias.

    Input: encoding [B, E]. Output: probabilities float32 [B, num_classes].
    """

    def __init__(
        self, num_classes: int, l2: float = 1e-8, bias_l2: float = 0.0, prior_probability: float = 0.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.l2 = l2
        self.bias_l2 = bias_l2
        self.prior_probability = prior_probability
        self.dense = keras.layers.Dense(
            num_classes,
            bias_initializer=prior_bias(prior_probability),
            kernel_regularizer=slim_l2(l2),
            bias_regularizer=slim_l2(bias_l2),
        )

    def call(self, encoding):
        return tf.sigmoid(tf.cast(self.dense(encoding), tf.float32))

    def layer_macs(self) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video."""
        return {"dense": self.dense.kernel.shape.num_elements()}

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "l2": self.l2,
            "bias_l2": self.bias_l2,
            "prior_probability": self.prior_probability,
        }
