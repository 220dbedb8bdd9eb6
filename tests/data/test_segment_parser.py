from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records import frame_record, with_segments
from yt8m_distill.data.errors import bad_record_message
from yt8m_distill.data.schema import RecordSchema
from yt8m_distill.data.segment_parser import parse_rated_segments, parse_segment_ratings

SCHEMA = RecordSchema(("rgb", "audio"), (3, 2), frame_features=True, num_classes=4, max_frames=12)


@functools.cache
def parser_graph(with_frames):
    spec = tf.TensorSpec([None], tf.string)

    def parse_batch(serialized, source):
        if with_frames:
            return parse_rated_segments(serialized, SCHEMA, source)
        return parse_segment_ratings(serialized, source)

    return tf.function(parse_batch).get_concrete_function(spec, spec)


@pytest.fixture(scope="module", autouse=True)
def _drop_graphs():
    """TensorFlow complains about functions that live until the interpreter's end."""
    yield
    parser_graph.cache_clear()


def parse(records, with_frames=True):
    """Parses one batch in a graph, as the pipeline does."""
    source = [f"in shard.tfrecord record {number}" for number in range(len(records))]
    parsed = parser_graph(with_frames)(tf.constant(records), tf.constant(source))
    return {name: value.numpy() for name, value in parsed.items()}


def features(num_frames, seed=0):
    frames = np.random.default_rng(seed).integers(0, 256, (num_frames, 5), dtype=np.uint8)
    return {"rgb": frames[:, :3], "audio": frames[:, 3:]}


def frames_of(num_frames, seed=0):
    return np.concatenate(list(features(num_frames, seed).values()), axis=1)


def segments_record(num_frames, ratings, video_id="v", **options):
    """A record with ratings (class, start time, score)."""
    return with_segments(frame_record(features(num_frames), video_id, **options), *zip(*ratings))


def test_two_videos_by_hand():
    first = segments_record(12, [(2, 5, 1.0), (0, 0, 0.0), (3, 5, 0.0), (1, 0, 0.5)], "first")
    second = segments_record(7, [(0, 5, 1.0)], "second", labels=None)
    parsed = parse([first, second])
    assert {name: (value.dtype, value.shape) for name, value in parsed.items()} == {
        "video_ids": (np.dtype(object), (3,)),
        "start_times": (np.dtype(np.int64), (3,)),
        "frames": (np.dtype(np.uint8), (3, 5, 5)),
        "num_frames": (np.dtype(np.int32), (3,)),
        "labels": (np.dtype(bool), (3, 4)),
        "label_weights": (np.dtype(np.float32), (3, 4)),
    }
    assert parsed["video_ids"].tolist() == [b"first", b"first", b"second"]
    assert parsed["start_times"].tolist() == [5, 0, 5]  # of the first video in the order of the lists
    assert parsed["num_frames"].tolist() == [5, 5, 2]
    assert parsed["labels"].astype(int).tolist() == [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]]
    assert parsed["label_weights"].tolist() == [[0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]
    np.testing.assert_array_equal(parsed["frames"][0], frames_of(12)[5:10])
    np.testing.assert_array_equal(parsed["frames"][1], frames_of(12)[:5])
    np.testing.assert_array_equal(parsed["frames"][2, :2], frames_of(7)[5:7])
    assert not parsed["frames"][2, 2:].any()


def test_a_segment_ends_with_its_video_and_may_have_no_frame():
    ratings = [(0, start, 1.0) for start in (9, 10, 11, 12, 13, 300, 2**62)]
    parsed = parse([segments_record(11, ratings)])
    assert parsed["num_frames"].tolist() == [2, 1, 0, 0, 0, 0, 0]
    assert parsed["start_times"].tolist() == [9, 10, 11, 12, 13, 300, 2**62]
    assert parsed["labels"][:, 0].all() and (parsed["label_weights"][:, 0] == 1).all()
    assert not parsed["frames"][2:].any()


def test_frames_past_max_frames_are_dropped():
    parsed = parse([segments_record(30, [(0, 10, 1.0), (0, 12, 1.0)])])
    assert parsed["num_frames"].tolist() == [2, 0]
    np.testing.assert_array_equal(parsed["frames"][0, :2], frames_of(30)[10:12])
    assert not parsed["frames"][0, 2:].any() and not parsed["frames"][1].any()


def test_of_a_pair_rated_twice_the_last_score_holds():
    parsed = parse([segments_record(5, [(0, 0, 1.0), (1, 0, 0.0), (0, 0, 0.0), (1, 0, 1.0), (2, 0, -1.0)])])
    assert parsed["labels"].tolist() == [[False, True, False, False]]
    assert parsed["label_weights"].tolist() == [[1, 1, 1, 0]]


@pytest.mark.parametrize("num_videos", [1, 3])
def test_records_without_segments_give_no_example(num_videos):
    parsed = parse([frame_record(features(8))] * num_videos)
    assert {name: value.shape for name, value in parsed.items()} == {
        "video_ids": (0,),
        "start_times": (0,),
        "frames": (0, 5, 5),
        "num_frames": (0,),
        "labels": (0, 4),
        "label_weights": (0, 4),
    }


def test_videos_without_frames():
    parsed = parse([segments_record(0, [(1, 0, 1.0)]), segments_record(0, [(1, 5, 0.0)])])
    assert parsed["num_frames"].tolist() == [0, 0] and not parsed["frames"].any()
    assert parsed["labels"][:, 1].tolist() == [True, False]


def parse_in_plain_python(record):
    """Of one record: a list of (id, start time, frames as lists, num_frames, {class: score})."""
    example = tf.train.SequenceExample.FromString(record)
    context = example.context.feature
    rows = []
    for name, size in zip(SCHEMA.feature_names, SCHEMA.feature_sizes):
        content = b"".join(entry.bytes_list.value[0] for entry in example.feature_lists.feature_list[name].feature)
        rows.append([list(content[start : start + size]) for start in range(0, len(content), size)])
    frames = [rgb + audio for rgb, audio in zip(*rows)][: SCHEMA.max_frames]
    segments = {}
    for label, start, score in zip(
        context["segment_labels"].int64_list.value,
        context["segment_start_times"].int64_list.value,
        context["segment_scores"].float_list.value,
    ):
        segments.setdefault(start, {})[label] = score
    examples = []
    for start, scores in segments.items():
        own = frames[start : start + 5]
        padding = [[0] * SCHEMA.feature_width] * (5 - len(own))
        examples.append((context["id"].bytes_list.value[0], start, own + padding, len(own), scores))
    return examples


@st.composite
def records(draw):
    number = draw(st.integers(0, 999))
    ratings = draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 16), st.sampled_from([0.0, 1.0, 0.25, -1.0])), max_size=8)
    )
    content = features(draw(st.integers(0, 15)), seed=number)
    record = frame_record(content, f"v{number}", frames_per_entry=draw(st.sampled_from([1, 1, 15])))
    return with_segments(record, *zip(*ratings))


