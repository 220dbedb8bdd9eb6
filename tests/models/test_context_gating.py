import numpy as np
import pytest

from tests.layer_checks import run_layer_test
from yt8m_distill.models.context_gating import ContextGating, SqueezeExcitationGating

VALUES = np.random.default_rng(2).normal(size=(5, 6)).astype(np.float32)
EPSILON = 1e-3


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("add_batch_norm, num_weights", [(True, 36 + 12), (False, 36 + 6)])
def test_context_gating_meets_what_is_asked_of_every_layer(add_batch_norm, num_weights):
    run_layer_test(ContextGating, {"add_batch_norm": add_batch_norm}, VALUES, num_weights=num_weights)


def test_context_gating_scales_each_value_by_all():
    layer = ContextGating()
    layer(VALUES)
    # Fresh moving averages are 0 and 1, so in evaluation the product is divided by sqrt(1 + epsilon).
    gates = sigmoid(VALUES @ layer.gates.dense.kernel.numpy() / np.sqrt(1 + EPSILON))
    np.testing.assert_allclose(layer(VALUES), VALUES * gates, rtol=1e-5, atol=1e-6)
    assert layer.macs() == 36


def test_squeeze_excitation_meets_what_is_asked_of_every_layer():
    run_layer_test(SqueezeExcitationGating, {"reduction": 2}, VALUES, num_weights=6 * 3 + 2 * 3 + 3 * 6)


@pytest.mark.parametrize("reduction, width", [(2, 3), (4, 1), (100, 1)])
def test_squeeze_excitation_passes_through_a_narrower_layer(reduction, width):
    layer = SqueezeExcitationGating(reduction)
    layer(VALUES)
    narrow, wide = layer.squeeze.dense.kernel.numpy(), layer.excite.kernel.numpy()
    assert narrow.shape == (6, width) and wide.shape == (width, 6)
    squeezed = np.maximum(VALUES @ narrow / np.sqrt(1 + EPSILON), 0)
    np.testing.assert_allclose(layer(VALUES), VALUES * sigmoid(squeezed @ wide), rtol=1e-5, atol=1e-6)
    assert layer.macs() == 2 * 6 * width
