from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import plain_python_metrics as plain
from yt8m_distill.metrics import SegmentMetrics, segment_submission_metrics


def measure(predictions, labels, is_rated):
    metrics = SegmentMetrics(np.shape(predictions)[1])
    metrics.accumulate(predictions, labels, is_rated)
    return metrics.result()


# Predictions of models.


def test_three_classes_by_hand():
    predictions = [[0.9, 0.1, 0.3], [0.8, 0.2, 0.9], [0.7, 0.6, 0.2], [0.6, 0.5, 0.8]]
    labels = [[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0]]
    is_rated = [[1, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1]]
    # Class 0 ranks segments 0, 1, 3 (2 is unrated): no, yes, yes -> (1/2 + 2/3) / 2.
    # Class 1 ranks segments 2, 0: no, yes -> 1/2. Class 2 has segment 3 alone, a negative: it does not count.
    assert measure(predictions, labels, is_rated) == {
        "segment_map": pytest.approx(((1 / 2 + 2 / 3) / 2 + 1 / 2) / 2),
        "num_rated_pairs": 6,
    }


def test_what_was_not_rated_changes_nothing():
    rng = np.random.default_rng(0)
    predictions, labels = rng.random((9, 5), np.float32), rng.random((9, 5)) < 0.5
    is_rated = rng.random((9, 5)) < 0.4
    expected = measure(predictions, labels, is_rated)
    assert 0 < expected["segment_map"] < 1
    others = np.where(is_rated, predictions, rng.random((9, 5), np.float32))
    assert measure(others, labels ^ ~is_rated, is_rated.astype(np.float32)) == expected


def test_a_class_that_the_model_never_ranks_high_counts():
    # Class 1 is never among the best classes of a segment, and is right all the same.
    predictions = [[0.9, 0.01, 0.8], [0.9, 0.02, 0.8]]
    labels = [[1, 0, 0], [0, 1, 0]]
    assert measure(predictions, labels, [[1, 1, 0], [0, 1, 0]])["segment_map"] == 1.0


def test_tied_predictions_are_averaged_over_their_orders():
    # One positive among three tied segments: its precision is 1, 1/2 or 1/3.
    metrics = measure([[0.5, 0], [0.5, 0], [0.5, 0]], [[0, 0], [1, 0], [0, 0]], [[1, 0]] * 3)
    assert metrics["segment_map"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


@st.composite
def segments(draw):
    num_segments, num_classes = draw(st.integers(1, 7)), draw(st.integers(2, 4))
    size = num_segments * num_classes
    # Few values, so that many tie.
    predictions = draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=size, max_size=size))
    labels = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    is_rated = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    shape = num_segments, num_classes
    return [np.reshape(values, shape) for values in (predictions, labels, is_rated)]


@settings(max_examples=150, deadline=None)
@given(segments(), st.integers(1, 7), st.randoms())
def test_agrees_with_plain_python_in_any_batches_and_order(given_segments, batch_size, random):
    predictions, labels, is_rated = given_segments
    average_precisions = []
    for c in range(predictions.shape[1]):
        pairs = [(float(p), int(y)) for p, y, r in zip(predictions[:, c], labels[:, c], is_rated[:, c]) if r]
        total = sum(label for _, label in pairs)
        if total:
            average_precisions.append(plain.average_precision(pairs, total))
    expected = math.fsum(average_precisions) / len(average_precisions) if average_precisions else 0.0

    order = list(range(len(predictions)))
    random.shuffle(order)
    metrics = SegmentMetrics(predictions.shape[1])
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        metrics.accumulate(predictions[part], labels[part], is_rated[part])
    assert metrics.result()["segment_map"] == pytest.approx(expected, abs=1e-12)
    assert metrics.result() == measure(predictions, labels, is_rated)


