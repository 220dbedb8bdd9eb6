from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.records import frame_record, make_videos, real_files, record_of, video_record
from yt8m_distill.data.errors import bad_record_message
from yt8m_distill.data.frame_sampling import METHODS, FrameSampler, sample_frame_indices
from yt8m_distill.data.record_parser import parse_frame_level, parse_video_level
from yt8m_distill.data.schema import RecordSchema

FRAME_SCHEMA = RecordSchema(("rgb", "audio"), (8, 4), frame_features=True, num_classes=10, max_frames=20)
VIDEO_SCHEMA = RecordSchema(("mean_rgb", "mean_audio"), (8, 4), num_classes=10)
MIDDLE = FrameSampler("middle", 5, max_frames=20)
MEANS = {"mean_rgb": np.arange(8) / 7, "mean_audio": -np.arange(4) / 3}


@functools.cache
def parser_graph(schema, **options):
    parse_records = parse_frame_level if schema.frame_features else parse_video_level
    spec = tf.TensorSpec([None], tf.string)

    def parse_batch(serialized, source):
        return parse_records(serialized, schema, source=source, **options)

    return tf.function(parse_batch).get_concrete_function(spec, spec)


@pytest.fixture(scope="module", autouse=True)
def _drop_graphs():
    """TensorFlow complains about functions that live until the interpreter's end."""
    yield
    parser_graph.cache_clear()


def parse(records, schema=FRAME_SCHEMA, **options):
    """Parses one batch in a graph, as the pipeline does."""
    source = [f"in shard.tfrecord record {number}" for number in range(len(records))]
    parsed = parser_graph(schema, **options)(tf.constant(records), tf.constant(source))
    return {name: value.numpy() for name, value in parsed.items()}


def failure_of(records, schema=FRAME_SCHEMA):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        parse(records, schema)
    return bad_record_message(error.value) or str(error.value)


def random_frames(num_frames, size=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num_frames, size), dtype=np.uint8)


def features(num_frames, num_audio_frames=None):
    num_audio_frames = num_frames if num_audio_frames is None else num_audio_frames
    return {"rgb": random_frames(num_frames), "audio": random_frames(num_audio_frames, 4)}


# Frame-level records.


def test_frames_ids_and_labels():
    videos = make_videos(FRAME_SCHEMA, 5, num_frames=[7, 0, 20, 1, 13])
    parsed = parse([record_of(video, FRAME_SCHEMA) for video in videos])
    assert {name: (value.dtype, value.shape) for name, value in parsed.items()} == {
        "video_ids": (np.dtype(object), (5,)),
        "frames": (np.dtype(np.uint8), (5, 20, 12)),
        "num_frames": (np.dtype(np.int32), (5,)),
        "labels": (np.dtype(bool), (5, 10)),
    }
    assert parsed["video_ids"].tolist() == [b"v000", b"v001", b"v002", b"v003", b"v004"]
    assert parsed["num_frames"].tolist() == [7, 0, 20, 1, 13]
    for row, video in enumerate(videos):
        assert np.flatnonzero(parsed["labels"][row]).tolist() == list(video.labels)
        np.testing.assert_array_equal(parsed["frames"][row, : len(video.frames)], video.frames)
        assert not parsed["frames"][row, len(video.frames) :].any()


def test_every_byte_value_arrives_as_it_is():
    schema = RecordSchema(("rgb",), (256,), frame_features=True, num_classes=2, max_frames=1)
    frames = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(parse([frame_record({"rgb": frames})], schema)["frames"][0], frames)


def test_features_are_concatenated_in_the_order_of_the_schema():
    schema = dataclasses.replace(FRAME_SCHEMA, feature_names=("audio", "rgb"), feature_sizes=(4, 8))
    content = features(3)
    parsed = parse([frame_record({**content, "other": random_frames(3)})], schema)
    np.testing.assert_array_equal(parsed["frames"][0, :3, :4], content["audio"])
    np.testing.assert_array_equal(parsed["frames"][0, :3, 4:], content["rgb"])


