"""Ten thousand damaged records: each is read as what it says, or left out with a reason; none is lost, none invented.

What a record says is taken from protobuf's own Python parser.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError

from tests.records import frame_record, make_videos, record_of, video_record, write_records
from yt8m_distill.data import SkippedRecords
from yt8m_distill.data.errors import DataError
from yt8m_distill.data.pipeline import evaluation_dataset, readable_errors
from yt8m_distill.data.schema import RecordSchema

FRAMES = RecordSchema(("rgb", "audio"), (8, 4), frame_features=True, num_classes=10, max_frames=20)
MEANS = RecordSchema(("mean_rgb", "mean_audio"), (8, 4), num_classes=10)
NUM_RECORDS = {True: 6000, False: 6000}
NUM_STRICT = 40


def flipped(record, random):
    content = bytearray(record)
    for _ in range(random.integers(1, 4)):
        content[random.integers(len(content))] ^= 1 << random.integers(8)
    return bytes(content)


def cut(record, random):
    start, end = sorted(random.integers(0, len(record) + 1, 2))
    return record[:end] if random.random() < 0.5 else record[:start] + record[end:]


def noise(record, random):
    return random.bytes(random.integers(0, 60))


def joined(record, random):
    """Two records in one: what proto calls merging."""
    return record + record[: random.integers(len(record) + 1)]


def odd(record, random):
    """A well-formed record of odd sizes, types, labels or ids."""
    widths = random.integers(0, 10, 2)
    lengths = random.integers(0, 25, 2)
    frames = {
        name: [random.bytes(width) for _ in range(length)]
        for name, width, length in zip(("rgb", "audio"), widths, lengths)
    }
    means = {name: random.normal(size=width).tolist() for name, width in zip(("mean_rgb", "mean_audio"), widths)}
    labels = random.integers(-2, 12, random.integers(0, 4)).tolist()
    video_id = [None, "", "ok", "\u00e9" * 20][random.integers(4)]
    make = [
        lambda: frame_record(frames, video_id, labels),
        lambda: frame_record(frames, video_id, None, means=means),
        lambda: video_record(means, video_id, labels),
        lambda: video_record({**means, "labels": [1.0]}, video_id, None),
    ]
    return make[random.integers(4)]()


MUTATIONS = (flipped, flipped, cut, noise, joined, odd)


def mutants(schema, count, seed):
    random = np.random.default_rng(seed)
    whole = [record_of(video, schema) for video in make_videos(FRAMES, 20)]
    return [
        MUTATIONS[random.integers(len(MUTATIONS))](whole[random.integers(len(whole))], random) for _ in range(count)
    ]


def said_by(record, schema):
    """Id, labels and features of a record by protobuf's parser; None if it is not what the schema says."""
    try:
        example = tf.train.SequenceExample.FromString(record)
    except DecodeError:
        return None
    context = example.context.feature
    ids = [value for name in ("id", "video_id") if name in context for value in context[name].bytes_list.value if value]
    labels = sorted(set(context["labels"].int64_list.value)) if "labels" in context else []
    if not ids or (labels and not 0 <= labels[0] <= labels[-1] < schema.num_classes):
        return None
    if schema.frame_features:
        lists = example.feature_lists.feature_list
        features = [b"".join(f.bytes_list.value[0] for f in lists[name].feature) for name in schema.feature_names]
        return ids[0], labels, features
    return ids[0], labels, [list(context[name].float_list.value) for name in schema.feature_names]


def read_by_pipeline(batch, row, schema):
    labels = np.flatnonzero(batch["labels"][row]).tolist()
    if not schema.frame_features:
        return batch["video_ids"][row], labels, np.split(batch["features"][row], [8])
    frames = batch["frames"][row][: batch["num_frames"][row]]
    return batch["video_ids"][row], labels, [frames[:, :8].tobytes(), frames[:, 8:].tobytes()]


def assert_says(record, read, schema):
    said = said_by(record, schema)
    assert said is not None
    assert read[:2] == said[:2]
    for values, of_record, size in zip(read[2], said[2], schema.feature_sizes):
        if schema.frame_features:
            assert values == of_record[: size * schema.max_frames]
        else:
            np.testing.assert_array_equal(values, np.float32(of_record))


@pytest.mark.parametrize("frame_features", [True, False], ids=["frame-level", "video-level"])
def test_every_damaged_record_is_read_as_it_is_or_named(frame_features, tmp_path):
    schema = FRAMES if frame_features else MEANS
    records = mutants(schema, NUM_RECORDS[frame_features], seed=0)
    path = write_records(tmp_path / "mutants", records)
    skipped = SkippedRecords()
    read = []
    for batch in evaluation_dataset([path], schema, 64, skipped=skipped).as_numpy_iterator():
        read += [read_by_pipeline(batch, row, schema) for row in range(len(batch["labels"]))]
    left_out = {number for _, number in skipped._problems}
    assert len(read) + len(left_out) == len(records)
    assert 0.05 * len(records) < len(read) < 0.8 * len(records)
    good = [record for number, record in enumerate(records) if number not in left_out]
    for record, values in zip(good, read):
        assert_says(record, values, schema)
    for (_, number), problem in skipped._problems.items():
        assert f"{path} record {number}" in problem and "\n" not in problem and len(problem) < 500


@pytest.mark.parametrize("frame_features", [True, False], ids=["frame-level", "video-level"])
def test_the_first_damaged_record_stops_a_reader_that_skips_none(frame_features, tmp_path):
    schema = FRAMES if frame_features else MEANS
    good = record_of(make_videos(FRAMES, 1)[0], schema)
    for number, record in enumerate(mutants(schema, NUM_STRICT, seed=1)):
        path = write_records(tmp_path / str(number), [good, record])
        try:
            with readable_errors([path], schema):
                (batch,) = evaluation_dataset([path], schema, 2).as_numpy_iterator()
        except DataError as error:
            assert f"{path} record 1" in str(error) and "\n" not in str(error)
        else:
            assert_says(record, read_by_pipeline(batch, 1, schema), schema)
