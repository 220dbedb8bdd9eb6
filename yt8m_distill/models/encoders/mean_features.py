"""The encoder of video-level models: the mean features as they are."""

from __future__ import annotations

from yt8m_distill.stack import keras


class MeanFeatures(keras.layers.Layer):
    """Takes the L2-normalised mean features of a video for its encoding.

    Input: features [B, D]. Output: `{"encoding": [B, D]}`.
    """

    def call(self, features):
        return {"encoding": features}

    def macs(self, num_frames: int) -> int:
        """No matrix product."""
        return 0