def test_a_video_longer_than_max_frames_keeps_its_first_ones():
    content = features(33)
    parsed = parse([frame_record(content), frame_record(features(2))])
    assert parsed["num_frames"].tolist() == [20, 2]
    np.testing.assert_array_equal(parsed["frames"][0, :, :8], content["rgb"][:20])
    np.testing.assert_array_equal(parsed["frames"][0, :, 8:], content["audio"][:20])


def test_a_longer_video_is_sampled_as_one_of_max_frames():
    content = features(33)
    parsed = parse([frame_record(content)], sampler=MIDDLE)
    np.testing.assert_array_equal(parsed["sampled_frames"][0, :, :8], content["rgb"][7:12])


def test_a_batch_of_videos_without_frames():
    for sampler in (None, MIDDLE):
        parsed = parse([frame_record(features(0)), frame_record(features(0))], sampler=sampler)
        frames, num_frames = [value for name, value in parsed.items() if name.endswith("frames")]
        assert frames.shape == (2, 5 if sampler else 20, 12)
        assert not frames.any()
        assert num_frames.tolist() == [0, 0]


@pytest.mark.parametrize("sampler", [None, MIDDLE], ids=["all", "sampled"])
@pytest.mark.parametrize("frames_per_entry", [3, 12, 100])
def test_several_frames_in_an_entry_are_the_same_as_one(frames_per_entry, sampler):
    contents = [features(12), features(1), features(0)]
    expected = parse([frame_record(content) for content in contents], sampler=sampler)
    packed = [frame_record(content, frames_per_entry=frames_per_entry) for content in contents]
    # Alone, and beside a record with a frame an entry.
    for records in (packed, [packed[0], *map(frame_record, contents[1:])]):
        for name, value in parse(records, sampler=sampler).items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_ids_under_either_key():
    records = [
        frame_record(features(1), "SjJ3"),
        frame_record(features(1), "-0kZTyh_rWw", id_key="video_id"),
        frame_record(features(1), "été"),
    ]
    assert parse(records)["video_ids"].tolist() == [b"SjJ3", b"-0kZTyh_rWw", "été".encode()]


def test_labels():
    labels = [(9, 0, 9, 4), (), None, (3,)]  # unsorted and twice; an empty list; no such key
    parsed = parse([frame_record(features(1), labels=each) for each in labels])
    assert [np.flatnonzero(row).tolist() for row in parsed["labels"]] == [[0, 4, 9], [], [], [3]]


def test_unlabelled_batch():
    assert not parse([frame_record(features(1), labels=None)] * 3)["labels"].any()


# Sampled frames.


@pytest.mark.parametrize(
    "method, budget",
    [
        *((method, {"k": 5}) for method in METHODS),
        ("uniform", {"frame_percent": 25}),
        ("random", {"every_n": 4}),
    ],
    ids=str,
)
def test_decodes_the_frames_that_the_sampler_names(method, budget):
    videos = make_videos(FRAME_SCHEMA, 6, num_frames=[20, 3, 0, 11, 1, 19])
    sampler = FrameSampler(method, budget.get("k"), budget.get("frame_percent"), budget.get("every_n"), max_frames=20)
    records = [record_of(video, FRAME_SCHEMA) for video in videos]
    parsed = parse(records, sampler=sampler, sampling_seed=77)
    assert parsed["sampled_frames"].shape == (6, 5, 12)
    for row, video in enumerate(videos):
        seed = int(tf.strings.to_hash_bucket_fast(video.video_id, 2**31 - 1)) + 77
        indices = sample_frame_indices(len(video.frames), method=method, **budget, max_frames=20, seed=seed)
        assert parsed["num_sampled_frames"][row] == len(indices)
        np.testing.assert_array_equal(parsed["sampled_frames"][row, : len(indices)], video.frames[indices])
        assert not parsed["sampled_frames"][row, len(indices) :].any()


