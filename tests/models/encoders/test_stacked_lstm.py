import numpy as np
import pytest

from tests.layer_checks import run_layer_test
from tests.models.encoders.numpy_lstm import run_stacked_lstm
from yt8m_distill.models.encoders.stacked_lstm import StackedLstm, zero_without_frames

CELLS, WIDTH, SLOTS = 3, 4, 6
LENGTHS = np.array([6, 4, 1], np.int32)


@pytest.fixture
def features():
    return np.random.default_rng(1).normal(size=(len(LENGTHS), SLOTS, WIDTH)).astype(np.float32)


def test_meets_what_is_asked_of_every_layer(features):
    num_weights = 4 * CELLS * (WIDTH + CELLS + 1) + 4 * CELLS * (CELLS + CELLS + 1)
    run_layer_test(StackedLstm, {"cells": CELLS, "num_layers": 2}, features, LENGTHS, num_weights=num_weights)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_equals_a_loop_over_steps(features, num_layers):
    layer = StackedLstm(CELLS, num_layers)
    outputs, states = layer(features, LENGTHS)
    assert len(states) == 2 * num_layers
    for video, length in enumerate(LENGTHS):
        expected_outputs, expected_states = run_stacked_lstm(features[video, :length], layer.get_weights())
        np.testing.assert_allclose(outputs[video, :length], expected_outputs, atol=1e-6)
        for state, expected in zip(states, expected_states):  # c1, h1, c2, h2
            np.testing.assert_allclose(state[video], expected, atol=1e-6)


def test_starts_with_a_forget_bias_of_one(features):
    layer = StackedLstm(CELLS, 1)
    layer(features, LENGTHS)
    bias = layer.get_weights()[2]
    np.testing.assert_array_equal(bias, [0] * CELLS + [1] * CELLS + [0] * CELLS + [0] * CELLS)


def test_a_sequence_of_length_0_is_read_for_one_step(features):
    layer = StackedLstm(CELLS, 2)
    _, of_none = layer(features, np.zeros(3, np.int32))
    _, of_one = layer(features, np.ones(3, np.int32))
    np.testing.assert_array_equal(of_none, of_one)


def test_zero_without_frames_clears_only_videos_without_frames():
    encoding = np.array([[1.0, -2.0], [3.0, 4.0]], np.float32)
    np.testing.assert_array_equal(zero_without_frames(encoding, np.array([0, 7])), [[0, 0], [3, 4]])


def test_counts_the_products_of_every_step(features):
    layer = StackedLstm(CELLS, 2)
    layer(features, LENGTHS)
    assert layer.macs(10) == 10 * (4 * CELLS * (WIDTH + CELLS) + 4 * CELLS * (CELLS + CELLS))
