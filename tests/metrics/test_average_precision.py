from __future__ import annotations

from itertools import permutations
from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import plain_python_metrics as plain
from yt8m_distill.metrics import average_precision


def test_precision_at_every_positive():
    # Positives at ranks 1 and 3: (1/1 + 2/3) / 2.
    assert average_precision([0.7, 0.9, 0.8], [1, 1, 0]) == pytest.approx(5 / 6, rel=1e-15)


def test_positives_missing_from_the_list_count():
    score = average_precision([0.7, 0.9, 0.8], [1, 1, 0], total_positives=4)
    assert score == pytest.approx(5 / 12, rel=1e-15)


def test_perfect_ranking_is_exactly_one():
    assert average_precision(np.arange(1000, 0, -1), np.arange(1000) < 490) == 1.0


def test_tied_pair_is_the_mean_of_its_two_orders():
    assert average_precision([0.5, 0.5], [1, 0]) == average_precision([0.5, 0.5], [0, 1]) == 0.75


def test_tied_group_below_a_positive():
    # The second positive is at rank 2, 3 or 4 with precision 2/2, 2/3 or 2/4: (1 + 13/18) / 2.
    assert average_precision([0.9, 0.5, 0.5, 0.5], [1, 0, 1, 0]) == pytest.approx(31 / 36, rel=1e-15)


def test_tied_group_of_positives_only_is_no_tie():
    assert average_precision([0.5] * 7, [1] * 7) == 1.0


def test_zero_and_minus_zero_are_tied():
    assert average_precision([0.0, -0.0], [1, 0]) == average_precision([-0.0, 0.0], [1, 0]) == 0.75


@pytest.mark.parametrize("predictions, positives", [([], []), ([0.3, 0.2], [0, 0])])
@pytest.mark.parametrize("total_positives", [None, 0, 5])
def test_no_positives_in_the_list(predictions, positives, total_positives):
    assert average_precision(predictions, positives, total_positives) == 0.0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=6))
def test_is_the_mean_over_all_shuffles(pairs):
    total = max(1, sum(positive for _, positive in pairs))
    scores = []
    for shuffled in permutations(pairs):
        hits, precision_sum = 0, 0.0
        for rank, (_, positive) in enumerate(sorted(shuffled, key=lambda pair: -pair[0]), start=1):
            hits += positive
            precision_sum += positive * hits / rank
        scores.append(precision_sum / total)
    predictions, positives = zip(*pairs)
    assert average_precision(predictions, positives) == pytest.approx(fsum(scores) / len(scores), rel=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=30), st.randoms(use_true_random=False))
def test_order_does_not_show(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    of_pairs, of_shuffled = (
        average_precision([prediction for prediction, _ in order], [positive for _, positive in order])
        for order in (pairs, shuffled)
    )
    assert of_pairs == of_shuffled


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=14), st.integers(0, 3))
def test_agrees_with_plain_python(pairs, num_missing):
    predictions, positives = zip(*pairs)
    total = sum(positives) + num_missing
    expected = plain.average_precision(pairs, total)
    assert average_precision(predictions, positives, total) == pytest.approx(expected, rel=1e-12)


def test_stays_exact_in_a_long_list_of_tied_groups():
    rng = np.random.default_rng(1)
    levels = rng.integers(0, 40_000, 200_000)  # groups of about five
    positives = rng.random(levels.size) < 0.1
    terms = []
    rank = hits = 0
    for size, num_positives in zip(np.bincount(levels)[::-1], np.bincount(levels, positives)[::-1]):
        for j in range(int(size)):
            earlier = j * (num_positives - 1) / max(size - 1, 1)  # expected hits before, inside the group
            terms.append(num_positives / size * (hits + 1 + earlier) / (rank + j + 1))
        rank, hits = rank + size, hits + num_positives
    expected = fsum(terms) / positives.sum()
    assert average_precision(levels.astype(np.float32), positives) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    "predictions, positives, total, message",
    [
        ([0.1, 0.2], [1], None, r"shape \[N\]\. Received: predictions \(2,\), positives \(1,\)"),
        ([[0.1]], [[1]], None, r"predictions \(1, 1\), positives \(1, 1\)"),
        ([0.1, np.nan], [1, 0], None, "finite.*Received: nan at index 1"),
        ([0.1, 0.2], [0, 0.5], None, r"0/1.*Received: 0\.5 at index 1"),
        ([0.1, 0.2], [1, 1], 1, "below the 2 positives in the list. Received: total_positives=1"),
    ],
)
def test_errors(predictions, positives, total, message):
    with pytest.raises(ValueError, match=message):
        average_precision(predictions, positives, total)
