"""One test that any layer must pass: build, training, padding, configuration, weights on disk, mixed precision."""

from __future__ import annotations

import inspect
import json
import os
import tempfile

import numpy as np
import tensorflow as tf

from yt8m_distill.stack import keras

_TRAINING_STEPS = 5
_LENGTH_ARGUMENTS = ("num_frames", "lengths")


def run_layer_test(layer_class, config, *inputs, num_weights, is_classifier=False, needs_zero_padding=False, seed=0):
    """Runs a layer through everything that this package asks of a layer.

    The main output of a layer is its `encoding` if it returns a dict, all of its outputs otherwise.

    Args:
      layer_class: the layer's class.
      config: dict of its constructor's arguments.
      *inputs: NumPy arrays to call it with. If its second argument is `num_frames` or `lengths`, the first input is
        [B, T, ...] and rows past that length are padding, which must not change the main output.
      num_weights: number of trainable values, counted by hand; with 0 the layer is not trained here.
      is_classifier: the output must be probabilities in float32 under mixed precision.
      needs_zero_padding: the layer asks for zeros in padding rows, so only the amount of padding is varied.
      seed: of the weights, the training targets and the padding.
    """
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    layer = layer_class(**config)
    _call(layer, inputs)
    assert sum(int(tf.size(weight)) for weight in layer.trainable_weights) == num_weights

    check_config(layer, config, inputs)
    check_save_and_load(layer, inputs)
    if _takes_length(layer):
        check_padding(layer, inputs, random, needs_zero_padding)
        check_padding_in_training(layer, inputs, random, needs_zero_padding)
    if num_weights:
        check_training(layer, inputs, random)
    check_mixed_precision(layer, inputs, is_classifier)


def check_config(layer, config, inputs):
    """`get_config` holds every argument, survives JSON, and makes the same layer again."""
    received = layer.get_config()
    for name, value in config.items():
        assert received[name] == value, f"get_config()[{name!r}] is {received[name]!r}, not {value!r}"
    clone = type(layer).from_config(json.loads(json.dumps(received)))
    assert clone.get_config() == received
    _copy_weights(layer, clone, inputs)
    _assert_identical(_call(layer, inputs), _call(clone, inputs))


def check_save_and_load(layer, inputs):
    """A checkpoint of the weights, read by a new layer, gives bit-identical outputs."""
    fresh = type(layer).from_config(layer.get_config())
    _call(fresh, inputs)
    with tempfile.TemporaryDirectory() as directory:
        path = tf.train.Checkpoint(layer=layer).write(os.path.join(directory, "layer"))
        tf.train.Checkpoint(layer=fresh).read(path).assert_existing_objects_matched()
    _assert_identical(_call(layer, inputs), _call(fresh, inputs))


def check_padding(layer, inputs, random, needs_zero_padding=False):
    """Neither the content of padding rows nor their number changes the main output for the valid rows."""
    features, lengths, *others = inputs
    is_padding = np.arange(features.shape[1]) >= lengths[:, None]
    assert is_padding.any(), "the inputs of this test must have padding"
    with_zeros = features.copy()
    with_zeros[is_padding] = 0
    expected = _main_outputs(_call(layer, (with_zeros, lengths, *others)))

    extra = np.zeros_like(features[:, :3])
    longer = _main_outputs(_call(layer, (np.concatenate([with_zeros, extra], axis=1), lengths, *others)))
    for before, after in zip(expected, longer):
        if before.shape != after.shape:  # one row a frame
            after = after[:, : before.shape[1]]
        np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-7)

    if not needs_zero_padding:
        with_noise = features.copy()
        with_noise[is_padding] = _noise_like(features[is_padding], random)
        _assert_identical(expected, _main_outputs(_call(layer, (with_noise, lengths, *others))))


