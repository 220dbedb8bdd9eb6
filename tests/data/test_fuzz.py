"""Bit flips, cuts, noise and odd records; twelve thousand of them: `fuzzed_records.py 12000`."""

import pytest

from tests.data.fuzzed_records import FRAMES, MEANS, check_failing, check_skipping

SCHEMAS = pytest.mark.parametrize("schema", [FRAMES, MEANS], ids=["frame-level", "video-level"])


@SCHEMAS
def test_every_damaged_record_is_read_as_it_is_or_named(schema, tmp_path):
    read, left_out = check_skipping(schema, 400, tmp_path)
    assert min(read, left_out) > 20


@SCHEMAS
def test_a_damaged_record_stops_a_reader_that_skips_none(schema, tmp_path):
    assert check_failing(schema, 15, tmp_path) > 4
