from __future__ import annotations

import dataclasses
import os
import pathlib
import socket

import numpy as np
import pytest
import tensorflow as tf

from tests.records import (
    flip_bit,
    frame_record,
    make_videos,
    real_files,
    record_of,
    video_record,
    with_segments,
    write_records,
    write_videos,
)
from yt8m_distill.data.errors import DataError
from yt8m_distill.data.record_files import (
    check_first_record,
    check_rated_segments,
    estimate_num_records,
    list_record_files,
    locate_damage,
)
from yt8m_distill.data.schema import RecordSchema

FRAME_SCHEMA = RecordSchema(("rgb", "audio"), (8, 4), frame_features=True, num_classes=10, max_frames=20)
VIDEO_SCHEMA = RecordSchema(("mean_rgb", "mean_audio"), (8, 4), num_classes=10)
FRAMES = {"rgb": np.zeros((3, 8), np.uint8), "audio": np.zeros((3, 4), np.uint8)}
MEANS = {"mean_rgb": np.zeros(8), "mean_audio": np.zeros(4)}


def assert_suggests(message, sizes):
    """The features of a record have no order of their own."""
    assert "The record would fit --feature_names=" in message
    names, widths = message.split("--feature_names=")[1].rstrip(".").split(" --feature_sizes=")
    assert dict(zip(names.split(","), map(int, widths.split(",")))) == sizes


def failure_of(files, schema):
    with pytest.raises(DataError) as error:
        check_first_record(files, schema)
    assert "\n" not in str(error.value)
    return str(error.value)


# Listing.


@pytest.fixture
def folder(tmp_path):
    for name in ("b1", "a0", "a1", "c"):
        (tmp_path / f"{name}.tfrecord").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    "pattern, names",
    [
        ("*.tfrecord", ["a0", "a1", "b1", "c"]),
        ("a?.tfrecord", ["a0", "a1"]),
        ("c.tfrecord, a*.tfrecord", ["a0", "a1", "c"]),
        ("*1.tfrecord,a*.tfrecord,a1.tfrecord,", ["a0", "a1", "b1"]),  # a1 once
    ],
)
def test_lists_files_sorted_and_each_once(folder, pattern, names):
    patterns = ",".join(f"{folder}/{glob.strip()}" if glob else "" for glob in pattern.split(","))
    for written in (patterns, patterns.replace(",", " , ")):
        assert list_record_files(written) == [str(folder / f"{name}.tfrecord") for name in names]


@pytest.mark.parametrize("pattern", ["{}/d*.tfrecord", "{}/a*.tfrecord,{}/d*.tfrecord", "{}/nowhere/*"])
def test_a_glob_without_a_match_is_an_error(folder, pattern):
    pattern = pattern.replace("{}", str(folder))
    with pytest.raises(DataError) as error:
        list_record_files(pattern, "training")
    glob = pattern.split(",")[-1]
    assert str(error.value) == f"Unable to find training files. data_pattern={glob!r} matches no file."


@pytest.mark.parametrize("pattern", ["", " , "])
def test_an_empty_pattern_is_an_error(pattern):
    with pytest.raises(DataError, match=r"Unable to find input files. data_pattern=.* is empty"):
        list_record_files(pattern)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # a socket's path must be short


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, make_socket, lambda path: os.symlink("/dev/zero", path)],
    ids=["pipe", "socket", "device"],
)
def test_what_may_never_end_is_an_error(make, folder, monkeypatch):
    monkeypatch.chdir(folder)
    make(folder / "b0.tfrecord")
    os.symlink(folder / "b0.tfrecord", folder / "d.tfrecord")
    for name in ("b0", "d"):
        path = f"{folder}/{name}.tfrecord"
        with pytest.raises(DataError) as error:
            list_record_files(f"{folder}/{name}*,{folder}/a*")
        assert str(error.value) == f"{path}: is a pipe, a socket or a device, not a file. Leave it out of the pattern."


def test_links_to_files_are_files(folder):
    os.symlink(folder / "c.tfrecord", folder / "d0.tfrecord")
    os.symlink(folder / "nothing", folder / "d1.tfrecord")  # whoever opens it says so
    assert list_record_files(f"{folder}/d*") == [f"{folder}/d0.tfrecord", f"{folder}/d1.tfrecord"]


