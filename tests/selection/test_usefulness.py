"""What a network says of parts of videos, against the same network on each part alone."""

import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.models import create_model
from yt8m_distill.selection.reference_choices import NUM_PLACES, count_places, empirical_choice, oracle_choice
from yt8m_distill.selection.usefulness import window_usefulness
from yt8m_distill.stack import keras

NUM_FRAMES = np.array([12, 7, 2, 0], np.int32)
FRAMES = np.random.default_rng(3).integers(0, 256, (4, 12, 6)).astype(np.uint8)
LABELS = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 1]], np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    small = {"num_classes": 3, "max_frames": 12, "lstm_cells": 3, "lstm_layers": 1}
    return create_model("LstmModel", ("rgb", "audio"), (4, 2), **small)


def alone(model, video, start, stop):
    """The mean probability of a video's labels when the model sees some of its frames."""
    part = FRAMES[video, start:stop][None]
    predictions = model({"frames": part, "num_frames": np.array([stop - start])})["predictions"].numpy()[0]
    is_label = LABELS[video] > 0
    return predictions[is_label].mean() if is_label.any() else 0.0


def test_a_window_is_worth_what_the_network_says_of_the_labels_when_it_sees_it_alone(model):
    usefulness, is_window = window_usefulness(model, tf.constant(FRAMES), tf.constant(NUM_FRAMES), LABELS, 5)
    np.testing.assert_array_equal(is_window, [[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]])
    for video, window in np.ndindex(4, 3):
        start, stop = 5 * window, min(5 * window + 5, NUM_FRAMES[video])
        expected = alone(model, video, start, stop) if stop > start else 0.0
        assert float(usefulness[video, window]) == pytest.approx(expected, rel=1e-5)


def test_the_oracle_takes_the_frames_of_the_best_windows(model):
    indices, num_read = oracle_choice(model, tf.constant(FRAMES), tf.constant(NUM_FRAMES), LABELS > 0, 4, window=3)
    np.testing.assert_array_equal(num_read, [4, 4, 2, 0])
    for video in (0, 1):
        starts = range(0, NUM_FRAMES[video], 3)
        worth = [alone(model, video, start, min(start + 3, NUM_FRAMES[video])) for start in starts]
        ranked = [
            frame
            for window in np.argsort(-np.array(worth), kind="stable")
            for frame in range(3 * window, min(3 * window + 3, NUM_FRAMES[video]))
        ]
        np.testing.assert_array_equal(indices[video], sorted(ranked[:4]))


def test_places_are_counted_in_shares_of_the_length():
    counts = np.zeros(NUM_PLACES, np.int64)
    count_places(counts, [[0, 5, 9], [0, 0, 0], [1, 0, 0]], [3, 0, 1], [10, 0, 4])
    assert {place: count for place, count in enumerate(counts) if count} == {0: 1, 50: 1, 90: 1, 25: 1}


def test_frames_are_drawn_by_how_often_their_places_were_chosen():
    counts = np.zeros(NUM_PLACES, np.int64)
    counts[50:60] = 10**6
    num_frames = np.array([200, 10, 0, 3])
    seeds = np.arange(4)
    indices, num_read = empirical_choice(counts, num_frames, 4, seeds)
    np.testing.assert_array_equal(num_read, [4, 4, 0, 3])
    assert set(range(100, 120)) >= set(indices.numpy()[0]) and 5 in indices.numpy()[1]
    np.testing.assert_array_equal(indices, empirical_choice(counts, num_frames, 4, seeds)[0])
    others, _ = empirical_choice(counts, num_frames, 4, seeds + 10)
    assert (others.numpy()[0] != indices.numpy()[0]).any()
    counts = np.arange(4).repeat(25) * 100
    drawn = [int(empirical_choice(counts, np.array([4]), 1, [seed])[0][0, 0]) for seed in range(600)]
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 600, np.array([1, 101, 201, 301]) / 604, atol=0.06)
