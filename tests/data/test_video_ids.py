"""Which ids a submission can hold, by the rule in Python and by the one in TensorFlow."""

import re

import hypothesis.strategies as st
import pytest
import tensorflow as tf
from hypothesis import example, given

from yt8m_distill.data.errors import bad_record_message
from yt8m_distill.data.video_ids import id_problem, require_writable_ids


@pytest.mark.parametrize("video_id", ["a", "-_9", "a b", "\u00e9\u4e16", "\U0001f600", "a;b'c\t"])
def test_ids_that_can_be_written(video_id):
    assert id_problem(video_id) is id_problem(video_id.encode()) is None
    assert require_writable_ids(tf.constant([video_id]), None).numpy().tolist() == [video_id.encode()]


@pytest.mark.parametrize(
    "video_id, problem",
    [
        (b"a,b", "holds a comma, a double quote or a line break"),
        (b'"a"', "holds a comma, a double quote or a line break"),
        (b"a\nb", "holds a comma, a double quote or a line break"),
        (b"a\r", "holds a comma, a double quote or a line break"),
        (b"", "is empty"),
        (b"\xff\xfe", "is not valid UTF-8"),
        (b"a\xc3", "is not valid UTF-8"),
        ("\ud800", "is not valid UTF-8"),
    ],
)
def test_ids_that_cannot(video_id, problem):
    assert id_problem(video_id).startswith(problem)


@given(st.one_of(st.binary(min_size=1, max_size=8), st.text(min_size=1, max_size=4).map(str.encode)))
def test_both_rules_are_one(video_id):
    source = tf.constant(["in a.tfrecord record 0", "in a.tfrecord record 1"])
    try:
        require_writable_ids(tf.constant([b"fine", video_id]), source)
    except tf.errors.InvalidArgumentError as error:
        message = bad_record_message(error)
        assert "in a.tfrecord record 1: the id holds a comma" in message and message.isprintable()
        assert id_problem(video_id)
    else:
        assert id_problem(video_id) is None


@given(st.text(min_size=1, max_size=3))
@example("a\x0bb")
@example("\x85")
@example("\u2003")
def test_ids_of_segments_hold_no_white_space(text):
    try:
        require_writable_ids(tf.constant([text.encode()]), None, of_segments=True)
    except tf.errors.InvalidArgumentError:
        assert id_problem(text) or re.search(r"\s", text)
    else:
        assert not (id_problem(text) or re.search(r"\s", text))
