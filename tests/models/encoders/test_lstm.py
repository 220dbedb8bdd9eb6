import numpy as np

from tests.layer_checks import run_layer_test
from tests.models.encoders.numpy_lstm import run_stacked_lstm
from yt8m_distill.models.encoders.lstm import Lstm

FEATURES = np.random.default_rng(2).normal(size=(4, 7, 5)).astype(np.float32)
NUM_FRAMES = np.array([7, 3, 1, 0], np.int32)


def test_meets_what_is_asked_of_every_layer():
    num_weights = 4 * 3 * (5 + 3 + 1) + 4 * 3 * (3 + 3 + 1)
    run_layer_test(Lstm, {"lstm_cells": 3, "lstm_layers": 2}, FEATURES, NUM_FRAMES, num_weights=num_weights)


def test_encodes_as_the_last_hidden_state_of_the_top_layer():
    layer = Lstm(lstm_cells=3, lstm_layers=2)
    outputs = layer(FEATURES, NUM_FRAMES)
    assert outputs["encoding"].shape == (4, 3)
    for video, num_frames in enumerate(NUM_FRAMES):
        frame_states, states = run_stacked_lstm(FEATURES[video, :num_frames], layer.get_weights())
        np.testing.assert_allclose(outputs["encoding"][video], states[-1], atol=1e-6)
        if num_frames:
            np.testing.assert_allclose(outputs["frame_states"][video, :num_frames], frame_states, atol=1e-6)


def test_a_video_without_frames_is_encoded_as_zero():
    encoding = Lstm(lstm_cells=3)(FEATURES, NUM_FRAMES)["encoding"]
    np.testing.assert_array_equal(encoding[3], np.zeros(3))
    assert np.all(np.any(encoding[:3].numpy() != 0, axis=1))


def test_defaults_are_the_originals():
    config = Lstm().get_config()
    assert (config["lstm_cells"], config["lstm_layers"]) == (1024, 2)
