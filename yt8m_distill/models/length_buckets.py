"""Predicting videos of similar length together, so that short ones do not pay for the padding of long ones."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# Fewer videos at once would cost more in small matrix products than the shorter padding saves.
_MIN_BUCKET = 128
_MAX_BUCKETS = 4


def in_length_buckets(predict):
    """Makes a function of a batch of whole videos work on parts of the batch, each cut to its longest video.

    Predictions of a video may then differ in their last digits with the lengths of the videos around it.

    Args:
      predict: function from a dict of inputs (as of `VideoClassifier`) to a tensor [B, C].

    Returns:
      A function with the same arguments and results. Inputs without padding (`sampled_frames`, `features`) go to
      `predict` as they are.
    """

    def run(inputs):
        if "frames" not in inputs:
            return predict(inputs)
        num_frames = np.asarray(inputs["num_frames"])  # [B]
        num_buckets = max(1, min(_MAX_BUCKETS, len(num_frames) // _MIN_BUCKET))
        order = np.argsort(num_frames, kind="stable")
        parts = [predict(_select(inputs, rows, num_frames)) for rows in np.array_split(order, num_buckets)]
        return tf.gather(tf.concat(parts, axis=0), np.argsort(order))

    return run


def _select(inputs, rows, num_frames):
    longest = max(1, num_frames[rows].max(initial=0))
    with tf.device("CPU:0"):  # where the batch is: a GPU is to get the part alone
        selected = {name: tf.gather(value, rows) for name, value in inputs.items() if name != "frames"}
        return {**selected, "frames": tf.gather(inputs["frames"][:, :longest], rows)}  # [rows, longest, D]
