import json

import numpy as np
import pytest
import tensorflow as tf

from tests.training.tiny_runs import MEANS, checkpoint_steps, model_config, training_config, write_shards
from yt8m_distill.models import average_checkpoints, load_model, write_model_flags
from yt8m_distill.training import TrainDirError, train

STEPS = (10, 20, 30, 40)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of which the last three checkpoints are kept; at step s all its weights are s / 10."""
    train_dir = tmp_path_factory.mktemp("run")
    model = model_config().build()
    write_model_flags(str(train_dir), model.model_config, "HingeLoss", {"optimizer": "SGD", "mixed_precision": "none"})
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model), str(train_dir), 3, checkpoint_name="model.ckpt"
    )
    for step in STEPS:
        model.set_weights([np.full_like(weight, step / 10) for weight in model.get_weights()])
        manager.save(checkpoint_number=step)
    return train_dir


@pytest.mark.parametrize("last, mean", [(1, 4), (2, 3.5), (3, 3)])
def test_the_mean_of_the_last(run, last, mean, tmp_path):
    output = tmp_path / "averaged"
    assert average_checkpoints(str(run), str(output), last) == list(STEPS[-last:])
    for weight in load_model(str(output)).get_weights():
        np.testing.assert_array_equal(weight, np.full_like(weight, mean))
    assert checkpoint_steps(output) == [40]


def test_the_mean_is_taken_in_float64(tmp_path):
    """In float32, 2**24 + 1 is 2**24, and the 1 of the second checkpoint would be lost."""
    model = model_config().build()
    write_model_flags(str(tmp_path / "run"), model.model_config, "CrossEntropyLoss")
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(model=model), str(tmp_path / "run"), None, "model.ckpt")
    for step, value in enumerate((2.0**24, 1, 1 - 2.0**24)):
        model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])
        manager.save(checkpoint_number=step)
    average_checkpoints(str(tmp_path / "run"), str(tmp_path / "averaged"), 3)
    for weight in load_model(str(tmp_path / "averaged")).get_weights():
        np.testing.assert_array_equal(weight, np.full_like(weight, np.float32(2 / 3)))


def test_the_flags_are_the_runs(run, tmp_path):
    average_checkpoints(str(run), str(tmp_path / "averaged"), 2)
    flags = json.loads((tmp_path / "averaged" / "model_flags.json").read_text())
    assert flags.pop("averaged_checkpoints") == [30, 40]
    assert flags == json.loads((run / "model_flags.json").read_text())


def test_a_train_dir_that_was_moved(run, tmp_path):
    average_checkpoints(str(run), str(tmp_path / "averaged"), 2)
    (tmp_path / "averaged").rename(tmp_path / "moved")
    assert average_checkpoints(str(tmp_path / "moved"), str(tmp_path / "again"), 1) == [40]


def test_no_run_goes_on_in_it(tmp_path):
    pattern = write_shards(tmp_path / "records", count=8)
    config = training_config(tmp_path / "run", pattern)
    train(model_config(), config)
    average_checkpoints(str(tmp_path / "run"), str(tmp_path / "averaged"), 1)
    with pytest.raises(TrainDirError, match=r"averaged/model\.ckpt-1 holds weights alone, not a training run"):
        train(model_config(), training_config(tmp_path / "averaged", pattern))


@pytest.mark.parametrize(
    "last, message", [(4, r"keeps 3 checkpoint\(s\), too few to average 4\..*--keep_checkpoints"), (0, "at least 1")]
)
def test_too_few(run, last, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        average_checkpoints(str(run), str(tmp_path / "averaged"), last)
    assert list(tmp_path.iterdir()) == []


def test_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="No checkpoint file found in"):
        average_checkpoints(str(tmp_path), str(tmp_path / "averaged"), 1)


def test_checkpoints_of_another_model(run, tmp_path):
    (tmp_path / "run").mkdir()
    for path in run.iterdir():
        (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    write_model_flags(str(tmp_path / "run"), model_config("MoeModel", MEANS), "CrossEntropyLoss")
    with pytest.raises(ValueError, match=r"model\.ckpt-40: does not hold the weights of this MoeModel"):
        average_checkpoints(str(tmp_path / "run"), str(tmp_path / "averaged"), 1)
    assert not (tmp_path / "averaged").exists()


def test_an_output_that_holds_something(run, tmp_path):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(FileExistsError, match="precious"):
        average_checkpoints(str(run), str(tmp_path), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
