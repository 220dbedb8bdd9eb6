"""Recurrent layers as LiteRT runs them well: one matrix product for all steps' inputs, then a loop of fixed shapes."""

from __future__ import annotations

import contextlib
import functools

import tensorflow as tf

from yt8m_distill.models.encoders.hierarchical_lstm import HierarchicalLstm
from yt8m_distill.stack import keras


@contextlib.contextmanager
def litert_recurrence(model):
    """While open, a model's recurrent layers are traced in a form made for LiteRT; predictions are the same.

    Keras' own loop keeps outputs in a list of unknown shape, for which LiteRT leaves out its CPU delegate (XNNPACK),
    and reads the weights of the input once a step. Here each layer is one product for all steps' inputs, and a loop
    over the rest. The loop is not unrolled, because the delegate packs a copy of the weights for each use of them: with
    six steps of 1024 cells, 138 MB instead of 73, and no faster.

    Args:
      model: Keras model; its LSTM and GRU layers have the default activations. It must be traced with known shapes.
    """
    layers = [layer for layer in model.submodules if isinstance(layer, (keras.layers.LSTM, keras.layers.GRU))]
    hierarchies = [layer for layer in model.submodules if isinstance(layer, HierarchicalLstm)]
    for layer in layers:
        layer.call = functools.partial(_run, layer)
    for layer in hierarchies:
        layer.skips_padding = False
    try:
        yield
    finally:
        for layer in layers:
            del layer.call
        for layer in hierarchies:
            del layer.skips_padding


def _run(layer, inputs, mask, training=None, initial_state=None):
    """What calling the layer gives: outputs [B, T, H] and the last states, each [B, H], all from the zero state."""
    cell, (num_steps, width) = layer.cell, inputs.shape[1:]
    is_lstm = isinstance(layer, keras.layers.LSTM)
    bias = cell.bias if is_lstm else cell.bias[0]
    projected = tf.matmul(tf.reshape(inputs, [-1, width]), cell.kernel) + bias
    projected = tf.reshape(projected, [-1, num_steps, projected.shape[-1]])
    projected = tf.transpose(projected, [1, 0, 2])  # [T, B, 4 H or 3 H]
    is_valid = tf.transpose(mask)[:, :, None]  # [T, B, 1]
    next_states = functools.partial(_lstm_states if is_lstm else _gru_states, cell)
    first = num_steps - 1 if layer.go_backwards else 0

    # The first step has no state yet to multiply.
    states = [tf.where(is_valid[first], new, 0.0) for new in next_states(projected[first])]
    outputs = tf.tile(states[0][None], [num_steps, 1, 1])

    def step(number, outputs, *states):
        position = num_steps - 1 - number if layer.go_backwards else number
        proposed, now_valid = next_states(tf.gather(projected, position), *states), tf.gather(is_valid, position)
        states = [tf.where(now_valid, new, old) for new, old in zip(proposed, states)]
        # Outputs move up as in a queue: all shapes stay known, which the delegate needs.
        return number + 1, tf.concat([outputs[1:], states[0][None]], axis=0), *states

    _, outputs, *states = tf.while_loop(lambda number, *_: number < num_steps, step, [1, outputs, *states])
    return [tf.transpose(outputs, [1, 0, 2]), *states]


def _lstm_states(cell, projected, hidden=None, memory=None):
    """Hidden state and memory cell after one more step, [B, H] each; before the first one both are 0."""
    gates = projected if hidden is None else projected + tf.matmul(hidden, cell.recurrent_kernel)
    entry, forget, candidate, output = tf.split(gates, 4, axis=-1)
    kept = 0.0 if memory is None else tf.sigmoid(forget) * memory
    memory = kept + tf.sigmoid(entry) * tf.tanh(candidate)
    return tf.sigmoid(output) * tf.tanh(memory), memory


def _gru_states(cell, projected, hidden=None):
    """Hidden state after one more step, [B, H]; before the first one it is 0."""
    recurrent = cell.bias[1] if hidden is None else tf.matmul(hidden, cell.recurrent_kernel) + cell.bias[1]
    update, reset, candidate = tf.split(projected, 3, axis=-1)
    recurrent_update, recurrent_reset, recurrent_candidate = tf.split(recurrent, 3, axis=-1)
    update, reset = tf.sigmoid(update + recurrent_update), tf.sigmoid(reset + recurrent_reset)
    candidate = tf.tanh(candidate + reset * recurrent_candidate)
    return [(1 - update) * candidate if hidden is None else update * hidden + (1 - update) * candidate]
