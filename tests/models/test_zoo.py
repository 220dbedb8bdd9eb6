import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.models import ZOO, ModelConfig, create_model
from yt8m_distill.models.classifiers import Logistic, MixtureOfExperts
from yt8m_distill.models.zoo import COMMON_HYPERPARAMETERS, default_num_blocks
from yt8m_distill.stack import keras

FEATURES = ("rgb", "audio"), (5, 2)
SMALL = {"num_classes": 6, "max_frames": 12}
# Values that make a model small enough for a test.
SMALL_HYPERPARAMETERS = {"lstm_cells": 2, "lstm_layers": 2}


def small_hyperparameters(name):
    return {key: value for key, value in SMALL_HYPERPARAMETERS.items() if key in ZOO[name].hyperparameters}


def lstm_parameters(width, cells):
    """Kernels and bias of the four gates."""
    return 4 * cells * (width + cells + 1)


def hierarchical_lstm_parameters(width, cells, num_classes):
    lower = lstm_parameters(width, cells) + lstm_parameters(cells, cells)
    upper = lstm_parameters(4 * cells, cells) + lstm_parameters(cells, cells)
    gates, experts = 4 * cells * 3 * num_classes, (4 * cells + 1) * 2 * num_classes
    return lower, upper, gates + experts


# ---- models


@pytest.mark.parametrize("name", ZOO)
def test_every_model_predicts(name):
    model = create_model(name, *FEATURES, **SMALL, **small_hyperparameters(name))
    assert model.name == name and model.built
    assert model.is_frame_level == model.model_config.frame_level
    inputs = {"features": np.ones((3, 7), np.float32)}
    if model.is_frame_level:
        inputs = {"frames": np.full((3, 12, 7), 200, np.uint8), "num_frames": np.array([12, 5, 0])}
    predictions = model(inputs)["predictions"].numpy()
    assert predictions.shape == (3, 6) and predictions.dtype == np.float32
    assert predictions.min() >= 0 and predictions.max() <= 1


@pytest.mark.parametrize("name", [name for name in ZOO if ZOO[name].frame_level])
def test_every_frame_level_model_takes_a_frame_budget_without_more_weights(name):
    whole = create_model(name, *FEATURES, **SMALL, **small_hyperparameters(name))
    model = create_model(name, *FEATURES, **SMALL, **small_hyperparameters(name), num_sampled_frames=4)
    assert model.sampler.method == "uniform" and model.sampler.num_slots == 4
    assert [weight.shape for weight in model.weights] == [weight.shape for weight in whole.weights]


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


@pytest.mark.parametrize("name", ZOO)
def test_default_classifiers_are_the_originals(name):
    expected = "LogisticModel" if name in ("LogisticModel", "FrameLevelLogisticModel") else "MoeModel"
    assert ModelConfig(name, *FEATURES).hyperparameters["video_level_classifier_model"] == expected


def test_moe_num_mixtures_reaches_the_classifier():
    model = create_model("MoeModel", *FEATURES, num_classes=6, moe_num_mixtures=3)
    assert model.classifier.num_mixtures == 3
    assert model.count_params() == 7 * 6 * 4 + 8 * 6 * 3


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
    encoder = ZOO["HierarchicalLstmModel"].build_encoder(
        config.hyperparameters, config.num_slots, config.sampler is not None
    )
    assert encoder.block_length == block_length


# ---- configuration


def test_defaults():
    config = ModelConfig("HierarchicalLstmModel", *FEATURES)
    assert (config.num_classes, config.max_frames, config.num_slots) == (3862, 300, 300)
    assert config.sampler is None
    assert config.hyperparameters == {
        "video_level_classifier_model": "MoeModel",
        "moe_num_mixtures": 2,
        "dropout_rate": 0.0,
        "lstm_cells": 1024,
        "lstm_layers": 2,
        "num_blocks": None,
        "block_length": None,
        "lstm_state": "all",
    }


@pytest.mark.parametrize(
    "budget, method, num_slots",
    [
        ({"num_sampled_frames": 30}, "uniform", 30),
        ({"frame_percent": 5}, "uniform", 15),
        ({"every_n": 10}, "stride", 30),
        ({"every_n": 10, "frame_sampling": "last"}, "last", 30),
        ({"num_sampled_frames": 6, "frame_sampling": "first_middle_last"}, "first_middle_last", 6),
    ],
)
def test_frame_budgets(budget, method, num_slots):
    config = ModelConfig("LstmModel", *FEATURES, **budget)
    assert (config.sampler.method, config.sampler.num_slots, config.num_slots) == (method, num_slots, num_slots)


def test_schema_is_that_of_the_records():
    schema = ModelConfig("LstmModel", ["rgb", "audio"], [1024, 128], num_classes=10, max_frames=50).schema
    assert dataclasses.astuple(schema) == (("rgb", "audio"), (1024, 128), True, 10, 50)
    assert not ModelConfig("MoeModel", *FEATURES).schema.frame_features


