from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import plain_python_metrics as plain
from tests.metrics.video_batches import any_videos
from yt8m_distill.metrics.ranking import rank_classes


@settings(deadline=None, max_examples=200)
@given(any_videos, st.integers(1, 8))
def test_agrees_with_a_full_sort(batch, depth):
    predictions, _ = batch
    depth = min(depth, predictions.shape[1])
    expected = [plain.rank(row)[:depth] for row in predictions.tolist()]
    assert rank_classes(predictions, depth).tolist() == expected


@pytest.mark.parametrize("num_levels", [1, 3, 50, 10**6])
def test_ties_at_the_boundary_of_a_wide_vocabulary(num_levels):
    predictions = np.random.default_rng(2).integers(0, num_levels, (50, 3862)).astype(np.float32)
    expected = np.argsort(-predictions, axis=1, kind="stable")[:, :20]
    np.testing.assert_array_equal(rank_classes(predictions, 20), expected)


def test_zero_and_minus_zero_are_tied():
    assert rank_classes(np.array([[-0.0, 0.0, -0.0, -1.0]]), 2).tolist() == [[0, 1]]


def test_no_videos():
    assert rank_classes(np.empty((0, 5), np.float32), 2).shape == (0, 2)
    assert rank_classes(np.empty((0, 5), np.float32), 5).shape == (0, 5)


def test_leaves_the_predictions_alone():
    predictions = np.array([[0.1, 0.5, 0.3]], np.float32)
    predictions.flags.writeable = False
    assert rank_classes(predictions, 2).tolist() == [[1, 2]]
