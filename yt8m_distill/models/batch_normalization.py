"""Batch normalisation that leaves padding out and is exact over replicas."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.stack import keras


class BatchNormalization(keras.layers.Layer):
    """Normalises each channel by the mean and variance of the valid rows of the batch, over all replicas.

    Keras' layer would count the padding of short videos, and each replica would have statistics of its own.

    The moving averages that evaluation uses decay by min(momentum, (1 + n) / (10 + n)) at update n, as TensorFlow 1's
    `ExponentialMovingAverage(num_updates=n)`: with slim's plain 0.999 a short run is evaluated with what is left of
    the initial values (a fifth of them after 1,600 steps). This is our choice.

    Args:
      momentum: final decay of the moving averages (slim's default of 0.999).
      epsilon: added to the variance.

    Input: features [..., C]; is_valid bool [...], the rows that count, or None for all.
    Output: [..., C]; rows that do not count are transformed like the others, and mean nothing.
    """

    def __init__(self, momentum: float = 0.999, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        channels = input_shape[-1]
        self.gamma = self._add_weight("gamma", channels, "ones")
        self.beta = self._add_weight("beta", channels, "zeros")
        self.moving_mean = self._add_statistic("moving_mean", [channels], "zeros")
        self.moving_variance = self._add_statistic("moving_variance", [channels], "ones")
        self.num_updates = self._add_statistic("num_updates", [], "zeros")
        super().build(input_shape)

    def call(self, features, is_valid=None, training=None):
        features = tf.cast(features, tf.float32)
        if training:
            mean, variance = self._batch_statistics(features, is_valid)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = self.gamma * tf.math.rsqrt(variance + self.epsilon)  # [C]
        return tf.cast((features - mean) * scale + self.beta, self.compute_dtype)

    def _batch_statistics(self, features, is_valid):
        """Mean and variance of each channel, float32 [C] both; updates the moving averages."""
        rows = tf.reshape(features, [-1, features.shape[-1]])
        weights = tf.ones_like(rows[:, :1]) if is_valid is None else tf.cast(tf.reshape(is_valid, [-1, 1]), tf.float32)
        count = _sum_over_replicas(tf.reduce_sum(weights))

        def mean_of(values):
            return tf.math.divide_no_nan(_sum_over_replicas(tf.reduce_sum(weights * values, axis=0)), count)

        mean = mean_of(rows)
        variance = mean_of(tf.math.squared_difference(rows, mean))
        self._move_averages(mean, variance, count)
        return mean, variance

    def _move_averages(self, mean, variance, count):
        # A batch of videos without frames says nothing, and NaN would stay in the averages for good.
        is_usable = (count > 0) & tf.reduce_all(tf.math.is_finite(variance))
        decay = warmed_up_decay(self.momentum, self.num_updates)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moved = decay * average + (1 - decay) * tf.stop_gradient(value)
            average.assign(tf.where(is_usable, moved, average))
        self.num_updates.assign(self.num_updates + tf.cast(is_usable, tf.float32))

    def _add_weight(self, name, channels, initializer):
        return self.add_weight(name, [channels], tf.float32, initializer, trainable=True, experimental_autocast=False)

    def _add_statistic(self, name, shape, initializer):
        return self.add_weight(
            name,
            shape,
            tf.float32,
            initializer,
            trainable=False,
            experimental_autocast=False,
            # All replicas compute the same value, so none has to be asked for its own.
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


def warmed_up_decay(decay, num_updates):
    """min(decay, (1 + n) / (10 + n)) after n updates, float32 scalar: a moving average soon forgets its first value."""
    return tf.minimum(decay, (1 + num_updates) / (10 + num_updates))


def _sum_over_replicas(value):
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)
