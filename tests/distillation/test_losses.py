import math

import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.distillation import (
    PREDICTION_KL,
    bernoulli_kl,
    categorical_kl,
    masked_state_loss,
    normalized_representation_loss,
    representation_loss,
)


def probabilities(seed, shape):
    return np.random.default_rng(seed).uniform(0.001, 0.999, shape).astype(np.float32)


# ---- encodings


def test_representation_loss_sums_squares_over_the_width():
    teacher = tf.constant([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    student = tf.constant([[1.0, 0.0, 6.0], [0.5, 0.0, -0.5]])
    np.testing.assert_allclose(representation_loss(teacher, student), [0 + 4 + 9, 0.25 + 0.25])


# ---- class probabilities


def test_categorical_kl_of_a_case_by_hand():
    # Scaled to sum to 1 they are (3/4, 1/4) and (1/2, 1/2).
    kl = categorical_kl(tf.constant([[0.6, 0.2]]), tf.constant([[0.3, 0.3]]))
    np.testing.assert_allclose(kl, [0.75 * math.log(1.5) + 0.25 * math.log(0.5)], rtol=1e-5)
    np.testing.assert_allclose(kl, [0.130812], rtol=1e-5)


def test_categorical_kl_is_that_of_tensorflows_categorical_of_the_logarithms():
    """The authors' form: logits = log(probabilities), then softmax cross entropy minus entropy."""
    teacher, student = probabilities(0, (4, 7)), probabilities(1, (4, 7))
    target = tf.nn.softmax(tf.math.log(teacher))
    cross_entropy = tf.nn.softmax_cross_entropy_with_logits(target, tf.math.log(student))
    entropy = tf.nn.softmax_cross_entropy_with_logits(target, tf.math.log(teacher))
    np.testing.assert_allclose(categorical_kl(teacher, student), cross_entropy - entropy, rtol=1e-4, atol=1e-6)


def test_categorical_kl_does_not_see_a_common_factor():
    teacher, student = probabilities(2, (3, 5)), probabilities(3, (3, 5))
    np.testing.assert_allclose(
        categorical_kl(teacher, 0.25 * student), categorical_kl(teacher, student), rtol=1e-4, atol=1e-6
    )


def test_bernoulli_kl_of_a_case_by_hand():
    kl = bernoulli_kl(tf.constant([[0.5, 1.0]]), tf.constant([[0.25, 0.5]]))
    first_class = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    np.testing.assert_allclose(kl, [first_class + math.log(2)], rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_bernoulli_kl_of_certainties_is_finite_in_a_graph_too(temperature):
    """Where TensorFlow reorders sums with constants: 1 - p + 1e-8 becomes 0 for p = 1."""

    @tf.function
    def divergence_and_gradient(teacher, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            divergence = bernoulli_kl(teacher, tf.sigmoid(logits), temperature)
        return divergence, tape.gradient(divergence, logits)

    teacher = tf.constant([[1.0, 0.0, 0.9], [0.0, 1.0, 0.5]])
    divergence, gradient = divergence_and_gradient(teacher, tf.constant([[90.0, -200.0, 60.0], [90.0, -200.0, 0.0]]))
    assert np.isfinite(divergence).all() and np.isfinite(gradient).all()
    assert divergence[1] > 2 * 15 > divergence[0] > 0  # certain, and wrong


def test_bernoulli_kl_equals_cross_entropy_minus_entropy():
    p, q = probabilities(4, (4, 7)), probabilities(5, (4, 7))
    expected = -(p * np.log(q) + (1 - p) * np.log(1 - q)) + (p * np.log(p) + (1 - p) * np.log(1 - p))
    np.testing.assert_allclose(bernoulli_kl(p, q), expected.sum(axis=1), rtol=1e-4)


@pytest.mark.parametrize("kl", PREDICTION_KL.values(), ids=PREDICTION_KL)
def test_kl_is_zero_for_equal_and_positive_for_different_predictions(kl):
    p, q = probabilities(6, (3, 5)), probabilities(7, (3, 5))
    np.testing.assert_allclose(kl(p, p), [0, 0, 0], atol=1e-6)
    assert (kl(p, q).numpy() > 0).all()


@pytest.mark.parametrize("kl", PREDICTION_KL.values(), ids=PREDICTION_KL)
def test_certain_predictions_give_finite_losses_and_gradients(kl):
    teacher, student = tf.constant([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), tf.constant([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]])
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = kl(teacher, student)
    assert np.isfinite(loss).all() and np.isfinite(tape.gradient(loss, student)).all()


# ---- states


def test_masked_state_loss_is_the_mean_over_valid_states_of_the_sum_over_their_width():
    teacher = tf.constant([[[1.0, 1.0], [2.0, 0.0], [9.0, 9.0]], [[5.0, 5.0]] * 3])
    student = tf.zeros([2, 3, 2])
    is_valid = tf.constant([[True, True, False], [False, False, False]])
    np.testing.assert_allclose(masked_state_loss(teacher, student, is_valid), [((1 + 1) + (4 + 0)) / 2, 0])


def test_masked_state_loss_has_no_gradient_at_invalid_states():
    teacher, student = tf.ones([1, 2, 1]), tf.zeros([1, 2, 1])
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = masked_state_loss(teacher, student, tf.constant([[True, False]]))
    np.testing.assert_array_equal(tape.gradient(loss, student), [[[-2.0], [0.0]]])


def test_masked_state_loss_takes_half_precision_states():
    teacher, student = tf.fill([1, 1, 4], tf.constant(100, tf.float16)), tf.zeros([1, 1, 4], tf.float16)
    loss = masked_state_loss(teacher, student, tf.constant([[True]]))
    np.testing.assert_array_equal(loss, [40000.0])
    assert loss.dtype == tf.float32


# ---- temperature


def test_bernoulli_kl_with_a_temperature_divides_the_log_odds_by_hand():
    # Log odds of 0.9 and 0.5 are log 9 and 0; halved, log 3 and 0: probabilities 3/4 and 1/2.
    kl = bernoulli_kl(tf.constant([[0.9]]), tf.constant([[0.5]]), temperature=2.0)
    np.testing.assert_allclose(kl, [4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))], rtol=1e-5)


def test_categorical_kl_with_a_temperature_by_hand():
    # Square roots of (9, 1) and (1, 1), scaled to sum to 1: (3/4, 1/4) and (1/2, 1/2).
    kl = categorical_kl(tf.constant([[0.9, 0.1]]), tf.constant([[0.5, 0.5]]), temperature=2.0)
    np.testing.assert_allclose(kl, [4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))], rtol=1e-5)


