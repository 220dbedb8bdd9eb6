"""Learning rate schedules: the original's staircase, a cosine, and a linear warm-up before either."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.stack import keras

SCHEDULES = ("exponential", "cosine")


def learning_rate_schedule(
    base_learning_rate: float, decay: float, decay_examples: float, global_batch_size: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """base_learning_rate * decay ** floor(examples seen / decay_examples), the original's staircase.

    Args:
      base_learning_rate: rate of the first step.
      decay: factor of each stair.
      decay_examples: examples between stairs.
      global_batch_size: examples a step, over all replicas.
    """
    return keras.optimizers.schedules.ExponentialDecay(
        base_learning_rate, decay_steps=decay_examples / global_batch_size, decay_rate=decay, staircase=True
    )


def cosine_schedule(
    base_learning_rate: float, num_steps: int, warmup_steps: int = 0
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Half a cosine from base_learning_rate to 0 over the steps that the warm-up leaves (at least one).

    Source: Loshchilov and Hutter, "SGDR" (arXiv:1608.03983), without restarts.

    Args:
      base_learning_rate: rate of the first step, or of the first after the warm-up.
      num_steps: steps of the run, warm-up included.
      warmup_steps: as of the `LinearWarmup` around this schedule.
    """
    return keras.optimizers.schedules.CosineDecay(base_learning_rate, max(1, num_steps - warmup_steps))


class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from 0 to a schedule's first rate; then the schedule begins.

    Args:
      schedule: what follows.
      warmup_steps: steps until then; at least 1.
    """

    def __init__(self, schedule, warmup_steps: int):
        self.schedule = schedule
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        return self.schedule(tf.maximum(step - self.warmup_steps, 0.0)) * tf.minimum(step / self.warmup_steps, 1.0)

    def get_config(self):
        return {"schedule": self.schedule, "warmup_steps": self.warmup_steps}
