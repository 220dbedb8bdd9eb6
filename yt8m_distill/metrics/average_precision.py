"""Non-interpolated average precision of one list of scored items, averaged over the orders of tied items."""

from __future__ import annotations

import numpy as np

from yt8m_distill.metrics.checks import binary_labels, check_finite


def average_precision(predictions, positives, total_positives=None):
    """Average precision of one list, whatever order the list is given in.

    The list is ranked by descending prediction. Every positive contributes the precision at its own rank, and
    the sum is divided by the number of positives:
    `AP = sum over positives of (hits so far / rank) / total_positives`.

    Items with the same prediction have no defined order, so their contribution is the mean over all their
    orders: what shuffling before sorting gives on average, without the chance. In a group of m tied items
    with p positives, preceded by R items with H positives, each position j = 1..m holds a positive with
    probability p/m, and is then expected to have (j-1)(p-1)/(m-1) of the group's other positives before it.
    The group contributes `sum over j of p/m * (H + 1 + (j-1)(p-1)/(m-1)) / (R + j)`.

    Source: `average_precision_calculator.py` of the YouTube-8M starter code, which shuffles ties.

    Args:
        predictions: finite real numbers, shape [N]; compared in the precision they are given in.
        positives: bool or 0/1, shape [N]: whether each item is a positive.
        total_positives: number of positives to be found, where some are missing from the list. Default: those
            in the list.

    Returns:
        float in [0, 1]; 0.0 if there are no positives.

    Raises:
        ValueError: for arrays that are not both [N], predictions that are not finite, positives other than 0
            and 1, or a `total_positives` below the number of positives in the list.
    """
    predictions, positives = np.asarray(predictions), binary_labels(positives)
    if predictions.ndim != 1 or predictions.shape != positives.shape:
        raise ValueError(
            "`predictions` and `positives` must both have shape [N]. "
            f"Received: predictions {predictions.shape}, positives {positives.shape}."
        )
    check_finite(predictions)
    num_listed = np.count_nonzero(positives)
    if total_positives is None:
        total_positives = num_listed
    if total_positives < num_listed:
        raise ValueError(
            f"`total_positives` cannot be below the {num_listed} positives in the list. "
            f"Received: total_positives={total_positives}."
        )
    if num_listed == 0:
        return 0.0
    return float(_precision_sums(predictions, predictions[positives]).sum() / total_positives)


def _precision_sums(predictions, positive_predictions):
    """For every distinct positive prediction, best first: the precisions at its positives, summed.

    Both arguments are sorted, so the order they come in cannot show in the result. (Sorting values is also
    about ten times as fast as sorting indices.)
    """
    ascending = np.sort(predictions)
    values, num_positives = np.unique(positive_predictions, return_counts=True)
    values, num_positives = values[::-1], num_positives[::-1]
    hits_before = np.cumsum(num_positives) - num_positives
    rank_before = len(ascending) - np.searchsorted(ascending, values, side="right")
    rank_last = len(ascending) - np.searchsorted(ascending, values, side="left")

    sums = (hits_before + 1) / (rank_before + 1)  # what an item that is tied with no other contributes
    tied = np.flatnonzero(rank_last - rank_before > 1)
    if tied.size:
        groups = np.stack([rank_before, rank_last, hits_before, num_positives])[:, tied]
        sums[tied] = _tied_precision_sums(*groups)
    return sums


def _tied_precision_sums(rank_before, rank_last, hits_before, num_positives):
    """Expected precision sums of groups of two or more tied items; every argument has one value a group.

    With a = (p-1)/(m-1), the term (H + 1 + (j-1)a) / (R + j) equals a + (H + 1 - (R+1)a) / (R + j). So all
    that a group needs from its ranks is the sum of 1 / (R + j).
    """
    group_size = rank_last - rank_before
    slope = (num_positives - 1) / (group_size - 1)
    # One rank more than there is, because `reduceat` needs every stop to be an index.
    inverse_ranks = np.arange(1, rank_last[-1] + 2, dtype=np.float64)
    np.reciprocal(inverse_ranks, out=inverse_ranks)
    starts_and_stops = np.column_stack([rank_before, rank_last]).ravel()
    inverse_rank_sums = np.add.reduceat(inverse_ranks, starts_and_stops)[::2]  # odd: the ranks between groups
    terms_sum = slope * group_size + (hits_before + 1 - slope * (rank_before + 1)) * inverse_rank_sums
    return num_positives / group_size * terms_sum
