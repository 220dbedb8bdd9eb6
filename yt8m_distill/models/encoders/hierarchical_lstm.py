"""The H-RNN encoder of "Efficient Video Classification Using Fewer Frames"."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.encoders.stacked_lstm import StackedLstm, zero_without_frames
from yt8m_distill.models.macs import CountsMacs, macs_by_layer
from yt8m_distill.stack import keras

LSTM_STATES = ("all", "hidden")
# So few steps, such as those of the blocks of a student with k <= 20, are taken without a loop.
_UNROLLED_STEPS = 4


class HierarchicalLstm(CountsMacs, keras.layers.Layer):
    """Reads blocks of frames with one stacked LSTM and the blocks' final states with a second one.

    The blocks share their weights and start from the zero state. All blocks of all videos that hold frames run as one
    batch, so the lower level takes `block_length` sequential steps instead of one a frame, and none for padding.

    Source: `HierarchicalLstmModel` of the authors' code, which reads and emits the whole state [c1, h1, c2, h2] (4096
    values for 1024 cells, where the forerunner paper says 2048): "I Have Seen Enough", section 3.

    Args:
      block_length: frames of a block (15 for the teacher's 20 blocks of 300 frames).
      lstm_cells: units of each layer of either level.
      lstm_layers: layers of each level.
      num_blocks: blocks of every input, where they are known to be so many; few are read without a loop.
      lstm_state: `all` encodes as [c1, h1, c2, h2, ...], `hidden` as [h1, h2, ...] of the upper level.

    Attributes:
      skips_padding: leave out blocks without frames. LiteRT export makes it False, for a graph of known shapes.

    Input: features [B, T, D], num_frames int [B]. T need not be a multiple of `block_length`.

    Output:
      `encoding` [B, E]; `frame_states` [B, T, lstm_cells], the lower level's top hidden state after each frame;
      `block_states` [B, ceil(T / block_length), lstm_cells], the upper level's after each block.
    """

    skips_padding = True  # but for the rest of a video's last block

    def __init__(
        self,
        block_length: int,
        lstm_cells: int = 1024,
        lstm_layers: int = 2,
        lstm_state: str = "all",
        num_blocks: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if lstm_state not in LSTM_STATES:
            raise ValueError(f"lstm_state must be one of {', '.join(LSTM_STATES)}. Received: {lstm_state!r}.")
        self.block_length = block_length
        self.lstm_state = lstm_state
        self.num_blocks = num_blocks
        few_frames, few_blocks = block_length <= _UNROLLED_STEPS, bool(num_blocks) and num_blocks <= _UNROLLED_STEPS
        self.frame_lstm = StackedLstm(lstm_cells, lstm_layers, few_frames, name="frame_lstm")
        self.block_lstm = StackedLstm(lstm_cells, lstm_layers, few_blocks, name="block_lstm")

    def call(self, features, num_frames, training=None):
        batch_size, num_slots = tf.shape(features)[0], features.shape[1] or tf.shape(features)[1]
        num_blocks = -(-num_slots // self.block_length)
        features = tf.pad(features, [[0, 0], [0, num_blocks * self.block_length - num_slots], [0, 0]])
        blocks = tf.reshape(features, [-1, self.block_length, features.shape[-1]])  # [B * blocks, block_length, D]
        # Not `clip_by_value`: with blocks of 6 frames, LiteRT takes that for a ReLU6, which it lacks for integers.
        block_bounds = tf.minimum(num_frames[:, None], tf.range(num_blocks + 1) * self.block_length)
        frames_of_block = block_bounds[:, 1:] - block_bounds[:, :-1]  # [B, blocks]
        outputs, states = self._read_blocks(blocks, tf.reshape(frames_of_block, [-1]), training)

        block_encodings = tf.reshape(states, [batch_size, num_blocks, states.shape[-1]])
        blocks_of_video = -(-num_frames // self.block_length)  # [B]
        block_states, states = self.block_lstm(block_encodings, blocks_of_video, training=training)
        if self.lstm_state == "hidden":
            states = states[1::2]
        frame_states = tf.reshape(outputs, [batch_size, num_blocks * self.block_length, self.frame_lstm.cells])
        return {
            "encoding": zero_without_frames(tf.concat(states, axis=-1), num_frames),
            "frame_states": frame_states[:, :num_slots],
            "block_states": block_states,
        }

    def _read_blocks(self, blocks, lengths, training):
        """Runs the lower level on the blocks that hold frames; the outputs and states of the others mean nothing.

        Most of the cost of a video is here, so a short video must not pay for the padding of a long one.

        Args:
          blocks: [N, block_length, D].
          lengths: int32 [N].

        Returns:
          Outputs [N, block_length, cells] of the top layer, and all final states [N, 2 layers cells].
        """
        if not self.skips_padding:
            outputs, states = self.frame_lstm(blocks, lengths, training=training)
            return outputs, tf.concat(states, axis=-1)
        with_frames = tf.where(lengths > 0)  # [M, 1]
        some_blocks, some_lengths = tf.gather_nd(blocks, with_frames), tf.gather_nd(lengths, with_frames)
        some_blocks.set_shape([None, *blocks.shape[1:]])
        outputs, states = self.frame_lstm(some_blocks, some_lengths, training=training)

        def back_in_place(values):
            shape = tf.concat([tf.shape(lengths, out_type=tf.int64), values.shape[1:]], axis=0)
            return tf.scatter_nd(with_frames, values, shape)

        return back_in_place(outputs), back_in_place(tf.concat(states, axis=-1))

    def layer_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video of so many frames."""
        num_blocks = -(-num_frames // self.block_length)
        return {
            **macs_by_layer([self.frame_lstm], num_frames),
            **macs_by_layer([self.block_lstm], num_blocks),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "block_length": self.block_length,
            "lstm_cells": self.frame_lstm.cells,
            "lstm_layers": self.frame_lstm.num_layers,
            "lstm_state": self.lstm_state,
            "num_blocks": self.num_blocks,
        }
