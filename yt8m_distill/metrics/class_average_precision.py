"""Mean over classes of the average precision of each class' own list of scored items."""

from __future__ import annotations

import numpy as np

from yt8m_distill.metrics.average_precision import average_precision


def entry_dtype(num_classes):
    """The numpy record of a scored item, 7 bytes up to 65,536 classes: "prediction", "class" and "positive"."""
    class_dtype = np.min_scalar_type(num_classes - 1)
    return np.dtype([("prediction", np.float32), ("class", class_dtype), ("positive", bool)])


def mean_average_precision(entries, num_positives_of_class):
    """Averages `average_precision` over the classes that have positives.

    Args:
        entries: array of `entry_dtype`, shape [N], in any order.
        num_positives_of_class: positives to be found of every class, int [C]; some may be missing from the
            entries. A class whose positives are all missing contributes 0.

    Returns:
        float in [0, 1]; 0.0 if no class has positives.
    """
    by_class = np.argsort(entries["class"], kind="stable")  # a radix sort up to 65,536 classes
    entries = entries.take(by_class)  # several times as fast as `entries[by_class]` for records
    classes = np.arange(len(num_positives_of_class), dtype=entries["class"].dtype)
    entries_of_class = np.split(entries, np.searchsorted(entries["class"], classes[1:]))
    average_precisions = [
        average_precision(of_class["prediction"], of_class["positive"], num_positives)
        for of_class, num_positives in zip(entries_of_class, num_positives_of_class)
        if num_positives > 0
    ]
    return float(np.mean(average_precisions)) if average_precisions else 0.0
