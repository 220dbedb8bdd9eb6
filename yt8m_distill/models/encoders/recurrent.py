"""The encoder of `LstmModel` and `GruModel`: recurrent layers over all frames."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.encoders.stacked_lstm import never_empty, zero_without_frames
from yt8m_distill.models.macs import CountsMacs, step_macs
from yt8m_distill.stack import keras

UNITS = ("lstm", "gru")


class Recurrent(CountsMacs, keras.layers.Layer):
    """Reads the frames one by one; the encoding is the top layer's hidden state after the last one.

    Bidirectional layers also read from the last frame to the first; both directions' states are put side by side.

    Source: `LstmModel` of the original's frame_level_models.py; `GruModel` of Willow's code.

    Args:
      unit: `lstm` or `gru`.
      cells: units of each layer and direction (the original's default is 1024).
      num_layers: number of layers (2).
      bidirectional: read in both directions.

    Input: features [B, T, D], num_frames int [B].
    Output: `{"encoding": [B, E], "frame_states": [B, T, E]}`, E being cells, twice as many if bidirectional.
    """

    def __init__(
        self, unit: str = "lstm", cells: int = 1024, num_layers: int = 2, bidirectional: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        if unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}. Received: {unit!r}.")
        self.unit = unit
        self.cells = cells
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.recurrent_layers = [self._make_layer(number) for number in range(num_layers)]

    def _make_layer(self, number):
        layer_class = keras.layers.LSTM if self.unit == "lstm" else keras.layers.GRU
        name = f"{self.unit}_{number}"
        layer = layer_class(self.cells, return_sequences=True, return_state=True, name=name)
        return keras.layers.Bidirectional(layer, name=f"bidirectional_{name}") if self.bidirectional else layer

    def call(self, features, num_frames, training=None):
        batch_size = tf.shape(features)[0]
        features, lengths = never_empty(features, num_frames)
        # One step at least: cuDNN's kernels refuse a mask that hides a whole sequence.
        mask = tf.sequence_mask(tf.maximum(lengths, 1), tf.shape(features)[1])  # [B, T]
        for layer in self.recurrent_layers:
            features, *states = layer(features, mask=mask, training=training)
        hidden = states[::2] if self.unit == "lstm" else states  # an LSTM returns [hidden, cell] of each direction
        encoding = zero_without_frames(tf.concat(hidden, axis=-1)[:batch_size], num_frames)
        return {"encoding": encoding, "frame_states": features[:batch_size]}

    def initial_states(self, batch_size) -> list:
        """The zero states, [h1, c1, h2, c2, ...] of LSTM layers and [h1, h2, ...] of GRU layers, each [B, cells]."""
        num_states = self.num_layers * (2 if self.unit == "lstm" else 1)
        return [tf.zeros([batch_size, self.cells], self.compute_dtype)] * num_states

    def step(self, features, states):
        """Reads one frame, for those who choose the next by what this one has told. Not of bidirectional layers.

        Args:
          features: [B, D].
          states: as of `initial_states`, or of the step before.

        Returns:
          The new states, of which the encoding is `top_hidden_state`.
        """
        per_layer, new_states = len(states) // self.num_layers, []
        for number, layer in enumerate(self.recurrent_layers):
            if not layer.built:
                with tf.name_scope(f"{self.name}/{layer.name}"):
                    layer.build((None, None, features.shape[-1]))
            features, of_layer = layer.cell(features, states[number * per_layer : (number + 1) * per_layer])
            new_states += of_layer
        return new_states

    def top_hidden_state(self, states):
        """The hidden state of the top layer, [B, cells], of states as `step` returns them."""
        return states[-2] if self.unit == "lstm" else states[-1]

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video of so many frames."""
        return {layer.name: num_frames * sum(map(step_macs, self._cells(layer))) for layer in self.recurrent_layers}

    def _cells(self, layer):
        return [layer.forward_layer.cell, layer.backward_layer.cell] if self.bidirectional else [layer.cell]

    def get_config(self):
        return {
            **super().get_config(),
            "unit": self.unit,
            "cells": self.cells,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
        }
