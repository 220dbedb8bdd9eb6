"""A stack of LSTM layers over padded sequences, the building block of the recurrent encoders."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.macs import CountsMacs, step_macs
from yt8m_distill.stack import keras


class StackedLstm(CountsMacs, keras.layers.Layer):
    """LSTM layers on top of each other, each reading the hidden states of the one below.

    Sequences end where their length says: the state stays what it was after the last valid step. Every sequence is
    read for at least one step, because cuDNN's kernels refuse a mask that hides a whole sequence; callers must not use
    the state of a sequence of length 0.

    Args:
      cells: units of each layer.
      num_layers: number of layers.
      unroll: write the steps one after the other into the graph instead of a loop; sequences then have one length. Pays
        for a few steps: neither the loop nor the choice between CPU and cuDNN kernels is traced and run.

    Input: features [B, T, D], lengths int [B].

    Output:
      outputs [B, T, cells] of the top layer, and the states `[c1, h1, c2, h2, ...]`, each [B, cells], in the order in
      which TensorFlow 1's `MultiRNNCell(state_is_tuple=False)` concatenates them.
    """

    def __init__(self, cells: int, num_layers: int, unroll: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.cells = cells
        self.num_layers = num_layers
        self.unroll = unroll
        self.lstm_layers = [
            keras.layers.LSTM(cells, return_sequences=True, return_state=True, unroll=unroll, name=f"lstm_{number}")
            for number in range(num_layers)
        ]

    def call(self, features, lengths, training=None):
        batch_size = tf.shape(features)[0]
        features, lengths = never_empty(features, lengths)
        mask = tf.sequence_mask(tf.maximum(lengths, 1), tf.shape(features)[1])  # [B, T]
        states = []
        for lstm in self.lstm_layers:
            features, hidden, cell = lstm(features, mask=mask, training=training)
            states += [cell, hidden]
        return features[:batch_size], [state[:batch_size] for state in states]

    def layer_macs(self, num_steps: int) -> dict[str, int]:
        """Multiply-accumulates of each layer for reading so many steps."""
        return {lstm.name: num_steps * step_macs(lstm.cell) for lstm in self.lstm_layers}

    def get_config(self):
        return {**super().get_config(), "cells": self.cells, "num_layers": self.num_layers, "unroll": self.unroll}


def never_empty(features, lengths):
    """Gives an empty batch one sequence, whose outputs the caller cuts off: cuDNN's kernels refuse a batch of none.

    A replica has none where the last batch of a pass has fewer videos than there are GPUs.

    Args:
      features: [B, T, D].
      lengths: int [B].
    """
    if features.shape[0]:
        return features, lengths
    more = tf.cast(tf.equal(tf.shape(features)[0], 0), tf.int32)
    return tf.pad(features, [[0, more], [0, 0], [0, 0]]), tf.pad(lengths, [[0, more]])


def zero_without_frames(encoding, num_frames):
    """Gives videos without any frame the zero state, as TensorFlow 1's `dynamic_rnn` does. encoding [B, E]."""
    return tf.where(num_frames[:, None] > 0, encoding, tf.zeros_like(encoding))
