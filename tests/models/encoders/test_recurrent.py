import numpy as np
import pytest

from tests.layer_checks import run_layer_test
from tests.models.encoders.numpy_lstm import run_stacked_lstm, sigmoid
from yt8m_distill.models.encoders.recurrent import Recurrent

FEATURES = np.random.default_rng(2).normal(size=(4, 7, 5)).astype(np.float32)
NUM_FRAMES = np.array([7, 3, 1, 0], np.int32)


def run_stacked_gru(sequence, weights):
    """The top layer's hidden states of one video: h' = z h + (1 - z) tanh(x W + b + r (h U + c))."""
    for kernel, recurrent_kernel, bias in zip(weights[::3], weights[1::3], weights[2::3]):
        hidden, outputs = np.zeros(len(recurrent_kernel)), []
        for vector in sequence:
            of_input, of_hidden = vector @ kernel + bias[0], hidden @ recurrent_kernel + bias[1]
            (z, r, n), (hz, hr, hn) = np.split(of_input, 3), np.split(of_hidden, 3)
            update = sigmoid(z + hz)
            hidden = update * hidden + (1 - update) * np.tanh(n + sigmoid(r + hr) * hn)
            outputs.append(hidden)
        sequence = outputs
    return outputs


def run_bidirectional(frames, layers):
    """The outputs of bidirectional LSTM layers, and the two directions' last hidden states of the top layer."""
    for layer in layers:
        weights = layer.get_weights()
        forward, _ = run_stacked_lstm(frames, weights[:3])
        backward, _ = run_stacked_lstm(frames[::-1], weights[3:])
        frames = [np.concatenate(pair) for pair in zip(forward, backward[::-1])]
    return frames, np.concatenate([forward[-1], backward[-1]])


def lstm_weights(width, cells):
    return 4 * cells * (width + cells + 1)


@pytest.mark.parametrize(
    "config, num_weights",
    [
        ({"unit": "lstm", "bidirectional": False}, lstm_weights(5, 3) + lstm_weights(3, 3)),
        ({"unit": "lstm", "bidirectional": True}, 2 * lstm_weights(5, 3) + 2 * lstm_weights(6, 3)),
        # The GRU has a second bias, inside the reset gate's product.
        ({"unit": "gru", "bidirectional": False}, 3 * 3 * (5 + 3 + 2) + 3 * 3 * (3 + 3 + 2)),
    ],
)
def test_meets_what_is_asked_of_every_layer(config, num_weights):
    config = {**config, "cells": 3, "num_layers": 2}
    run_layer_test(Recurrent, config, FEATURES, NUM_FRAMES, num_weights=num_weights)


def test_lstm_encodes_as_the_last_hidden_state_of_the_top_layer():
    layer = Recurrent("lstm", 3, 2)
    outputs = layer(FEATURES, NUM_FRAMES)
    assert outputs["encoding"].shape == (4, 3)
    for video, num_frames in enumerate(NUM_FRAMES):
        frame_states, states = run_stacked_lstm(FEATURES[video, :num_frames], layer.get_weights())
        np.testing.assert_allclose(outputs["encoding"][video], states[-1], atol=1e-6)
        if num_frames:
            np.testing.assert_allclose(outputs["frame_states"][video, :num_frames], frame_states, atol=1e-6)


def test_gru_encodes_as_the_last_hidden_state_of_the_top_layer():
    layer = Recurrent("gru", 3, 2)
    outputs = layer(FEATURES, NUM_FRAMES)
    for video, num_frames in enumerate(NUM_FRAMES[:3]):
        expected = run_stacked_gru(FEATURES[video, :num_frames], layer.get_weights())
        np.testing.assert_allclose(outputs["encoding"][video], expected[-1], atol=1e-6)
        np.testing.assert_allclose(outputs["frame_states"][video, :num_frames], expected, atol=1e-6)


def test_bidirectional_layers_start_at_the_last_frame_not_at_the_padding():
    layer = Recurrent("lstm", 3, 2, bidirectional=True)
    outputs = layer(FEATURES, NUM_FRAMES)
    assert outputs["encoding"].shape == (4, 6)
    for video, num_frames in enumerate(NUM_FRAMES[:3]):
        frame_states, encoding = run_bidirectional(list(FEATURES[video, :num_frames]), layer.recurrent_layers)
        np.testing.assert_allclose(outputs["encoding"][video], encoding, atol=1e-6)
        np.testing.assert_allclose(outputs["frame_states"][video, :num_frames], frame_states, atol=1e-6)


@pytest.mark.parametrize("unit", ["lstm", "gru"])
def test_a_video_without_frames_is_encoded_as_zero(unit):
    encoding = Recurrent(unit, 3)(FEATURES, NUM_FRAMES)["encoding"]
    np.testing.assert_array_equal(encoding[3], np.zeros(3))
    assert np.all(np.any(encoding[:3].numpy() != 0, axis=1))


@pytest.mark.parametrize("unit, gates, bidirectional, directions", [("lstm", 4, False, 1), ("gru", 3, True, 2)])
def test_counts_the_products_of_every_frame(unit, gates, bidirectional, directions):
    layer = Recurrent(unit, 3, 2, bidirectional)
    layer(FEATURES, NUM_FRAMES)
    per_frame = gates * 3 * (5 + 3) + gates * 3 * (3 * directions + 3)
    assert layer.macs(7) == 7 * directions * per_frame


def test_defaults_are_the_originals():
    config = Recurrent().get_config()
    assert (config["unit"], config["cells"], config["num_layers"]) == ("lstm", 1024, 2)


def test_rejects_an_unknown_unit():
    with pytest.raises(ValueError, match=r"unit must be one of lstm, gru. Received: 'rnn'"):
        Recurrent("rnn")
