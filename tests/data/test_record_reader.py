import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.records import flip_bit
from yt8m_distill.data.record_reader import check_lengths, masked_checksum, read_records

PAYLOADS = [b"first", b"", b"x" * 1000, b"last"]
STARTS = [0, 21, 37, 1053]  # each record takes 16 bytes more than its payload


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "shard.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for payload in PAYLOADS:
            writer.write(payload)
    return path


def read(path):
    return [(record.number, record.payload or record.problem) for record in read_records(str(path))]


def test_whole_file(path):
    records = list(read_records(str(path)))
    assert [record.payload for record in records] == PAYLOADS
    assert [record.number for record in records] == [0, 1, 2, 3]
    assert not any(record.problem or record.is_last for record in records)
    assert check_lengths(str(path)) is None


def test_an_empty_file_has_no_records(tmp_path):
    (tmp_path / "empty").touch()
    assert read(tmp_path / "empty") == []


@pytest.mark.parametrize("position", [STARTS[2] + 12, STARTS[2] + 500, STARTS[3] - 1])
def test_reading_goes_on_behind_a_damaged_payload(path, position):
    flip_bit(path, position)
    assert read(path) == [(0, b"first"), (1, ""), (2, "record 2 fails its checksum"), (3, b"last")]
    assert check_lengths(str(path)) is None  # which reads no payload


@pytest.mark.parametrize("position", [STARTS[2], STARTS[2] + 7, STARTS[2] + 9])
def test_reading_ends_at_a_damaged_length(path, position):
    flip_bit(path, position)
    assert read(path) == [(0, b"first"), (1, ""), (2, "record 2 has a damaged length")]
    assert list(read_records(str(path)))[-1].is_last
    assert check_lengths(str(path)).problem == "record 2 has a damaged length"


@pytest.mark.parametrize(
    "size, problem",
    [
        (STARTS[3] + 5, "truncated in record 3"),
        (STARTS[3] + 12, "truncated in record 3, of which 8 bytes are missing"),
        (STARTS[3] + 19, "truncated in record 3, of which 1 bytes are missing"),
        (STARTS[2] + 100, "truncated in record 2, of which 916 bytes are missing"),
    ],
)
def test_reading_ends_where_the_file_is_cut_off(path, size, problem):
    path.write_bytes(path.read_bytes()[:size])
    *_, last = read_records(str(path))
    assert (last.problem, last.is_last) == (problem, True)
    assert check_lengths(str(path)).problem == problem


def test_what_is_no_tfrecord_file(path):
    path.write_text("VideoId,LabelConfidencePairs\n")
    assert read(path) == [(0, "is not a TFRecord file")]


def test_a_length_beyond_all_sense_is_no_reason_to_allocate_it(path):
    length = (2**62).to_bytes(8, "little")
    path.write_bytes(length + masked_checksum(length).to_bytes(4, "little") + b"abc")
    ((_, problem),) = read(path)
    assert problem.startswith("truncated in record 0, of which 4611686018427")


def test_a_missing_file(tmp_path):
    with pytest.raises(tf.errors.NotFoundError):
        list(read_records(str(tmp_path / "gone")))


def test_checksums_are_those_of_tensorflow(path):
    header = path.read_bytes()[:12]
    assert masked_checksum(header[:8]).to_bytes(4, "little") == header[8:]


def test_any_flipped_bit_is_noticed(path):
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for position in random.integers(0, len(content), 100):
        damaged = pathlib.Path(f"{path}.damaged")
        damaged.write_bytes(content)
        flip_bit(damaged, position, bit=int(random.integers(8)))
        good = [record.payload for record in read_records(str(damaged)) if not record.problem]
        assert len(good) < len(PAYLOADS)
        assert [payload for payload in PAYLOADS if payload in good] == good  # none is wrong, none out of order
