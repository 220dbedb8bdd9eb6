"""The best classes of every video, reproducible where predictions tie."""

from __future__ import annotations

import numpy as np


def rank_classes(predictions, depth):
    """The `depth` classes of highest prediction of every video, best first, ties to the lowest class index.

    Equal to `np.argsort(-predictions, axis=1, kind="stable")[:, :depth]` at the cost of a partition. (Which
    of the classes tied for the last place `np.argpartition` keeps depends on the numpy version.)

    Args:
        predictions: finite real numbers, shape [B, C].
        depth: number of classes to rank, 1..C.

    Returns:
        int64 class indices, shape [B, depth].
    """
    num_videos, num_classes = predictions.shape
    if depth < num_classes:
        selected = np.flatnonzero(_select_highest(predictions, depth)) % num_classes
        classes = selected.reshape(num_videos, depth)
    else:
        classes = np.broadcast_to(np.arange(num_classes), predictions.shape)
    # The classes of a row ascend, so the stable sort leaves tied ones in class order.
    order = np.argsort(-np.take_along_axis(predictions, classes, axis=1), axis=1, kind="stable")
    return np.take_along_axis(classes, order, axis=1)


def _select_highest(predictions, depth):
    """Bool mask [B, C] of the `depth` highest predictions of every row, ties to the lowest class index."""
    lowest_kept = predictions.shape[1] - depth  # its position in ascending order
    threshold = np.partition(predictions, lowest_kept, axis=1)[:, lowest_kept, np.newaxis]
    selected = predictions >= threshold
    crowded = np.flatnonzero(np.count_nonzero(selected, axis=1) > depth)
    if crowded.size:
        above = predictions[crowded] > threshold[crowded]
        tied = selected[crowded] & ~above
        num_places = depth - np.count_nonzero(above, axis=1)
        selected[crowded] = above | (tied & (np.cumsum(tied, axis=1) <= num_places[:, np.newaxis]))
    return selected
