import json

import pytest

from yt8m_distill.models import ModelConfig, model_config_from_flags, read_model_flags, write_model_flags

TEACHER = ModelConfig("HierarchicalLstmModel", ("rgb", "audio"), (1024, 128))
STUDENT = ModelConfig(
    "HierarchicalLstmModel",
    ("rgb", "audio"),
    (1024, 128),
    num_classes=4716,
    frame_sampling="uniform",
    num_sampled_frames=30,
    hyperparameters={"lstm_cells": 512, "dropout_rate": 0.25},
)
PERCENT = ModelConfig("LstmModel", ("audio",), (128,), num_classes=527, max_frames=10, frame_percent=12.5)
STRIDE = ModelConfig("FrameLevelLogisticModel", ("rgb",), (1024,), every_n=10)
VIDEO = ModelConfig("MoeModel", ("mean_rgb",), (1024,), hyperparameters={"moe_num_mixtures": 4})

# Readers of trained models outside this project depend on this text; a change of it is a change of format.
GOLDEN = """{
  "model": "HierarchicalLstmModel",
  "feature_sizes": "1024,128",
  "feature_names": "rgb,audio",
  "frame_features": true,
  "label_loss": "CrossEntropyLoss",
  "num_classes": 4716,
  "max_frames": 300,
  "frame_sampling": "uniform",
  "num_sampled_frames": 30,
  "frame_percent": null,
  "every_n": null,
  "frame_jitter": false,
  "frame_budgets": [],
  "hyperparameters": {
    "video_level_classifier_model": "MoeModel",
    "moe_num_mixtures": 2,
    "moe_l2": 1e-08,
    "moe_prob_gating": false,
    "dropout_rate": 0.25,
    "prior_probability": 0.0,
    "frame_pooling": 1,
    "leading_values": "",
    "bit_depth": 8,
    "lstm_cells": 512,
    "lstm_layers": 2,
    "num_blocks": null,
    "block_length": null,
    "lstm_state": "all"
  }
}
"""


def flags_of(config):
    """The flags of a configuration, as read from a file."""
    return {
        "model": config.model,
        "feature_names": ",".join(config.feature_names),
        "feature_sizes": ",".join(map(str, config.feature_sizes)),
        "num_classes": config.num_classes,
        "max_frames": config.max_frames,
        "frame_sampling": None,
        "num_sampled_frames": None,
        "frame_percent": None,
        "every_n": None,
        "hyperparameters": dict(config.hyperparameters),
    }


def test_the_text_of_the_file(tmp_path):
    write_model_flags(str(tmp_path), STUDENT, "CrossEntropyLoss")
    assert (tmp_path / "model_flags.json").read_text() == GOLDEN


def test_the_golden_text_makes_its_model(tmp_path):
    (tmp_path / "model_flags.json").write_text(GOLDEN)
    assert model_config_from_flags(read_model_flags(str(tmp_path))) == STUDENT


def test_files_written_before_frame_jitter_still_make_their_model():
    flags = json.loads(GOLDEN)
    for name in ("frame_jitter", "frame_budgets"):
        del flags[name]
    for name in ("moe_l2", "moe_prob_gating", "prior_probability"):
        del flags["hyperparameters"][name]
    assert model_config_from_flags(flags) == STUDENT


def test_begins_with_the_keys_and_values_of_the_original(tmp_path):
    write_model_flags(str(tmp_path), VIDEO, "HingeLoss")
    flags = read_model_flags(str(tmp_path))
    assert list(flags.items())[:5] == [
        ("model", "MoeModel"),
        ("feature_sizes", "1024"),
        ("feature_names", "mean_rgb"),
        ("frame_features", False),
        ("label_loss", "HingeLoss"),
    ]


