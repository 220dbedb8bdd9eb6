"""Context gating: each value is scaled by what all values together say of it."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.normalized_dense import NormalizedDense
from yt8m_distill.stack import keras


class ContextGating(keras.layers.Layer):
    """y = x * sigmoid(BN(x W)), with a square W.

    Source: Miech, Laptev and Sivic, "Learnable pooling with Context Gating for video classification"
    (arXiv:1706.06905), section 3.2; their `context_gating`, and the probability gating of their MoE.

    Args:
      add_batch_norm: normalise x W; otherwise add a bias.

    Input: [B, E]. Output: [B, E].
    """

    def __init__(self, add_batch_norm: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.add_batch_norm = add_batch_norm

    def build(self, input_shape):
        width = input_shape[-1]
        self.gates = NormalizedDense(width, width**-0.5, self.add_batch_norm, width**-0.5, name="gates")
        super().build(input_shape)

    def call(self, values, training=None):
        gates = tf.cast(self.gates(values, training=training), values.dtype)
        return values * tf.sigmoid(gates)

    def macs(self) -> int:
        """Multiply-accumulates of one video."""
        return self.gates.macs()

    def get_config(self):
        return {**super().get_config(), "add_batch_norm": self.add_batch_norm}


class SqueezeExcitationGating(keras.layers.Layer):
    """Context gating with fewer weights: y = x * sigmoid(ReLU(BN(x W1)) W2), x W1 being `reduction` times narrower.

    The paper's figure normalises both products; this follows the code, which normalises the first.

    Source: Lin, Xiao and Fan, "NeXtVLAD" (ECCV 2018 workshops), section 3.3, and the authors' code.

    Args:
      reduction: how much narrower the inner layer is, at least one unit.

    Input: [B, E]. Output: [B, E].
    """

    def __init__(self, reduction: int = 8, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction

    def build(self, input_shape):
        width = input_shape[-1]
        self.squeeze = NormalizedDense(max(1, width // self.reduction), name="squeeze")
        self.excite = keras.layers.Dense(width, use_bias=False, kernel_initializer="he_normal", name="excite")
        super().build(input_shape)

    def call(self, values, training=None):
        squeezed = tf.nn.relu(self.squeeze(values, training=training))  # [B, E / reduction]
        return values * tf.sigmoid(self.excite(squeezed))

    def macs(self) -> int:
        """Multiply-accumulates of one video."""
        return self.squeeze.macs() + self.excite.kernel.shape.num_elements()

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}
