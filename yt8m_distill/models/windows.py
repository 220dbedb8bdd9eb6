"""Videos cut into windows: runs of so many frames, of which the last may be shorter."""

from __future__ import annotations

import tensorflow as tf


def windows_of(rows, window: int):
    """[B, T, D] -> [B, W, window, D], padded with zeros."""
    num_rows = tf.shape(rows)[1]
    rows = tf.pad(rows, [[0, 0], [0, -num_rows % window], [0, 0]])
    return tf.reshape(rows, [tf.shape(rows)[0], -1, window, rows.shape[-1]])


def window_lengths(num_frames, num_slots, window: int):
    """Frames of each window, int32 [B, W], of videos [B] padded to `num_slots` rows."""
    return tf.clip_by_value(num_frames[:, None] - tf.range(0, num_slots, window), 0, window)


def mean_over_windows(values, num_frames, window: int):
    """Means of each window's frames, float32 [B, W, D] of values [B, T, D]; 0 where there is no frame."""
    num_slots = tf.shape(values)[1]
    is_frame = tf.sequence_mask(num_frames, num_slots)[:, :, None]
    # `where`, not a product: padding may hold NaN.
    totals = tf.reduce_sum(windows_of(tf.where(is_frame, values, 0.0), window), axis=2)
    counts = tf.cast(window_lengths(num_frames, num_slots, window), tf.float32)
    return tf.math.divide_no_nan(totals, counts[:, :, None])
