"""The first layer of every frame-level model: raw frames to unit vectors."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.stack import keras

_L2_EPSILON = 1e-12


def dequantize(quantized):
    """Maps bytes 0..255 back to the features' range of about [-2, 2].

    The formula is the original's (`utils.Dequantize`): q (4/255) + (4/512 - 2). It assumes truncation where the
    extractor rounds, a bias of 1/128 that all published models were trained with.
    """
    return tf.cast(quantized, tf.float32) * (4 / 255) + (4 / 512 - 2)


def l2_normalize(features):
    """Scales vectors along the last axis to length 1; zero vectors stay zero."""
    return tf.math.l2_normalize(features, axis=-1, epsilon=_L2_EPSILON)


class FrameInput(keras.layers.Layer):
    """Dequantises frames, clears padding and scales every frame to length 1, all features jointly.

    Having this inside the model lets pipelines move bytes (a quarter of float32) and exported models take raw records.

    Input:
      frames: [B, T, D], uint8 as in the records, or float that is already dequantised.
      num_frames: int [B]; rows past it are ignored, whatever they hold.

    Output:
      float32 [B, T, D]; padding rows are 0.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"}, autocast=False)

    def call(self, frames, num_frames):
        features = dequantize(frames) if frames.dtype.is_integer else tf.cast(frames, tf.float32)
        is_frame = tf.sequence_mask(num_frames, tf.shape(frames)[1])[:, :, None]  # [B, T, 1]
        # `where`, not a product: padding may hold NaN.
        return l2_normalize(tf.where(is_frame, features, 0.0))
