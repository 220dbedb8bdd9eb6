import gc
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.records import flip_bit
from yt8m_distill.models import (
    ModelConfig,
    checkpoint_path,
    checkpoint_step,
    checkpoints,
    load_model,
    read_model_flags,
    restore_weights,
    write_model_flags,
)
from yt8m_distill.stack import keras

SMALL = {"feature_names": ("rgb",), "feature_sizes": (4,), "num_classes": 5, "max_frames": 6}
LSTM = {"lstm_cells": 2, "lstm_layers": 1}
FRAMES = np.random.default_rng(30).integers(0, 256, (3, 6, 4)).astype(np.uint8)
INPUTS = {"frames": FRAMES, "num_frames": np.array([6, 2, 0], np.int32)}


def lstm_model(**hyperparameters):
    return ModelConfig("LstmModel", **SMALL, hyperparameters={**LSTM, **hyperparameters}).build()


def save(model, directory, step=1, **others):
    """As a training run does: model_flags.json and model.ckpt-<step>."""
    write_model_flags(str(directory), model.model_config, "CrossEntropyLoss")
    checkpoint = tf.train.Checkpoint(model=model, **others)
    manager = tf.train.CheckpointManager(checkpoint, str(directory), None, checkpoint_name="model.ckpt")
    return manager.save(checkpoint_number=step)


def test_a_loaded_model_predicts_bit_by_bit_what_the_saved_one_did(tmp_path):
    config = ModelConfig(
        "HierarchicalLstmModel", **SMALL, num_sampled_frames=4, hyperparameters={"lstm_cells": 2, "num_blocks": 2}
    )
    model = config.build()
    save(model, tmp_path)
    loaded = load_model(str(tmp_path))
    assert loaded.model_config == config
    for name, value in model(INPUTS).items():
        np.testing.assert_array_equal(loaded(INPUTS)[name], value)


def test_the_state_of_the_optimizer_is_left_out(tmp_path):
    model = lstm_model()
    model.compile(keras.optimizers.Adam(0.01))
    inputs = {name: tf.constant(value) for name, value in INPUTS.items()}
    model.train_step((inputs, tf.zeros([3, 5], tf.bool)))
    save(model, tmp_path, optimizer=model.optimizer, epoch=tf.Variable(3))
    np.testing.assert_array_equal(load_model(str(tmp_path))(INPUTS)["predictions"], model(INPUTS)["predictions"])


