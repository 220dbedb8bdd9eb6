"""Vectors of locally aggregated descriptors: frames of one feature, softly assigned to clusters and summed up."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.macs import CountsMacs
from yt8m_distill.models.normalized_dense import NormalizedDense
from yt8m_distill.stack import keras

VARIANTS = ("netvlad", "netrvlad", "softdbow")


class VladPooling(CountsMacs, keras.layers.Layer):
    """Assigns each frame to K clusters with weights a = softmax(BN(x W)), and sums up over the video's frames:

      netvlad: the weighted residuals from the clusters' anchors c, sum_t a_tk (x_t - c_k);
      netrvlad: the weighted frames, sum_t a_tk x_t, without anchors (LightVLAD in Willow's code);
      softdbow: the weights alone, sum_t a_tk, a soft bag of words.

    Each cluster's vector is scaled to length 1 (VLAD variants), then the whole.

    Source: Miech, Laptev and Sivic (arXiv:1706.06905), section 3.1; `NetVLAD`, `LightVLAD` and `SoftDBoF` of their
    code, which draws 300 frames with replacement where this leaves padding out.

    Args:
      cluster_size: K.
      variant: one of `VARIANTS`.
      add_batch_norm: normalise x W; otherwise add a bias.

    Input: features [B, T, d], is_frame bool [B, T].
    Output: [B, d K], the clusters of the first dimension first; [B, K] for softdbow. Zeros for a video without frames.
    """

    def __init__(self, cluster_size: int, variant: str = "netvlad", add_batch_norm: bool = True, **kwargs):
        super().__init__(**kwargs)
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}. Received: {variant!r}.")
        self.cluster_size = cluster_size
        self.variant = variant
        self.add_batch_norm = add_batch_norm

    def build(self, input_shape):
        size = input_shape[-1]
        stddev = size**-0.5
        self.assignment = NormalizedDense(self.cluster_size, stddev, self.add_batch_norm, stddev, name="assignment")
        if self.variant == "netvlad":
            self.anchors = self.add_weight(
                "anchors", [size, self.cluster_size], initializer=keras.initializers.RandomNormal(stddev=stddev)
            )
        super().build(input_shape)

    def call(self, features, is_frame, training=None):
        logits = self.assignment(features, is_frame, training=training)
        weights = tf.nn.softmax(tf.cast(logits, tf.float32))  # [B, T, K]
        weights = tf.where(is_frame[:, :, None], weights, 0.0)
        total = tf.reduce_sum(weights, axis=1)  # [B, K]
        if self.variant == "softdbow":
            return tf.math.l2_normalize(total, axis=-1)
        vlad = tf.matmul(features, tf.cast(weights, features.dtype), transpose_a=True)  # [B, d, K]
        vlad = tf.cast(vlad, tf.float32)
        if self.variant == "netvlad":
            vlad -= total[:, None, :] * tf.cast(self.anchors, tf.float32)
        vlad = without_gradient_where_empty(tf.math.l2_normalize(vlad, axis=1), is_frame)
        return tf.math.l2_normalize(tf.reshape(vlad, [-1, features.shape[-1] * self.cluster_size]), axis=-1)

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video of so many frames."""
        assignment = num_frames * self.assignment.macs()
        # The weighted sum takes as many: d K of each frame.
        return {"assignment": assignment, **({} if self.variant == "softdbow" else {"weighted_sum": assignment})}

    def get_config(self):
        return {
            **super().get_config(),
            "cluster_size": self.cluster_size,
            "variant": self.variant,
            "add_batch_norm": self.add_batch_norm,
        }


def without_gradient_where_empty(vlad, is_frame):
    """Keeps the gradient from vectors [B, d, K] of videos without frames, which are 0.

    There the gradient of `l2_normalize` is 1e6 times the one above it, infinite in float16; times the 0 of the weights
    that would be NaN.
    """
    has_frames = tf.reduce_any(is_frame, axis=1)
    return tf.where(has_frames[:, None, None], vlad, 0.0)
