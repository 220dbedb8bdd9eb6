"""What a trained network gets out of each part of a video: what it says of the labels when it sees that part alone."""

from __future__ import annotations

import tensorflow as tf


def window_usefulness(model, frames, num_frames, labels, window: int):
    """f_y of each window: the mean probability of the video's labels, 0 for a video without; no gradient.

    SCSampler (ICCV 2019) asks its heavy classifier for one label of a clip; here a video has several, a clip is a
    window of frames, and their mean is our choice.

    Args:
      model: `VideoClassifier`; its encoder reads the frames of a window as if they were a video.
      frames: [B, T, D], as the model takes them.
      num_frames: int32 [B].
      labels: float32 [B, C].
      window: frames of a window, but for the last one of a video.

    Returns:
      float32 [B, W], and which windows hold frames, bool [B, W].
    """
    parts, lengths = windows_of(frames, window), window_lengths(num_frames, tf.shape(frames)[1], window)
    of_window = tf.where(lengths > 0)  # [N, 2]: only windows that hold frames are read
    some, some_lengths = tf.gather_nd(parts, of_window), tf.gather_nd(lengths, of_window)
    some.set_shape([None, window, frames.shape[-1]])
    encoding = model.encoder(model.frame_input(some, some_lengths), some_lengths, training=False)["encoding"]
    classified = model.classifier(tf.cast(encoding, tf.float32), training=False)
    predictions = classified["predictions"] if isinstance(classified, dict) else classified  # [N, C]
    labels = tf.gather(labels, of_window[:, 0])
    of_labels = tf.math.divide_no_nan(tf.reduce_sum(predictions * labels, axis=-1), tf.reduce_sum(labels, axis=-1))
    shape = tf.shape(lengths, out_type=of_window.dtype)
    return tf.stop_gradient(tf.scatter_nd(of_window, of_labels, shape)), lengths > 0


def windows_of(rows, window: int):
    """[B, T, D] -> [B, W, window, D], padded with zeros."""
    num_rows = tf.shape(rows)[1]
    rows = tf.pad(rows, [[0, 0], [0, -num_rows % window], [0, 0]])
    return tf.reshape(rows, [tf.shape(rows)[0], -1, window, rows.shape[-1]])


def window_lengths(num_frames, num_slots, window: int):
    """Frames of each window, int32 [B, W], of videos [B] padded to `num_slots` rows."""
    return tf.clip_by_value(num_frames[:, None] - tf.range(0, num_slots, window), 0, window)


def mean_over_windows(values, num_frames, window: int):
    """Means of values of frames, float32 [B, T], over the frames of each window, [B, W]; 0 where there is none."""
    num_slots = tf.shape(values)[1]
    is_frame = tf.cast(tf.sequence_mask(num_frames, num_slots), tf.float32)
    totals = tf.reduce_sum(windows_of((values * is_frame)[:, :, None], window)[..., 0], axis=-1)  # [B, W]
    return tf.math.divide_no_nan(totals, tf.cast(window_lengths(num_frames, num_slots, window), tf.float32))