@pytest.mark.parametrize("config", [TEACHER, STUDENT, PERCENT, STRIDE, VIDEO], ids=lambda config: config.model)
def test_round_trip(tmp_path, config):
    write_model_flags(str(tmp_path), config, "CrossEntropyLoss")
    assert model_config_from_flags(read_model_flags(str(tmp_path))) == config


def test_the_training_settings_are_kept_and_make_no_difference_to_the_model(tmp_path):
    training = {"base_learning_rate": 0.001, "optimizer": "AdamOptimizer"}
    write_model_flags(str(tmp_path), STUDENT, "CrossEntropyLoss", training)
    flags = read_model_flags(str(tmp_path))
    assert flags["training"] == training
    assert model_config_from_flags(flags) == STUDENT


def test_writing_replaces_an_earlier_file_and_makes_the_directory(tmp_path):
    directory = tmp_path / "new" / "train_dir"
    write_model_flags(str(directory), TEACHER, "CrossEntropyLoss")
    write_model_flags(str(directory), STUDENT, "CrossEntropyLoss")
    assert [path.name for path in directory.iterdir()] == ["model_flags.json"]
    assert (directory / "model_flags.json").read_text() == GOLDEN


def test_what_json_cannot_hold_leaves_the_earlier_file(tmp_path):
    write_model_flags(str(tmp_path), STUDENT, "CrossEntropyLoss")
    with pytest.raises(TypeError):
        write_model_flags(str(tmp_path), STUDENT, "CrossEntropyLoss", {"optimizer": object()})
    assert (tmp_path / "model_flags.json").read_text() == GOLDEN


def test_says_which_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        read_model_flags(str(tmp_path))
    assert str(error.value) == (
        f"Cannot find {tmp_path}/model_flags.json. Did you run train.py on the same --train_dir?"
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "is not valid JSON (Expecting property name"),
        ("", "is not valid JSON (Expecting value"),
        ("[1, 2]", "must hold one JSON object. Received: list."),
        ("null", "must hold one JSON object. Received: NoneType."),
        ("[" * 100_000, "is not valid JSON (maximum recursion depth"),
        ('{"label_loss": []}', "'label_loss' must be a string. Received: []"),
        ('{"hyperparameters": [1]}', "'hyperparameters' must be an object. Received: [1]"),
        ('{"training": [1]}', "'training' must be an object. Received: [1]"),
        ('{"training": {"distillation": "x"}}', "'distillation' must be an object. Received: 'x'"),
        ('{"training": {"distillation": []}}', "'distillation' must be an object. Received: []"),
        ('{"model": ["LstmModel"]}', "'model' must be a string. Received: ['LstmModel']"),
        ('{"feature_names": 5}', "'feature_names' must be a string. Received: 5"),
        ('{"feature_sizes": [1024]}', "'feature_sizes' must be a string. Received: [1024]"),
        ('{"frame_sampling": []}', "'frame_sampling' must be a string or null. Received: []"),
        ('{"frame_budgets": 5}', "'frame_budgets' must be a list of whole numbers. Received: 5"),
        ('{"frame_budgets": [1, "a"]}', "'frame_budgets' must be a list of whole numbers. Received: 'a'"),
    ],
)
def test_says_that_the_file_is_no_json_object(tmp_path, text, message):
    (tmp_path / "model_flags.json").write_text(text)
    with pytest.raises(ValueError) as error:
        read_model_flags(str(tmp_path))
    assert str(error.value).startswith(f"{tmp_path}/model_flags.json: {message}")


@pytest.mark.parametrize("key", flags_of(TEACHER))
def test_says_which_key_is_missing(key):
    flags = flags_of(TEACHER)
    del flags[key]
    with pytest.raises(ValueError) as error:
        model_config_from_flags(flags, "dir/model_flags.json")
    assert str(error.value).startswith(f"dir/model_flags.json: has no key '{key}'. It was not written by this package")


