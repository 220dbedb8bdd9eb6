"""The encoder of `LstmModel`: a flat stacked LSTM over all frames."""

from __future__ import annotations

from yt8m_distill.models.encoders.stacked_lstm import StackedLstm, zero_without_frames
from yt8m_distill.stack import keras


class Lstm(keras.layers.Layer):
    """Reads the frames one by one; the encoding is the top layer's last hidden state.

    Source: `LstmModel` of the original's frame_level_models.py.

    Args:
      lstm_cells: units of each layer (the original's default is 1024).
      lstm_layers: number of layers (2).

    Input: features [B, T, D], num_frames int [B].
    Output: `{"encoding": [B, lstm_cells], "frame_states": [B, T, lstm_cells]}`.
    """

    def __init__(self, lstm_cells: int = 1024, lstm_layers: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.lstm = StackedLstm(lstm_cells, lstm_layers, name="lstm")

    def call(self, features, num_frames, training=None):
        outputs, states = self.lstm(features, num_frames, training=training)
        return {"encoding": zero_without_frames(states[-1], num_frames), "frame_states": outputs}

    def macs(self, num_frames: int) -> int:
        """Multiply-accumulates of one video of so many frames."""
        return self.lstm.macs(num_frames)

    def get_config(self):
        return {**super().get_config(), "lstm_cells": self.lstm.cells, "lstm_layers": self.lstm.num_layers}
