"""A dense layer whose bias is that of a batch normalisation, as the VLAD and DBoF models have it."""

from __future__ import annotations

from yt8m_distill.models.batch_normalization import BatchNormalization
from yt8m_distill.stack import keras


class NormalizedDense(keras.layers.Layer):
    """Matrix product, then batch normalisation; or, without it, plus a bias.

    Args:
      units: width of the output.
      stddev: of the normal distribution that the weights start from; None for He's, which knows the width of the input.
      add_batch_norm: normalise; otherwise add a bias.
      bias_stddev: of the normal distribution that the bias starts from.

    Input: features [..., D]; is_valid bool [...], the rows that enter the statistics, or None for all.
    Output: [..., units].
    """

    def __init__(
        self,
        units: int,
        stddev: float | None = None,
        add_batch_norm: bool = True,
        bias_stddev: float = 0.01,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.stddev = stddev
        self.add_batch_norm = add_batch_norm
        self.bias_stddev = bias_stddev
        self.dense = keras.layers.Dense(
            units,
            use_bias=not add_batch_norm,
            kernel_initializer="he_normal" if stddev is None else keras.initializers.RandomNormal(stddev=stddev),
            bias_initializer=keras.initializers.RandomNormal(stddev=bias_stddev),
            name="dense",
        )
        self.batch_norm = BatchNormalization(name="batch_norm") if add_batch_norm else None

    def call(self, features, is_valid=None, training=None):
        product = self.dense(features)
        if self.batch_norm is None:
            return product
        return self.batch_norm(product, is_valid, training=training)

    def macs(self) -> int:
        """Multiply-accumulates of one row."""
        return self.dense.kernel.shape.num_elements()

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "stddev": self.stddev,
            "add_batch_norm": self.add_batch_norm,
            "bias_stddev": self.bias_stddev,
        }
