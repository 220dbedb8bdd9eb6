"""The metrics of the YouTube-8M starter code in plain Python: lists, loops and one value at a time.

Written from the description of those metrics and sharing nothing with `yt8m_distill.metrics`, to be compared
with it. Ties are treated by brute force: the precision of tied items is averaged over every arrangement of
the positives among them. Predictions and labels are lists of rows.
"""

from __future__ import annotations

from itertools import combinations, groupby
from math import fsum


def rank(row):
    """Class indices of one video, best first, ties to the lowest index."""
    return sorted(range(len(row)), key=lambda index: (-row[index], index))


def hit_at_one(rankings, labels):
    return fsum(row_labels[ranking[0]] for ranking, row_labels in zip(rankings, labels)) / len(rankings)


def perr(predictions, rankings, labels):
    scores = []
    for row, ranking, row_labels in zip(predictions, rankings, labels):
        num_labels = sum(row_labels)
        hits = [row_labels[index] for index in ranking[:num_labels] if row[index] > 0]
        scores.append(sum(hits) / num_labels if num_labels else 0.0)
    return fsum(scores) / len(scores)


def average_precision(pairs, total_positives):
    """`pairs` are (prediction, label) in any order."""
    if total_positives == 0:
        return 0.0
    precisions = []
    rank_before = hits_before = 0
    for _, tied in groupby(sorted(pairs, reverse=True), key=lambda pair: pair[0]):
        tied_labels = [label for _, label in tied]
        precisions.append(mean_precision_sum(len(tied_labels), sum(tied_labels), rank_before, hits_before))
        rank_before += len(tied_labels)
        hits_before += sum(tied_labels)
    return fsum(precisions) / total_positives


def mean_precision_sum(num_items, num_positives, rank_before, hits_before):
    """Sum of the precisions at the positives, averaged over every way to place them on `num_items` ranks."""
    sums = [
        fsum((hits_before + i + 1) / (rank_before + place + 1) for i, place in enumerate(places))
        for places in combinations(range(num_items), num_positives)
    ]
    return fsum(sums) / len(sums)


def evaluate(predictions, labels, top_k):
    """All metrics of a set of videos."""
    rankings = [rank(row) for row in predictions]
    pairs_of_class = [[] for _ in predictions[0]]
    for row, ranking, row_labels in zip(predictions, rankings, labels):
        for index in ranking[:top_k]:
            pairs_of_class[index].append((row[index], row_labels[index]))
    positives_of_class = [sum(column) for column in zip(*labels)]
    pairs_and_totals = zip(pairs_of_class, positives_of_class)
    average_precisions = [average_precision(pairs, total) for pairs, total in pairs_and_totals if total > 0]
    pool = [pair for pairs in pairs_of_class for pair in pairs]
    return {
        "hit_at_one": hit_at_one(rankings, labels),
        "perr": perr(predictions, rankings, labels),
        "map": fsum(average_precisions) / len(average_precisions) if average_precisions else 0.0,
        "gap": average_precision(pool, sum(positives_of_class)),
        "num_examples": len(predictions),
        "num_classes_with_positives": len(average_precisions),
    }
