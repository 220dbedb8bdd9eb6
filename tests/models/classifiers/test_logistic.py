import math

import numpy as np

from tests.layer_checks import run_layer_test
from yt8m_distill.models.classifiers import Logistic

ENCODING = np.random.default_rng(6).normal(size=(5, 4)).astype(np.float32)


def test_meets_what_is_asked_of_every_layer():
    config = {"num_classes": 3, "l2": 0.1, "bias_l2": 0.2}
    run_layer_test(Logistic, config, ENCODING, num_weights=4 * 3 + 3, is_classifier=True)


def test_is_one_logistic_regression_a_class():
    layer = Logistic(3)
    layer(ENCODING)
    kernel = np.random.default_rng(7).normal(size=(4, 3)).astype(np.float32)
    layer.set_weights([kernel, np.array([0.5, -1, 2], np.float32)])
    predictions = layer(ENCODING).numpy()
    for video in range(5):
        for number, bias in enumerate([0.5, -1, 2]):
            logit = sum(float(ENCODING[video, i]) * float(kernel[i, number]) for i in range(4)) + bias
            assert math.isclose(predictions[video, number], 1 / (1 + math.exp(-logit)), rel_tol=1e-5)


def test_penalty_is_half_of_1e8th_of_the_squared_weights_without_the_bias():
    layer = Logistic(3)
    layer(ENCODING)
    layer.set_weights([np.full((4, 3), 2, np.float32), np.full(3, 100, np.float32)])
    (penalty,) = layer.losses
    assert math.isclose(penalty, 1e-8 / 2 * 12 * 2**2, rel_tol=1e-6)


def test_penalties_can_be_chosen():
    layer = Logistic(3, l2=0.5, bias_l2=0.25)
    layer(ENCODING)
    layer.set_weights([np.full((4, 3), 2, np.float32), np.full(3, 3, np.float32)])
    assert math.isclose(sum(layer.losses), 0.5 / 2 * 12 * 2**2 + 0.25 / 2 * 3 * 3**2, rel_tol=1e-6)


def test_counts_the_products_of_its_kernel():
    layer = Logistic(3)
    layer(ENCODING)
    assert layer.macs() == 4 * 3


def test_starts_at_the_prior_probability():
    layer = Logistic(5, prior_probability=0.01)
    np.testing.assert_allclose(layer(np.zeros((3, 4))), np.full((3, 5), 0.01), rtol=1e-5)
    np.testing.assert_allclose(Logistic(5)(np.zeros((3, 4))), np.full((3, 5), 0.5))
