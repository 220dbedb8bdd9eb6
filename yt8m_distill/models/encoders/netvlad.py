"""The encoder of `NetVLADModelLF`: VLAD pooling of each feature, a hidden layer, context gating."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.batch_normalization import BatchNormalization
from yt8m_distill.models.context_gating import ContextGating
from yt8m_distill.models.encoders.vlad_pooling import VladPooling
from yt8m_distill.models.macs import CountsMacs, macs_by_layer
from yt8m_distill.models.normalized_dense import NormalizedDense
from yt8m_distill.stack import keras


class NetVlad(CountsMacs, keras.layers.Layer):
    """Pools each feature by clusters of its own; the encoding is the gated hidden vector that enters the classifier.

    The first feature has `cluster_size` clusters, the others half as many: 256 for rgb and 128 for audio in the
    published "Gated NetVLAD 256".

    Source: `NetVLADModelLF` of Willow's code; Miech, Laptev and Sivic (arXiv:1706.06905).

    Args:
      feature_sizes: width of each feature.
      cluster_size: clusters of the first feature.
      hidden_size: width of the encoding.
      variant: see `VladPooling`.
      relu: normalise the hidden layer and apply ReLU6 to it; otherwise it is linear with a bias.
      gating: context gating of the hidden layer.
      add_batch_norm: batch normalisation of the input, the assignments and the gates.

    Input: features [B, T, D], num_frames int [B]. Output: `{"encoding": [B, hidden_size]}`.
    """

    def __init__(
        self,
        feature_sizes,
        cluster_size: int = 256,
        hidden_size: int = 1024,
        variant: str = "netvlad",
        relu: bool = False,
        gating: bool = True,
        add_batch_norm: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_sizes = list(feature_sizes)
        self.cluster_size = cluster_size
        self.hidden_size = hidden_size
        self.variant = variant
        self.relu = relu
        self.add_batch_norm = add_batch_norm
        self.input_norm = BatchNormalization(name="input_norm") if add_batch_norm else None
        cluster_sizes = [cluster_size] + [max(1, cluster_size // 2)] * (len(self.feature_sizes) - 1)
        self.poolings = [
            VladPooling(clusters, variant, add_batch_norm, name=f"pooling_{number}")
            for number, clusters in enumerate(cluster_sizes)
        ]
        self.hidden = NormalizedDense(
            hidden_size, cluster_size**-0.5, add_batch_norm=relu and add_batch_norm, name="hidden"
        )
        self.gating = ContextGating(add_batch_norm, name="gating") if gating else None

    def call(self, features, num_frames, training=None):
        is_frame = tf.sequence_mask(num_frames, tf.shape(features)[1])  # [B, T]
        if self.input_norm is not None:
            features = self.input_norm(features, is_frame, training=training)
        streams = tf.split(features, self.feature_sizes, axis=-1)
        pooled = [pooling(stream, is_frame, training=training) for pooling, stream in zip(self.poolings, streams)]
        hidden = self.hidden(tf.concat(pooled, axis=-1), training=training)  # [B, hidden_size]
        if self.relu:
            hidden = tf.nn.relu6(hidden)
        return {"encoding": hidden if self.gating is None else self.gating(hidden, training=training)}

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video of so many frames."""
        macs = {**macs_by_layer(self.poolings, num_frames), "hidden": self.hidden.macs()}
        if self.gating is not None:
            macs["gating"] = self.gating.macs()
        return macs

    def get_config(self):
        return {
            **super().get_config(),
            "feature_sizes": self.feature_sizes,
            "cluster_size": self.cluster_size,
            "hidden_size": self.hidden_size,
            "variant": self.variant,
            "relu": self.relu,
            "gating": self.gating is not None,
            "add_batch_norm": self.add_batch_norm,
        }
