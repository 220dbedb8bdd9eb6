"""The encoders of `NeXtVLADModel` and `MixtureNeXtVLADModel`: VLAD pooling of frames split into groups."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.batch_normalization import BatchNormalization
from yt8m_distill.models.context_gating import SqueezeExcitationGating
from yt8m_distill.models.encoders.vlad_pooling import without_gradient_where_empty
from yt8m_distill.models.macs import CountsMacs, macs_by_layer
from yt8m_distill.models.normalized_dense import NormalizedDense
from yt8m_distill.stack import keras


class NextVladPooling(CountsMacs, keras.layers.Layer):
    """Widens each frame, splits it into groups, and pools the groups by shared clusters, each group by its attention.

    x' = FC(x), of width expansion * d, seen as G groups of width expansion * d / G; group g of frame t counts
    sigmoid(FC(x'_t))_g, and softmax_k(BN(x'_t W))_gk of that for cluster k. The anchors are shared by the groups. Each
    cluster's vector is scaled to length 1, then all are batch-normalised.

    Source: Lin, Xiao and Fan, "NeXtVLAD" (ECCV 2018 workshops), section 3.2, and the authors' code, which counts
    padding in the statistics of W and masks 300 frames whatever it is given.

    Args:
      cluster_size: clusters K.
      groups: G; divides expansion * d.
      expansion: how much wider x' is than x.

    Input: features [B, T, d], is_frame bool [B, T]. Output: [B, expansion d / G * K].

    Raises:
      ValueError: the groups do not divide the width.
    """

    def __init__(self, cluster_size: int, groups: int, expansion: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.cluster_size = cluster_size
        self.groups = groups
        self.expansion = expansion
        self.attention = keras.layers.Dense(groups, kernel_initializer="he_normal", name="attention")
        self.assignment = NormalizedDense(groups * cluster_size, name="assignment")
        self.output_norm = BatchNormalization(name="output_norm")

    def build(self, input_shape):
        _check_groups(self.groups, self.expansion, input_shape[-1])
        width = self.expansion * input_shape[-1]
        self.expand = keras.layers.Dense(width, kernel_initializer="he_normal", name="expand")
        self.anchors = self.add_weight("anchors", [width // self.groups, self.cluster_size], initializer="he_normal")
        super().build(input_shape)

    def call(self, features, is_frame, training=None):
        num_groups = tf.shape(features)[1] * self.groups
        width = self.anchors.shape[0]
        expanded = self.expand(features)  # [B, T, expansion d]
        attention = tf.sigmoid(tf.cast(self.attention(expanded), tf.float32))  # [B, T, G]
        attention = tf.where(is_frame[:, :, None], attention, 0.0)
        logits = self.assignment(expanded, is_frame, training=training)  # [B, T, G K]
        logits = tf.reshape(logits, [-1, num_groups, self.cluster_size])
        weights = tf.nn.softmax(tf.cast(logits, tf.float32)) * tf.reshape(attention, [-1, num_groups, 1])  # [B, T G, K]

        groups = tf.reshape(expanded, [-1, num_groups, width])
        vlad = tf.matmul(groups, tf.cast(weights, groups.dtype), transpose_a=True)  # [B, width, K]
        total = tf.reduce_sum(weights, axis=1)  # [B, K]
        vlad = tf.cast(vlad, tf.float32) - total[:, None, :] * tf.cast(self.anchors, tf.float32)
        vlad = without_gradient_where_empty(tf.math.l2_normalize(vlad, axis=1), is_frame)
        return self.output_norm(tf.reshape(vlad, [-1, width * self.cluster_size]), training=training)

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video of so many frames."""
        return {
            "expand": num_frames * self.expand.kernel.shape.num_elements(),
            "attention": num_frames * self.attention.kernel.shape.num_elements(),
            "assignment": num_frames * self.assignment.macs(),
            "weighted_sum": num_frames * self.groups * self.anchors.shape.num_elements(),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "cluster_size": self.cluster_size,
            "groups": self.groups,
            "expansion": self.expansion,
        }


