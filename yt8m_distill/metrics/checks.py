"""What the metrics accept: finite predictions, binary labels, matching shapes."""

from __future__ import annotations

import numpy as np


def check_batch(predictions, labels, num_classes=None):
    """Predictions and labels of B videos in the form the metrics work on.

    Args:
        predictions: real numbers, shape [B, C].
        labels: bool or 0/1, shape [B, C].
        num_classes: C, where it is fixed beforehand.

    Returns:
        The pair of predictions as float32 and labels as bool, both [B, C].

    Raises:
        ValueError: for other shapes, or naming the first value that is not acceptable.
    """
    given, labels = np.asarray(predictions), np.asarray(labels)
    if given.ndim != 2 or given.shape != labels.shape or num_classes not in (None, given.shape[1]):
        raise ValueError(
            f"`predictions` and `labels` must both have shape [batch, {num_classes or 'num_classes'}]. "
            f"Received: predictions {given.shape}, labels {labels.shape}."
        )
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is reported below
        predictions = given.astype(np.float32, copy=False)
    check_finite(predictions, given)
    return predictions, binary_labels(labels)


def check_finite(predictions, given=None):
    """ValueError naming the first NaN or infinity, as it was `given` before a conversion."""
    finite = np.isfinite(predictions)
    if not finite.all():
        raise ValueError(
            f"`predictions` must be finite {predictions.dtype} numbers: NaN and infinity have no rank. "
            f"Received: {_first(~finite, predictions if given is None else given)}."
        )


def binary_labels(labels):
    """Labels as a bool array; ValueError naming the first that is neither 0 nor 1."""
    labels = np.asarray(labels)
    if labels.dtype == bool:
        return labels
    positives = labels == 1
    if np.count_nonzero(labels) != np.count_nonzero(positives):
        raise ValueError(
            "Labels must be bool or 0/1: soft labels would make GAP exceed 1, so threshold them first. "
            f"Received: {_first((labels != 0) & ~positives, labels)}."
        )
    return positives


def check_top_k(top_k, num_classes):
    """`top_k`, or `num_classes` if that is less; ValueError below 1."""
    if top_k < 1:
        raise ValueError(f"`top_k`, the classes kept per video, must be at least 1. Received: top_k={top_k}.")
    return min(top_k, num_classes)


def _first(mask, values):
    """The first value under the mask and its place, for a message."""
    place = np.unravel_index(np.argmax(mask), mask.shape)
    axes = ["row", "column"] if mask.ndim == 2 else ["index"]
    return f"{values[place]} at " + ", ".join(f"{axis} {i}" for axis, i in zip(axes, place))
