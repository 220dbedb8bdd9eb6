"""Segment mAP of the 2019 challenge: of a model's predictions, and of a submission."""

from __future__ import annotations

import numpy as np

from yt8m_distill.metrics.average_precision import average_precision
from yt8m_distill.metrics.checks import check_batch
from yt8m_distill.metrics.class_average_precision import entry_dtype, mean_average_precision
from yt8m_distill.metrics.growing_array import GrowingArray


class SegmentMetrics:
    """mAP over rated segments that arrive in batches: exact, the same for any batching and any order.

    People rated each segment for some classes only. A class' average precision ranks the segments that were
    rated for it, and no others, by prediction; ties are averaged over, see `average_precision`. segment_map is
    its mean over all classes with a positive rating, whether or not the model ever ranks them high.

    Memory: 7 bytes for each rated pair of a segment and a class.

    Args:
        num_classes: C, the size of the vocabulary, at least 2.

    Raises:
        ValueError: for a `num_classes` out of range.

    Source: the metric of the third YouTube-8M challenge, "Segment-level video understanding" (Kaggle, 2019).
    """

    def __init__(self, num_classes=3862):
        if num_classes <= 1:
            raise ValueError(f"`num_classes` must be at least 2. Received: num_classes={num_classes}.")
        self.num_classes = num_classes
        self._entries = GrowingArray(entry_dtype(num_classes))
        self._num_positives_of_class = np.zeros(num_classes, np.int64)

    def accumulate(self, predictions, labels, is_rated):
        """Adds a batch of B segments; B may be 0.

        Args:
            predictions: real numbers, shape [B, num_classes]; ranked and kept as float32.
            labels: bool or 0/1, shape [B, num_classes]; read where rated.
            is_rated: shape [B, num_classes], anything but 0 where the segment was rated for the class.

        Raises:
            ValueError: for other shapes, predictions that are NaN or infinite, or labels other than 0 and 1.
        """
        predictions, positives = check_batch(predictions, labels, self.num_classes)
        is_rated = np.asarray(is_rated)
        if is_rated.shape != predictions.shape:
            raise ValueError(
                f"`is_rated` must have the shape of the predictions, {predictions.shape}. Received: {is_rated.shape}."
            )
        segments, classes = np.nonzero(is_rated)
        entries = np.empty(len(classes), self._entries.dtype)
        entries["prediction"] = predictions[segments, classes]
        entries["class"] = classes
        entries["positive"] = positives[segments, classes]
        self._entries.append(entries)
        self._num_positives_of_class += np.bincount(classes[entries["positive"]], minlength=self.num_classes)

    def result(self):
        """Metrics of all segments so far; more may be added afterwards.

        Returns:
            dict of the float "segment_map", 0.0 without positive ratings, and of the int "num_rated_pairs".
        """
        entries = self._entries.view()
        return {
            "segment_map": mean_average_precision(entries, self._num_positives_of_class),
            "num_rated_pairs": len(entries),
        }


def segment_submission_metrics(ratings, submission, top_n=0):
    """Scores a submission, which ranks segments for each class, against the ratings.

    A class' list is cut to its `top_n` best, then stripped of the segments that were not rated for the class.
    What is left is ranked as listed. A rated positive that it does not hold counts as never found, and so do all
    positives of a class that was not submitted. Submitted classes without positive ratings do not count.

    Args:
        ratings: class -> {segment: score}; above 0 is a positive. A segment is any hashable name of it.
        submission: iterable of pairs (class, segments best first), each class and each segment in it once.
        top_n: segments of a class that count; 0 for all.

    Returns:
        dict of the float "segment_map" and the ints "num_classes", those with positive ratings, of which
        segment_map is the mean (0.0 of none), "num_rated_pairs", and "num_rated_pairs_submitted", how many of
        them the submission holds.

    Raises:
        ValueError: for a negative `top_n`.

    Source: `segment_eval_inference.py` of the starter code, which averages over the submitted classes only.
    """
    if top_n < 0:
        raise ValueError(f"`top_n` must be 0 or more. Received: top_n={top_n}.")
    positives_of_class = {c: sum(score > 0 for score in of_class.values()) for c, of_class in ratings.items()}
    total = 0.0
    num_submitted = 0
    for class_index, segments in submission:
        scores = ratings.get(class_index, {})
        listed = segments[:top_n] if top_n else segments
        is_positive = np.array([scores[segment] > 0 for segment in listed if segment in scores], bool)
        num_submitted += len(is_positive)
        # Ranks stand in for predictions, best first.
        total += average_precision(-np.arange(len(is_positive)), is_positive, positives_of_class.get(class_index, 0))
    num_classes = sum(number > 0 for number in positives_of_class.values())
    return {
        "segment_map": total / num_classes if num_classes else 0.0,
        "num_classes": num_classes,
        "num_rated_pairs": sum(map(len, ratings.values())),
        "num_rated_pairs_submitted": num_submitted,
    }
