from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import plain_python_metrics as plain
from tests.metrics.video_batches import any_videos
from yt8m_distill.metrics import gap, hit_at_one, perr

PREDICTIONS = [[0.9, 0.8, 0.1], [0.7, 0.6, 0.5]]
LABELS = [[1, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize("top_k, expected", [(3, 0.7), (2, 0.5), (1, 1 / 3), (20, 0.7)])
def test_gap_of_the_starter_code(top_k, expected):
    # These values were observed by running the starter code. For k=3 the pool is, best first, 1 0 0 1 1 0:
    # (1/1 + 2/4 + 3/5) / 3.
    assert gap(PREDICTIONS, LABELS, top_k) == pytest.approx(expected, rel=1e-15)


def test_hit_at_one():
    assert hit_at_one(PREDICTIONS, LABELS) == 0.5


def test_perr():
    # Of the first video 1 of 1, of the second, with two labels, 1 of its best 2.
    assert perr(PREDICTIONS, LABELS) == 0.75


def test_ties_go_to_the_lowest_class():
    constant = np.full((3, 4), 0.5)
    labels = [[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]]
    assert hit_at_one(constant, labels) == pytest.approx(1 / 3)
    assert perr(constant, labels) == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_gap_keeps_the_lowest_of_tied_classes_and_averages_over_tied_videos():
    # Class 0 of both videos is pooled; one of the two is a positive, at rank 1 or 2; the labels are three.
    assert gap(np.full((2, 4), 0.5), [[1, 0, 0, 0], [0, 1, 0, 1]], top_k=1) == pytest.approx(0.75 / 3)


def test_gap_of_tied_videos_does_not_depend_on_their_order():
    labels = np.zeros((2, 3))
    labels[0] = 1
    assert gap(np.full((2, 3), 0.5), labels) == gap(np.full((2, 3), 0.5), labels[::-1])


def test_videos_without_labels_are_misses_but_count():
    predictions = PREDICTIONS + [[0.5, 0.4, 0.3]]
    labels = LABELS + [[0, 0, 0]]
    assert hit_at_one(predictions, labels) == pytest.approx(1 / 3)
    assert perr(predictions, labels) == pytest.approx(1.5 / 3)


@pytest.mark.parametrize("prediction, expected", [(-1.0, 0.0), (0.0, 0.0), (1e-30, 1.0)])
def test_perr_needs_a_prediction_above_zero(prediction, expected):
    assert perr([[prediction, -2.0]], [[1, 0]]) == expected


def test_perr_of_a_video_with_more_labels_than_top_k():
    labels = np.ones((1, 50))
    assert perr(np.ones((1, 50)), labels) == 1.0
    assert gap(np.ones((1, 50)), labels, top_k=20) == pytest.approx(0.4)


def test_gap_without_labels_is_zero():
    assert gap(PREDICTIONS, np.zeros((2, 3))) == 0.0


def test_no_videos():
    empty = np.empty((0, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(hit_at_one(empty, empty))
        assert np.isnan(perr(empty, empty))
        assert gap(empty, empty) == 0.0


@settings(deadline=None, max_examples=200)
@given(any_videos, st.integers(1, 3))
def test_agrees_with_plain_python(batch, top_k):
    predictions, labels = batch
    expected = plain.evaluate(predictions.tolist(), labels.tolist(), top_k)
    assert hit_at_one(predictions, labels) == pytest.approx(expected["hit_at_one"], rel=1e-12)
    assert perr(predictions, labels) == pytest.approx(expected["perr"], rel=1e-12)
    assert gap(predictions, labels, top_k) == pytest.approx(expected["gap"], rel=1e-12)


@pytest.mark.parametrize("metric", [hit_at_one, perr, gap])
def test_batches_are_checked(metric):
    with pytest.raises(ValueError, match="must both have shape"):
        metric(PREDICTIONS, LABELS[:1])
    with pytest.raises(ValueError, match="nan at row 0, column 1"):
        metric([[0.5, np.nan]], [[0, 1]])
    with pytest.raises(ValueError, match="bool or 0/1"):
        metric([[0.5, 0.4]], [[0, 0.3]])


def test_gap_rejects_top_k_below_one():
    with pytest.raises(ValueError, match="top_k=0"):
        gap(PREDICTIONS, LABELS, top_k=0)
