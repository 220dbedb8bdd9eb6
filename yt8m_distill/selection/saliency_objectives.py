"""What teaches a saliency scorer: the objectives of SCSampler, on frames of several labels.

Source: Korbar, Tran and Torresani, "SCSampler: Sampling Salient Clips From Video for Efficient Action Recognition"
(ICCV 2019), sections 3.2 and 3.3. What f_y is in videos of several labels, see `window_usefulness`.
"""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.selection.top_frames import rank

_MARGIN = 1.0
_EPSILON = 1e-6


def action_classifier_losses(logits, labels, num_frames):
    """AC: each frame is classified as its video, cross-entropy summed over classes; the mean over frames, float32 [B].

    Args:
      logits: float32 [B, T, C] of the light classifier, one a frame.
      labels: float32 [B, C].
      num_frames: int32 [B].
    """
    targets = tf.broadcast_to(labels[:, None], tf.shape(logits))
    losses = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits), axis=-1)  # [B, T]
    return _mean_of_valid(losses, tf.sequence_mask(num_frames, tf.shape(losses)[1]))


def saliency_classification_losses(scores, usefulness, is_valid, num_chosen: int):
    """SAL-CL: tell the places that are among the best `num_chosen` from the others; mean cross-entropy, float32 [B].

    A video whose places are all as good as each other, such as one without labels, teaches nothing.

    Args:
      scores: float32 [B, W], logits of the scorer.
      usefulness: float32 [B, W], the heavy classifier's f_y of each place.
      is_valid: bool [B, W].
      num_chosen: places that count as good, of each video.
    """
    targets = tf.cast((rank(usefulness, is_valid) < num_chosen) & is_valid, tf.float32)
    losses = _mean_of_valid(tf.nn.sigmoid_cross_entropy_with_logits(targets, scores), is_valid)
    best = tf.reduce_max(tf.where(is_valid, usefulness, usefulness.dtype.min), axis=-1)
    worst = tf.reduce_min(tf.where(is_valid, usefulness, usefulness.dtype.max), axis=-1)
    return tf.where(best - worst > _EPSILON, losses, 0.0)


def saliency_ranking_losses(scores, usefulness, is_valid):
    """SAL-RANK: of two places of a video the more useful one has the higher score, by a margin of 1; float32 [B].

    The mean of max(0, 1 - z (s_i - s_j)) over the pairs of which one is more useful; z is the sign of f_y(i) - f_y(j).

    Arguments as of `saliency_classification_losses`.
    """
    more_useful = usefulness[:, :, None] - usefulness[:, None, :] > _EPSILON  # [B, W, W]: each pair once
    is_pair = more_useful & is_valid[:, :, None] & is_valid[:, None, :]
    hinges = tf.nn.relu(_MARGIN - (scores[:, :, None] - scores[:, None, :]))
    is_pair = tf.cast(is_pair, tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(is_pair * hinges, axis=[1, 2]), tf.reduce_sum(is_pair, axis=[1, 2]))


def _mean_of_valid(losses, is_valid):
    is_valid = tf.cast(is_valid, tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(is_valid * losses, axis=-1), tf.reduce_sum(is_valid, axis=-1))
