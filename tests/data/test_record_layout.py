"""The places that `find_frames` finds, against TensorFlow's own messages, which Python's protobuf parses."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.records import real_files
from yt8m_distill.data.record_layout import cut_frames, find_frames

NAMES, SIZES = ("rgb", "audio"), (200, 3)  # lengths of two bytes and of one


@functools.cache
def graph():
    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def find_and_cut_all(serialized):
        is_regular, _, layouts = find_frames(serialized, NAMES, SIZES)
        counts = tf.stack([layout.num_frames for layout in layouts])

        def cut():
            slots = tf.range(tf.reduce_max(counts))
            return tuple(cut_frames(serialized, f, slots, slots < f.num_frames[:, None]) for f in layouts)

        def nothing():
            return tuple(tf.zeros([tf.shape(serialized)[0], 0, size], tf.uint8) for size in SIZES)

        return is_regular, counts, tf.cond(is_regular, cut, nothing)

    return find_and_cut_all


@pytest.fixture(scope="module", autouse=True)
def _drop_graph():
    """TensorFlow complains about functions that live until the interpreter's end."""
    yield
    graph.cache_clear()


def frames_of(name, num_frames, seed=0):
    size = dict(zip(NAMES, SIZES))[name]
    return np.random.default_rng([seed, size]).integers(0, 256, (num_frames, size), dtype=np.uint8)


def feature_list(values):
    return tf.train.FeatureList(
        feature=[tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes(value)])) for value in values]
    )


def record(num_frames=4, seed=0, **other_lists):
    lists = {name: feature_list(frames_of(name, num_frames, seed)) for name in NAMES}
    context = {"id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"v"]))}
    return tf.train.SequenceExample(
        context=tf.train.Features(feature=context),
        feature_lists=tf.train.FeatureLists(feature_list={**lists, **other_lists}),
    )


def bytes_of(message):
    return message.SerializeToString(deterministic=True)


def is_regular(*records):
    return bool(graph()(tf.constant([r if isinstance(r, bytes) else bytes_of(r) for r in records]))[0])


def test_frames_of_records_of_any_length():
    records = [record(num_frames, seed) for seed, num_frames in enumerate((4, 1, 0, 30))]
    regular, counts, frames = graph()(tf.constant([bytes_of(r) for r in records]))
    assert regular
    assert counts.numpy().tolist() == [[4, 1, 0, 30]] * 2
    for name, found in zip(NAMES, frames):
        for row, num_frames in enumerate((4, 1, 0, 30)):
            np.testing.assert_array_equal(found[row, :num_frames], frames_of(name, num_frames, seed=row))
            assert not found[row, num_frames:].numpy().any()


def test_frames_by_number():
    serialized = tf.constant([bytes_of(record(10, seed=1)), bytes_of(record(3, seed=2))])
    _, contexts, (rgb, _) = find_frames(serialized, NAMES, SIZES)
    assert contexts.numpy().tolist() == [_WHOLE[: 2 + _WHOLE[1]]] * 2
    is_read = tf.constant([[True, True, True], [True, False, True]])
    frames = cut_frames(serialized, rgb, tf.constant([[9, 0, 4], [2, 99, 1]], tf.int64), is_read)
    np.testing.assert_array_equal(frames[0], frames_of("rgb", 10, seed=1)[[9, 0, 4]])
    np.testing.assert_array_equal(frames[1, ::2], frames_of("rgb", 3, seed=2)[[2, 1]])
    assert not frames[1, 1].numpy().any()


def test_feature_lists_that_nobody_reads():
    floats = tf.train.FeatureList(feature=[tf.train.Feature(float_list=tf.train.FloatList(value=[1.0, 2.0]))])
    assert is_regular(record(other=floats, another=floats), record())
    assert not is_regular(record(**{f"list_{number}": floats for number in range(7)}))  # more than are looked at


def test_no_records():
    assert find_frames(tf.zeros([0], tf.string), NAMES, SIZES)[0]


@pytest.mark.parametrize(
    "lists",
    [
        {"audio": feature_list([bytes(3), bytes(4)])},
        {"audio": feature_list([bytes(2), bytes(4)])},  # as many bytes as two frames have
        {"audio": feature_list([bytes(6)])},  # two frames in one value
        {"audio": feature_list([])},
        {"audio": tf.train.FeatureList(feature=[tf.train.Feature()])},
    ],
    ids=["longer", "same_sum", "joined", "fewer", "no_value"],
)
def test_irregular_lists(lists):
    message = record(num_frames=2)
    message.feature_lists.feature_list["audio"].CopyFrom(lists["audio"])
    # A list that is whole but shorter than the other is for the caller to compare.
    assert is_regular(message) == (not lists["audio"].feature)
    assert is_regular(record(), message, record()) == (not lists["audio"].feature)


def test_irregular_records():
    whole = bytes_of(record())
    context_end = 2 + whole[1]
    missing = record()
    del missing.feature_lists.feature_list["audio"]
    assert is_regular(whole)
    for irregular in (
        b"",
        b"\x0a",
        whole[:-1],
        whole + b"\x0a",
        whole + whole,
        whole[context_end:] + whole[:context_end],
        bytes_of(missing),
        b"\x0a\xff\xff\xff\xff\x0f",
    ):
        assert not is_regular(irregular)
        assert not is_regular(whole, irregular)


def parsed_frames(serialized):
    """The frames by Python's protobuf; None where it finds none that are regular."""
    message = tf.train.SequenceExample()
    try:
        message.ParseFromString(serialized)
    except DecodeError:
        return None
    values = [[f.bytes_list.value for f in message.feature_lists.feature_list[name].feature] for name in NAMES]
    if any(len(value) != 1 or len(value[0]) != size for size, v in zip(SIZES, values) for value in v):
        return None
    return [[value[0] for value in v] for v in values]


_WHOLE = bytes_of(record(num_frames=3))
# What the context holds is for its own parser to read; where it ends is not.
_POSITIONS = [0, 1, *range(2 + _WHOLE[1], len(_WHOLE))]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_POSITIONS), st.integers(0, 255)), max_size=3), st.integers(0, 3))
@example([(1, 0)], 0)
def test_damaged_records_are_found_to_be_so_or_read_as_protobuf_reads_them(changes, num_cut):
    damaged = bytearray(_WHOLE)
    for position, value in changes:
        damaged[position] = value
    damaged = bytes(damaged[: len(damaged) - num_cut])
    regular, counts, frames = graph()(tf.constant([damaged]))
    if regular:
        expected = parsed_frames(damaged)
        for number, of_feature in enumerate(expected):
            found = [row.tobytes() for row in frames[number][0, : int(counts[number, 0])].numpy()]
            assert found == of_feature


@pytest.mark.parametrize(
    "pattern, names, sizes",
    [
        ("yt8m_2018_frame/*.tfrecord", ("rgb", "audio"), (1024, 128)),
        ("audioset/validate00*", ("audio_embedding",), (128,)),
    ],
)
def test_real_records_are_regular(pattern, names, sizes):
    records = tf.data.TFRecordDataset(real_files(pattern)).batch(100)
    assert all(bool(find_frames(batch, names, sizes)[0]) for batch in records)
