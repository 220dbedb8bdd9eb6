from __future__ import annotations

import re

import numpy as np
import pytest

from yt8m_distill.metrics.checks import check_batch, check_top_k

LABELS = [[1, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_labels_of_any_dtype_become_bool(dtype):
    predictions, positives = check_batch(np.ones((2, 3)), np.array(LABELS, dtype))
    assert predictions.dtype == np.float32
    assert positives.dtype == bool
    assert positives.tolist() == [[True, False, False], [False, True, True]]


def test_float32_predictions_are_not_copied():
    given = np.ones((2, 3), np.float32)
    assert check_batch(given, LABELS)[0] is given


@pytest.mark.parametrize("shape", [(3,), (2, 4), (1, 3), (2, 3, 1)])
def test_shapes(shape):
    with pytest.raises(ValueError, match=r"shape \[batch, num_classes\].*Received: predictions \("):
        check_batch(np.ones(shape), LABELS)


def test_wrong_number_of_classes_names_both():
    with pytest.raises(ValueError, match=r"\[batch, 4\]\. Received: predictions \(2, 3\), labels \(2, 3\)"):
        check_batch(np.ones((2, 3)), LABELS, num_classes=4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_first_prediction_that_is_not_finite_in_float32_is_named(value):
    predictions = np.ones((2, 3))
    predictions[1, 1:] = value, np.nan
    message = rf"finite float32.*Received: {re.escape(str(value))} at row 1, column 1\."
    with pytest.raises(ValueError, match=message):
        check_batch(predictions, LABELS)


@pytest.mark.parametrize("value, name", [(0.3, "0.3"), (2, "2.0"), (-1, "-1.0"), (np.nan, "nan")])
def test_first_label_that_is_not_binary_is_named(value, name):
    labels = np.array(LABELS, float)
    labels[1, 1:] = value
    with pytest.raises(ValueError, match=rf"GAP exceed 1.*Received: {name} at row 1, column 1\."):
        check_batch(np.ones((2, 3)), labels)


def test_top_k_is_clipped_to_the_number_of_classes():
    assert [check_top_k(k, 5) for k in (1, 5, 6)] == [1, 5, 5]


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_below_one(top_k):
    with pytest.raises(ValueError, match=f"at least 1. Received: top_k={top_k}"):
        check_top_k(top_k, 5)
