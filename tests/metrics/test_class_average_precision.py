import numpy as np
import pytest

from yt8m_distill.metrics.class_average_precision import entry_dtype, mean_average_precision


def entries(*rows):
    return np.array(list(rows), entry_dtype(4))


def test_classes_by_hand():
    # Class 0: yes, no, yes -> (1 + 2/3) / 2. Class 2: no, yes, and one positive that is missing -> (1/2) / 2.
    # Class 3 has a positive and no entry -> 0. Class 1 has no positive: it does not count.
    found = entries((0.1, 0, True), (0.9, 2, False), (0.5, 0, True), (0.3, 2, True), (0.7, 1, False), (0.2, 0, False))
    expected = ((1 + 2 / 3) / 2 + 1 / 4 + 0) / 3
    assert mean_average_precision(found, [2, 0, 2, 1]) == pytest.approx(expected)
    assert mean_average_precision(found[::-1], np.array([2, 0, 2, 1])) == mean_average_precision(found, [2, 0, 2, 1])


def test_no_positive():
    assert mean_average_precision(entries((0.5, 1, False)), [0, 0, 0, 0]) == 0.0
    assert mean_average_precision(entries(), [0, 0, 0, 0]) == 0.0


@pytest.mark.parametrize("num_classes, size", [(256, 6), (3862, 7), (70000, 9)])
def test_size_of_an_entry(num_classes, size):
    assert entry_dtype(num_classes).itemsize == size
