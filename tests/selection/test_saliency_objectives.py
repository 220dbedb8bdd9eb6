"""SCSampler's objectives, by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.selection.saliency_objectives import (
    action_classifier_losses,
    saliency_classification_losses,
    saliency_ranking_losses,
)

VALID = tf.constant([[True, True, True], [True, True, False], [False, False, False]])


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def test_each_frame_is_classified_as_its_video():
    logits = tf.constant([[[2.0, -1.0], [0.0, 0.0], [50.0, 50.0]]])
    first = -math.log(sigmoid(2.0)) - math.log(1 - sigmoid(-1.0))
    losses = action_classifier_losses(logits, tf.constant([[1.0, 0.0]]), tf.constant([2]))
    np.testing.assert_allclose(losses, [(first + 2 * math.log(2)) / 2], rtol=1e-5)
    np.testing.assert_array_equal(action_classifier_losses(logits, tf.constant([[1.0, 0.0]]), tf.constant([0])), [0])


def test_the_best_places_are_told_from_the_others():
    scores = tf.constant([[1.0, 2.0, -1.0], [0.5, 0.0, 9.0], [1.0, 1.0, 1.0]])
    usefulness = tf.constant([[0.3, 0.1, 0.2], [0.3, 0.2, 0.9], [0.5, 0.5, 0.5]])
    losses = saliency_classification_losses(scores, usefulness, VALID, num_chosen=1)
    of_first = -math.log(sigmoid(1.0)) - math.log(1 - sigmoid(2.0)) - math.log(1 - sigmoid(-1.0))
    of_second = -math.log(sigmoid(0.5)) - math.log(1 - sigmoid(0.0))
    np.testing.assert_allclose(losses, [of_first / 3, of_second / 2, 0], rtol=1e-5)


def test_places_that_are_as_good_as_each_other_teach_nothing():
    usefulness = tf.constant([[0.0, 0.0, 0.0], [0.4, 0.4, 0.9]])
    is_valid = tf.constant([[True, True, True], [True, True, False]])
    losses = saliency_classification_losses(tf.constant([[1.0, 2.0, -1.0]] * 2), usefulness, is_valid, num_chosen=1)
    np.testing.assert_array_equal(losses, [0, 0])


def test_the_more_useful_of_two_places_has_the_higher_score():
    scores = tf.constant([[1.0, 2.0, -1.0], [0.5, 0.0, 9.0], [1.0, 1.0, 1.0]])
    usefulness = tf.constant([[0.3, 0.1, 0.2], [0.2, 0.2, 0.9], [0.5, 0.4, 0.3]])
    # Pairs of the first video, the more useful first: (0, 1), (0, 2), (2, 1). The places of the second are equal.
    hinges = [1 - (1 - 2), max(0, 1 - (1 + 1)), 1 - (-1 - 2)]
    losses = saliency_ranking_losses(scores, usefulness, VALID)
    np.testing.assert_allclose(losses, [np.mean(hinges), 0, 0], rtol=1e-6)


@pytest.mark.parametrize("objective", [saliency_ranking_losses, lambda *a: saliency_classification_losses(*a, 2)])
def test_gradient_descent_brings_the_scores_into_order(objective):
    usefulness = tf.constant(np.random.default_rng(0).permutation(6)[None].astype(np.float32))
    scores, is_valid = tf.Variable(tf.zeros([1, 6])), tf.ones([1, 6], tf.bool)
    for _ in range(200):
        with tf.GradientTape() as tape:
            loss = objective(scores, usefulness, is_valid)
        scores.assign_sub(0.3 * tape.gradient(loss, scores))
    best = set(np.argsort(-usefulness[0])[:2])
    assert set(np.argsort(-scores[0])[:2]) == best
