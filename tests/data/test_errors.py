from __future__ import annotations

import pytest
import tensorflow as tf

from yt8m_distill.data.errors import BAD_RECORD_MARK, DataError, bad_record_message, parser_message

MESSAGE = "video 'v7' in /data/[old]/train00.tfrecord record 3: a label is outside [0, num_classes=5)"


def fail(_):
    tf.debugging.Assert(False, [tf.constant(f"{BAD_RECORD_MARK} {MESSAGE}")], summarize=1)
    return 0


def test_data_error_is_a_value_error():
    assert issubclass(DataError, ValueError)


def test_message_of_an_eager_failure():
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        fail(0)
    assert bad_record_message(error.value) == MESSAGE


def test_message_of_a_failure_in_a_graph():
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        tf.function(fail)(tf.constant(0))
    assert bad_record_message(error.value) == MESSAGE


def test_message_of_a_failure_in_a_pipeline():
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        list(tf.data.Dataset.range(2).map(fail))
    assert bad_record_message(error.value) == MESSAGE


def test_what_parsers_say_of_a_record():
    names = ["in a/b record 3"]
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        tf.io.parse_sequence_example([b"\xff"], {"x": tf.io.FixedLenFeature([1], tf.float32)}, example_names=names)
    assert parser_message(error.value) == "a/b record 3: Invalid protocol message input."
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        tf.io.parse_example([b""], {"x": tf.io.FixedLenFeature([1], tf.float32)}, example_names=names)
    wanted = "a/b record 3: Feature: x (data type: float) is required but could not be found."
    assert parser_message(error.value) == wanted
    assert parser_message(ValueError("something else")) is None


def test_other_errors_have_no_such_message():
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        tf.reshape(tf.range(3), [2, 2])
    assert bad_record_message(error.value) is None
    assert bad_record_message(ValueError("bad luck")) is None
