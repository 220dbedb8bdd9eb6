"""Frames at a lower resolution: in time, in values, in bits."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_checks import check_config, check_save_and_load
from yt8m_distill.analysis import model_cost
from yt8m_distill.models import ModelConfig, create_model
from yt8m_distill.models.low_resolution import LowResolution
from yt8m_distill.stack import keras

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 7, 4)).astype(np.uint8)
NUM_FRAMES = np.array([7, 4, 0], np.int32)
FEATURES = ("rgb", "audio"), (4, 2)
NETWORKS = {
    "LstmModel": {"lstm_cells": 3, "lstm_layers": 1},
    "HierarchicalLstmModel": {"lstm_cells": 3, "lstm_layers": 1},
    "NetVLADModelLF": {"netvlad_cluster_size": 2, "netvlad_hidden_size": 4},
    "NeXtVLADModel": {"nextvlad_cluster_size": 2, "nextvlad_hidden_size": 4, "groups": 2, "gating_reduction": 2},
}


def dequantized(frames):
    return frames * (4 / 255) + (4 / 512 - 2)


@pytest.mark.parametrize("as_float", [False, True])
def test_pooling_averages_runs_of_frames(as_float):
    expected = np.zeros((3, 3, 4))
    for video, count in enumerate(NUM_FRAMES):
        for step, start in enumerate(range(0, count, 3)):
            expected[video, step] = dequantized(FRAMES[video, start : min(start + 3, count)].astype(float)).mean(axis=0)
    frames = FRAMES
    if as_float:
        frames = dequantized(FRAMES).astype(np.float32)
        frames[np.arange(7) >= NUM_FRAMES[:, None]] = np.nan  # padding may hold anything
    pooled, num_steps = LowResolution(frame_pooling=3)(tf.constant(frames), tf.constant(NUM_FRAMES))
    np.testing.assert_array_equal(num_steps, [3, 2, 0])
    np.testing.assert_allclose(pooled, expected, atol=1e-6)


def test_the_columns_that_are_kept():
    kept, num_frames = LowResolution(columns=[0, 3])(tf.constant(FRAMES), tf.constant(NUM_FRAMES))
    np.testing.assert_array_equal(kept, FRAMES[:, :, [0, 3]])
    np.testing.assert_array_equal(num_frames, NUM_FRAMES)


@pytest.mark.parametrize("bits", [1, 2, 4, 7])
def test_few_bits_are_few_values_in_the_middle_of_what_they_stand_for(bits):
    every_byte = np.arange(256, dtype=np.uint8).reshape(1, 64, 4)
    coarse, _ = LowResolution(bit_depth=bits)(tf.constant(every_byte), tf.constant([64]))
    width = 2 ** (8 - bits)
    expected = [byte - byte % width + width // 2 for byte in range(256)]
    np.testing.assert_array_equal(coarse.numpy().ravel(), expected)
    as_float = dequantized(every_byte.astype(float)).astype(np.float32)
    of_floats, _ = LowResolution(bit_depth=bits)(tf.constant(as_float), tf.constant([64]))
    np.testing.assert_allclose(of_floats.numpy().ravel(), dequantized(np.array(expected, float)), atol=1e-6)


def test_configuration_survives():
    config = {"frame_pooling": 2, "columns": [1, 2], "bit_depth": 4}
    layer = LowResolution(**config)
    inputs = (FRAMES, NUM_FRAMES)
    check_config(layer, config, inputs)
    check_save_and_load(layer, inputs)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_model_of_low_resolution_is_the_model_on_frames_of_low_resolution(name):
    frames = np.random.default_rng(1).integers(0, 256, (2, 12, 6)).astype(np.uint8)
    small = {"num_classes": 3, "max_frames": 12, **NETWORKS[name]}
    keras.utils.set_random_seed(1)
    low = create_model(name, *FEATURES, leading_values="rgb:2", frame_pooling=2, bit_depth=4, **small)
    blocks = {"block_length": low.encoder.block_length} if name == "HierarchicalLstmModel" else {}
    plain = create_model(name, FEATURES[0], (2, 2), **small, **blocks)
    for part, of_low in ((plain.encoder, low.encoder), (plain.classifier, low.classifier)):
        part.set_weights(of_low.get_weights())

    coarse = frames[:, :, [0, 1, 4, 5]] // 16 * 16 + 8
    pooled = dequantized(coarse.astype(np.float32)).reshape(2, 6, 2, 4).mean(axis=2)
    outputs = low.encode_and_classify({"frames": tf.constant(frames), "num_frames": tf.constant([12, 12])})
    expected = plain({"frames": tf.constant(pooled), "num_frames": tf.constant([6, 6])})
    np.testing.assert_allclose(outputs["predictions"], expected["predictions"], atol=1e-5)
    np.testing.assert_array_equal(outputs["frame_indices"][0], [0, 2, 4, 6, 8, 10])
    cost = model_cost(low, 12)
    assert cost["frames"] == 12 and cost["encoder_macs"] == model_cost(plain, 6)["encoder_macs"]


@pytest.mark.parametrize(
    "hyperparameters, message",
    [
        ({"frame_pooling": 0}, "frame_pooling must be a whole number, at least 1"),
        ({"bit_depth": 9}, "bit_depth must be a whole number from 1 to 8"),
        ({"leading_values": "rgb:0"}, "Received: 'rgb:0'"),
        ({"leading_values": "rgb:5"}, "Received: 'rgb:5'"),
        ({"leading_values": "sound:1"}, "Received: 'sound:1'"),
        ({"leading_values": 3}, "must be text"),
    ],
    ids=str,
)
def test_says_what_is_wrong(hyperparameters, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig("LstmModel", *FEATURES, hyperparameters=hyperparameters)


def test_the_teacher_beside_it_is_of_full_resolution():
    config = ModelConfig("LstmModel", *FEATURES, hyperparameters={"frame_pooling": 2, "leading_values": "rgb:2"})
    assert config.seen_feature_sizes == (2, 2)
    assert config.reading_all_frames() == ModelConfig("LstmModel", *FEATURES)


def test_a_video_level_model_has_no_frames_to_lower_the_resolution_of():
    with pytest.raises(ValueError, match="no hyperparameter 'frame_pooling'"):
        ModelConfig("LogisticModel", ("mean_rgb",), (4,), hyperparameters={"frame_pooling": 2})


def test_a_policy_chooses_frames_of_full_resolution():
    with pytest.raises(ValueError, match="chooses frames of full resolution"):
        ModelConfig(
            "LstmModel",
            *FEATURES,
            frame_sampling="skip_frame",
            num_sampled_frames=3,
            hyperparameters={"frame_pooling": 2},
        )