def test_reads_no_flags_of_the_original():
    """The original records five keys; they do not make a model."""
    flags = json.loads(GOLDEN)
    original = {key: flags[key] for key in list(flags)[:5]}
    with pytest.raises(ValueError, match="has no key 'num_classes'"):
        model_config_from_flags(original)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": "BestModel"}, "Unknown model 'BestModel'. The models are: "),
        ({"model": ["LstmModel"]}, "unhashable type"),
        ({"hyperparameters": {"lstm_cell": 3}}, "HierarchicalLstmModel has no hyperparameter 'lstm_cell'."),
        ({"hyperparameters": {"lstm_cells": "512"}}, "lstm_cells must be a whole number, at least 1. Received: '512'."),
        ({"hyperparameters": {"dropout_rate": None}}, "dropout_rate must be in [0, 1). Received: None."),
        ({"hyperparameters": None}, ""),
        ({"hyperparameters": [1]}, ""),
        ({"num_classes": "4716"}, "num_classes must be a whole number, at least 1. Received: '4716'."),
        ({"num_classes": None}, "num_classes must be a whole number, at least 1. Received: None."),
        ({"max_frames": 0.5}, "max_frames must be a whole number, at least 1. Received: 0.5."),
        ({"feature_sizes": "1024;128"}, "invalid literal for int() with base 10: '1024;128'"),
        ({"feature_sizes": [1024, 128]}, ""),
        ({"feature_sizes": "1024"}, "feature_names and feature_sizes must list the same number of features."),
        ({"feature_names": 3}, ""),
        ({"frame_jitter": "yes"}, "frame_jitter must be true or false. Received: 'yes'."),
        ({"every_n": 7}, "Method 'stride' needs a spacing that divides max_frames=300"),
        ({"num_sampled_frames": "30"}, "num_sampled_frames must be a whole number from 1 to 300. Received: '30'."),
        ({"num_sampled_frames": 2.0}, "num_sampled_frames must be a whole number from 1 to 300. Received: 2.0."),
        ({"num_sampled_frames": True}, "num_sampled_frames must be a whole number from 1 to 300. Received: True."),
        ({"frame_percent": "50"}, "frame_percent must be a number in (0, 100]. Received: '50'."),
        ({"hyperparameters": {"moe_l2": 10**400}}, "moe_l2 must be a number, at least 0. Received: 1000"),
        ({"frame_sampling": "first"}, "frame_sampling='first' needs a budget"),
        ({"run": "rm"}, "has a key 'run' that is unknown. Another version of this package wrote it."),
        ({"max_frames": 10**9}, "max_frames must be at most 100000. Received: 1000000000."),
    ],
    ids=str,
)
def test_says_which_file_holds_values_that_make_no_model(changes, message):
    with pytest.raises(ValueError) as error:
        model_config_from_flags({**flags_of(TEACHER), **changes}, "dir/model_flags.json")
    assert str(error.value).startswith(f"dir/model_flags.json: {message}")


@pytest.mark.parametrize(
    "changes",
    [
        {"x" * 100_000: 1},
        {"model": "x" * 100_000},
        {"frame_sampling": "x" * 100_000, "num_sampled_frames": 3},
        {"hyperparameters": {"x" * 100_000: 1}},
        {"hyperparameters": {"lstm_state": "x" * 100_000}},
        {"hyperparameters": {"lstm_cells": ["x"] * 100_000}},
    ],
    ids=lambda changes: next(iter(changes))[:20],
)
def test_what_is_in_the_file_is_quoted_in_part(changes):
    with pytest.raises(ValueError) as error:
        model_config_from_flags({**flags_of(TEACHER), **changes}, "dir/model_flags.json")
    assert str(error.value).startswith("dir/model_flags.json: ") and len(str(error.value)) < 1100


def test_spaces_after_the_commas_are_allowed():
    flags = {**flags_of(TEACHER), "feature_names": "rgb, audio", "feature_sizes": "1024, 128"}
    assert model_config_from_flags(flags) == TEACHER
