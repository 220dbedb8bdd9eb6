"""What choosing frames well is worth: the rewards of SkipFrame.

Source: the slides of "Efficient Video Classification Using Fewer Frames" name them IMM, DELAY and DELAY:GAP and do not
define them; the formulas are our choice.
"""

from __future__ import annotations

import tensorflow as tf

_TOP_K = 20
_EPSILON = 1e-6


def cross_entropy_per_label(predictions, labels):
    """Cross-entropy of all classes, divided by the number of labels: float32 [...].

    Args:
      predictions: float32 [..., C].
      labels: float32 [..., C], of the same rank.
    """
    losses = labels * tf.math.log(predictions + _EPSILON) + (1 - labels) * tf.math.log(1 - predictions + _EPSILON)
    return -tf.reduce_sum(losses, axis=-1) / tf.maximum(tf.reduce_sum(labels, axis=-1), 1.0)


def immediate_rewards(predictions, labels):
    """By how much each new frame lowers the cross-entropy: float32 [B, k - 1].

    Args:
      predictions: float32 [B, k, C], after each frame.
      labels: float32 [B, C].
    """
    losses = cross_entropy_per_label(predictions, tf.broadcast_to(labels[:, None], tf.shape(predictions)))
    return losses[:, :-1] - losses[:, 1:]


def delayed_rewards(predictions, labels, num_decisions: int):
    """Minus the cross-entropy after the last frame, all of it at the last decision: float32 [B, num_decisions].

    Args:
      predictions: float32 [B, C], after the last frame.
      labels: float32 [B, C].
      num_decisions: decisions of an episode.
    """
    return _at_the_end(-cross_entropy_per_label(predictions, labels), num_decisions)


def gap_rewards(predictions, labels, num_decisions: int):
    """The video's own average precision after the last frame, at the last decision: float32 [B, num_decisions].

    Arguments as of `delayed_rewards`.
    """
    return _at_the_end(average_precision_of_each(predictions, labels), num_decisions)


def average_precision_of_each(predictions, labels):
    """Average precision of each video's own 20 best predictions, in [0, 1]; float32 [B], 0 without labels.

    sum_i precision(i) [prediction i is right] / number of labels; GAP pools the predictions of all videos instead.
    """
    num_ranks = tf.minimum(_TOP_K, tf.shape(predictions)[-1])
    classes = tf.math.top_k(predictions, k=num_ranks).indices
    hits = tf.gather(labels, classes, batch_dims=1)  # [B, 20]
    precision = tf.cumsum(hits, axis=-1) / tf.range(1.0, tf.cast(num_ranks, tf.float32) + 1)
    return tf.math.divide_no_nan(tf.reduce_sum(precision * hits, axis=-1), tf.reduce_sum(labels, axis=-1))


def _at_the_end(rewards, num_decisions):
    return tf.pad(rewards[:, None], [[0, 0], [num_decisions - 1, 0]])
