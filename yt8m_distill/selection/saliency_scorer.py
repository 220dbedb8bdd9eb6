"""The light network that says which frames are worth reading."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.frame_input import dequantize
from yt8m_distill.models.macs import CountsMacs
from yt8m_distill.stack import keras


class SaliencyScorer(CountsMacs, keras.layers.Layer):
    """Scores each frame from a few of its values: d -> hidden -> 1, or -> a probability a class, of which the largest.

    The leading values of rgb are its principal components of largest variance (the first 64 of 1024 hold half of it):
    a cheap, low-fidelity view of the frame, as audio is.

    Source: SCSampler (ICCV 2019), section 3.4, whose light inputs are compressed video and audio.

    Args:
      columns: which values of a frame it reads.
      hidden_size: units of the hidden layer.
      num_classes: for the objective AC; 0 for a score.

    Input: frames [B, T, D], uint8 as in the records, or float, already dequantised.
    Output: logits float32 [B, T, num_classes], or [B, T, 1] for a score.
    """

    def __init__(self, columns, hidden_size: int = 64, num_classes: int = 0, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"}, autocast=False)
        self.columns = list(columns)
        self.hidden_size = hidden_size
        self.num_classes = num_classes
        self.hidden = keras.layers.Dense(hidden_size, activation="relu", dtype="float32", name="hidden")
        self.output_layer = keras.layers.Dense(num_classes or 1, dtype="float32", name="output")

    def call(self, frames):
        values = tf.gather(frames, self.columns, axis=-1)  # [B, T, d]
        values = dequantize(values) if values.dtype.is_integer else tf.cast(values, tf.float32)
        return self.output_layer(self.hidden(values))

    def scores_of(self, logits):
        """float32 [B, T] of what calling the layer returned."""
        return tf.reduce_max(logits, axis=-1)

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of scoring so many frames."""
        return {
            layer.name: num_frames * layer.kernel.shape.num_elements() for layer in (self.hidden, self.output_layer)
        }

    def get_config(self):
        return {
            **super().get_config(),
            "columns": self.columns,
            "hidden_size": self.hidden_size,
            "num_classes": self.num_classes,
        }