def test_a_random_draw_depends_on_the_video_and_the_seed_alone():
    videos = make_videos(FRAME_SCHEMA, 8, num_frames=20)
    records = [record_of(video, FRAME_SCHEMA) for video in videos]
    sampler = FrameSampler("random", 5, max_frames=20)

    def draws(records, sampling_seed=77):
        return parse(records, sampler=sampler, sampling_seed=sampling_seed)["sampled_frames"]

    together = draws(records)
    np.testing.assert_array_equal(draws(records[::-1])[::-1], together)
    np.testing.assert_array_equal(np.concatenate([draws([record]) for record in records[:3]]), together[:3])
    # 5 of 20 frames: two draws are equal once in 15,504 times.
    positions = [
        [int(np.flatnonzero((video.frames == frame).all(axis=1))[0]) for frame in drawn]
        for video, drawn in zip(videos, together)
    ]
    assert all(row == sorted(set(row)) for row in positions)
    assert len(set(map(tuple, positions))) == 8
    assert (draws(records, sampling_seed=78) != together).any(axis=(1, 2)).all()


# Bad frame-level records: the message names the first of them.


@pytest.mark.parametrize(
    "bad, message",
    [
        (
            frame_record(features(5), "bad", labels=(1, 10)),
            "video 'bad' in shard.tfrecord record 1: a label is outside [0, num_classes=10)",
        ),
        (
            frame_record(features(5), "bad", labels=(-1,)),
            "video 'bad' in shard.tfrecord record 1: a label is outside [0, num_classes=10)",
        ),
        (
            frame_record(features(5), None),
            "video '' in shard.tfrecord record 1: neither 'id' nor 'video_id' is set",
        ),
        (
            frame_record(features(7, num_audio_frames=6), "bad"),
            "video 'bad' in shard.tfrecord record 1: features 'rgb' and 'audio' have different numbers of frames",
        ),
        (
            frame_record({"rgb": [bytes(8), bytes(7)], "audio": random_frames(2, 4)}, "bad"),
            "video 'bad' in shard.tfrecord record 1: an entry of feature 'rgb' is not a whole number of frames of "
            "8 bytes",
        ),
        (
            frame_record({"rgb": random_frames(2), "audio": [bytes(4), b""]}, "bad"),
            "video 'bad' in shard.tfrecord record 1: an entry of feature 'audio' is not a whole number of frames of "
            "4 bytes",
        ),
        (
            frame_record({"rgb": [bytes(16), bytes(8)], "audio": random_frames(3, 4)}, "bad"),
            "video 'bad' in shard.tfrecord record 1: the entries of feature 'rgb' differ in length",
        ),
    ],
    ids=["label too high", "negative label", "no id", "lengths", "cut frame", "empty frame", "uneven entries"],
)
def test_says_what_is_wrong_with_a_frame_level_record(bad, message):
    assert failure_of([frame_record(features(5), "good"), bad, bad]) == message


@pytest.mark.parametrize(
    "bad", [frame_record(features(5), labels=(12,)), frame_record(features(5, num_audio_frames=3))]
)
def test_the_message_is_not_a_matter_of_luck(bad):
    # Unordered, the operation that cannot work on the bad record fails before the check in about half of the runs.
    for _ in range(50):
        assert failure_of([frame_record(features(2)), bad]).startswith("video 'v' in shard.tfrecord record 1: ")


def test_eager_execution():
    video = make_videos(FRAME_SCHEMA, 1)[0]
    parsed = parse_frame_level(tf.constant([record_of(video, FRAME_SCHEMA)]), FRAME_SCHEMA)
    np.testing.assert_array_equal(parsed["frames"][0, : len(video.frames)], video.frames)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        parse_frame_level(tf.constant([frame_record(features(1), "bad", labels=(11,))]), FRAME_SCHEMA)
    assert bad_record_message(error.value) == "video 'bad' : a label is outside [0, num_classes=10)"


def test_a_missing_feature_list_is_an_error():
    assert "audio" in failure_of([frame_record({"rgb": random_frames(3)})])


# Video-level records.


