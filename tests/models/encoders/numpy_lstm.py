"""LSTMs in NumPy, one step at a time: the independent expectation for the recurrent encoders."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(x, hidden, cell, kernel, recurrent_kernel, bias):
    """One step of one video; the gates stand in the order input, forget, candidate, output."""
    gates = x @ kernel + hidden @ recurrent_kernel + bias
    input_gate, forget_gate, candidate, output_gate = np.split(gates, 4)
    cell = sigmoid(forget_gate) * cell + sigmoid(input_gate) * np.tanh(candidate)
    return sigmoid(output_gate) * np.tanh(cell), cell


def run_stacked_lstm(sequence, weights):
    """Reads a sequence of vectors, without padding.

    Args:
      sequence: list of vectors.
      weights: [kernel, recurrent_kernel, bias] of the lowest layer, then those of the next, ...

    Returns:
      The top layer's hidden states, a list as long as the sequence, and the final states [c1, h1, c2, h2, ...].
    """
    layers = [[np.asarray(w, np.float64) for w in weights[i : i + 3]] for i in range(0, len(weights), 3)]
    states = [(np.zeros(layer[1].shape[0]), np.zeros(layer[1].shape[0])) for layer in layers]  # (hidden, cell)
    outputs = []
    for vector in sequence:
        for number, layer in enumerate(layers):
            states[number] = lstm_step(vector, *states[number], *layer)
            vector = states[number][0]
        outputs.append(vector)
    return outputs, [part for hidden, cell in states for part in (cell, hidden)]


def run_hierarchical_lstm(frames, block_length, frame_weights, block_weights):
    """The H-RNN on one video without padding.

    Returns:
      The encoding [c1, h1, c2, h2, ...], the lower level's outputs after each frame and the upper level's after each
      block.
    """
    frame_states, block_encodings = [], []
    for start in range(0, len(frames), block_length):
        outputs, states = run_stacked_lstm(frames[start : start + block_length], frame_weights)
        frame_states += outputs
        block_encodings.append(np.concatenate(states))
    block_states, states = run_stacked_lstm(block_encodings, block_weights)
    return np.concatenate(states), frame_states, block_states
