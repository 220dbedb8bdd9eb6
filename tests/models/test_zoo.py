import pytest
import tensorflow as tf

from yt8m_distill.models import ZOO, ModelConfig, create_model
from yt8m_distill.models.classifiers import Logistic, MixtureOfExperts
from yt8m_distill.models.zoo import default_num_blocks
from yt8m_distill.stack import keras

FEATURES = ("rgb", "audio"), (5, 2)
SMALL = {"num_classes": 6, "max_frames": 12}
PUBLISHED = {"feature_names": ("rgb", "audio"), "feature_sizes": (1024, 128), "num_classes": 4716}


def lstm_parameters(width, cells):
    """Kernels and bias of the four gates."""
    return 4 * cells * (width + cells + 1)


def hierarchical_lstm_parameters(width, cells, num_classes):
    lower = lstm_parameters(width, cells) + lstm_parameters(cells, cells)
    upper = lstm_parameters(4 * cells, cells) + lstm_parameters(cells, cells)
    gates, experts = 4 * cells * 3 * num_classes, (4 * cells + 1) * 2 * num_classes
    return lower, upper, gates + experts


# ---- models


def test_the_published_teacher_has_143_million_parameters(monkeypatch):
    def zeros(self, shape, dtype=None, **kwargs):
        return tf.zeros(shape, dtype)

    # Drawing orthogonal matrices of this size takes longer than the rest of the test.
    monkeypatch.setattr(keras.initializers.Orthogonal, "__call__", zeros)
    lower, upper, classifier = hierarchical_lstm_parameters(1152, 1024, 4716)
    assert (lower, upper, classifier) == (17_309_696, 29_368_320, 96_593_112)
    # A frame budget spares the test the computation, and no parameter.
    model = create_model("HierarchicalLstmModel", ("rgb", "audio"), (1024, 128), num_classes=4716, num_sampled_frames=6)
    assert model.count_params() == 143_271_128 == lower + upper + classifier
    assert model.encoder.frame_lstm.count_params() == lower
    assert model.encoder.block_lstm.count_params() == upper


def test_a_student_has_the_parameters_of_its_teacher():
    expected = sum(hierarchical_lstm_parameters(7, 2, 6))
    teacher = create_model("HierarchicalLstmModel", *FEATURES, num_classes=6, max_frames=300, lstm_cells=2)
    student = create_model(
        "HierarchicalLstmModel", *FEATURES, num_classes=6, max_frames=300, lstm_cells=2, num_sampled_frames=30
    )
    assert teacher.count_params() == student.count_params() == expected
    assert (teacher.encoder.block_length, student.encoder.block_length) == (15, 6)


@pytest.mark.parametrize("name, classifier", [("MoeModel", MixtureOfExperts), ("LogisticModel", Logistic)])
def test_the_classifier_of_a_frame_level_model_can_be_chosen(name, classifier):
    model = create_model("FrameLevelLogisticModel", *FEATURES, **SMALL, video_level_classifier_model=name)
    assert type(model.classifier) is classifier


def test_default_classifiers_are_those_of_the_original_and_of_the_authors():
    logistic = {
        name
        for name in ZOO
        if ModelConfig(name, *FEATURES).hyperparameters["video_level_classifier_model"] == "LogisticModel"
    }
    assert logistic == {"LogisticModel", "FrameLevelLogisticModel", "NeXtVLADModel", "MixtureNeXtVLADModel"}


def num_trainable(model):
    return sum(int(tf.size(weight)) for weight in model.trainable_weights)


def test_gated_netvlad_has_the_parameters_of_its_layers():
    """Willow's "Gated NetVLAD 256": 278,528 pooled values, 1024 hidden ones, MoE with probability gating."""
    of_rgb = 1024 * 256 + 2 * 256 + 1024 * 256  # assignment, its normalisation, anchors
    of_audio = 128 * 128 + 2 * 128 + 128 * 128
    hidden = (1024 * 256 + 128 * 128) * 1024 + 1024
    gating = 1024 * 1024 + 2 * 1024
    experts = 1024 * 4716 * 5 + 2 * 4716
    probability_gating = 4716 * 4716 + 2 * 4716
    expected = 2 * 1152 + of_rgb + of_audio + hidden + gating + experts + probability_gating
    assert num_trainable(create_model("NetVLADModelLF", **PUBLISHED, num_sampled_frames=2)) == expected == 333_229_888


