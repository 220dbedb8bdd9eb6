"""Where a run notes the records that it leaves out."""

import logging

import pytest

from yt8m_distill.data import reported_skipped_records


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, OSError])
def test_what_was_left_out_is_listed_however_the_work_ends(error, caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(error or StopIteration), reported_skipped_records(skip=True) as skipped:
        for number in range(25):
            skipped.add("a.tfrecord", number, f"record {number} is bad")
        raise error or StopIteration
    listed = caplog.text.partition("Skipped 25 bad records")[2]
    assert "record 0 is bad" in listed and "record 24 is bad" in listed


def test_nothing_is_noted_where_nothing_is_skipped(caplog):
    with reported_skipped_records(skip=False) as skipped:
        assert skipped is None
    assert not caplog.records
