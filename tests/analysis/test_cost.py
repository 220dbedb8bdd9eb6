import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.analysis import cost_rows, model_cost
from yt8m_distill.models import ModelConfig, create_model
from yt8m_distill.models.shapes import build_without_values

YT8M = {"feature_names": ("rgb", "audio"), "feature_sizes": (1024, 128)}
TINY = {"feature_names": ("rgb",), "feature_sizes": (6,), "num_classes": 5, "max_frames": 12}


def lstm_step(num_inputs, cells):
    """MACs of one step of one LSTM layer: four gates, each reading the input and the hidden state."""
    return 4 * cells * (num_inputs + cells)


def full_size_cost(name, num_sampled_frames=None):
    """At the 4716 classes of 2017, in which the known costs are stated."""
    config = ModelConfig(name, **YT8M, num_classes=4716, num_sampled_frames=num_sampled_frames)
    return model_cost(build_without_values(config))


@pytest.mark.parametrize("frames, millions", [(None, 5874), (30, 762), (20, 589), (15, 503), (10, 416)])
def test_full_size_hrnn_costs_what_is_known(frames, millions):
    cost = full_size_cost("HierarchicalLstmModel", frames)
    assert round(cost["macs"] / 1e6) == millions
    # The code's H-RNN: two levels of two layers of 1024 cells, and two experts with three gates.
    num_frames, num_blocks = (frames, 5) if frames else (300, 20)
    assert cost["layers"] == {
        "encoder/frame_lstm/lstm_0": num_frames * lstm_step(1152, 1024),
        "encoder/frame_lstm/lstm_1": num_frames * lstm_step(1024, 1024),
        "encoder/block_lstm/lstm_0": num_blocks * lstm_step(4096, 1024),
        "encoder/block_lstm/lstm_1": num_blocks * lstm_step(1024, 1024),
        "classifier/gates": 4096 * 4716 * 3,
        "classifier/experts": 4096 * 4716 * 2,
    }
    assert cost["params"] == cost["trainable_params"] == 143_271_128
    assert cost["weights_bytes"] == 4 * 143_271_128


@pytest.mark.parametrize(
    "name, frames, millions",
    [
        ("NeXtVLADModel", None, 1463),
        ("NeXtVLADModel", 30, 224),
        ("NetVLADModelLF", None, 500),
        ("NetVLADModelLF", 30, 349),
        ("NetVLADModelLF", 10, 338),
    ],
)
def test_full_size_vlad_models_cost_what_is_known(name, frames, millions):
    cost = full_size_cost(name, frames)
    assert round(cost["macs"] / 1e6) == millions
    assert sum(cost["layers"].values()) == cost["macs"] == cost["encoder_macs"] + cost["classifier_macs"]


def test_layers_of_netvlad_by_hand():
    sizes = {"feature_names": ("rgb", "audio"), "feature_sizes": (6, 2), "num_classes": 5, "max_frames": 12}
    model = create_model("NetVLADModelLF", **sizes, netvlad_cluster_size=4, netvlad_hidden_size=3)
    assert model_cost(model, num_frames=7)["layers"] == {
        "encoder/pooling_0/assignment": 7 * 6 * 4,
        "encoder/pooling_0/weighted_sum": 7 * 6 * 4,
        "encoder/pooling_1/assignment": 7 * 2 * 2,
        "encoder/pooling_1/weighted_sum": 7 * 2 * 2,
        "encoder/hidden": (6 * 4 + 2 * 2) * 3,
        "encoder/gating": 3 * 3,
        "classifier/gates": 3 * 5 * 3,
        "classifier/experts": 3 * 5 * 2,
        "classifier/gating": 5 * 5,
    }


def test_parameters_with_and_without_the_averages_of_batch_normalisation():
    model = create_model("DbofModel", **TINY, dbof_cluster_size=4, dbof_hidden_size=3)
    cost = model_cost(model)
    weights = 6 * 4 + 4 * 3 + 3 * 5 * 5 + 5 * 2  # two projections, gates and experts, the experts' bias
    normalised = 6 + 4 + 3  # channels of the input and of both projections
    assert cost["trainable_params"] == weights + 2 * normalised  # scale and offset
    assert cost["params"] == weights + 4 * normalised + 3  # mean, variance; each layer counts its updates
    assert cost["params"] == sum(int(np.prod(weight.shape)) for weight in model.weights)
    assert cost["weights_bytes"] == 4 * cost["params"]


def test_hierarchical_lstm_of_few_cells():
    teacher = create_model("HierarchicalLstmModel", **TINY, lstm_cells=3, lstm_layers=1, num_blocks=4)
    # 12 frames in blocks of 3; the upper level reads the state [c, h] of each block.
    assert model_cost(teacher)["encoder_macs"] == 12 * lstm_step(6, 3) + 4 * lstm_step(6, 3)
    # 7 frames are 3 blocks, the last one of 1 frame.
    assert model_cost(teacher, num_frames=7)["encoder_macs"] == 7 * lstm_step(6, 3) + 3 * lstm_step(6, 3)
    assert model_cost(teacher)["classifier_macs"] == 6 * 5 * 5


