"""The encoder of video-level models: the mean features as they are."""

from __future__ import annotations

from yt8m_distill.models.macs import CountsMacs
from yt8m_distill.stack import keras


class MeanFeatures(CountsMacs, keras.layers.Layer):
    """Takes the L2-normalised mean features of a video for its encoding.

    Input: features [B, D]. Output: `{"encoding": [B, D]}`.
    """

    def call(self, features):
        return {"encoding": features}

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """No matrix product."""
        return {}