@settings(max_examples=60, deadline=None)
@given(st.lists(records(), min_size=1, max_size=4))
def test_agrees_with_a_plain_python_parser(batch):
    expected = [example for record in batch for example in parse_in_plain_python(record)]
    parsed = parse(batch)
    assert len(parsed["video_ids"]) == len(expected)
    for row, (video_id, start, frames, num_frames, scores) in enumerate(expected):
        assert parsed["video_ids"][row] == video_id and parsed["start_times"][row] == start
        assert parsed["num_frames"][row] == num_frames
        assert parsed["frames"][row].tolist() == frames
        assert parsed["labels"][row].tolist() == [scores.get(c, 0) > 0 for c in range(4)]
        assert parsed["label_weights"][row].tolist() == [float(c in scores) for c in range(4)]

    pairs = parse(batch, with_frames=False)
    found = {}
    for video_id, start, rated, score in zip(*(pairs[n] for n in ("video_ids", "start_times", "classes", "scores"))):
        found.setdefault((video_id, start), {})[rated] = score
    merged = {}
    for video_id, start, _, _, scores in expected:
        merged.setdefault((video_id, start), {}).update(scores)
    assert found == merged


LISTS = "segment_labels and segment_{} have different lengths"


@pytest.mark.parametrize(
    "lists, problem",
    [
        (([1, 2], [0], [1.0, 1.0]), LISTS.format("start_times")),
        (([1], [0, 5], [1.0]), LISTS.format("start_times")),
        (([], [0], []), LISTS.format("start_times")),
        (([1, 2], [0, 5], [1.0]), LISTS.format("scores")),
        (([1], [0], []), LISTS.format("scores")),
        (([4], [0], [1.0]), "a value of segment_labels is not in [0, num_classes=4)"),
        (([-1], [0], [1.0]), "a value of segment_labels is not in [0, num_classes=4)"),
        (([0], [-5], [1.0]), "a value of segment_start_times is negative"),
        (([0, 1], [0, 0], [1.0, float("nan")]), "a value of segment_scores is not a finite number"),
    ],
)
def test_says_what_is_wrong(lists, problem):
    good = segments_record(10, [(0, 0, 1.0), (1, 5, 1.0)], "good")
    bad = with_segments(frame_record(features(10), "bad"), *lists)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        parse([good, bad, bad])
    assert bad_record_message(error.value) == f"video 'bad' in shard.tfrecord record 1: {problem}"


def test_the_frames_are_checked_as_those_of_whole_videos():
    uneven = {"rgb": np.zeros([3, 3], np.uint8), "audio": np.zeros([2, 2], np.uint8)}
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        parse([with_segments(frame_record(uneven), [1], [0], [1.0])])
    assert "features 'rgb' and 'audio' have different numbers of frames" in bad_record_message(error.value)


def test_ratings_alone_do_not_need_to_know_the_number_of_classes():
    parsed = parse([segments_record(3, [(3861, 295, 1.0)], id_key="video_id")], with_frames=False)
    assert {name: value.tolist() for name, value in parsed.items()} == {
        "video_ids": [b"v"],
        "start_times": [295],
        "classes": [3861],
        "scores": [1.0],
    }
    bad = with_segments(frame_record(features(1), "bad"), [-1], [0], [1.0])
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        parse([bad], with_frames=False)
    problem = "a value of segment_labels is not non-negative"
    assert bad_record_message(error.value) == f"video 'bad' in shard.tfrecord record 0: {problem}"