def test_remote_files_are_left_to_whoever_opens_them(monkeypatch):
    monkeypatch.setattr(tf.io.gfile, "glob", lambda pattern: ["gs://bucket/b", "gs://bucket/a"])
    assert list_record_files("gs://bucket/*") == ["gs://bucket/a", "gs://bucket/b"]


def test_a_name_that_is_not_utf_8_is_an_error(folder):
    path = os.fsencode(folder) + b"/d\xff.tfrecord"
    open(path, "wb").close()
    for pattern, name in ((f"{folder}/*", repr(path)), (os.fsdecode(path), repr(os.fsdecode(path)))):
        with pytest.raises(DataError) as error:
            list_record_files(pattern)
        assert str(error.value) == f"{name}: the name of this file is not UTF-8, and cannot be read. Rename it."


# The first record against the flags.


@pytest.mark.parametrize(
    "record, schema",
    [
        (frame_record(FRAMES), FRAME_SCHEMA),
        (frame_record(FRAMES, frames_per_entry=3), FRAME_SCHEMA),
        (frame_record({"rgb": [], "audio": []}), FRAME_SCHEMA),
        (video_record(MEANS), VIDEO_SCHEMA),
        (frame_record(FRAMES, means=MEANS), VIDEO_SCHEMA),
        (frame_record(FRAMES, means=MEANS), FRAME_SCHEMA),
    ],
    ids=["frames", "several frames an entry", "no frame", "video", "means in context", "frames and means"],
)
def test_accepts_what_fits(tmp_path, record, schema):
    empty = write_records(tmp_path / "empty", [])
    check_first_record([empty, write_records(tmp_path / "shard", [record])], schema)


def test_wrong_feature_name(tmp_path):
    path = write_records(tmp_path / "shard", [frame_record(FRAMES)])
    message = failure_of([path], dataclasses.replace(FRAME_SCHEMA, feature_names=("rgb", "sound")))
    assert message.startswith(f"{path}: has no feature 'sound'. ")
    assert_suggests(message, {"rgb": 8, "audio": 4})


@pytest.mark.parametrize(
    "record, schema, problem, sizes",
    [
        (
            frame_record(FRAMES),
            FRAME_SCHEMA,
            "'audio' has 4 bytes a frame, but feature_sizes says 128",
            {"rgb": 8, "audio": 4},
        ),
        (
            video_record(MEANS),
            VIDEO_SCHEMA,
            "'mean_audio' has 4 values, but feature_sizes says 128",
            {"mean_rgb": 8, "mean_audio": 4},
        ),
    ],
    ids=["frames", "video"],
)
def test_wrong_feature_size(tmp_path, record, schema, problem, sizes):
    path = write_records(tmp_path / "shard", [record])
    message = failure_of([path], dataclasses.replace(schema, feature_sizes=(8, 128)))
    assert message.startswith(f"{path}: feature {problem}. ")
    assert_suggests(message, sizes)


def test_ragged_frames(tmp_path):
    path = write_records(tmp_path / "shard", [frame_record({**FRAMES, "rgb": [bytes(8), bytes(5)]})])
    assert "feature 'rgb' has 5/8 bytes a frame, but feature_sizes says 8" in failure_of([path], FRAME_SCHEMA)


def test_video_level_record_read_as_frame_level(tmp_path):
    path = write_records(tmp_path / "shard", [video_record(MEANS)])
    message = failure_of([path], FRAME_SCHEMA)
    level = "The record is video-level (train.py without --frame_features). "
    assert message.startswith(f"{path}: has no feature 'rgb'. {level}")
    assert_suggests(message, {"mean_rgb": 8, "mean_audio": 4})


@pytest.mark.parametrize("context", [{}, {"start_time_seconds": [30.0], "end_time_seconds": [40.0]}], ids=str)
@pytest.mark.parametrize("names", [("mean_rgb", "mean_audio"), ("rgb", "audio")], ids=str)
def test_frame_level_record_read_as_video_level(tmp_path, context, names):
    path = write_records(tmp_path / "shard", [frame_record(FRAMES, means=context)])
    message = failure_of([path], dataclasses.replace(VIDEO_SCHEMA, feature_names=names))
    level = "The record is frame-level (train.py --frame_features). "
    assert message.startswith(f"{path}: has no feature '{names[0]}'. {level}")
    assert_suggests(message, {"rgb": 8, "audio": 4})


