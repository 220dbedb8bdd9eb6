from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records import frame_record
from yt8m_distill.data.frame_record import frame_header, serialize_frames


def made_frames(num_frames, size):
    return np.arange(num_frames * size).astype(np.uint8).reshape(num_frames, size)


@settings(max_examples=50, deadline=None)
@given(
    labels=st.lists(st.integers(0, 2**40), max_size=25),
    num_frames=st.integers(0, 12),
    size=st.sampled_from([1, 5, 118, 123, 128, 1024, 20_000]),
)
def test_the_bytes_mean_what_tensorflow_writes(labels, num_frames, size):
    frames = {"rgb": made_frames(num_frames, size), "audio": made_frames(num_frames, 3)}
    record = serialize_frames("vidéo", labels, frames)
    expected = frame_record(frames, "vidéo", labels)
    assert tf.train.SequenceExample.FromString(record) == tf.train.SequenceExample.FromString(expected)
    assert len(record) == len(expected)


@pytest.mark.parametrize("size", [1, 127, 128, 1024])
def test_the_header_precedes_each_frame(size):
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes(size)]))
    values = tf.train.FeatureList(feature=[feature]).SerializeToString()
    assert frame_header(size) == values[:-size]
