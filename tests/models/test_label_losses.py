import math

import numpy as np
import pytest

from yt8m_distill.models.label_losses import LABEL_LOSSES, cross_entropy_loss, hinge_loss, softmax_loss

PREDICTIONS = np.array([[0.9, 0.2, 0.5], [0.1, 0.6, 0.3]], np.float32)
LABELS = np.array([[True, False, True], [False, False, False]])


def test_the_names_are_the_originals():
    assert {
        "CrossEntropyLoss": cross_entropy_loss,
        "HingeLoss": hinge_loss,
        "SoftmaxLoss": softmax_loss,
    } == LABEL_LOSSES


def test_cross_entropy_sums_over_classes():
    expected = [
        -math.log(0.9 + 1e-5) - math.log(0.8 + 1e-5) - math.log(0.5 + 1e-5),
        -math.log(0.9 + 1e-5) - math.log(0.4 + 1e-5) - math.log(0.7 + 1e-5),
    ]
    np.testing.assert_allclose(cross_entropy_loss(LABELS, PREDICTIONS), expected, rtol=1e-5)


def test_cross_entropy_has_an_epsilon_inside_both_logarithms():
    loss = cross_entropy_loss(np.array([[True], [False], [True]]), np.array([[0.0], [1.0], [1.0]], np.float32))
    np.testing.assert_allclose(loss, [-math.log(1e-5), -math.log(1e-5), -math.log1p(1e-5)], rtol=1e-2, atol=1e-9)


def test_cross_entropy_takes_soft_labels():
    loss = cross_entropy_loss(np.array([[0.25]], np.float32), np.array([[0.5]], np.float32))
    np.testing.assert_allclose(loss, [-math.log(0.5 + 1e-5)], rtol=1e-5)


def test_hinge_sums_the_missing_margins_to_plus_and_minus_one():
    # 1 - 0.9, 1 + 0.2, 1 - 0.5; 1 + 0.1, 1 + 0.6, 1 + 0.3
    np.testing.assert_allclose(hinge_loss(LABELS, PREDICTIONS), [1.8, 4.0], rtol=1e-6)


def test_hinge_is_zero_beyond_the_margin():
    np.testing.assert_array_equal(hinge_loss(np.array([[True, False]]), np.array([[1.5, -2.0]], np.float32)), [0])


def test_softmax_compares_the_shares_of_labels_and_predictions():
    total = math.exp(0.9) + math.exp(0.2) + math.exp(0.5)
    expected = -0.5 * math.log(math.exp(0.9) / total) - 0.5 * math.log(math.exp(0.5) / total)
    np.testing.assert_allclose(softmax_loss(LABELS, PREDICTIONS), [expected, 0], rtol=1e-5)


@pytest.mark.parametrize("loss", LABEL_LOSSES.values())
def test_every_loss_gives_one_float_a_video_for_bool_and_float_labels(loss):
    of_bool = loss(LABELS, PREDICTIONS).numpy()
    assert of_bool.shape == (2,) and of_bool.dtype == np.float32
    np.testing.assert_array_equal(of_bool, loss(LABELS.astype(np.float32), PREDICTIONS))
