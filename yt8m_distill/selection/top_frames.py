"""Taking the frames with the best scores, in order of time."""

from __future__ import annotations

import tensorflow as tf


def top_frames(scores, num_frames, num_chosen: int):
    """The frames of the highest scores, of each video as many as it has or `num_chosen`.

    Args:
      scores: float32 [B, T].
      num_frames: int32 [B].
      num_chosen: K.

    Returns:
      indices int64 [B, K], ascending over the first slots and 0 after them, and how many hold a frame, int32 [B].
    """
    num_slots = tf.shape(scores)[1]
    # A batch of short videos may have fewer rows than K.
    scores = tf.pad(scores, [[0, 0], [0, tf.maximum(0, num_chosen - num_slots)]])
    is_frame = tf.sequence_mask(num_frames, tf.shape(scores)[1])
    least = scores.dtype.min
    of_frames = tf.where(scores >= least, scores, least)  # NaN and minus infinity still come before padding
    chosen = tf.math.top_k(tf.where(is_frame, of_frames, -float("inf")), num_chosen).indices  # [B, K]
    num_read = tf.minimum(num_frames, num_chosen)
    in_use = tf.sequence_mask(num_read, num_chosen)
    beyond = tf.shape(scores)[1]
    ascending = tf.sort(tf.where(in_use, chosen, beyond), axis=-1)
    indices = tf.where(in_use, ascending, 0)
    return tf.ensure_shape(tf.cast(indices, tf.int64), [None, num_chosen]), num_read


def union_scores(first, second, num_frames, num_of_first: int):
    """Scores whose best frames are the best `num_of_first` by one scorer, then the best others by a second one.

    Source: "AV-union-list" of SCSampler (ICCV 2019).

    Args:
      first, second: float32 [B, T].
      num_frames: int32 [B].
      num_of_first: how many frames the first scorer chooses before the second one does.

    Returns:
      float32 [B, T]: ranks, the highest first.
    """
    num_slots = tf.shape(first)[1]
    is_frame = tf.sequence_mask(num_frames, num_slots)
    of_first, of_second = rank(first, is_frame), rank(second, is_frame)
    return tf.cast(tf.where(of_first < num_of_first, -of_first, -num_slots - of_second), tf.float32)


def rank(values, is_valid):
    """Place of each value in descending order, the first of equals first; invalid ones last. int32 [B, T], from 0."""
    order = tf.argsort(tf.where(is_valid, values, values.dtype.min), direction="DESCENDING", stable=True)
    return tf.argsort(order)
