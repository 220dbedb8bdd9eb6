"""Optimizers by name, with weight decay where they have it."""

from __future__ import annotations

import inspect
import re
import sys

import tensorflow as tf

from yt8m_distill.stack import addons, keras

# Of tensorflow-addons, these train with a learning rate schedule and nothing else to choose.
_ADDONS = ("LAMB", "LazyAdam", "NovoGrad", "RectifiedAdam", "Yogi")
# These average or slow down the Adam that they are given.
_WRAPPERS = ("Lookahead", "MovingAverage", "SWA")
# Compiling the update with XLA takes tenths of a second a variable.
_WEIGHTS_WORTH_COMPILING = 10**6


def create_optimizer(
    name: str, learning_rate, clip_gradient_norm: float = 0.0, weight_decay: float | None = None, variables=()
) -> keras.optimizers.Optimizer:
    """Makes an optimizer by its name in Keras, else in tensorflow-addons.

    Args:
      name: e.g. `Adam` or `LAMB`; TensorFlow 1's `AdamOptimizer` names the same as `Adam`, and
        `GradientDescentOptimizer` the same as `SGD`.
      learning_rate: number or schedule.
      clip_gradient_norm: each variable's gradient is clipped to this norm; 0 or less turns clipping off.
      weight_decay: each step takes learning rate * weight_decay of a weight away (LAMB: of its update's direction), but
        not of biases and of the parameters of normalisations. None is the optimizer's own default: Keras' 0.004 for
        AdamW, 0 for all others.
      variables: the model's, among which those without decay are found. The update of many weights is compiled by XLA.

    Raises:
      ValueError: no such optimizer in either package, or weight_decay for one that has none.
      ImportError: the optimizer is one of tensorflow-addons, which is not installed.
    """
    settings = {"clipnorm": clip_gradient_norm} if clip_gradient_norm > 0 else {}
    keras_name = name[: -len("Optimizer")] if name.endswith("Optimizer") else name
    keras_name = {"GradientDescent": "SGD", "RMSProp": "RMSprop"}.get(keras_name, keras_name)
    optimizer_class = getattr(keras.optimizers, keras_name, None)
    if _is_optimizer(optimizer_class):
        if weight_decay is not None:
            settings["weight_decay"] = weight_decay
        optimizer = optimizer_class(learning_rate=learning_rate, **settings)
        optimizer.exclude_from_weight_decay(var_list=_without_decay(variables))
        if sys.platform != "darwin" and sum(v.shape.num_elements() for v in variables) >= _WEIGHTS_WORTH_COMPILING:
            optimizer.jit_compile = True  # Keras' default on a GPU; on a CPU Adam's update then takes half the time
        return optimizer
    if name not in (*_ADDONS, *_WRAPPERS):
        raise ValueError(
            f"Unknown optimizer {name!r}. It must be one of Keras, or of tensorflow-addons: "
            f"{', '.join((*_ADDONS, *_WRAPPERS))}."
        )
    if weight_decay and name != "LAMB":
        raise ValueError(
            f"Optimizer {name!r} has no weight decay that spares biases. Leave out --weight_decay, or choose LAMB or "
            "an optimizer of Keras, such as AdamW."
        )
    optimizer_class = getattr(addons().optimizers, name)
    if name in _WRAPPERS:
        # It calls the update rule alone of the optimizer inside, so clipping is the wrapper's work.
        return optimizer_class(keras.optimizers.legacy.Adam(learning_rate), **settings)
    if weight_decay:
        # A tensor, because a number would become a variable, which a checkpoint sets back to what it was.
        settings["weight_decay"] = tf.constant(weight_decay, tf.float32)
        settings["exclude_from_weight_decay"] = [f"^{re.escape(v.name)}$" for v in _without_decay(variables)]
    return optimizer_class(learning_rate=learning_rate, **settings)


def _is_optimizer(found):
    base = keras.optimizers.Optimizer
    return inspect.isclass(found) and issubclass(found, base) and found is not base


def _without_decay(variables):
    """Biases and the parameters of normalisations: all that are vectors, and attention's biases, which are not."""
    return [v for v in variables if len(v.shape) < 2 or v.name.rpartition("/")[2].startswith("bias")]
