"""The encoder of `FrameLevelLogisticModel`: the average of the frames."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.macs import CountsMacs
from yt8m_distill.stack import keras


class FrameAverage(CountsMacs, keras.layers.Layer):
    """Averages the unit vectors of a video's frames; a video without frames gives 0, where the original gives NaN.

    Source: `FrameLevelLogisticModel` of the original's frame_level_models.py.

    Input: features [B, T, D] with zero padding, num_frames int [B]. Output: `{"encoding": [B, D]}`.
    """

    def call(self, features, num_frames):
        divisor = tf.cast(tf.maximum(num_frames, 1), features.dtype)[:, None]
        return {"encoding": tf.reduce_sum(features, axis=1) / divisor}

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """No matrix product."""
        return {}