def test_wrong_size_of_means_beside_frames(tmp_path):
    path = write_records(tmp_path / "shard", [frame_record(FRAMES, means=MEANS)])
    message = failure_of([path], dataclasses.replace(VIDEO_SCHEMA, feature_sizes=(1024, 4)))
    assert "'mean_rgb' has 8 values, but feature_sizes says 1024" in message
    assert_suggests(message, {"mean_rgb": 8, "mean_audio": 4})


@pytest.mark.parametrize("schema", [VIDEO_SCHEMA, FRAME_SCHEMA], ids=["video", "frames"])
@pytest.mark.parametrize("record", [video_record({}, labels=(1,)), b""], ids=["labels", "nothing"])
def test_a_record_without_features_suggests_none(tmp_path, record, schema):
    path = write_records(tmp_path / "shard", [record])
    name = schema.feature_names[0]
    assert failure_of([path], schema) == f"{path}: has no feature {name!r}. The record holds no feature that would fit."


def test_frames_that_are_floats(tmp_path):
    vector = tf.train.Feature(float_list=tf.train.FloatList(value=[0.5] * 8))
    record = tf.train.SequenceExample()
    record.feature_lists.feature_list["rgb"].feature.append(vector)
    path = write_records(tmp_path / "shard", [record.SerializeToString()])
    assert failure_of([path], FRAME_SCHEMA) == (
        f"{path}: feature 'rgb' has 0 bytes a frame, but feature_sizes says 8. "
        "The record holds no feature that would fit."
    )


def test_empty_files(tmp_path):
    files = [write_records(tmp_path / name, []) for name in ("a", "b")]
    assert failure_of(files, FRAME_SCHEMA) == f"The 2 input file(s) hold no record: {files[0]} and the rest are empty."


