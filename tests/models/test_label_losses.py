import math

import numpy as np
import pytest

from yt8m_distill.models.label_losses import LABEL_LOSSES, cross_entropy_loss, focal_loss, hinge_loss, softmax_loss

PREDICTIONS = np.array([[0.9, 0.2, 0.5], [0.1, 0.6, 0.3]], np.float32)
LABELS = np.array([[True, False, True], [False, False, False]])


def test_the_names_are_the_originals_and_one_more():
    assert {
        "CrossEntropyLoss": cross_entropy_loss,
        "HingeLoss": hinge_loss,
        "SoftmaxLoss": softmax_loss,
        "FocalLoss": focal_loss,
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


def test_focal_sums_cross_entropies_that_count_less_the_better_they_are():
    # Probability p of the right answer: -(1 - p)^2 log p.
    rights = [[0.9, 0.8, 0.5], [0.9, 0.4, 0.7]]
    expected = [sum(-((1 - p) ** 2) * math.log(p) for p in row) for row in rights]
    np.testing.assert_allclose(focal_loss(LABELS, PREDICTIONS), expected, rtol=1e-4)


def test_focal_takes_soft_labels_and_certain_predictions():
    # The probability of the answer is .25 * .2 + .75 * .8 = .65.
    cross_entropy = -0.25 * math.log(0.2) - 0.75 * math.log(0.8)
    loss = focal_loss(np.array([[0.25]], np.float32), np.array([[0.2]], np.float32))
    np.testing.assert_allclose(loss, [0.35**2 * cross_entropy], rtol=1e-4)
    certain = focal_loss(np.array([[True, False]]), np.array([[0.0, 1.0]], np.float32))
    assert 20 < certain[0] < 40  # finite


@pytest.mark.parametrize("loss", LABEL_LOSSES.values())
def test_label_weights_scale_each_class(loss):
    weights = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 0.5]], np.float32)
    of_classes = np.stack([loss(LABELS, PREDICTIONS, np.eye(3, dtype=np.float32)[c][None]) for c in range(3)], axis=1)
    np.testing.assert_allclose(of_classes.sum(axis=1), loss(LABELS, PREDICTIONS), rtol=1e-5, atol=1e-6)
    expected = (weights * of_classes).sum(axis=1)
    np.testing.assert_allclose(loss(LABELS, PREDICTIONS, weights), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", LABEL_LOSSES.values())
def test_every_loss_gives_one_float_a_video_for_bool_and_float_labels(loss):
    of_bool = loss(LABELS, PREDICTIONS).numpy()
    assert of_bool.shape == (2,) and of_bool.dtype == np.float32
    np.testing.assert_array_equal(of_bool, loss(LABELS.astype(np.float32), PREDICTIONS))