@pytest.mark.parametrize("write", [video_record, None], ids=["Example", "context of a SequenceExample"])
def test_video_level(write):
    if write is None:  # as the original's feature extractor writes them

        def write(means, *context, **options):
            return frame_record(features(3), *context, means=means, **options)

    others = {name: values + 5 for name, values in MEANS.items()}
    records = [write(MEANS, "a", (3, 1)), write(others, "b", None, id_key="video_id"), write(MEANS, "c", ())]
    parsed = parse(records, VIDEO_SCHEMA)
    assert parsed["video_ids"].tolist() == [b"a", b"b", b"c"]
    assert parsed["features"].dtype == np.float32
    expected = np.concatenate([MEANS["mean_rgb"], MEANS["mean_audio"]]).astype(np.float32)
    np.testing.assert_array_equal(parsed["features"][[0, 2]], [expected, expected])
    np.testing.assert_allclose(parsed["features"][1], expected + 5, rtol=1e-6)
    assert [np.flatnonzero(row).tolist() for row in parsed["labels"]] == [[1, 3], [], []]
    assert parsed["labels"].dtype == bool


def test_video_level_features_in_the_order_of_the_schema():
    schema = dataclasses.replace(VIDEO_SCHEMA, feature_names=("mean_audio", "mean_rgb"), feature_sizes=(4, 8))
    received = parse([video_record(MEANS)], schema)["features"][0]
    np.testing.assert_array_equal(received[:4], MEANS["mean_audio"].astype(np.float32))
    np.testing.assert_array_equal(received[4:], MEANS["mean_rgb"].astype(np.float32))


@pytest.mark.parametrize(
    "bad, message",
    [
        (
            video_record(MEANS, "bad", (10,)),
            "video 'bad' in shard.tfrecord record 1: a label is outside [0, num_classes=10)",
        ),
        (video_record(MEANS, None), "video '' in shard.tfrecord record 1: neither 'id' nor 'video_id' is set"),
        (
            video_record({**MEANS, "mean_audio": [0.0] * 3 + [float("nan")]}, "bad"),
            "video 'bad' in shard.tfrecord record 1: a feature holds NaN or infinity",
        ),
    ],
    ids=["label", "id", "nan"],
)
def test_says_what_is_wrong_with_a_video_level_record(bad, message):
    assert failure_of([video_record(MEANS), bad], VIDEO_SCHEMA) == message


@pytest.mark.parametrize(
    "means", [{"mean_rgb": MEANS["mean_rgb"]}, {**MEANS, "mean_audio": [1.0] * 5}], ids=["missing", "width"]
)
def test_a_missing_or_wrong_video_level_feature_is_an_error(means):
    assert "mean_audio" in failure_of([video_record(means)], VIDEO_SCHEMA)


# Real records.


def test_real_frame_level_record():
    schema = RecordSchema(("rgb", "audio"), (1024, 128), frame_features=True)
    records = list(tf.data.TFRecordDataset(real_files("yt8m_2018_frame/SjJ3.tfrecord")).as_numpy_iterator())
    parsed = parse(records, schema)
    assert parsed["video_ids"].tolist() == [b"SjJ3"]
    assert parsed["num_frames"].tolist() == [170]
    assert np.flatnonzero(parsed["labels"][0]).tolist() == [11]
    written = tf.train.SequenceExample.FromString(records[0]).feature_lists.feature_list
    for name, columns in {"rgb": slice(0, 1024), "audio": slice(1024, 1152)}.items():
        expected = b"".join(frame.bytes_list.value[0] for frame in written[name].feature)
        assert parsed["frames"][0, :170, columns].tobytes() == expected
    assert not parsed["frames"][0, 170:].any()


def test_a_damaged_context_is_not_read_without_its_labels():
    """The parser of `tf.train.Example` passes over an entry that is none, and the labels in it."""
    whole = record_of(make_videos(FRAME_SCHEMA, 1)[0], FRAME_SCHEMA)
    assert parse([whole])["labels"].any()
    place = whole.index(b"labels") + len(b"labels")
    assert whole[place : place + 1] == b"\x12"
    with pytest.raises((tf.errors.InvalidArgumentError, UnicodeDecodeError)):
        parse([whole[:place] + b"\x0a" + whole[place + 1 :]])
