from __future__ import annotations

import doctest
import random
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import plain_python_metrics as plain
from tests.metrics.video_batches import any_videos
from yt8m_distill.metrics import EvaluationMetrics, evaluation_metrics

PREDICTIONS = np.array([[0.9, 0.8, 0.1], [0.7, 0.6, 0.5]])
LABELS = np.array([[1, 0, 0], [0, 1, 1]])


def evaluate(predictions, labels, top_k=20):
    metrics = EvaluationMetrics(np.shape(predictions)[1], top_k)
    metrics.accumulate(predictions, labels)
    return metrics.result()


@pytest.mark.parametrize(
    "top_k, gap, mean_average_precision",
    [
        (3, 0.7, 1.0 + 0.5 + 1.0),  # class 1 has its positive below a negative
        (2, 0.5, 1.0 + 0.5 + 0.0),  # the positive of class 2 is not among the best two of its video
        (1, 1 / 3, 1.0 + 0.0 + 0.0),
    ],
)
def test_hand_computed(top_k, gap, mean_average_precision):
    assert evaluate(PREDICTIONS, LABELS, top_k) == pytest.approx(
        {
            "hit_at_one": 0.5,
            "perr": 0.75,
            "map": mean_average_precision / 3,
            "gap": gap,
            "num_examples": 2,
            "num_classes_with_positives": 3,
        }
    )


def test_map_of_tied_videos_is_the_mean_over_their_orders():
    # Class 0: one positive in two tied videos, (1/1 + 1/2) / 2; class 1: all are positives.
    result = evaluate([[0.5, 0.2], [0.5, 0.1]], [[1, 1], [0, 1]])
    assert result["map"] == pytest.approx((0.75 + 1.0) / 2)


def test_result_is_plain_python_numbers():
    result = evaluate(PREDICTIONS, LABELS)
    counts = {"num_examples", "num_classes_with_positives"}
    assert {name: type(value) for name, value in result.items()} == {
        name: int if name in counts else float for name in result
    }


@settings(deadline=None, max_examples=300)
@given(any_videos, st.integers(1, 3))
def test_agrees_with_plain_python(videos, top_k):
    predictions, labels = videos
    expected = plain.evaluate(predictions.tolist(), labels.tolist(), top_k)
    assert evaluate(predictions, labels, top_k) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=100)
@given(any_videos, st.integers(1, 3), st.integers(0, 2))
def test_batches_that_were_ranked_elsewhere(videos, top_k, more):
    predictions, labels = videos
    metrics = EvaluationMetrics(predictions.shape[1], top_k)
    depth = min(metrics.depth_of(labels) + more, predictions.shape[1])
    classes = np.array([sorted(range(len(row)), key=lambda c: (-row[c], c))[:depth] for row in predictions.tolist()])
    classes = classes.reshape(-1, depth).astype(np.int32)
    metrics.accumulate_ranked(classes, np.take_along_axis(predictions, classes, axis=1), labels)
    assert metrics.result() == evaluate(predictions, labels, top_k)


def test_how_deep_a_batch_must_be_ranked():
    assert EvaluationMetrics(9, top_k=2).depth_of(np.eye(9, dtype=bool)) == 2
    assert EvaluationMetrics(9, top_k=2).depth_of(np.arange(9)[None] < [[1], [5], [0]]) == 5
    assert EvaluationMetrics(9, top_k=2).depth_of(np.zeros((0, 9), bool)) == 2


