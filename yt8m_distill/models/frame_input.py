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

    Args:
      unit_length: scale frames to length 1. NeXtVLAD's frames keep their length.
      scale, offset: float per value of a frame, applied as (x - offset) * scale before anything else; None for 1 and 0.

    Input:
      frames: [B, T, D], uint8 as in the records, or float that is already dequantised.
      num_frames: int [B]; rows past it are ignored, whatever they hold.

    Output:
      float32 [B, T, D]; padding rows are 0.
    """

    def __init__(self, unit_length: bool = True, scale=None, offset=None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"}, autocast=False)
        self.unit_length = unit_length
        self.scale = None if scale is None else list(scale)
        self.offset = None if offset is None else list(offset)

    @classmethod
    def reverse_whitened(cls, feature_names, feature_sizes, eigenvalues=None, **kwargs) -> FrameInput:
        """The input of NeXtVLAD: frames of any length, their rgb part as it was before it was whitened.

        The dataset divides each principal component of rgb by the square root of its eigenvalue; this multiplies it
        back: (x - 4/512) (sqrt(eigenvalue) + 1e-4). Source: linrongc's code; the dataset's `eigenvals.npy`.

        Args:
          feature_names, feature_sizes: of a frame.
          eigenvalues: of the principal components, descending, as many as rgb has values or more; None leaves frames
            as they are.

        Raises:
          ValueError: no feature is called rgb, or it has more values than there are eigenvalues.
        """
        if eigenvalues is None:
            return cls(unit_length=False, **kwargs)
        if "rgb" not in feature_names:
            raise ValueError(f"eigenvalues are those of the feature 'rgb'. Received: {', '.join(feature_names)}.")
        size = feature_sizes[feature_names.index("rgb")]
        if len(eigenvalues) < size:
            raise ValueError(f"Feature 'rgb' has {size} values. Received: {len(eigenvalues)} eigenvalues.")
        scale, offset = [], []
        for name, size in zip(feature_names, feature_sizes):
            is_rgb = name == "rgb"
            scale += [value**0.5 + 1e-4 for value in eigenvalues[:size]] if is_rgb else [1.0] * size
            offset += [4 / 512 if is_rgb else 0.0] * size
        return cls(unit_length=False, scale=scale, offset=offset, **kwargs)

    def call(self, frames, num_frames):
        features = dequantize(frames) if frames.dtype.is_integer else tf.cast(frames, tf.float32)
        if self.scale is not None:
            features = (features - tf.constant(self.offset)) * tf.constant(self.scale)
        is_frame = tf.sequence_mask(num_frames, tf.shape(frames)[1])[:, :, None]  # [B, T, 1]
        # `where`, not a product: padding may hold NaN.
        features = tf.where(is_frame, features, 0.0)
        return l2_normalize(features) if self.unit_length else features

    def get_config(self):
        return {
            **super().get_config(),
            "unit_length": self.unit_length,
            "scale": self.scale,
            "offset": self.offset,
        }
