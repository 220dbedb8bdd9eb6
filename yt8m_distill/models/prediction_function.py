"""Predictions as a graph that knows everything of its inputs but how many there are, and how long."""

from __future__ import annotations

import tensorflow as tf


def prediction_function(predict):
    """Compiles a function of a dict of inputs [B, ...] once for all batch sizes and lengths of whole videos.

    With the number of examples known, TensorFlow may fuse operations that it does not fuse otherwise, and predictions
    would differ in their last bit between full and last batches, and from those of an exported model.

    Args:
      predict: function from a dict of tensors to a tensor [B, C].

    Returns:
      The compiled function; a graph for each set of names, shapes and dtypes of inputs.
    """
    graphs = {}

    def run(inputs):
        inputs = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
        signature = {name: _any_number_of(name, value) for name, value in inputs.items()}
        key = str(sorted(signature.items()))
        if key not in graphs:
            graphs[key] = tf.function(predict, input_signature=[signature])
        return graphs[key](inputs)

    return run


def _any_number_of(name, value):
    shape = [None, *value.shape[1:]]
    if name == "frames":
        shape[1] = None  # [B, T, D]: the pipeline pads to the longest video there may be, a bucket to its own
    return tf.TensorSpec(shape, value.dtype)
