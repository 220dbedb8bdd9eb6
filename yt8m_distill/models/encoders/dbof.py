"""The encoder of `DbofModel`: deep bag of frames."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.models.batch_normalization import BatchNormalization
from yt8m_distill.models.macs import CountsMacs
from yt8m_distill.models.normalized_dense import NormalizedDense
from yt8m_distill.stack import keras

POOLING_METHODS = ("average", "max")
ACTIVATIONS = ("sigmoid", "relu6")


class DeepBagOfFrames(CountsMacs, keras.layers.Layer):
    """Projects single frames to many clusters, pools over the frames, and projects to the encoding.

    Of a sequence longer than `iterations`, so many frames are used: drawn with replacement in training, spread evenly
    otherwise, so that predictions are deterministic where the original's are not. A sequence that is no longer, such as
    that of a few-frame student, is used whole.

    Source: `DbofModel` of the original's frame_level_models.py; Abu-El-Haija et al. (arXiv:1609.08675), section 4.1.2.

    Args:
      iterations: frames used of a long sequence.
      cluster_size: width of the projection of each frame.
      hidden_size: width of the encoding.
      pooling_method: `max` or `average` over frames.
      activation: `sigmoid` or `relu6`, after both projections.
      add_batch_norm: batch normalisation of the input and of both projections; otherwise these have a bias.
      sample_random_frames: in training draw single frames; otherwise a run of consecutive frames.

    Input: features [B, T, D], num_frames int [B].
    Output: `{"encoding": [B, hidden_size]}`; a video without frames is pooled to zeros.
    """

    def __init__(
        self,
        iterations: int = 30,
        cluster_size: int = 8192,
        hidden_size: int = 1024,
        pooling_method: str = "max",
        activation: str = "sigmoid",
        add_batch_norm: bool = True,
        sample_random_frames: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, allowed in (
            ("pooling_method", pooling_method, POOLING_METHODS),
            ("activation", activation, ACTIVATIONS),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}. Received: {value!r}.")
        self.iterations = iterations
        self.cluster_size = cluster_size
        self.hidden_size = hidden_size
        self.pooling_method = pooling_method
        self.activation = activation
        self.add_batch_norm = add_batch_norm
        self.sample_random_frames = sample_random_frames
        self.input_norm = BatchNormalization(name="input_norm") if add_batch_norm else None

    def build(self, features_shape):
        stddev = features_shape[-1] ** -0.5
        self.clusters = NormalizedDense(self.cluster_size, stddev, self.add_batch_norm, stddev, name="clusters")
        self.hidden = NormalizedDense(self.hidden_size, self.cluster_size**-0.5, self.add_batch_norm, name="hidden")
        super().build(features_shape)

    def call(self, features, num_frames, training=None):
        if features.shape[1] is None or features.shape[1] > self.iterations:
            features, num_frames = self._choose_frames(features, num_frames, training)
        is_frame = tf.sequence_mask(num_frames, tf.shape(features)[1])  # [B, T]
        if self.input_norm is not None:
            features = self.input_norm(features, is_frame, training=training)
        activation = getattr(tf.nn, self.activation)
        clusters = activation(self.clusters(features, is_frame, training=training))  # [B, T, cluster_size]
        pooled = self._pool(clusters, is_frame[:, :, None])  # [B, cluster_size]
        return {"encoding": activation(self.hidden(pooled, training=training))}

    def _choose_frames(self, features, num_frames, training):
        """The frames used, [B, iterations, D], and how many of them are frames, int32 [B]."""
        num_frames = tf.minimum(tf.cast(num_frames, tf.int32), tf.shape(features)[1])
        if training:
            indices = self._random_indices(num_frames)
            num_chosen = tf.where(num_frames > 0, self.iterations, 0)
        else:
            indices, num_chosen = FrameSampler("uniform", self.iterations, max_frames=2**31 - 1).sample(num_frames)
        indices.set_shape([None, self.iterations])
        return tf.gather(features, indices, batch_dims=1), tf.cast(num_chosen, tf.int32)

    def _random_indices(self, num_frames):
        length = tf.cast(tf.maximum(num_frames, 1), tf.float32)[:, None]
        if self.sample_random_frames:
            draws = tf.random.uniform([tf.shape(num_frames)[0], self.iterations])
            return tf.cast(draws * length, tf.int64)
        start = tf.random.uniform([tf.shape(num_frames)[0], 1]) * tf.maximum(length - self.iterations + 1, 1)
        run = tf.cast(start, tf.int64) + tf.range(self.iterations, dtype=tf.int64)
        return tf.minimum(run, tf.cast(length, tf.int64) - 1)

    def _pool(self, clusters, is_frame):
        if self.pooling_method == "average":
            count = tf.reduce_sum(tf.cast(is_frame, clusters.dtype), axis=1)
            return tf.math.divide_no_nan(tf.reduce_sum(tf.where(is_frame, clusters, 0), axis=1), count)
        # No activation is below 0, so padding of 0 is never above a frame.
        return tf.reduce_max(tf.where(is_frame, clusters, 0), axis=1)

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video of so many frames."""
        frames_used = min(num_frames, self.iterations)
        return {"clusters": frames_used * self.clusters.macs(), "hidden": self.hidden.macs()}

    def get_config(self):
        names = ("iterations", "cluster_size", "hidden_size", "pooling_method", "activation")
        names += ("add_batch_norm", "sample_random_frames")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
