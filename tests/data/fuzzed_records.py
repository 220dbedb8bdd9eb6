"""Damaged records: each is read as what it says, or left out with a reason; none is lost, none invented.

    python tests/data/fuzzed_records.py 12000        # half of them frame-level, half video-level

What a record says is taken from protobuf's own Python parser.
"""

from __future__ import annotations

import logging
import pathlib
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

ROOT = pathlib.Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.records import frame_record, make_videos, record_of, video_record, write_records  # noqa: E402
from yt8m_distill.data import SkippedRecords  # noqa: E402
from yt8m_distill.data.errors import DataError  # noqa: E402
from yt8m_distill.data.pipeline import evaluation_dataset, readable_errors  # noqa: E402
from yt8m_distill.data.schema import RecordSchema  # noqa: E402

FRAMES = RecordSchema(("rgb", "audio"), (8, 4), frame_features=True, num_classes=10, max_frames=20)
MEANS = RecordSchema(("mean_rgb", "mean_audio"), (8, 4), num_classes=10)
# Most records are bad, and what is wrong with one is found by halving its batch.
BATCH_SIZE = 8


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
    video_id = [None, "", "ok", "\u00e9" * 20, "a,b", 'a"b', "a\nb", b"\xff\xfe"][random.integers(8)]
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
    """Id, labels and features of a record by protobuf's parser; None if it is not what the schema says.

    Raises:
      DecodeError: it is no record.
    """
    example = tf.train.SequenceExample.FromString(record)
    context = example.context.feature
    ids = [value for name in ("id", "video_id") if name in context for value in context[name].bytes_list.value if value]
    labels = sorted(set(context["labels"].int64_list.value)) if "labels" in context else []
    if not ids or not fits_a_csv(ids[0]) or (labels and not 0 <= labels[0] <= labels[-1] < schema.num_classes):
        return None
    if schema.frame_features:
        lists = example.feature_lists.feature_list
        features = [b"".join(f.bytes_list.value[0] for f in lists[name].feature) for name in schema.feature_names]
        return ids[0], labels, features
    return ids[0], labels, [list(context[name].float_list.value) for name in schema.feature_names]


def fits_a_csv(video_id):
    try:
        return not set(',"\r\n') & set(video_id.decode())
    except UnicodeDecodeError:
        return False


def read_by_pipeline(batch, row, schema):
    labels = np.flatnonzero(batch["labels"][row]).tolist()
    if not schema.frame_features:
        return batch["video_ids"][row], labels, np.split(batch["features"][row], [8])
    frames = batch["frames"][row][: batch["num_frames"][row]]
    return batch["video_ids"][row], labels, [frames[:, :8].tobytes(), frames[:, 8:].tobytes()]


def assert_says(record, read, schema):
    try:
        said = said_by(record, schema)
    except DecodeError:
        assert_holds(record, read, schema)
        return
    assert said is not None
    assert read[:2] == said[:2]
    for values, of_record, size in zip(read[2], said[2], schema.feature_sizes):
        if schema.frame_features:
            assert values == of_record[: size * schema.max_frames]
        else:
            np.testing.assert_array_equal(values, np.float32(of_record))


def assert_holds(record, read, schema):
    """TensorFlow does not mind a wrong length around a value; the value itself must be the record's."""
    video_id, labels, features = read
    assert video_id in record and fits_a_csv(video_id) and all(0 <= label < schema.num_classes for label in labels)
    for values, size in zip(features, schema.feature_sizes):
        if schema.frame_features:
            assert all(values[start : start + size] in record for start in range(0, len(values), size))
        else:
            assert values.tobytes() in record


def check_skipping(schema, count: int, folder, seed: int = 0) -> tuple[int, int]:
    """Reads damaged records where bad ones are skipped; AssertionError if one is lost, invented or read wrongly.

    Returns:
      How many were read, and how many were left out.
    """
    records = mutants(schema, count, seed)
    path = write_records(pathlib.Path(folder) / "mutants", records)
    skipped = SkippedRecords()
    read = []
    dataset = evaluation_dataset([path], schema, BATCH_SIZE, skipped=skipped, writable_ids="videos")
    for batch in dataset.as_numpy_iterator():
        read += [read_by_pipeline(batch, row, schema) for row in range(len(batch["labels"]))]
    problems = skipped.by_record()
    left_out = {number for _, number in problems}
    assert len(read) + len(left_out) == len(records)
    good = [record for number, record in enumerate(records) if number not in left_out]
    for record, values in zip(good, read):
        assert_says(record, values, schema)
    for (_, number), problem in problems.items():
        assert f"{path} record {number}" in problem and "\n" not in problem and len(problem) < 500, problem
    return len(read), len(left_out)


def check_failing(schema, count: int, folder, seed: int = 1) -> int:
    """Reads damaged records one by one where a bad one stops the reader; AssertionError for what is not `DataError`.

    Returns:
      How many stopped it.
    """
    good = record_of(make_videos(FRAMES, 1)[0], schema)
    stopped = 0
    for number, record in enumerate(mutants(schema, count, seed)):
        path = write_records(pathlib.Path(folder) / str(number), [good, record])
        try:
            with readable_errors([path], schema):
                (batch,) = evaluation_dataset([path], schema, 2, writable_ids="videos").as_numpy_iterator()
        except DataError as error:
            assert f"{path} record 1" in str(error) and "\n" not in str(error) and len(str(error)) < 500, error
            stopped += 1
        else:
            assert_says(record, read_by_pipeline(batch, 1, schema), schema)
    return stopped


def main(count):
    logging.disable()
    for schema, kind in ((FRAMES, "frame-level"), (MEANS, "video-level")):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            read, left_out = check_skipping(schema, count // 2, folder)
            print(f"{kind}: {read} read as they are, {left_out} left out and named, none lost", end="")
            print(f" ({time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
