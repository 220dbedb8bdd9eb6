"""Models whose weights have shapes but no values: enough to count what a model costs, at any size."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.model_config import ModelConfig
from yt8m_distill.models.video_classifier import VideoClassifier


def build_without_values(config: ModelConfig) -> VideoClassifier:
    """Builds a model without drawing its weights, and without memory for them.

    A full-size model has up to 320 million weights; drawing them takes gigabytes and seconds. Here the weights are
    memory that was reserved and never written, so the operating system provides none. What such a model predicts means
    nothing; its shapes, names and counts are those of `config.build()`.

    Raises:
      ValueError: as `ModelConfig.build`.
    """
    model = config.assemble()
    with tf.device("CPU:0"), tf.variable_creator_scope(_create_without_values):
        model(_one_frame(config))
    return model


def _create_without_values(next_creator, **kwargs):
    if kwargs.get("shape") is not None:  # Keras leaves out the shape of scalars
        shape, dtype = tf.TensorShape(kwargs["shape"]).as_list(), tf.as_dtype(kwargs["dtype"])
        kwargs["initial_value"] = lambda: tf.raw_ops.Empty(shape=shape, dtype=dtype)
    return next_creator(**kwargs)


def _one_frame(config):
    """The least that makes all weights: their shapes do not depend on the number of frames."""
    width = config.schema.feature_width
    if not config.frame_level:
        return {"features": tf.zeros([1, width])}
    return {"sampled_frames": tf.zeros([1, 1, width], tf.uint8), "num_sampled_frames": tf.ones([1], tf.int32)}