def check_padding_in_training(layer, inputs, random, needs_zero_padding=False):
    """Padding enters no batch statistics: neither the outputs in training nor the moving averages know of it."""
    if not layer.non_trainable_weights or needs_zero_padding:
        return
    features, lengths, *others = inputs
    is_padding = np.arange(features.shape[1]) >= lengths[:, None]
    results = []
    for filling in (0, _noise_like(features[is_padding], random)):
        filled = features.copy()
        filled[is_padding] = filling
        copy = type(layer).from_config(layer.get_config())
        _copy_weights(layer, copy, inputs)
        keras.utils.set_random_seed(1)  # the same dropout
        outputs = _main_outputs(_call(copy, (filled, lengths, *others), training=True))
        results.append((outputs, copy.get_weights()))
    _assert_identical(*results)
    before, after = layer.get_weights(), results[0][1]
    assert any((a != b).any() for a, b in zip(before, after)), "training does not change the moving averages"


def check_training(layer, inputs, random):
    """Gradients reach every trainable weight, and a few steps of gradient descent lower a loss. Changes the weights."""
    targets = [random.uniform(size=output.shape) for output in _main_outputs(_call(layer, inputs))]
    optimizer = keras.optimizers.Adam(0.01)
    losses = []
    for step in range(_TRAINING_STEPS):
        with tf.GradientTape() as tape:
            outputs = _main_outputs(_call(layer, inputs, training=True), numpy=False)
            errors = [tf.reduce_mean((tf.cast(o, tf.float32) - t) ** 2) for o, t in zip(outputs, targets)]
            loss = tf.add_n(errors)
        gradients = tape.gradient(loss, layer.trainable_weights)
        if step == 0:
            for weight, gradient in zip(layer.trainable_weights, gradients):
                assert gradient is not None and np.any(gradient.numpy()), f"no gradient reaches {weight.name}"
        optimizer.apply_gradients(zip(gradients, layer.trainable_weights))
        losses.append(float(loss))
    assert losses[-1] < losses[0], f"the loss does not fall: {losses}"


def check_mixed_precision(layer, inputs, is_classifier):
    """Under `mixed_bfloat16` weights stay float32 and outputs are close to those in full precision."""
    expected = _main_outputs(_call(layer, inputs))
    previous = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        # A fresh configuration: that of `layer` states its own policy.
        config = {name: value for name, value in layer.get_config().items() if name != "dtype"}
        mixed = type(layer).from_config(config)
        _copy_weights(layer, mixed, inputs)
        outputs = _main_outputs(_call(mixed, inputs), numpy=False)
    finally:
        keras.mixed_precision.set_global_policy(previous)
    assert all(weight.dtype == tf.float32 for weight in mixed.weights)
    for output, reference in zip(outputs, expected):
        if is_classifier:
            assert output.dtype == tf.float32
        output = tf.cast(output, tf.float32).numpy()
        assert np.isfinite(output).all()
        assert np.linalg.norm(output - reference) <= 0.03 * np.linalg.norm(reference)


def _takes_length(layer):
    return any(name in inspect.signature(layer.call).parameters for name in _LENGTH_ARGUMENTS)


def _call(layer, inputs, training=False):
    tensors = [tf.constant(value) for value in inputs]
    if "training" in inspect.signature(layer.call).parameters:
        return layer(*tensors, training=training)
    return layer(*tensors)


def _main_outputs(outputs, numpy=True):
    main = tf.nest.flatten(outputs["encoding"] if isinstance(outputs, dict) else outputs)
    return [output.numpy() for output in main] if numpy else main


def _copy_weights(source, target, inputs):
    _call(target, inputs)  # makes the weights
    target.set_weights(source.get_weights())


def _assert_identical(expected, received):
    for before, after in zip(tf.nest.flatten(expected), tf.nest.flatten(received)):
        np.testing.assert_array_equal(after, before)


def _noise_like(values, random):
    if np.issubdtype(values.dtype, np.integer):
        return random.integers(0, 256, values.shape).astype(values.dtype)
    return random.normal(scale=10, size=values.shape).astype(values.dtype)
