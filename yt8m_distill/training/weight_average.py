"""Exponential moving average of the weights: the model that is evaluated, saved and exported."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models import VideoClassifier
from yt8m_distill.models.batch_normalization import warmed_up_decay
from yt8m_distill.stack import keras


class WeightAverage(keras.callbacks.Callback):
    """After each step, moves a second model towards the one that is trained.

    average <- decay * average + (1 - decay) * weight with decay min(ema_decay, (1 + n) / (10 + n)) after n updates, as
    TensorFlow 1's `ExponentialMovingAverage(ema_decay, num_updates=n)`: an early average is not held back by the
    initial weights. Weights that are not trained, such as the statistics of batch normalisation, are copied.

    Each replica averages its own copy of the weights, so that nothing travels between devices.

    Args:
      trained: model whose weights the optimizer updates.
      averaged: a model built equally; takes the weights of `trained`.
      ema_decay: the final decay, in (0, 1).
      strategy: tf.distribute strategy that both were made under.
    """

    # Reading a log value waits for the device: Keras must leave that to the one who needs it.
    _supports_tf_logs = True

    def __init__(self, trained: VideoClassifier, averaged: VideoClassifier, ema_decay: float, strategy):
        super().__init__()
        averaged.set_weights(trained.get_weights())
        self._ema_decay = ema_decay
        self._averages = _replica_pairs(averaged.trainable_variables, trained.trainable_variables, strategy)
        self._copies = _replica_pairs(averaged.non_trainable_variables, trained.non_trainable_variables, strategy)
        self._update = tf.function(self._update_variables)

    def on_train_batch_end(self, batch, logs=None):
        self._update(self.model.optimizer.iterations.read_value())

    def _update_variables(self, num_updates):
        decay = warmed_up_decay(self._ema_decay, tf.cast(num_updates, tf.float32))
        for average, weight in self._averages:
            with tf.device(average.device):
                average.assign_sub((1 - decay) * (average - weight))
        for copy, weight in self._copies:
            with tf.device(copy.device):
                copy.assign(weight)


def _replica_pairs(targets, sources, strategy):
    """The variables of both lists, pair by pair, on each replica of this process."""
    local = strategy.experimental_local_results
    return [pair for target, source in zip(targets, sources) for pair in zip(local(target), local(source))]
