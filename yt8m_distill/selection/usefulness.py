"""What a trained network gets out of each part of a video: what it says of the labels when it sees that part alone."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.windows import window_lengths, windows_of


def window_predictions(model, windows, lengths):
    """What a model says of windows of a video, each read from end to end as if it were a video.

    Args:
      model: `VideoClassifier`.
      windows: [N, window, D], as the model takes frames.
      lengths: int32 [N], frames of each window.

    Returns:
      float32 [N, C].
    """
    return model.classify(model.encode_frames(windows, lengths, training=False)["encoding"])


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
    predictions = window_predictions(model, some, some_lengths)  # [N, C]
    labels = tf.gather(labels, of_window[:, 0])
    of_labels = tf.math.divide_no_nan(tf.reduce_sum(predictions * labels, axis=-1), tf.reduce_sum(labels, axis=-1))
    shape = tf.shape(lengths, out_type=of_window.dtype)
    return tf.stop_gradient(tf.scatter_nd(of_window, of_labels, shape)), lengths > 0