@pytest.mark.parametrize(
    "classes, predictions, message",
    [
        ([[0], [1]], [[0.9], [0.7]], r"shape \(2, 2\) or more.*Received: \(2, 1\)"),  # the second video has two labels
        ([[0, 1], [0, 1]], [[0.9], [0.7]], r"Received: \(2, 2\), \(2, 1\)"),
        ([[0, 1], [0, 1]], [[0.9, 0.8], [0.7, np.nan]], "Received: nan at row 1, column 1"),
    ],
)
def test_rejected_rankings(classes, predictions, message):
    with pytest.raises(ValueError, match=message):
        EvaluationMetrics(3, top_k=1).accumulate_ranked(classes, predictions, LABELS)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_plain_python_in_a_wide_vocabulary(seed):
    rng = np.random.default_rng(seed)
    predictions = rng.random((40, 300), dtype=np.float32)
    labels = rng.random(predictions.shape) < predictions**8
    expected = plain.evaluate(predictions.tolist(), labels.tolist(), top_k=20)
    assert evaluate(predictions, labels) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_batching_and_order_do_not_show(data):
    predictions, labels = data.draw(any_videos)
    num_videos, num_classes = predictions.shape
    order = data.draw(st.permutations(range(num_videos)))
    splits = sorted(data.draw(st.lists(st.integers(0, num_videos), max_size=4)))
    top_k = data.draw(st.integers(1, num_classes))
    metrics = EvaluationMetrics(num_classes, top_k)
    for part in np.split(np.array(order), splits):  # some of them empty
        metrics.accumulate(predictions[part], labels[part])
    assert metrics.result() == evaluate(predictions, labels, top_k)  # to the last bit


def test_batching_and_order_do_not_show_in_many_tied_videos():
    rng = np.random.default_rng(5)
    predictions = np.round(rng.random((3000, 60), dtype=np.float32), 2)
    labels = rng.random(predictions.shape) < predictions / 10
    order = rng.permutation(3000)
    metrics = EvaluationMetrics(60, top_k=5)
    for part in np.array_split(order, 37):
        metrics.accumulate(predictions[part], labels[part])
    assert metrics.result() == evaluate(predictions, labels, top_k=5)


def test_accumulate_returns_the_means_of_the_batch():
    metrics = EvaluationMetrics(3)
    metrics.accumulate(PREDICTIONS[:1], LABELS[:1])
    assert metrics.accumulate(PREDICTIONS[1:], LABELS[1:]) == {"hit_at_one": 0.0, "perr": 0.5}


def test_accumulate_of_no_videos_adds_nothing():
    metrics = EvaluationMetrics(3)
    batch = metrics.accumulate(np.empty((0, 3)), np.empty((0, 3)))
    assert np.isnan(batch["hit_at_one"]) and np.isnan(batch["perr"])
    metrics.accumulate(PREDICTIONS, LABELS)
    assert metrics.result() == evaluate(PREDICTIONS, LABELS)


def test_more_videos_after_a_result():
    metrics = EvaluationMetrics(3)
    metrics.accumulate(PREDICTIONS[:1], LABELS[:1])
    assert metrics.result()["hit_at_one"] == 1.0
    metrics.accumulate(PREDICTIONS[1:], LABELS[1:])
    assert metrics.result() == metrics.result() == evaluate(PREDICTIONS, LABELS)


def test_clear():
    metrics = EvaluationMetrics(3)
    metrics.accumulate(1 - PREDICTIONS, LABELS, loss=[1.0, 2.0])
    metrics.clear()
    with pytest.raises(ValueError, match="no videos"):
        metrics.result()
    metrics.accumulate(PREDICTIONS, LABELS)
    assert metrics.result() == evaluate(PREDICTIONS, LABELS)


def test_mean_loss_is_weighted_by_batch_size():
    metrics = EvaluationMetrics(3)
    batch = metrics.accumulate(PREDICTIONS, LABELS, loss=np.array([1, 2], np.float32))
    metrics.accumulate(PREDICTIONS[:1], LABELS[:1], loss=[6.0])
    assert batch["loss"] == 1.5
    assert metrics.result()["loss"] == 3.0


@pytest.mark.parametrize("first, second, message", [([1.0], None, "no loss"), (None, [1.0], "a loss")])
def test_loss_of_some_batches_only(first, second, message):
    metrics = EvaluationMetrics(3)
    metrics.accumulate(PREDICTIONS[:1], LABELS[:1], loss=first)
    with pytest.raises(ValueError, match=f"all batches or for none. Received: {message} after"):
        metrics.accumulate(PREDICTIONS[1:], LABELS[1:], loss=second)