def test_a_train_dir_can_be_moved(tmp_path):
    model = lstm_model()
    save(model, tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    loaded = load_model(str(tmp_path / "there"))
    np.testing.assert_array_equal(loaded(INPUTS)["predictions"], model(INPUTS)["predictions"])


def test_latest_and_best(tmp_path):
    first, second = lstm_model(), lstm_model()
    save(first, tmp_path / "best", step=10)
    save(first, tmp_path, step=10)
    path = save(second, tmp_path, step=20)
    assert checkpoint_path(str(tmp_path)) == path == str(tmp_path / "model.ckpt-20")
    assert checkpoint_path(str(tmp_path), "best") == str(tmp_path / "best" / "model.ckpt-10")
    latest, best = load_model(str(tmp_path)), load_model(str(tmp_path), "best")
    np.testing.assert_array_equal(latest(INPUTS)["predictions"], second(INPUTS)["predictions"])
    np.testing.assert_array_equal(best(INPUTS)["predictions"], first(INPUTS)["predictions"])


@pytest.mark.parametrize(
    "path, step",
    [("dir/model.ckpt-1200", 1200), ("dir/model.ckpt-0", 0), ("dir-7/inference_model", 0), ("model.ckpt", 0)],
)
def test_checkpoint_step(path, step):
    assert checkpoint_step(path) == step


def test_says_that_there_is_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        checkpoint_path(str(tmp_path))
    assert str(error.value) == f"No checkpoint file found in {tmp_path}."
    with pytest.raises(FileNotFoundError) as error:
        checkpoint_path(str(tmp_path), "best")
    assert str(error.value) == (
        f"No checkpoint file found in {tmp_path}/best. Training keeps the best checkpoint when it is given "
        "--eval_data_pattern."
    )


def test_says_that_there_is_no_such_kind_of_checkpoint(tmp_path):
    with pytest.raises(ValueError, match=r"which must be 'latest' or 'best'\. Received: 'newest'"):
        checkpoint_path(str(tmp_path), "newest")


def test_says_that_there_are_no_flags(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Did you run train\.py on the same --train_dir"):
        load_model(str(tmp_path))


def test_says_which_flags_make_no_model(tmp_path):
    save(lstm_model(), tmp_path)
    flags = tmp_path / "model_flags.json"
    flags.write_text(flags.read_text().replace("LstmModel", "BestModel"))
    with pytest.raises(ValueError) as error:
        load_model(str(tmp_path))
    assert str(error.value).startswith(f"{flags}: Unknown model 'BestModel'.")


@pytest.mark.parametrize(
    "saved, other, reason",
    [
        # Weights that the checkpoint does not hold.
        (LSTM, {"lstm_layers": 2}, "Found 3 Python objects that were not bound to checkpointed values"),
        ({"video_level_classifier_model": "LogisticModel"}, LSTM, "Found 3 Python objects that were not bound"),
        # Weights of another shape.
        (LSTM, {"lstm_cells": 3}, "incompatible tensor with shape"),
        (LSTM, {"moe_num_mixtures": 3}, "incompatible tensor with shape"),
        # More weights than the model has: the upper LSTM layer would be forgotten in silence.
        ({"lstm_layers": 2}, LSTM, "it holds 6 weights of the encoder; this one has 3."),
        (
            LSTM,
            {"video_level_classifier_model": "LogisticModel"},
            "it holds 3 weights of the classifier; this one has 2.",
        ),
    ],
)
def test_says_that_a_checkpoint_belongs_to_another_model(tmp_path, saved, other, reason):
    path = save(lstm_model(**saved), tmp_path)
    with pytest.raises(ValueError) as error:
        restore_weights(lstm_model(**other), path)
    assert str(error.value).startswith(f"{path}: does not hold the weights of this LstmModel: ")
    assert reason in str(error.value)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("size", [2, 60])
def test_says_which_checkpoint_is_damaged(tmp_path, part, size):
    """Such as one that was copied in part."""
    path = save(lstm_model(), tmp_path)
    with open(f"{path}.{part}", "r+b") as file:
        file.truncate(size)
    with pytest.raises(ValueError) as error:
        restore_weights(lstm_model(), path)
    assert str(error.value).startswith(f"{path}: does not hold the weights of this LstmModel: ")
    assert len(str(error.value)) < 600


def test_optimizers_of_tensorflow_1_style_do_not_count_as_weights(tmp_path):
    model = lstm_model()
    model.compile(keras.optimizers.legacy.Adam(0.01))
    inputs = {name: tf.constant(value) for name, value in INPUTS.items()}
    model.train_step((inputs, tf.zeros([3, 5], tf.bool)))
    path = save(model, tmp_path)
    assert any("OPTIMIZER_SLOT" in name for name, _ in tf.train.list_variables(path))
    np.testing.assert_array_equal(load_model(str(tmp_path))(INPUTS)["predictions"], model(INPUTS)["predictions"])


@pytest.mark.parametrize("index", [b"", b"text\n" * 20, None], ids=["empty", "text", "cut"])
def test_says_whose_index_is_damaged_before_the_model_is_built(tmp_path, index):
    path = save(lstm_model(), tmp_path)
    with open(f"{path}.index", "r+b") as file:
        whole = file.read()
        file.seek(0)
        file.write(whole[:60] if index is None else index)
        file.truncate()
    with pytest.raises(ValueError) as error:
        load_model(str(tmp_path))
    assert str(error.value).startswith(f"{path}: does not hold the weights of this LstmModel: ")


def test_nothing_is_said_behind_the_error_of_a_damaged_checkpoint(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    path = save(lstm_model(), tmp_path)
    flip_bit(f"{path}.data-00000-of-00001", 10)
    with pytest.raises(ValueError, match="Checksum does not match"):
        load_model(str(tmp_path))
    save(lstm_model(), tmp_path)
    with pytest.raises(ValueError, match="not bound to checkpointed values"):
        restore_weights(lstm_model(lstm_layers=2), path)
    gc.collect()
    assert caplog.text == ""


@pytest.mark.parametrize(
    "cells, message", [(3, "describes a model of "), (10**7, "fits no memory"), (10**9, "fits no memory")]
)
def test_flags_that_describe_a_larger_model_take_no_memory(cells, message, tmp_path):
    save(lstm_model(), tmp_path)
    flags = read_model_flags(str(tmp_path))
    flags["hyperparameters"]["lstm_cells"] = cells
    (tmp_path / "model_flags.json").write_text(json.dumps(flags))
    with pytest.raises(ValueError, match=message) as error:
        load_model(str(tmp_path))
    assert str(error.value).startswith(f"{tmp_path}/model.ckpt-1: ") and "\n" not in str(error.value)


def test_only_what_is_too_large_is_said_to_be(tmp_path, monkeypatch):
    def fail(config):
        raise tf.errors.InvalidArgumentError(None, None, "indices[0] = 1 is not in [0, 1) [Op:GatherV2]")

    save(lstm_model(), tmp_path)
    monkeypatch.setattr(checkpoints, "build_without_values", fail)
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not in"):
        load_model(str(tmp_path))
