import numpy as np
import pytest

from tests.layer_checks import run_layer_test
from yt8m_distill.models.normalized_dense import NormalizedDense

FEATURES = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)


@pytest.mark.parametrize("add_batch_norm, num_weights", [(True, 5 * 3 + 2 * 3), (False, 5 * 3 + 3)])
def test_meets_what_is_asked_of_every_layer(add_batch_norm, num_weights):
    config = {"units": 3, "stddev": 0.5, "add_batch_norm": add_batch_norm, "bias_stddev": 0.1}
    run_layer_test(NormalizedDense, config, FEATURES, num_weights=num_weights)


def test_normalizes_the_product_of_the_valid_rows():
    layer = NormalizedDense(3)
    is_valid = np.array([True, True, True, True, False, False])
    outputs = layer(FEATURES, is_valid, training=True).numpy()
    product = FEATURES[:4] @ layer.dense.kernel.numpy()
    expected = (product - product.mean(axis=0)) / np.sqrt(product.var(axis=0) + 1e-3)
    np.testing.assert_allclose(outputs[:4], expected, rtol=1e-4, atol=1e-5)


def test_adds_a_bias_instead():
    layer = NormalizedDense(3, add_batch_norm=False)
    outputs = layer(FEATURES, training=True)
    kernel, bias = layer.get_weights()
    assert bias.any()
    np.testing.assert_allclose(outputs, FEATURES @ kernel + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stddev, expected", [(0.25, 0.25), (None, np.sqrt(2 / 400))])
def test_starts_from_the_spread_asked_for(stddev, expected):
    layer = NormalizedDense(300, stddev)
    layer(np.zeros((1, 400), np.float32))
    assert layer.dense.kernel.numpy().std() == pytest.approx(expected, rel=0.03)
    assert layer.macs() == 400 * 300
