import numpy as np
import pytest
import tensorflow as tf

from tests.layer_checks import run_layer_test
from yt8m_distill.models.batch_normalization import BatchNormalization
from yt8m_distill.stack import keras

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(3, 2, size=(4, 5, 3)).astype(np.float32)
IS_VALID = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 0, 0]], bool)


def test_meets_what_is_asked_of_every_layer():
    run_layer_test(BatchNormalization, {"momentum": 0.9, "epsilon": 0.1}, FEATURES, num_weights=6)


def test_normalizes_by_the_valid_rows_alone():
    features = FEATURES.copy()
    rows = FEATURES[IS_VALID].astype(np.float64)
    features[~IS_VALID] = 1e6
    layer = BatchNormalization(epsilon=1e-3)
    outputs = layer(features, IS_VALID, training=True).numpy()
    expected = (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-3)
    np.testing.assert_allclose(outputs[IS_VALID], expected, rtol=1e-4, atol=1e-5)


def test_is_keras_layer_where_all_rows_are_valid():
    ours, reference = BatchNormalization(), keras.layers.BatchNormalization(epsilon=1e-3)
    np.testing.assert_allclose(ours(FEATURES, training=True), reference(FEATURES, training=True), rtol=1e-4, atol=1e-5)


def test_moving_averages_forget_the_initial_values_soon():
    """Decays 1/10, 2/11, 3/12 of the first updates, by hand; never above the momentum."""
    layer = BatchNormalization(momentum=0.2)
    means = [1.0, 5.0, 2.0]
    moving = 0.0
    for decay, mean in zip([1 / 10, 2 / 11, 0.2], means):
        layer(np.full((3, 1), mean, np.float32), training=True)
        moving = decay * moving + (1 - decay) * mean
    np.testing.assert_allclose(layer.moving_mean, [moving], rtol=1e-6)
    # Each batch has variance 0, so of the initial 1 the product of the decays is left.
    np.testing.assert_allclose(layer.moving_variance, [1 / 10 * 2 / 11 * 0.2], rtol=1e-6)


def test_evaluation_uses_the_moving_averages_and_leaves_them():
    layer = BatchNormalization(epsilon=0.0)
    layer(FEATURES)
    layer.set_weights([np.full(3, 2.0), np.full(3, 1.0), np.full(3, 3.0), np.full(3, 4.0), np.float32(7)])
    np.testing.assert_allclose(layer(FEATURES, training=False), 2 * (FEATURES - 3) / 2 + 1, rtol=1e-5)
    assert float(layer.num_updates) == 7


@pytest.mark.parametrize("features", [np.zeros((0, 5, 3), np.float32), FEATURES[:2]], ids=["no videos", "no frames"])
def test_a_batch_without_valid_rows_changes_nothing(features):
    layer = BatchNormalization()
    layer(FEATURES, IS_VALID, training=True)
    before = layer.get_weights()
    outputs = layer(features, np.zeros(features.shape[:2], bool), training=True)
    assert np.isfinite(outputs).all()
    for old, new in zip(before, layer.get_weights()):
        np.testing.assert_array_equal(new, old)


def test_gradients_flow_through_the_statistics():
    features = tf.constant(FEATURES)
    ours, reference = BatchNormalization(), keras.layers.BatchNormalization(epsilon=1e-3)
    weights = RANDOM.normal(size=FEATURES.shape).astype(np.float32)
    gradients = []
    for layer in (ours, reference):
        with tf.GradientTape() as tape:
            tape.watch(features)
            loss = tf.reduce_sum(layer(features, training=True) ** 2 * weights)
        gradients.append(tape.gradient(loss, features))
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_batch_that_is_not_finite_leaves_the_moving_averages(value):
    """Or, of a step that is left out because of it, evaluation would be NaN for good."""
    layer = BatchNormalization()
    layer(FEATURES, IS_VALID, training=True)
    before = layer.get_weights()
    bad = FEATURES.copy()
    bad[0, 0, 1] = value
    assert not np.isfinite(layer(bad, IS_VALID, training=True)).all()
    for weight, earlier in zip(layer.get_weights(), before):
        np.testing.assert_array_equal(weight, earlier)
