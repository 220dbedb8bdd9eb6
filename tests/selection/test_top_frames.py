"""Frames of the highest scores."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from yt8m_distill.selection.top_frames import top_frames, union_scores


def test_takes_the_best_frames_in_order_of_time():
    scores = tf.constant([[0.1, 0.9, 0.3, 0.8], [0.1, 0.2, 9.0, 9.0], [5.0, 5.0, 5.0, 5.0], [1.0, 2.0, 3.0, 4.0]])
    indices, num_read = top_frames(scores, tf.constant([4, 2, 4, 0]), 3)
    np.testing.assert_array_equal(indices, [[1, 2, 3], [0, 1, 0], [0, 1, 2], [0, 0, 0]])
    np.testing.assert_array_equal(num_read, [3, 2, 3, 0])


def test_padding_is_never_taken_for_a_frame():
    infinity, no_number = float("inf"), float("nan")
    scores = tf.constant([[-infinity, no_number, 5.0, 5.0], [no_number, 1.0, -infinity, 5.0]])
    indices, num_read = top_frames(scores, tf.constant([2, 3]), 3)
    np.testing.assert_array_equal(indices, [[0, 1, 0], [0, 1, 2]])
    np.testing.assert_array_equal(num_read, [2, 3])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=9), st.integers(1, 12), st.data())
def test_no_frame_left_out_has_a_higher_score(scores, num_chosen, data):
    num_frames = data.draw(st.integers(0, len(scores)))
    indices, num_read = top_frames(tf.constant([scores], tf.float32), tf.constant([num_frames]), num_chosen)
    chosen = indices.numpy()[0, : int(num_read[0])]
    assert len(chosen) == min(num_chosen, num_frames) and list(chosen) == sorted(set(chosen))
    assert not indices.numpy()[0, len(chosen) :].any()
    others = [score for place, score in enumerate(scores[:num_frames]) if place not in chosen]
    assert not others or max(others) <= min(scores[place] for place in chosen)


def test_a_union_is_the_first_scorers_best_and_then_the_seconds():
    first = tf.constant([[0.9, 0.8, 0.1, 0.2, 0.0], [0.1, 0.2, 9.0, 9.0, 9.0]])
    second = tf.constant([[0.9, 0.1, 0.2, 0.3, 0.8], [0.3, 0.1, 9.0, 9.0, 9.0]])
    united = union_scores(first, second, tf.constant([5, 2]), num_of_first=2)
    # Frames 0 and 1 by the first; then, of the others, 4 and 3 by the second.
    np.testing.assert_array_equal(top_frames(united, tf.constant([5, 2]), 4)[0], [[0, 1, 3, 4], [0, 1, 0, 0]])
    np.testing.assert_array_equal(top_frames(united, tf.constant([5, 2]), 3)[0][0], [0, 1, 4])