def test_lstm_and_its_frame_budget():
    student = create_model("LstmModel", **TINY, lstm_cells=2, lstm_layers=2, num_sampled_frames=4)
    assert model_cost(student, num_frames=12)["encoder_macs"] == 4 * (lstm_step(6, 2) + lstm_step(2, 2))
    assert model_cost(student, num_frames=3)["encoder_macs"] == 3 * (lstm_step(6, 2) + lstm_step(2, 2))


@pytest.mark.parametrize(
    "name, classifier_macs",
    [("LogisticModel", 6 * 5), ("MoeModel", 6 * 5 * 5), ("FrameLevelLogisticModel", 6 * 5)],
)
def test_models_without_recurrence_cost_their_classifier(name, classifier_macs):
    cost = model_cost(create_model(name, **TINY))
    assert (cost["encoder_macs"], cost["classifier_macs"]) == (0, classifier_macs)


@pytest.mark.parametrize(
    "budget, num_frames, frames, bytes_read, record_bytes",
    [
        ({}, 12, 12, 72, 72),  # a byte for each of 6 values of each frame
        ({}, 20, 12, 72, 120),  # frames past the longest video are not read
        ({"num_sampled_frames": 4}, 12, 4, 24, 72),
        ({"num_sampled_frames": 4}, 3, 3, 18, 18),
        ({"frame_percent": 25.0}, 8, 2, 12, 48),
        ({"every_n": 3}, 12, 4, 24, 72),
        ({"leading_values": "rgb:2"}, 12, 12, 24, 72),
        ({"bit_depth": 2, "num_sampled_frames": 4}, 12, 4, 6, 72),
    ],
)
def test_bytes_of_frames(budget, num_frames, frames, bytes_read, record_bytes):
    cost = model_cost(create_model("FrameLevelLogisticModel", **TINY, **budget), num_frames)
    assert (cost["frames"], cost["bytes_read"], cost["record_bytes"]) == (frames, bytes_read, record_bytes)


def test_bytes_of_mean_features_are_those_of_float32():
    cost = model_cost(create_model("LogisticModel", **TINY))
    assert (cost["frames"], cost["bytes_read"], cost["record_bytes"]) == (1, 6 * 4, 6 * 4)


def test_rows_compare_with_the_first():
    # 12 frames are 6 blocks of 2; 4 are 2 blocks of 2; 2 are a block of 2.
    configs = [
        ModelConfig("HierarchicalLstmModel", **TINY, num_sampled_frames=k, hyperparameters={"lstm_cells": 2})
        for k in (None, 4, 2)
    ]
    rows = cost_rows(configs)
    step = lstm_step(6, 2) + lstm_step(2, 2)
    of_block = lstm_step(8, 2) + lstm_step(2, 2)
    macs = [12 * step + 6 * of_block + 200, 4 * step + 2 * of_block + 200, 2 * step + of_block + 200]
    assert [row["macs"] for row in rows] == macs
    assert [row["share"] for row in rows] == [1.0, macs[1] / macs[0], macs[2] / macs[0]]
    assert [row["frames"] for row in rows] == [12, 4, 2]
    assert all(row["model"] == "HierarchicalLstmModel" and row["published"] is None for row in rows)


def test_rows_of_students_of_a_lower_resolution_and_of_those_that_choose():
    network = {"lstm_cells": 2, "lstm_layers": 1}
    teacher = ModelConfig("LstmModel", **TINY, hyperparameters=network)
    narrow = dataclasses.replace(teacher, hyperparameters={**network, "leading_values": "rgb:1"})
    choosing = dataclasses.replace(teacher, frame_sampling="skip_frame", num_sampled_frames=4)
    rows = cost_rows([teacher, narrow, choosing])
    classifier = rows[0]["classifier_macs"]
    width = sum(TINY["feature_sizes"]) - TINY["feature_sizes"][0] + 1
    expected = [12 * lstm_step(6, 2), 12 * lstm_step(width, 2), 4 * lstm_step(6, 2) + 3 * 4 * 20]
    assert [row["macs"] - classifier for row in rows] == expected
    assert [row["selection_macs"] for row in rows] == [0, 0, 3 * 4 * 20]


def test_a_model_without_values_is_made_on_the_cpu_and_draws_nothing():
    tf.random.set_seed(3)
    expected = tf.random.uniform([3]).numpy()
    tf.random.set_seed(3)
    model = build_without_values(ModelConfig("LstmModel", **TINY, hyperparameters={"lstm_cells": 2}))
    np.testing.assert_array_equal(tf.random.uniform([3]), expected)
    assert all("CPU" in weight.device for weight in model.weights)