@pytest.mark.parametrize("kl", PREDICTION_KL.values(), ids=PREDICTION_KL)
def test_gradients_keep_their_size_at_high_temperatures(kl):
    """Hinton et al.: in the limit the gradient is that of the squared distance of the logits."""
    student = tf.constant([[0.3, 0.6, 0.2]])
    sizes = []
    for temperature in (50.0, 100.0):
        with tf.GradientTape() as tape:
            tape.watch(student)
            loss = kl(tf.constant([[0.7, 0.1, 0.4]]), student, temperature)
        sizes.append(float(tf.norm(tape.gradient(loss, student))))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05) and sizes[0] > 0.1


# ---- scale of the encoding


def test_normalized_representation_loss_by_hand():
    teacher = tf.constant([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]])
    student = tf.constant([[3.0, 3.0], [1.0, 2.0], [0.0, 0.0]])
    np.testing.assert_allclose(normalized_representation_loss(teacher, student), [1 / 25, 0, 1])


def test_normalized_representation_loss_does_not_see_a_common_scale():
    teacher, student = probabilities(8, (4, 6)), probabilities(9, (4, 6))
    np.testing.assert_allclose(
        normalized_representation_loss(1000 * teacher, 1000 * student),
        normalized_representation_loss(teacher, student),
        rtol=1e-5,
    )