class NextVlad(CountsMacs, keras.layers.Layer):
    """Pools each feature, then a hidden layer and its gating; the encoding is the gated vector.

    The first feature has `cluster_size` clusters and `groups` groups, the others half as many of both.

    Source: `NeXtVLADModel` of linrongc's code, of its local training script.

    Args:
      feature_sizes: width of each feature.
      cluster_size, groups, expansion: see `NextVladPooling`.
      hidden_size: width of the encoding.
      gating_reduction: see `SqueezeExcitationGating`.
      drop_rate: share of the pooled values dropped in training.

    Input: features [B, T, D], num_frames int [B]. Output: `{"encoding": [B, hidden_size]}`.

    Raises:
      ValueError: the groups do not divide the width of a widened feature.
    """

    def __init__(
        self,
        feature_sizes,
        cluster_size: int = 128,
        groups: int = 8,
        expansion: int = 2,
        hidden_size: int = 2048,
        gating_reduction: int = 8,
        drop_rate: float = 0.5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.settings = {
            "feature_sizes": list(feature_sizes),
            "cluster_size": cluster_size,
            "groups": groups,
            "expansion": expansion,
            "hidden_size": hidden_size,
            "gating_reduction": gating_reduction,
            "drop_rate": drop_rate,
        }
        sizes = [(cluster_size, groups)] + [(max(1, cluster_size // 2), max(1, groups // 2))] * (len(feature_sizes) - 1)
        for feature_size, (_, of_groups) in zip(feature_sizes, sizes):
            _check_groups(of_groups, expansion, feature_size)
        self.poolings = [
            NextVladPooling(clusters, of_groups, expansion, name=f"pooling_{number}")
            for number, (clusters, of_groups) in enumerate(sizes)
        ]
        self.dropout = keras.layers.Dropout(drop_rate, name="dropout")
        self.hidden = NormalizedDense(hidden_size, name="hidden")
        self.gating = SqueezeExcitationGating(gating_reduction, name="gating")

    def call(self, features, num_frames, training=None):
        is_frame = tf.sequence_mask(num_frames, tf.shape(features)[1])  # [B, T]
        streams = tf.split(features, self.settings["feature_sizes"], axis=-1)
        pooled = [pooling(stream, is_frame, training=training) for pooling, stream in zip(self.poolings, streams)]
        pooled = self.dropout(tf.concat(pooled, axis=-1), training=training)
        hidden = self.hidden(pooled, training=training)  # [B, hidden_size]
        return {"encoding": self.gating(hidden, training=training)}

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video of so many frames."""
        macs = macs_by_layer(self.poolings, num_frames)
        return {**macs, "hidden": self.hidden.macs(), "gating": self.gating.macs()}

    def get_config(self):
        return {**super().get_config(), **self.settings}


class MixtureNextVlad(CountsMacs, keras.layers.Layer):
    """Several NeXtVLAD encoders side by side, and how much each counts for this video, by its mean frame.

    The weights are softmax(FC(BN(mean frame))); the authors' mean counts padding, this one does not.

    Source: section 3.4 of the NeXtVLAD paper and the mixture model of linrongc's code.

    Args:
      num_branches: encoders.
      **settings: of each; see `NextVlad`.

    Input: features [B, T, D], num_frames int [B].
    Output: `{"encoding": [B, num_branches (hidden_size + 1)]}`: the branches' encodings, then their weights, which is
      what `MixtureLogistic` reads.
    """

    def __init__(self, num_branches: int = 3, name=None, dtype=None, trainable=True, **settings):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.num_branches = num_branches
        self.branches = [NextVlad(**settings, name=f"branch_{number}") for number in range(num_branches)]
        self.mixture_norm = BatchNormalization(name="mixture_norm")
        self.mixture = keras.layers.Dense(num_branches, kernel_initializer="he_normal", name="mixture")

    def call(self, features, num_frames, training=None):
        encodings = [branch(features, num_frames, training=training)["encoding"] for branch in self.branches]
        is_frame = tf.sequence_mask(num_frames, tf.shape(features)[1])[:, :, None]  # [B, T, 1]
        total = tf.reduce_sum(tf.where(is_frame, tf.cast(features, tf.float32), 0.0), axis=1)
        mean = total / tf.cast(tf.maximum(num_frames, 1), tf.float32)[:, None]  # [B, D]
        logits = self.mixture(self.mixture_norm(mean, training=training))
        weights = tf.nn.softmax(tf.cast(logits, tf.float32))  # [B, num_branches]
        return {"encoding": tf.concat([tf.cast(part, tf.float32) for part in (*encodings, weights)], axis=-1)}

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video of so many frames."""
        macs = macs_by_layer(self.branches, num_frames)
        return {**macs, "mixture": self.mixture.kernel.shape.num_elements()}

    def get_config(self):
        return {**super().get_config(), "num_branches": self.num_branches, **self.branches[0].settings}


def _check_groups(groups, expansion, size):
    if expansion * size % groups:
        raise ValueError(f"groups={groups} must divide expansion * feature size = {expansion} * {size}.")
