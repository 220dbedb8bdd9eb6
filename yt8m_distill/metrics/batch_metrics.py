"""Metrics of one batch of videos: Hit@1, PERR and GAP.

Sources: Abu-El-Haija et al., "YouTube-8M: A Large-Scale Video Classification Benchmark", arXiv:1609.08675
(Hit@k and PERR); `eval_util.py` of the YouTube-8M starter code (GAP and all corner cases).

Everywhere `predictions` are real numbers of shape [B, C], ranked as float32, and `labels` are bool or 0/1 of
the same shape. Tied predictions of a video rank by ascending class index, as `argmax` has it. ValueError is
raised for other shapes, for predictions that are NaN or infinite and for labels that are neither 0 nor 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from yt8m_distill.metrics.average_precision import average_precision
from yt8m_distill.metrics.checks import check_batch, check_top_k
from yt8m_distill.metrics.ranking import rank_classes


def hit_at_one(predictions, labels):
    """Fraction of videos whose best class is one of their labels; a video without labels is a miss.

    Returns a float; NaN for a batch of no videos.
    """
    predictions, positives = check_batch(predictions, labels)
    return mean(rank_batch(predictions, positives, depth=1).positives)


def perr(predictions, labels):
    """Precision at equal recall rate: the share of labels among the n best classes of a video with n labels.

    Averaged over all videos; those without labels score 0. A prediction that is not above 0 is never a hit.

    Returns a float; NaN for a batch of no videos.
    """
    predictions, positives = check_batch(predictions, labels)
    num_labels = count_labels(positives)
    ranked = rank_batch(predictions, positives, depth=equal_recall_depth(num_labels))
    return mean(equal_recall_hits(ranked, num_labels) / np.maximum(num_labels, 1))


def gap(predictions, labels, top_k=20):
    """Global average precision: AP of one list that pools the `top_k` best classes of every video.

    All labels are positives to be found, whether or not they are among a video's `top_k`; so a video with
    more than `top_k` labels keeps GAP below 1. Tied predictions of the pool are averaged over, see
    `average_precision`. A `top_k` above the number of classes means all of them, below 1 it is a ValueError.

    Returns a float; 0.0 if there are no labels.
    """
    predictions, positives = check_batch(predictions, labels)
    ranked = rank_batch(predictions, positives, depth=check_top_k(top_k, predictions.shape[1]))
    num_labels = np.count_nonzero(positives)
    return average_precision(ranked.predictions.ravel(), ranked.positives.ravel(), num_labels)


class RankedBatch(NamedTuple):
    """The best classes of every video, best first; every array has shape [B, depth]."""

    classes: np.ndarray  # int64
    predictions: np.ndarray  # float32
    positives: np.ndarray  # bool


def rank_batch(predictions, positives, depth):
    """`RankedBatch` of predictions and positives that `check_batch` returned, `depth` classes a video."""
    classes = rank_classes(predictions, depth)
    return RankedBatch(
        classes,
        np.take_along_axis(predictions, classes, axis=1),
        np.take_along_axis(positives, classes, axis=1),
    )


def count_labels(positives):
    """Number of labels of every video, int64 [B]."""
    return np.count_nonzero(positives, axis=1)


def equal_recall_depth(num_labels):
    """How many classes PERR needs ranked: as many as the video with most labels has, at least 1."""
    return int(num_labels.max(initial=1))


def equal_recall_hits(ranked, num_labels):
    """Hits among the n best classes of every video with n labels, int64 [B]."""
    within_n = np.arange(ranked.classes.shape[1]) < num_labels[:, np.newaxis]
    return np.count_nonzero(within_n & ranked.positives & (ranked.predictions > 0), axis=1)


def mean(values):
    """Mean in float64; NaN if there are no values."""
    return float(np.mean(values, dtype=np.float64)) if values.size else float("nan")
