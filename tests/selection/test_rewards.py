"""SkipFrame's rewards, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.metrics import EvaluationMetrics
from yt8m_distill.selection.rewards import (
    average_precision_of_each,
    cross_entropy_per_label,
    delayed_rewards,
    gap_rewards,
    immediate_rewards,
)

LABELS = tf.constant([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
PREDICTIONS = tf.constant([[0.9, 0.5, 0.2], [0.1, 0.2, 0.3]])
# -ln(0.9) - ln(0.5) - ln(0.2), of two labels; -ln(0.9) - ln(0.8) - ln(0.7), of a video without labels
LOSSES = [(0.105361 + 0.693147 + 1.609438) / 2, 0.105361 + 0.223144 + 0.356675]


def test_cross_entropy_is_divided_by_the_number_of_labels():
    np.testing.assert_allclose(cross_entropy_per_label(PREDICTIONS, LABELS), LOSSES, rtol=1e-4)


def test_delayed_rewards_come_at_the_last_decision():
    expected = [[0, 0, -LOSSES[0]], [0, 0, -LOSSES[1]]]
    np.testing.assert_allclose(delayed_rewards(PREDICTIONS, LABELS, 3), expected, rtol=1e-4)


def test_immediate_rewards_are_the_fall_of_the_loss_and_add_up_to_all_of_it():
    predictions = tf.constant(np.random.default_rng(0).uniform(0.05, 0.95, (2, 4, 3)).astype(np.float32))
    rewards = immediate_rewards(predictions, LABELS).numpy()
    first, second, last = (cross_entropy_per_label(predictions[:, step], LABELS).numpy() for step in (0, 1, 3))
    assert rewards.shape == (2, 3)
    np.testing.assert_allclose(rewards[:, 0], first - second, rtol=1e-4)
    np.testing.assert_allclose(rewards.sum(axis=1), first - last, rtol=1e-4)


def test_gap_of_a_video_is_its_average_precision():
    # Ranks: right, wrong, right: (1/1 + 2/3) / 2. A video without labels has none.
    np.testing.assert_allclose(average_precision_of_each(PREDICTIONS, LABELS), [5 / 6, 0], rtol=1e-6)
    np.testing.assert_allclose(gap_rewards(PREDICTIONS, LABELS, 2), [[0, 5 / 6], [0, 0]], rtol=1e-6)


@pytest.mark.parametrize("num_classes", [3, 30])
def test_gap_of_one_video_is_the_evaluations_gap_of_that_video(num_classes):
    random = np.random.default_rng(num_classes)
    predictions = random.permutation(np.linspace(0.01, 0.99, num_classes)).astype(np.float32)[None]
    labels = random.uniform(size=(1, num_classes)) < 0.4
    metrics = EvaluationMetrics(num_classes=num_classes, top_k=20)
    metrics.accumulate(predictions, labels)
    of_package = average_precision_of_each(tf.constant(predictions), tf.constant(labels.astype(np.float32)))
    assert float(of_package[0]) == pytest.approx(metrics.result()["gap"], rel=1e-5)