def test_a_file_that_is_no_tfrecord(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("VideoId,LabelConfidencePairs\nv001,3 0.5\n")
    message = failure_of([str(path)], FRAME_SCHEMA)
    assert message == f"{path}: is not a TFRecord file. Download it again or remove it."


def test_a_record_that_is_no_example(tmp_path):
    path = write_records(tmp_path / "shard", [b"\xff garbage"])
    message = failure_of([path], FRAME_SCHEMA)
    assert message == f"{path}: is neither a tf.train.Example nor a tf.train.SequenceExample."


def test_names_that_no_flag_can_say_are_not_suggested(tmp_path):
    sizes = {"rgb\n": 4, "a,b": 3, "mel": 5}
    features = {name: np.zeros((2, size), np.uint8) for name, size in sizes.items()}
    message = failure_of([write_records(tmp_path / "shard", [frame_record(features)])], FRAME_SCHEMA)
    assert message.endswith("The record would fit --feature_names=mel --feature_sizes=5.")


def test_a_first_file_that_is_missing(tmp_path):
    assert "gone: cannot be read: " in failure_of([str(tmp_path / "gone")], FRAME_SCHEMA)


def test_a_first_record_that_is_damaged(tmp_path):
    path = pathlib.Path(write_records(tmp_path / "shard", [frame_record(FRAMES)]))
    flip_bit(path, position=20)
    assert failure_of([str(path)], FRAME_SCHEMA) == (
        f"{path}: record 0 fails its checksum. Download it again or remove it."
    )


# The number of records.


def test_estimate_of_equal_records_is_exact(tmp_path):
    videos = make_videos(FRAME_SCHEMA, 100, num_frames=5)
    one_label = [dataclasses.replace(video, labels=(3,)) for video in videos]
    files = write_videos(tmp_path, one_label, FRAME_SCHEMA, num_shards=3)
    assert estimate_num_records(files) == 100
    assert estimate_num_records([write_records(tmp_path / "empty", []), *files], sample_size=1) == 100


def test_estimate_of_uneven_records_is_near(tmp_path):
    files = write_videos(tmp_path, make_videos(FRAME_SCHEMA, 400), FRAME_SCHEMA, num_shards=4)
    assert 320 <= estimate_num_records(files) <= 480


def test_estimate_of_nothing(tmp_path):
    assert estimate_num_records([write_records(tmp_path / "empty", [])]) == 0


# Damage.


@pytest.fixture
def shards(tmp_path):
    """Three shards of four records of the same size."""
    videos = [dataclasses.replace(video, labels=(3,)) for video in make_videos(FRAME_SCHEMA, 12, num_frames=5)]
    return [pathlib.Path(path) for path in write_videos(tmp_path, videos, FRAME_SCHEMA, num_shards=3)]


def damage_of(shards):
    return locate_damage(list(map(str, shards)), FRAME_SCHEMA)


def test_no_damage(shards):
    assert damage_of(shards) is None


@pytest.mark.parametrize("missing", [1, 3, 20])
def test_truncated_shard(shards, missing):
    content = shards[1].read_bytes()
    shards[1].write_bytes(content[:-missing])
    assert damage_of(shards) == (
        f"{shards[1]}: truncated in record 3, of which {missing} bytes are missing. Download it again or remove it."
    )


def test_truncated_in_the_length_of_a_record(shards):
    content = shards[2].read_bytes()
    shards[2].write_bytes(content[: len(content) // 4 * 2 + 5])
    assert damage_of(shards) == f"{shards[2]}: truncated in record 2. Download it again or remove it."


def test_flipped_bit(shards):
    record_size = shards[2].stat().st_size // 4
    flip_bit(shards[2], position=record_size + record_size // 2)
    expected = f"{shards[2]}: record 1 fails its checksum. Download it again or remove it."
    assert damage_of(shards) == expected


def test_flipped_bit_in_a_length(shards):
    record_size = shards[0].stat().st_size // 4
    flip_bit(shards[0], position=2 * record_size + 4)  # 2**32 bytes more
    assert damage_of(shards) == f"{shards[0]}: record 2 has a damaged length. Download it again or remove it."


def test_a_record_of_another_dataset(shards):
    write_records(shards[1], [frame_record(FRAMES), video_record(MEANS)])
    message = damage_of(shards)
    assert message.startswith(f"{shards[1]} record 1: has no feature 'rgb'. The record is video-level ")


def test_a_file_that_is_gone(shards):
    shards[1].unlink()
    assert damage_of(shards).startswith(f"{shards[1]}: cannot be read: ")


# Real records.


def test_real_audioset_records_with_the_default_flags():
    files = real_files("audioset/train*.tfrecord")
    message = failure_of(files, RecordSchema(("mean_rgb",), (1024,)))
    assert message.startswith(
        f"{files[0]}: has no feature 'mean_rgb'. The record is frame-level (train.py --frame_features). "
    )
    assert_suggests(message, {"audio_embedding": 128})
    check_first_record(files, RecordSchema(("audio_embedding",), (128,), frame_features=True, num_classes=527))


@pytest.mark.parametrize(
    "pattern, num_records", [("audioset/train*.tfrecord", 16_619), ("yt8m_2018_video/*.tfrecord", 17_499)]
)
def test_estimate_of_real_records(pattern, num_records):
    assert abs(estimate_num_records(real_files(pattern)) / num_records - 1) < 0.1


# Rated segments.


def test_rated_segments_are_looked_for_beyond_the_first_record(tmp_path):
    plain = record_of(make_videos(FRAME_SCHEMA, 1)[0], FRAME_SCHEMA)
    files = [write_records(tmp_path / "a", []), write_records(tmp_path / "b", [plain, plain])]
    with pytest.raises(DataError, match=r"a and what follows it, 1000 records at most, hold no rated segment"):
        check_rated_segments(files, FRAME_SCHEMA)
    check_rated_segments([*files, write_records(tmp_path / "c", [with_segments(plain, [1], [0], [1.0])])], FRAME_SCHEMA)


def test_video_level_records_have_no_segments():
    with pytest.raises(DataError, match="Leave out --segment_labels, or use a frame-level model"):
        check_rated_segments(["unread"], VIDEO_SCHEMA)


def test_estimate_of_segments(tmp_path):
    plain = frame_record({"rgb": np.zeros([5, 8], np.uint8), "audio": np.zeros([5, 4], np.uint8)})
    rated = with_segments(plain, [1, 2, 3], [0, 5, 0], [1.0] * 3)  # two segments
    files = [write_records(tmp_path / name, [rated] * 30) for name in "ab"]
    assert estimate_num_records(files, segments=True) == 120
    assert estimate_num_records(files) == 60
    assert estimate_num_records([write_records(tmp_path / "c", [plain])], segments=True) == 1
    late = write_records(tmp_path / "d", [plain] * 100 + [rated] * 50)
    assert estimate_num_records([late], segments=True) == 100
