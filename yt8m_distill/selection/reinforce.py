"""REINFORCE: the gradient of an expected reward, of which only samples are known."""

from __future__ import annotations

import tensorflow as tf


def returns_of(rewards):
    """What an episode still earns from each decision on, without discount: float32 [B, n] of rewards [B, n]."""
    return tf.cumsum(rewards, axis=-1, reverse=True)


def reinforce_losses(log_probs, advantages, is_decision):
    """A loss whose gradient is an estimate of that of the expected reward, downhill: -sum_i (G_i - b_i) log pi(a_i).

    Subtracting a baseline that does not depend on the action lowers the variance of the estimate and leaves its mean.
    No gradient flows into the advantages.

    Source: Williams, "Simple Statistical Gradient-Following Algorithms" (1992).

    Args:
      log_probs: float32 [B, n], log-probability of each action taken.
      advantages: float32 [B, n], rewards from that decision on, less what was to be expected.
      is_decision: bool [B, n]; False where the episode was over.

    Returns:
      float32 [B].
    """
    return -tf.reduce_sum(tf.where(is_decision, tf.stop_gradient(advantages) * log_probs, 0.0), axis=-1)


def mean_of_others(returns, is_decision):
    """What the other episodes of the batch earn from the same decision on: a baseline that needs no training, and does
    not depend on the episode's own actions.

    Returns:
      float32 [B, n], and which decisions have others to compare with, bool [B, n].
    """
    weights = tf.cast(is_decision, tf.float32)
    earned, num_others = weights * returns, tf.reduce_sum(weights, axis=0) - weights
    means = tf.math.divide_no_nan(tf.reduce_sum(earned, axis=0) - earned, num_others)
    return means, is_decision & (num_others > 0)


def root_mean_square(values, is_decision):
    """Of the values [B, n] where there is a decision, float32 scalar."""
    weights = tf.cast(is_decision, tf.float32)
    return tf.sqrt(tf.math.divide_no_nan(tf.reduce_sum(weights * values**2), tf.reduce_sum(weights)))
