from __future__ import annotations

import numpy as np

from yt8m_distill.metrics.growing_array import GrowingArray


def test_holds_all_entries_in_order():
    array = GrowingArray(np.int64)
    entries = np.arange(10_000)
    for part in np.split(entries, [0, 1, 3, 900, 1024, 1025, 9000]):
        array.append(part)
    np.testing.assert_array_equal(array.view(), entries)


def test_starts_empty():
    array = GrowingArray([("prediction", np.float32), ("positive", bool)])
    assert array.view().shape == (0,)
    assert array.view().dtype == array.dtype == np.dtype([("prediction", np.float32), ("positive", bool)])


def test_view_is_not_a_copy():
    array = GrowingArray(np.int64)
    array.append([1, 2])
    array.view()[0] = 7
    assert array.view().tolist() == [7, 2]
