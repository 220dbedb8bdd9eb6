"""Choices that learned selection is compared with: the best that could be, and what its places alone are worth."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from yt8m_distill.selection.top_frames import top_frames
from yt8m_distill.selection.usefulness import window_usefulness

NUM_PLACES = 100  # of a video's length, in the histogram of places


def oracle_choice(model, frames, num_frames, labels, num_chosen: int, window: int):
    """The frames that say most of the labels: an upper bound, as it is told them. Of equally good ones, the first.

    Source: "Oracle" of SCSampler (ICCV 2019); see `window_usefulness`.

    Args:
      model, frames, num_frames, labels, window: as of `window_usefulness`.
      num_chosen: K.

    Returns:
      indices int64 [B, K] and how many hold a frame, int32 [B], as `top_frames`.
    """
    usefulness, _ = window_usefulness(model, frames, num_frames, tf.cast(labels, tf.float32), window)
    of_frame = tf.repeat(usefulness, window, axis=1)[:, : tf.shape(frames)[1]]  # [B, T]
    return top_frames(of_frame, num_frames, num_chosen)


def count_places(counts: np.ndarray, indices, num_read, num_frames) -> None:
    """Adds the chosen frames of a batch to a histogram of places, int64 [NUM_PLACES], in shares of a video's length."""
    for chosen, count, length in zip(np.asarray(indices), np.asarray(num_read), np.asarray(num_frames)):
        np.add.at(counts, chosen[:count] * NUM_PLACES // max(1, length), 1)


def empirical_choice(counts: np.ndarray, num_frames, num_chosen: int, seeds):
    """Frames drawn by how often the oracle has chosen their places in other videos: whether places alone help.

    Source: "Empirical" of SCSampler (ICCV 2019).

    Args:
      counts: of `count_places`.
      num_frames: int [B].
      num_chosen: K.
      seeds: int [B], of each video's draw.

    Returns:
      As `oracle_choice`.
    """
    num_frames = np.asarray(num_frames)
    scores = np.full([len(num_frames), max(1, num_frames.max(initial=0))], -np.inf, np.float32)
    for row, (length, seed) in enumerate(zip(num_frames, np.asarray(seeds))):
        weights = counts[np.arange(length) * NUM_PLACES // max(1, length)] + 1  # none is impossible
        # The best of log-weights with Gumbel noise are a draw without replacement, in proportion to the weights.
        scores[row, :length] = np.log(weights) + np.random.default_rng(int(seed)).gumbel(size=length)
    return top_frames(tf.constant(scores), tf.constant(num_frames, tf.int32), num_chosen)