def test_nextvlad_has_the_89_million_parameters_of_its_readme():
    """With 3862 classes; the README of linrongc's code says 89M."""

    def pooling(size, clusters, groups):
        width = 2 * size
        expand, attention = size * width + width, width * groups + groups
        assignment, anchors = width * groups * clusters + 2 * groups * clusters, width // groups * clusters
        return expand + attention + assignment + anchors + 2 * anchors

    hidden, gating = 36_864 * 2048 + 2 * 2048, 2048 * 256 + 2 * 256 + 256 * 2048
    expected = pooling(1024, 128, 8) + pooling(128, 64, 4) + hidden + gating + 2049 * 3862
    model = create_model("NeXtVLADModel", **{**PUBLISHED, "num_classes": 3862}, num_sampled_frames=2)
    assert num_trainable(model) == expected
    assert round(expected / 1e6) == 89


def test_nextvlad_reads_frames_of_any_length_and_penalizes_its_classifier_more():
    model = create_model("NeXtVLADModel", *FEATURES, **SMALL, nextvlad_hidden_size=8, groups=2)
    assert not model.frame_input.unit_length and model.frame_input.scale is None
    assert (model.classifier.l2, model.classifier.bias_l2) == (1e-5, 1e-5)
    eigenvalues = [4.0, 1.0, 0.25, 0.0, 0.0, 9.0]
    model = create_model("NeXtVLADModel", *FEATURES, **SMALL, groups=2, eigenvalues=eigenvalues)
    assert model.frame_input.scale == [2.0001, 1.0001, 0.5001, 0.0001, 0.0001, 1.0, 1.0]


@pytest.mark.parametrize(
    "hyperparameters, variant", [({}, "netvlad"), ({"lightvlad": True}, "netrvlad"), ({"softdbow": True}, "softdbow")]
)
def test_netvlad_variants(hyperparameters, variant):
    config = ModelConfig("NetVLADModelLF", *FEATURES, hyperparameters=hyperparameters)
    assert ZOO["NetVLADModelLF"].build_encoder(config).variant == variant
    assert config.hyperparameters["moe_prob_gating"] and config.hyperparameters["moe_l2"] == 1e-6


def test_moe_num_mixtures_reaches_the_classifier():
    model = create_model("MoeModel", *FEATURES, num_classes=6, moe_num_mixtures=3)
    assert model.classifier.num_mixtures == 3
    assert model.count_params() == 7 * 6 * 4 + 8 * 6 * 3


def test_moe_takes_willows_options():
    classifier = create_model("MoeModel", *FEATURES, num_classes=6, moe_l2=0.5, moe_prob_gating=True).classifier
    assert classifier.l2 == 0.5
    assert classifier.count_params() == 7 * 6 * 3 + 8 * 6 * 2 + (6 * 6 + 4 * 6 + 1)


def test_two_models_can_share_a_classifier():
    config = ModelConfig("FrameLevelLogisticModel", *FEATURES, **SMALL)
    first = config.build()
    assert config.build(classifier=first.classifier).classifier is first.classifier


# ---- blocks of the H-RNN


@pytest.mark.parametrize(
    "num_slots, is_student, num_blocks",
    [
        (300, False, 20),
        (30, True, 5),
        (20, True, 5),
        (15, True, 5),
        (10, True, 5),
        (6, True, 3),  # the paper's k=6 as 3 blocks of 2, where the authors' code fails
        (7, True, 1),
        (1, True, 1),
        (3, True, 1),  # not blocks of one frame
        (10, False, 5),
        (360, False, 20),
        (50, False, 10),
    ],
)
def test_default_num_blocks(num_slots, is_student, num_blocks):
    assert default_num_blocks(num_slots, is_student) == num_blocks


@pytest.mark.parametrize(
    "budget, hyperparameters, block_length",
    [
        ({}, {}, 15),
        ({"num_sampled_frames": 30}, {}, 6),
        ({"num_sampled_frames": 6}, {}, 2),
        ({"every_n": 10}, {}, 6),
        ({"every_n": 20}, {}, 3),
        ({"frame_percent": 10}, {}, 6),
        ({}, {"num_blocks": 30}, 10),
        ({}, {"num_blocks": 7}, 43),  # the last block is shorter
        ({}, {"block_length": 20}, 20),
        ({"num_sampled_frames": 30}, {"block_length": 5}, 5),
        ({"num_sampled_frames": 6}, {"num_blocks": 5}, 2),
    ],
)
def test_block_length(budget, hyperparameters, block_length):
    config = ModelConfig(
        "HierarchicalLstmModel", *FEATURES, 6, **budget, hyperparameters={"lstm_cells": 1, **hyperparameters}
    )
    encoder = ZOO["HierarchicalLstmModel"].build_encoder(config)
    assert encoder.block_length == block_length
