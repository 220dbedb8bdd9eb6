import numpy as np
import pytest

from tests.layer_checks import run_layer_test
from tests.models.encoders.numpy_lstm import run_hierarchical_lstm
from yt8m_distill.models.encoders.hierarchical_lstm import HierarchicalLstm

CELLS, WIDTH, SLOTS = 2, 4, 10
# All blocks full, a block of one frame, a whole number of blocks, one block, one frame, none.
NUM_FRAMES = np.array([10, 7, 6, 3, 1, 0], np.int32)
FEATURES = np.random.default_rng(3).normal(size=(len(NUM_FRAMES), SLOTS, WIDTH)).astype(np.float32)


def encode_in_numpy(layer, video, block_length):
    frames = FEATURES[video, : NUM_FRAMES[video]]
    weights = layer.frame_lstm.get_weights(), layer.block_lstm.get_weights()
    return run_hierarchical_lstm(frames, block_length, *weights)


def test_meets_what_is_asked_of_every_layer():
    config = {"block_length": 3, "lstm_cells": CELLS, "lstm_layers": 2, "lstm_state": "hidden"}
    lower = 4 * CELLS * (WIDTH + CELLS + 1) + 4 * CELLS * (2 * CELLS + 1)
    upper = 4 * CELLS * (4 * CELLS + CELLS + 1) + 4 * CELLS * (2 * CELLS + 1)
    run_layer_test(HierarchicalLstm, config, FEATURES, NUM_FRAMES, num_weights=lower + upper)


@pytest.mark.parametrize("block_length", [2, 3, 10, 15])  # divides the slots, leaves a rest, one block, longer than all
@pytest.mark.parametrize("num_layers", [1, 2])
def test_equals_a_loop_over_blocks(block_length, num_layers):
    layer = HierarchicalLstm(block_length, CELLS, num_layers)
    outputs = layer(FEATURES, NUM_FRAMES)
    num_blocks = -(-SLOTS // block_length)
    assert outputs["encoding"].shape == (len(NUM_FRAMES), 2 * num_layers * CELLS)
    assert outputs["frame_states"].shape == (len(NUM_FRAMES), SLOTS, CELLS)
    assert outputs["block_states"].shape == (len(NUM_FRAMES), num_blocks, CELLS)
    for video, num_frames in enumerate(NUM_FRAMES):
        encoding, frame_states, block_states = encode_in_numpy(layer, video, block_length)
        np.testing.assert_allclose(outputs["encoding"][video], encoding, atol=1e-6)
        if num_frames:
            np.testing.assert_allclose(outputs["frame_states"][video, :num_frames], frame_states, atol=1e-6)
            np.testing.assert_allclose(outputs["block_states"][video, : len(block_states)], block_states, atol=1e-6)


def test_blocks_without_frames_are_not_read(monkeypatch):
    layer = HierarchicalLstm(3, CELLS)
    layer(FEATURES, NUM_FRAMES)
    read, call = [], layer.frame_lstm.call

    def recording_call(blocks, *args, **kwargs):
        read.append(blocks)
        return call(blocks, *args, **kwargs)

    monkeypatch.setattr(layer.frame_lstm, "call", recording_call)
    layer(FEATURES, NUM_FRAMES)
    assert read[0].shape == (4 + 3 + 2 + 1 + 1 + 0, 3, WIDTH)  # of the 24 that 10 slots have room for
    layer(FEATURES[:2], np.zeros(2, np.int32))
    assert read[1].shape == (0, 3, WIDTH)


def test_hidden_encodes_without_the_cell_states():
    layer = HierarchicalLstm(3, CELLS, 2, lstm_state="hidden")
    encoding = layer(FEATURES, NUM_FRAMES)["encoding"]
    assert encoding.shape == (len(NUM_FRAMES), 2 * CELLS)
    for video in range(len(NUM_FRAMES)):
        _, h1, _, h2 = np.split(encode_in_numpy(layer, video, 3)[0], 4)
        np.testing.assert_allclose(encoding[video], np.concatenate([h1, h2]), atol=1e-6)


def test_a_video_without_frames_is_encoded_as_zero():
    encoding = HierarchicalLstm(3, CELLS)(FEATURES, NUM_FRAMES)["encoding"]
    np.testing.assert_array_equal(encoding[-1], np.zeros(4 * CELLS))


def test_blocks_share_their_weights_and_start_from_zero():
    layer = HierarchicalLstm(5, CELLS)
    same_twice = np.concatenate([FEATURES[:, :5], FEATURES[:, :5]], axis=1)
    states = layer(same_twice, np.full(len(NUM_FRAMES), 10))["frame_states"]
    np.testing.assert_array_equal(states[:, :5], states[:, 5:])


def test_counts_the_products_of_every_frame_and_block():
    """By the published sizes a frame takes 17,301,504 and a block 29,360,128; here the same sums for 2 cells."""
    layer = HierarchicalLstm(3, CELLS)
    layer(FEATURES, NUM_FRAMES)
    of_frame = 4 * CELLS * (WIDTH + CELLS) + 4 * CELLS * (CELLS + CELLS)
    of_block = 4 * CELLS * (4 * CELLS + CELLS) + 4 * CELLS * (CELLS + CELLS)
    assert layer.macs(10) == 10 * of_frame + 4 * of_block
    assert (4 * 1024 * (1152 + 1024 + 2048), 4 * 1024 * (4096 + 1024 + 2048)) == (17_301_504, 29_360_128)


def test_rejects_an_unknown_state():
    with pytest.raises(ValueError, match=r"lstm_state must be one of all, hidden. Received: 'both'"):
        HierarchicalLstm(5, CELLS, lstm_state="both")
