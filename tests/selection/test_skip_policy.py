"""The layer that chooses the next skip."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_checks import run_layer_test
from yt8m_distill.selection.skip_policy import SkipPolicy


def test_meets_what_is_asked_of_every_layer():
    state = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    config = {"skips": [5, 7, 9], "exploration": 0.1}
    run_layer_test(SkipPolicy, config, state, num_weights=(6 + 1) * 3 + (6 + 1))


def test_a_decision_costs_what_the_slides_say():
    policy = SkipPolicy(range(5, 25))
    policy(tf.zeros([1, 4096]))
    assert policy.macs() == 81_920


def test_takes_the_likeliest_skip():
    policy = SkipPolicy([5, 7, 9])
    logits = tf.constant([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(policy.best_skip(logits), [7, 5, 5])


@pytest.mark.parametrize("exploration", [0.0, 0.5])
def test_draws_by_the_policy_mixed_with_exploration(exploration):
    tf.random.set_seed(1)
    probability = np.array([0.7, 0.2, 0.1])
    mixed = (1 - exploration) * probability + exploration / 3
    logits = tf.constant(np.log(np.tile(probability, (20000, 1))), tf.float32)
    skip, log_probs, entropies = SkipPolicy([5, 7, 9], exploration).draw_skip(logits)
    counts = np.array([np.mean(skip.numpy() == value) for value in (5, 7, 9)])
    np.testing.assert_allclose(counts, mixed, atol=0.02)
    np.testing.assert_allclose(log_probs, np.log(mixed)[(skip.numpy() - 5) // 2], rtol=1e-5)
    np.testing.assert_allclose(entropies, -(probability * np.log(probability)).sum(), rtol=1e-5)
