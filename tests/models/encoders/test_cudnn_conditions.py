"""On a GPU, Keras gives recurrent layers to cuDNN if their settings and masks allow it, and else loops over the steps,
many times slower. Here Keras' own conditions are asked; they need no GPU.
"""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.models.encoders.hierarchical_lstm import HierarchicalLstm
from yt8m_distill.models.encoders.recurrent import Recurrent
from yt8m_distill.stack import keras

RECURRENT_LAYERS = (keras.layers.LSTM, keras.layers.GRU)
FEATURES = np.random.default_rng(2).normal(size=(6, 7, 5)).astype(np.float32)
NUM_FRAMES = np.array([7, 3, 1, 0, 2, 6], np.int32)


def is_cudnn_supported_inputs(mask):
    module = importlib.import_module(keras.layers.LSTM.__module__.replace("rnn.lstm", "rnn.gru_lstm_utils"))
    return bool(module.is_cudnn_supported_inputs(mask, time_major=False, sequence_lengths=None))


@pytest.fixture
def calls(monkeypatch):
    """Records the layer and the mask of every call of an LSTM or GRU layer."""
    calls = []
    for layer_class in RECURRENT_LAYERS:
        call = layer_class.call

        def recording_call(self, inputs, mask=None, call=call, **kwargs):
            calls.append((self, mask))
            return call(self, inputs, mask=mask, **kwargs)

        monkeypatch.setattr(layer_class, "call", recording_call)
    return calls


@pytest.mark.parametrize(
    "num_frames",
    [NUM_FRAMES, np.full(6, 7), np.zeros(6, int), np.zeros(0, int)],
    ids=["mixed", "full", "no frames", "no videos"],
)
@pytest.mark.parametrize(
    "layer, num_calls",
    [
        (HierarchicalLstm(5, 2), 4),
        (Recurrent("lstm", 2, 2), 2),
        (Recurrent("gru", 2, 1), 1),
        (Recurrent("lstm", 2, 1, bidirectional=True), 2),
    ],
    ids=["hierarchical", "lstm", "gru", "bidirectional"],
)
def test_layers_and_masks_are_what_cudnn_takes(calls, layer, num_calls, num_frames):
    layer(FEATURES[: len(num_frames)], num_frames.astype(np.int32))
    assert len(calls) == num_calls
    for called, mask in calls:
        assert called._could_use_gpu_kernel
        assert len(mask)
        assert is_cudnn_supported_inputs(mask)


def test_the_conditions_can_fail():
    assert not is_cudnn_supported_inputs(tf.constant([[False, True]]))
    assert not is_cudnn_supported_inputs(tf.constant([[True, True], [False, False]]))
    assert not keras.layers.LSTM(2, activation="relu")._could_use_gpu_kernel