def test_loss_needs_one_value_a_video():
    with pytest.raises(ValueError, match=r"\(2,\)\. Received: \(\)"):
        EvaluationMetrics(3).accumulate(PREDICTIONS, LABELS, loss=0.5)


@pytest.mark.parametrize(
    "predictions, labels, loss",
    [
        ([[0.5, np.nan, 0]], [[0, 1, 0]], None),
        ([[0.5, 0.4]], [[0, 1]], None),
        ([[0.5, 0.4, 0]], [[0, 1, 0]], [1.0]),
    ],
)
def test_rejected_batch_leaves_no_trace(predictions, labels, loss):
    metrics = EvaluationMetrics(3)
    metrics.accumulate(PREDICTIONS, LABELS)
    with pytest.raises(ValueError):
        metrics.accumulate(predictions, labels, loss)
    assert metrics.result() == evaluate(PREDICTIONS, LABELS)


def test_without_labels_map_and_gap_are_zero():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(PREDICTIONS, np.zeros((2, 3)))
    assert result == {
        "hit_at_one": 0.0,
        "perr": 0.0,
        "map": 0.0,
        "gap": 0.0,
        "num_examples": 2,
        "num_classes_with_positives": 0,
    }


def test_labels_outside_every_top_k_count_in_gap_and_map():
    # Class 2 is in no top 1: its AP is 0, and GAP finds one of two positives.
    result = evaluate([[0.9, 0.5, 0.1]], [[1, 0, 1]], top_k=1)
    assert (result["map"], result["gap"], result["num_classes_with_positives"]) == (0.5, 0.5, 2)


@pytest.mark.parametrize("num_classes", [256, 257, 70_000])
def test_every_width_of_class_index(num_classes):
    predictions = np.zeros((2, num_classes))
    predictions[:, -1] = 0.9, 0.8
    labels = np.zeros((2, num_classes), bool)
    labels[1, -1] = True
    result = evaluate(predictions, labels, top_k=2)
    assert (result["map"], result["gap"], result["num_classes_with_positives"]) == (0.5, 0.5, 1)


@pytest.mark.parametrize("num_classes", [1, 0, -3])
def test_num_classes_below_two(num_classes):
    with pytest.raises(ValueError, match=f"at least 2. Received: num_classes={num_classes}"):
        EvaluationMetrics(num_classes)


def test_top_k_out_of_range():
    assert EvaluationMetrics(num_classes=3, top_k=20).top_k == 3
    with pytest.raises(ValueError, match="top_k=0"):
        EvaluationMetrics(num_classes=3, top_k=0)


@pytest.mark.parametrize("num_videos, batch_size", [(1000, 1), (20_000, 500)])
def test_memory_is_at_most_14_bytes_an_entry(num_videos, batch_size):
    # 7 bytes an entry, in storage that is at least half full.
    num_classes, top_k = 30, 20
    predictions = np.random.default_rng(3).random((batch_size, num_classes), dtype=np.float32)
    labels = predictions > 0.9
    metrics = EvaluationMetrics(num_classes, top_k)
    tracemalloc.start()
    for _ in range(num_videos // batch_size):
        metrics.accumulate(predictions, labels)
    num_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_bytes / num_videos < 14 * top_k + 1
    assert metrics.result()["num_examples"] == num_videos


def test_random_generators_are_left_alone():
    random.seed(4)
    np.random.seed(4)
    states = random.getstate(), np.random.get_state()[2]
    evaluate(np.full((5, 3), 0.5), np.eye(5, 3))
    assert (random.getstate(), np.random.get_state()[2]) == states


def test_docstring_example():
    assert doctest.testmod(evaluation_metrics).failed == 0


def test_tensorflow_is_not_needed():
    script = "import sys, yt8m_distill.metrics; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
