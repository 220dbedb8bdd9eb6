import math

import numpy as np
import pytest

from tests.layer_checks import run_layer_test
from yt8m_distill.models.classifiers import MixtureOfExperts
from yt8m_distill.models.label_losses import cross_entropy_loss
from yt8m_distill.stack import keras

WIDTH = 4
ENCODING = np.random.default_rng(8).normal(size=(5, WIDTH)).astype(np.float32)


def moe_in_python(encoding, gates_kernel, experts_kernel, experts_bias, num_classes, num_mixtures):
    """The probabilities of one video, class by class, expert by expert."""
    predictions = []
    for number in range(num_classes):
        votes, weights = [], []
        for j in range(num_mixtures + 1):
            weights.append(math.exp(encoding @ gates_kernel[:, number * (num_mixtures + 1) + j]))
        for j in range(num_mixtures):
            column = number * num_mixtures + j
            votes.append(1 / (1 + math.exp(-(encoding @ experts_kernel[:, column] + experts_bias[column]))))
        votes.append(0.0)  # the dummy expert
        predictions.append(sum(weight * vote for weight, vote in zip(weights, votes)) / sum(weights))
    return predictions


def test_meets_what_is_asked_of_every_layer():
    config = {"num_classes": 3, "num_mixtures": 2, "l2": 1e-6, "probability_gating": False}
    num_weights = WIDTH * 3 * 3 + WIDTH * 3 * 2 + 3 * 2
    run_layer_test(MixtureOfExperts, config, ENCODING, num_weights=num_weights, is_classifier=True)


def test_with_gated_probabilities_meets_it_too():
    config = {"num_classes": 3, "num_mixtures": 2, "probability_gating": True}
    num_weights = WIDTH * 3 * 3 + WIDTH * 3 * 2 + 3 * 2 + 3 * 3 + 2 * 3
    run_layer_test(MixtureOfExperts, config, ENCODING, num_weights=num_weights, is_classifier=True)


def test_probability_gating_scales_each_class_by_all():
    layer = MixtureOfExperts(3, probability_gating=True)
    gated = layer(ENCODING).numpy()
    plain = MixtureOfExperts(3)
    plain(ENCODING)
    plain.set_weights([layer.gates.kernel, layer.experts.kernel, layer.experts.bias])
    probabilities = plain(ENCODING).numpy()
    # Fresh moving averages are 0 and 1, so in evaluation the product is divided by sqrt(1 + 1e-3).
    scores = probabilities @ layer.probability_gating.gates.dense.kernel.numpy() / np.sqrt(1.001)
    np.testing.assert_allclose(gated, probabilities / (1 + np.exp(-scores)), rtol=1e-5)
    assert layer.macs() == plain.macs() + 3 * 3


@pytest.mark.parametrize("num_mixtures", [1, 2, 4])
def test_equals_a_loop_over_classes_and_experts(num_mixtures):
    layer = MixtureOfExperts(3, num_mixtures)
    layer(ENCODING)
    random = np.random.default_rng(9)
    weights = {
        "gates": random.normal(size=(WIDTH, 3 * (num_mixtures + 1))),
        "experts": random.normal(size=(WIDTH, 3 * num_mixtures)),
        "bias": random.normal(size=3 * num_mixtures),
    }
    layer.gates.set_weights([weights["gates"]])
    layer.experts.set_weights([weights["experts"], weights["bias"]])
    predictions = layer(ENCODING)
    for video in range(5):
        expected = moe_in_python(ENCODING[video].astype(np.float64), *weights.values(), 3, num_mixtures)
        np.testing.assert_allclose(predictions[video], expected, rtol=1e-5)


def test_starts_near_one_third_and_at_the_published_loss():
    """The authors' training log of 4716 classes begins with a loss of 1914.09; 4716 * -log(2/3) is 1912.2."""
    keras.utils.set_random_seed(0)
    encoding = np.random.default_rng(10).normal(scale=0.05, size=(16, 32)).astype(np.float32)
    predictions = MixtureOfExperts(4716)(encoding).numpy()
    assert abs(predictions.mean() - 1 / 3) < 0.001
    labels = np.zeros((16, 4716), bool)
    labels[:, :3] = True  # a video has about 3 labels, which add 3 * log(2) = 2.1
    np.testing.assert_allclose(np.mean(cross_entropy_loss(labels, predictions)), 1914.09, rtol=2e-3)


def test_penalty_covers_both_kernels_and_no_bias():
    layer = MixtureOfExperts(3)
    layer(ENCODING)
    layer.gates.set_weights([np.full((WIDTH, 9), 2)])
    layer.experts.set_weights([np.full((WIDTH, 6), 3), np.full(6, 100)])
    assert math.isclose(sum(layer.losses), 1e-8 / 2 * (36 * 2**2 + 24 * 3**2), rel_tol=1e-6)


def test_counts_the_products_of_gates_and_experts():
    layer = MixtureOfExperts(3)
    layer(ENCODING)
    assert layer.macs() == WIDTH * 3 * (3 + 2)


@pytest.mark.parametrize("num_mixtures", [1, 2, 4])
def test_starts_at_the_prior_probability(num_mixtures):
    """Exactly so for an encoding of zeros, whatever the kernels."""
    layer = MixtureOfExperts(5, num_mixtures, prior_probability=0.01)
    np.testing.assert_allclose(layer(np.zeros((3, WIDTH))), np.full((3, 5), 0.01), rtol=1e-5)


def test_a_prior_probability_that_the_dummy_forbids():
    with pytest.raises(ValueError, match=r"1 expert\(s\) and a dummy must be below 0.50. Received: 0.5"):
        MixtureOfExperts(5, 1, prior_probability=0.5)
