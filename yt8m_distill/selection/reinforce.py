"""REINFORCE: the gradient of an expected reward, of which only samples are known."""

from __future__ import annotations

import tensorflow as tf


def returns_of(rewards):
    """What an episode still earns from each decision on, without discount: float32 [B, n] of rewards [B, n]."""
    return tf.cumsum(rewards, axis=-1, reverse=True)


def reinforce_losses(log_probs, returns, baselines, is_decision):
    """A loss whose gradient is an estimate of that of the expected reward, downhill: -sum_i (G_i - b_i) log pi(a_i).

    Subtracting a baseline that does not depend on the action lowers the variance of the estimate and leaves its mean.
    No gradient flows into returns or baselines.

    Source: Williams, "Simple Statistical Gradient-Following Algorithms" (1992).

    Args:
      log_probs: float32 [B, n], log-probability of each action taken.
      returns: float32 [B, n], rewards from that decision on.
      baselines: float32 [B, n], what was to be expected.
      is_decision: bool [B, n]; False where the episode was over.

    Returns:
      float32 [B].
    """
    advantages = tf.stop_gradient(returns - baselines)
    return -tf.reduce_sum(tf.where(is_decision, advantages * log_probs, 0.0), axis=-1)
