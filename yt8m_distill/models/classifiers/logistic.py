"""One logistic regression a class."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.stack import keras

# The original's slim.l2_regularizer(1e-8) is 1e-8 * sum(w^2) / 2; Keras' L2 has no half.
KERNEL_L2 = 0.5e-8


class Logistic(keras.layers.Layer):
    """A dense layer and a sigmoid for each class, with the original's L2 penalty on its weights.

    Source: `LogisticModel` of the original's video_level_models.py.

    Args:
      num_classes: number of classes.

    Input: encoding [B, E]. Output: probabilities float32 [B, num_classes].
    """

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.dense = keras.layers.Dense(num_classes, kernel_regularizer=keras.regularizers.L2(KERNEL_L2))

    def call(self, encoding):
        return tf.sigmoid(tf.cast(self.dense(encoding), tf.float32))

    def macs(self) -> int:
        """Multiply-accumulates of one video."""
        return int(tf.size(self.dense.kernel))

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}
