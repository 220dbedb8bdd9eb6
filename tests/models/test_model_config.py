import dataclasses
import math

import pytest

from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.models import ZOO, ModelConfig, create_model
from yt8m_distill.models.zoo import COMMON_HYPERPARAMETERS, block_length

FEATURES = ("rgb", "audio"), (5, 2)
SMALL = {"num_classes": 6, "max_frames": 12}


def test_defaults():
    config = ModelConfig("HierarchicalLstmModel", *FEATURES)
    assert (config.num_classes, config.max_frames, config.num_slots) == (3862, 300, 300)
    assert config.sampler is None
    assert config.hyperparameters == {
        "video_level_classifier_model": "MoeModel",
        "moe_num_mixtures": 2,
        "moe_l2": 1e-8,
        "moe_prob_gating": False,
        "dropout_rate": 0.0,
        "prior_probability": 0.0,
        "frame_pooling": 1,
        "leading_values": "",
        "bit_depth": 8,
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
    assert not config.sampler.jitter


def test_frame_jitter_reaches_the_sampler():
    assert ModelConfig("LstmModel", *FEATURES, num_sampled_frames=30, frame_jitter=True).sampler.jitter


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
        ("LstmModel", {"lstm_cells": 10**30}, f"lstm_cells must be below 2**31. Received: {10**30}."),
        ("LstmModel", {"lstm_layers": 10**9}, "lstm_layers must be at most 1000. Received: 1000000000."),
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
        ("LstmModel", {"frame_jitter": True}, "frame_jitter needs a frame budget: num_sampled_frames, frame_percent"),
        (
            "LstmModel",
            {"frame_jitter": True, "num_sampled_frames": 3, "frame_sampling": "last"},
            "frame_jitter needs frame_sampling='uniform'. Received: 'last'.",
        ),
        ("LstmModel", {"bidirectional": 1}, "bidirectional must be true or false. Received: 1."),
        ("LstmModel", {"moe_l2": -1.0}, "moe_l2 must be a number, at least 0. Received: -1.0."),
        ("DbofModel", {"iterations": True}, "iterations must be a whole number, at least 1. Received: True."),
        ("DbofModel", {"dbof_pooling_method": "none"}, "dbof_pooling_method must be one of average, max."),
        ("DbofModel", {"dbof_activation": "tanh"}, "dbof_activation must be one of sigmoid, relu6. Received: 'tanh'."),
        ("NetVLADModelLF", {"lightvlad": True, "softdbow": True}, "Give lightvlad or softdbow, not both."),
        ("NeXtVLADModel", {"drop_rate": 1.0}, "drop_rate must be in [0, 1). Received: 1.0."),
        ("NeXtVLADModel", {"groups": 3}, "groups=3 must divide expansion * feature size = 2 * 5."),
        (
            "NeXtVLADModel",
            {"groups": 2, "eigenvalues": [1.0]},
            "Feature 'rgb' has 5 values. Received: 1 eigenvalues.",
        ),
        ("NeXtVLADModel", {"eigenvalues": [1.0, -1.0]}, "eigenvalues must list numbers, at least 0. Received: -1.0."),
        ("NeXtVLADModel", {"eigenvalues": [1, math.nan]}, "eigenvalues must list numbers, at least 0. Received: nan."),
        ("NeXtVLADModel", {"eigenvalues": 5.0}, "eigenvalues must list numbers, at least 0. Received: 5.0."),
        ("MixtureNeXtVLADModel", {"cl_temperature": 0}, "cl_temperature must be a positive number. Received: 0."),
        ("MixtureNeXtVLADModel", {"dropout_rate": 0.5}, "use drop_rate, not dropout_rate."),
        (
            "MixtureNeXtVLADModel",
            {"video_level_classifier_model": "MoeModel"},
            "Each branch of the mixture has a LogisticModel.",
        ),
        (
            "AttentionPoolingModel",
            {"attention_heads": 5},
            "attention_heads=5 must divide attention_hidden_size=512.",
        ),
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


def test_every_hyperparameter_is_checked():
    for name, spec in ZOO.items():
        for hyperparameter in spec.hyperparameters:
            with pytest.raises(ValueError, match=hyperparameter):
                ModelConfig(name, *FEATURES, hyperparameters={hyperparameter: "no such value"})


def test_a_shared_classifier_must_be_the_one_that_the_configuration_describes():
    """Otherwise the model could not be rebuilt from its train_dir."""
    plain, gated = (
        ModelConfig("MoeModel", *FEATURES, **SMALL, hyperparameters={"moe_prob_gating": is_gated})
        for is_gated in (False, True)
    )
    teacher = gated.build()
    assert gated.build(teacher.classifier).classifier is teacher.classifier
    with pytest.raises(ValueError, match=r"probability_gating=True.* for a model .* probability_gating=False"):
        plain.build(teacher.classifier)


def test_layers_can_be_checked_without_making_weights():
    for name in ZOO:
        fitting = {"groups": 2} if "NeXtVLAD" in name else {}
        ModelConfig(name, *FEATURES, **SMALL, hyperparameters=fitting).check_layers()
    with pytest.raises(ValueError, match=r"groups=8 must divide expansion \* feature size = 2 \* 5."):
        ModelConfig("MixtureNeXtVLADModel", *FEATURES, **SMALL).check_layers()


def test_eigenvalues_are_a_list_as_in_the_file_of_flags():
    config = ModelConfig("NeXtVLADModel", *FEATURES, hyperparameters={"eigenvalues": (4.0, 1.0)})
    assert config.hyperparameters["eigenvalues"] == [4.0, 1.0]


# ---- the same weights on other frames


def test_another_number_of_frames_reads_by_the_same_method_and_weights():
    trained = ModelConfig(
        "HierarchicalLstmModel", *FEATURES, num_sampled_frames=30, frame_jitter=True, frame_budgets=(6, 10, 30)
    )
    config = trained.with_num_sampled_frames(10)
    assert config.sampler == FrameSampler("uniform", 10)
    assert block_length(trained) == block_length(config) == 6  # the weights have read blocks of 30 / 5 frames
    assert trained.with_num_sampled_frames(10).with_num_sampled_frames(30).hyperparameters == config.hyperparameters


@pytest.mark.parametrize(
    "budget, method",
    [({}, "uniform"), ({"every_n": 10}, "uniform"), ({"frame_percent": 5, "frame_sampling": "last"}, "last")],
)
def test_other_budgets_become_a_number_of_frames(budget, method):
    sampler = ModelConfig("LstmModel", *FEATURES, **budget).with_num_sampled_frames(7).sampler
    assert (sampler.method, sampler.num_slots) == (method, 7)


def test_no_number_of_frames_is_read_of_mean_features_or_past_the_longest_video():
    with pytest.raises(ValueError, match="cannot have a frame budget"):
        ModelConfig("MoeModel", *FEATURES).with_num_sampled_frames(7)
    with pytest.raises(ValueError, match=r"from 1 to 300\. Received: 301"):
        ModelConfig("LstmModel", *FEATURES).with_num_sampled_frames(301)


def test_a_policy_decides_a_thousand_times_at_most():
    config = {"max_frames": 2000, "frame_sampling": "skip_frame"}
    ModelConfig("LstmModel", *FEATURES, **config, num_sampled_frames=1000)
    with pytest.raises(ValueError, match=r"a whole number from 2 to 1000\. Received: 1001"):
        ModelConfig("LstmModel", *FEATURES, **config, num_sampled_frames=1001)


def test_all_frames_are_read_in_the_blocks_of_a_teacher():
    student = ModelConfig(
        "HierarchicalLstmModel",
        *FEATURES,
        num_classes=9,
        num_sampled_frames=30,
        frame_jitter=True,
        hyperparameters={"num_blocks": 5, "lstm_cells": 7},
    )
    config = student.reading_all_frames()
    assert config.sampler is None and not config.frame_jitter
    assert (config.num_classes, config.hyperparameters["lstm_cells"], block_length(config)) == (9, 7, 15)


def test_frame_budgets_need_a_number_of_frames():
    with pytest.raises(ValueError, match="frame_budgets need num_sampled_frames"):
        ModelConfig("LstmModel", *FEATURES, frame_budgets=(6, 10))
