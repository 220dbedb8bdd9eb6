"""The encoder of `AttentionPoolingModel`: a small transformer encoder over the frames, pooled by attention."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from yt8m_distill.models.encoders.stacked_lstm import zero_without_frames
from yt8m_distill.models.macs import CountsMacs, macs_by_layer
from yt8m_distill.stack import keras

_LONGEST_PERIOD = 10000.0
# Below 1e-5 Keras computes a layer normalisation by operations that TensorFlow does not fuse into others. Fused ones
# differ in the last bit from graph to graph, and so would an exported model.
_EPSILON = 1e-6


class AttentionPooling(CountsMacs, keras.layers.Layer):
    """What one would reach for today: self-attention between frames, then one learned query that sums them up.

    Frames are projected to `hidden_size`, given sinusoidal positions (their numbers among the frames read, not times),
    and passed through transformer layers (layer normalisation before attention and before a feed-forward network four
    times as wide). The encoding is each head's attention-weighted mean of the frames, side by side. Architecture and
    sizes are our choice; no paper on this task is followed.

    Source of the parts: Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762).

    Args:
      hidden_size: width of the encoding; `num_heads` divides it.
      num_layers: transformer layers.
      num_heads: attention heads of each layer and of the pooling.
      attention_dropout: dropout of attention and feed-forward outputs in training.

    Input: features [B, T, D], num_frames int [B].
    Output: `{"encoding": [B, hidden_size], "frame_states": [B, T, hidden_size]}`; zeros for a video without frames.

    Raises:
      ValueError: the heads do not divide the width.
    """

    def __init__(
        self, hidden_size: int = 512, num_layers: int = 2, num_heads: int = 8, attention_dropout: float = 0.1, **kwargs
    ):
        super().__init__(**kwargs)
        if hidden_size % num_heads:
            raise ValueError(f"attention_heads={num_heads} must divide attention_hidden_size={hidden_size}.")
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        self.projection = keras.layers.Dense(hidden_size, name="projection")
        # Frames have length 1: as they are, the positions would drown them.
        self.projection_norm = keras.layers.LayerNormalization(epsilon=_EPSILON, name="projection_norm")
        self.transformer_layers = [
            TransformerLayer(num_heads, attention_dropout, name=f"transformer_{number}") for number in range(num_layers)
        ]
        self.final_norm = keras.layers.LayerNormalization(epsilon=_EPSILON, name="final_norm")
        self.pooling_scores = keras.layers.Dense(num_heads, use_bias=False, name="pooling_scores")

    def call(self, features, num_frames, training=None):
        is_frame = tf.sequence_mask(tf.maximum(num_frames, 1), tf.shape(features)[1])  # [B, T]
        states = self.projection_norm(self.projection(features))  # [B, T, hidden_size]
        states += tf.cast(_positions(tf.shape(features)[1], self.hidden_size), states.dtype)
        for layer in self.transformer_layers:
            states = layer(states, is_frame, training=training)
        states = self.final_norm(states)

        scores = tf.cast(self.pooling_scores(states), tf.float32)  # [B, T, heads]
        weights = tf.nn.softmax(tf.where(is_frame[:, :, None], scores, -np.inf), axis=1)
        heads = tf.reshape(states, [-1, tf.shape(features)[1], self.num_heads, self.hidden_size // self.num_heads])
        pooled = tf.reduce_sum(tf.cast(weights, heads.dtype)[:, :, :, None] * heads, axis=1)  # [B, heads, size]
        encoding = tf.reshape(pooled, [-1, self.hidden_size])
        return {"encoding": zero_without_frames(encoding, num_frames), "frame_states": states}

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video of so many frames."""
        return {
            "projection": num_frames * self.projection.kernel.shape.num_elements(),
            **macs_by_layer(self.transformer_layers, num_frames),
            "pooling_scores": num_frames * self.pooling_scores.kernel.shape.num_elements(),
            "weighted_mean": num_frames * self.hidden_size,
        }

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "attention_dropout": self.attention_dropout,
        }


class TransformerLayer(CountsMacs, keras.layers.Layer):
    """Self-attention and a feed-forward network, each added to its input and normalising it first.

    Args:
      num_heads: attention heads.
      dropout: of both outputs in training.

    Input: states [B, T, H], is_frame bool [B, T], at least one True a row. Output: [B, T, H].
    """

    def __init__(self, num_heads: int, dropout: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout_rate = dropout
        self.attention_norm = keras.layers.LayerNormalization(epsilon=_EPSILON, name="attention_norm")
        self.feed_forward_norm = keras.layers.LayerNormalization(epsilon=_EPSILON, name="feed_forward_norm")
        self.dropout = keras.layers.Dropout(dropout, name="dropout")

    def build(self, input_shape):
        width = input_shape[-1]
        self.attention = keras.layers.MultiHeadAttention(self.num_heads, width // self.num_heads, name="attention")
        self.widen = keras.layers.Dense(4 * width, activation="gelu", name="widen")
        self.narrow = keras.layers.Dense(width, name="narrow")
        super().build(input_shape)

    def call(self, states, is_frame, training=None):
        normalized = self.attention_norm(states)
        attended = self.attention(normalized, normalized, attention_mask=is_frame[:, None, :], training=training)
        states += self.dropout(attended, training=training)
        return states + self.dropout(self.narrow(self.widen(self.feed_forward_norm(states))), training=training)

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of each layer for so many frames. Attention is four projections and two products of
        every frame with every other.
        """
        width = self.narrow.kernel.shape[-1]
        return {
            "attention": 4 * num_frames * width * width + 2 * num_frames * num_frames * width,
            "widen": num_frames * self.widen.kernel.shape.num_elements(),
            "narrow": num_frames * self.narrow.kernel.shape.num_elements(),
        }

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "dropout": self.dropout_rate}


def _positions(num_frames, width):
    """Sines and cosines of the frames' positions, float32 [T, width]."""
    periods = _LONGEST_PERIOD ** (np.arange(0, width, 2) / width)  # [ceil(width / 2)]
    angles = tf.range(num_frames, dtype=tf.float32)[:, None] / tf.constant(periods, tf.float32)
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)[:, :width]
