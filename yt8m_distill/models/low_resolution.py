"""Seeing a video at a lower resolution: fewer steps in time, fewer values of a frame, fewer bits of a value."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.frame_input import dequantize
from yt8m_distill.models.windows import mean_over_windows
from yt8m_distill.stack import keras

FULL_BITS = 8


class LowResolution(keras.layers.Layer):
    """Lowers the resolution of frames before anything else sees them.

    What cross-resolution distillation (ResKD) does to images has three analogues on features, which are our choice:
    averages over runs of frames; the leading principal components of rgb; coarser quantisation.

    Args:
      frame_pooling: frames that one step is the average of, the last step of what is left.
      columns: values of a frame that are kept; None for all.
      bit_depth: bits of a value; below 8 the lowest ones are lost.

    Input: frames [B, T, D], uint8 as in the records or float, already dequantised; num_frames int32 [B].
    Output: frames [B, ceil(T / frame_pooling), columns], float and dequantised if they were pooled, otherwise as they
      came; padding rows of pooled ones are 0. And how many of them hold frames, int32 [B].
    """

    def __init__(self, frame_pooling: int = 1, columns=None, bit_depth: int = FULL_BITS, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"}, autocast=False)
        self.frame_pooling = frame_pooling
        self.columns = None if columns is None else list(columns)
        self.bit_depth = bit_depth

    def call(self, frames, num_frames):
        if self.columns is not None:
            frames = tf.gather(frames, self.columns, axis=-1)
        if self.bit_depth < FULL_BITS:
            frames = _requantized(frames, self.bit_depth)
        if self.frame_pooling == 1:
            return frames, num_frames
        features = dequantize(frames) if frames.dtype.is_integer else tf.cast(frames, tf.float32)
        return mean_over_windows(features, num_frames, self.frame_pooling), -(-num_frames // self.frame_pooling)

    def get_config(self):
        return {
            **super().get_config(),
            "frame_pooling": self.frame_pooling,
            "columns": self.columns,
            "bit_depth": self.bit_depth,
        }


def _requantized(frames, bit_depth):
    """Values in the middle of 2^bit_depth equal steps, in the dtype that they came in."""
    step = 2 ** (FULL_BITS - bit_depth)
    if frames.dtype.is_integer:
        return frames // step * step + step // 2
    low, scale = dequantize(tf.constant(0)), 4 / 255
    quantized = tf.clip_by_value(tf.round((tf.cast(frames, tf.float32) - low) / scale), 0.0, 255.0)
    return dequantize(tf.cast(quantized, tf.int32) // step * step + step // 2)