def test_example_inputs_have_the_shapes_of_the_pipeline():
    def shapes(inputs):
        return {name: (tuple(value.shape), value.dtype.name) for name, value in inputs.items()}

    video = ModelConfig("MoeModel", *FEATURES)
    assert shapes(video.example_inputs(2)) == {"features": ((2, 7), "float32")}
    assert shapes(video.whole_video_inputs(2)) == {"features": ((2, 7), "float32")}
    whole = {"frames": ((2, 12, 7), "uint8"), "num_frames": ((2,), "int32")}
    teacher = ModelConfig("LstmModel", *FEATURES, **SMALL)
    assert shapes(teacher.example_inputs(2)) == shapes(teacher.whole_video_inputs(2)) == whole
    student = ModelConfig("LstmModel", *FEATURES, **SMALL, num_sampled_frames=4)
    sampled = {"sampled_frames": ((2, 4, 7), "uint8"), "num_sampled_frames": ((2,), "int32")}
    assert shapes(student.example_inputs(2)) == sampled
    assert shapes(student.whole_video_inputs(2)) == whole


@pytest.mark.parametrize(
    "model, arguments, message",
    [
        ("LstModel", {}, "Unknown model 'LstModel'. The models are: LogisticModel, MoeModel,"),
        ("MoeModel", {"lstm_cells": 3}, "MoeModel has no hyperparameter 'lstm_cells'. It has: "),
        ("LstmModel", {"lstm_cell": 3}, "LstmModel has no hyperparameter 'lstm_cell'. It has: "),
        (
            "LstmModel",
            {"video_level_classifier_model": "Moe"},
            "video_level_classifier_model must be one of LogisticModel, MoeModel. Received: 'Moe'.",
        ),
        ("MoeModel", {"dropout_rate": 1}, r"dropout_rate must be in [0, 1). Received: 1."),
        ("MoeModel", {"dropout_rate": "half"}, r"dropout_rate must be in [0, 1). Received: 'half'."),
        ("MoeModel", {"moe_num_mixtures": 0}, "moe_num_mixtures must be a whole number, at least 1. Received: 0."),
        ("LstmModel", {"lstm_cells": 2.5}, "lstm_cells must be a whole number, at least 1. Received: 2.5."),
        ("LstmModel", {"lstm_layers": "2"}, "lstm_layers must be a whole number, at least 1. Received: '2'."),
        ("HierarchicalLstmModel", {"num_blocks": 0}, "num_blocks must be a whole number, at least 1. Received: 0."),
        ("HierarchicalLstmModel", {"num_blocks": 2, "block_length": 3}, "Give num_blocks or block_length, not both."),
        ("HierarchicalLstmModel", {"lstm_state": "cell"}, "lstm_state must be one of all, hidden. Received: 'cell'."),
        ("MoeModel", {"num_sampled_frames": 3}, "MoeModel reads mean features and cannot have a frame budget."),
        (
            "LstmModel",
            {"frame_sampling": "first"},
            "frame_sampling='first' needs a budget: num_sampled_frames, frame_percent or every_n.",
        ),
        ("LstmModel", {"frame_sampling": "best", "num_sampled_frames": 3}, "frame_sampling must be one of uniform,"),
        ("LstmModel", {"num_sampled_frames": 3, "every_n": 3}, "Give exactly one of num_sampled_frames,"),
        ("LstmModel", {"num_sampled_frames": 301}, "num_sampled_frames must be a whole number from 1 to 300."),
        ("LstmModel", {"num_classes": 1}, "num_classes must be at least 2. Received: 1."),
        ("LstmModel", {"num_classes": "6"}, "num_classes must be a whole number, at least 1. Received: '6'."),
        ("LstmModel", {"num_classes": 6.5}, "num_classes must be a whole number, at least 1. Received: 6.5."),
        ("LstmModel", {"max_frames": None}, "max_frames must be a whole number, at least 1. Received: None."),
        ("LstmModel", {"max_frames": 0}, "max_frames must be a whole number, at least 1. Received: 0."),
    ],
)
def test_says_what_is_wrong(model, arguments, message):
    with pytest.raises(ValueError) as error:
        create_model(model, *FEATURES, **arguments)
    assert message in str(error.value)


def test_says_that_names_and_sizes_differ_in_number():
    with pytest.raises(ValueError, match="must list the same number of features"):
        create_model("MoeModel", ("rgb", "audio"), (5,))


def test_no_hyperparameter_hides_a_field_of_the_configuration():
    fields = {field.name for field in dataclasses.fields(ModelConfig)}
    for name, spec in ZOO.items():
        assert not fields & {*COMMON_HYPERPARAMETERS, *spec.hyperparameters}, name