def test_nothing_rated():
    assert SegmentMetrics(2).result() == {"segment_map": 0.0, "num_rated_pairs": 0}
    assert measure([[0.5, 0.5]], [[1, 1]], [[0, 0]])["segment_map"] == 0.0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([[0.5, 0.5]], [[1, 1]], [[1]]), r"`is_rated` must have the shape .* \(1, 2\). Received: \(1, 1\)"),
        (([[0.5, np.nan]], [[1, 1]], [[1, 1]]), "NaN and infinity have no rank"),
        (([[0.5, 0.5]], [[1, 0.5]], [[1, 1]]), "Labels must be bool or 0/1"),
        (([[0.5] * 3], [[1] * 3], [[1] * 3]), r"must both have shape \[batch, 2\]"),
    ],
)
def test_bad_batches(arguments, message):
    metrics = SegmentMetrics(2)
    with pytest.raises(ValueError, match=message):
        metrics.accumulate(*arguments)
    assert metrics.result()["num_rated_pairs"] == 0


def test_one_class():
    with pytest.raises(ValueError, match="`num_classes` must be at least 2"):
        SegmentMetrics(1)


# Submissions.

RATINGS = {
    3: {"a:0": 1.0, "a:5": 0.0, "b:0": 1.0},
    7: {"a:0": 0.0, "b:10": 0.5},
    9: {"a:0": 0.0},  # no positive
}


def test_a_submission_by_hand():
    submission = [
        (3, ["a:5", "c:0", "b:0"]),  # rated: no, yes; a:0 is never found -> (1/2) / 2
        (7, ["x:0", "b:10", "a:0"]),  # rated: yes, no -> 1
    ]
    assert segment_submission_metrics(RATINGS, submission) == {
        "segment_map": pytest.approx((1 / 4 + 1) / 2),
        "num_classes": 2,
        "num_rated_pairs": 6,
        "num_rated_pairs_submitted": 4,
    }


def test_submitted_classes_without_rated_positives_do_not_count():
    """The original fails with a KeyError."""
    submission = [(7, ["b:10"]), (9, ["a:0"]), (500, ["a:0"]), (3, ["a:0", "b:0"])]
    metrics = segment_submission_metrics(RATINGS, submission)
    assert metrics["segment_map"] == 1.0 and metrics["num_classes"] == 2


@pytest.mark.parametrize("submission, expected", [([(7, ["b:10"])], 1 / 2), ([], 0.0), ([(7, [])], 0.0)])
def test_a_class_that_was_left_out_counts_as_zero(submission, expected):
    """The original averages over the submitted classes, and fails on a file of one class."""
    assert segment_submission_metrics(RATINGS, submission)["segment_map"] == expected


@pytest.mark.parametrize("top_n, expected", [(0, 1 / 3), (3, 1 / 3), (2, 0.0), (1, 0.0)])
def test_the_cap_comes_before_unrated_segments_are_left_out(top_n, expected):
    ratings = {0: {"a:0": 1.0, "b:0": 0.0, "b:5": 1.0, "b:10": 1.0}}
    assert segment_submission_metrics(ratings, [(0, ["x:0", "x:5", "a:0"])], top_n)["segment_map"] == expected


def test_a_negative_cap():
    with pytest.raises(ValueError, match="`top_n` must be 0 or more"):
        segment_submission_metrics(RATINGS, [], -1)


def test_without_any_positive():
    assert segment_submission_metrics({9: {"a:0": 0.0}}, [(9, ["a:0"])])["segment_map"] == 0.0


def test_a_submission_of_all_rated_segments_scores_as_its_predictions():
    rng = np.random.default_rng(1)
    predictions, labels, is_rated = rng.random((30, 4)), rng.random((30, 4)) < 0.4, rng.random((30, 4)) < 0.7
    rated = {c: {f"v:{row}": float(labels[row, c]) for row in np.flatnonzero(is_rated[:, c])} for c in range(4)}
    submission = [(c, [f"v:{row}" for row in np.argsort(-predictions[:, c])]) for c in range(4)]
    of_submission, of_model = segment_submission_metrics(rated, submission), measure(predictions, labels, is_rated)
    assert of_submission["segment_map"] == pytest.approx(of_model["segment_map"], rel=1e-12)
    assert of_submission["num_rated_pairs"] == of_submission["num_rated_pairs_submitted"] == of_model["num_rated_pairs"]
