"""Optimizers by name, and the original's learning rate schedule."""

from __future__ import annotations

import inspect

from yt8m_distill.stack import addons, keras

# Of tensorflow-addons, these train with a learning rate schedule and nothing else to choose.
_ADDONS = ("LAMB", "LazyAdam", "NovoGrad", "RectifiedAdam", "Yogi")
# These average or slow down the Adam that they are given.
_WRAPPERS = ("Lookahead", "MovingAverage", "SWA")


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


def create_optimizer(name: str, learning_rate, clip_gradient_norm: float = 0.0) -> keras.optimizers.Optimizer:
    """Makes an optimizer by its name in Keras, else in tensorflow-addons.

    Args:
      name: e.g. `Adam` or `LAMB`; TensorFlow 1's `AdamOptimizer` names the same as `Adam`, and
        `GradientDescentOptimizer` the same as `SGD`.
      learning_rate: number or schedule.
      clip_gradient_norm: each variable's gradient is clipped to this norm; 0 or less turns clipping off.

    Raises:
      ValueError: no such optimizer in either package.
      ImportError: the optimizer is one of tensorflow-addons, which is not installed.
    """
    clip = {"clipnorm": clip_gradient_norm} if clip_gradient_norm > 0 else {}
    keras_name = name[: -len("Optimizer")] if name.endswith("Optimizer") else name
    keras_name = {"GradientDescent": "SGD", "RMSProp": "RMSprop"}.get(keras_name, keras_name)
    optimizer_class = getattr(keras.optimizers, keras_name, None)
    if _is_optimizer(optimizer_class):
        return optimizer_class(learning_rate=learning_rate, **clip)
    if name not in (*_ADDONS, *_WRAPPERS):
        raise ValueError(
            f"Unknown optimizer {name!r}. It must be one of Keras, or of tensorflow-addons: "
            f"{', '.join((*_ADDONS, *_WRAPPERS))}."
        )
    optimizer_class = getattr(addons().optimizers, name)
    if name in _WRAPPERS:
        # It calls the update rule alone of the optimizer inside, so clipping is the wrapper's work.
        return optimizer_class(keras.optimizers.legacy.Adam(learning_rate), **clip)
    return optimizer_class(learning_rate=learning_rate, **clip)


def _is_optimizer(found):
    base = keras.optimizers.Optimizer
    return inspect.isclass(found) and issubclass(found, base) and found is not base
