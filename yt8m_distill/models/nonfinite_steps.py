"""Keeping a loss that is NaN or infinite away from the weights."""

from __future__ import annotations

import tensorflow as tf


class NonfiniteSteps:
    """Lets the gradients of a step count as 0 where they, or the loss, are not finite, and counts such steps.

    One bad step would make every weight NaN, and whatever is saved after it worthless. Whether a step is finite is
    decided for all replicas together, on the device: the host need not wait to learn it.

    The variables belong to no layer, and are in no checkpoint. To be made under the strategy's scope.

    Attributes:
      count: int64 variable, how many updates were not finite.
      first: int64 variable, the number of updates before the first of them; -1 if there is none.
    """

    def __init__(self):
        self.count, self.first, self._latest = (_variable(value) for value in (0, -1, -1))

    def without_nonfinite(self, gradients, loss, step, may_overflow: bool = False):
        """The gradients, or zeros if these or the loss are not finite.

        Args:
          gradients: this replica's share of each variable's gradient, or None.
          loss: this replica's share of the loss, float32 scalar.
          step: number of updates so far, integer scalar.
          may_overflow: the gradients are scaled, and whoever scales them looks at them: look at the loss alone.
        """
        is_finite = tf.math.is_finite(loss)
        if not may_overflow:
            is_finite &= tf.math.is_finite(tf.linalg.global_norm([g for g in gradients if g is not None]))
        replicas = tf.distribute.get_replica_context()
        is_bad = replicas.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(~is_finite, tf.float32)) > 0
        self._note(is_bad, tf.cast(step, tf.int64))
        return [None if g is None else tf.where(is_bad, tf.zeros_like(g), g) for g in gradients]

    def _note(self, is_bad, step):
        is_new = is_bad & tf.not_equal(step, self._latest)  # a parallel teacher takes the same step as its student
        self.count.assign_add(tf.cast(is_new, tf.int64))
        self.first.assign(tf.where(is_new & (self.first < 0), step, self.first))
        self._latest.assign(tf.where(is_bad, step, self._latest))


def _variable(value):
    return tf.Variable(value, dtype=tf.int64, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
