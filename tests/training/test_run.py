import dataclasses
import json
import logging
import os
import re
import signal

import numpy as np
import pytest
import tensorflow as tf

from tests.full_disk import files_limited_to
from tests.records import make_videos, record_of, write_records
from tests.training.tiny_runs import (
    FRAMES,
    MEANS,
    checkpoint_steps,
    checkpoint_values,
    model_config,
    read_scalars,
    save_model,
    training_config,
    write_shards,
)
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.models import LABEL_LOSSES, load_model, write_model_flags
from yt8m_distill.training import TrainDirError, run, train
from yt8m_distill.training.finite_check import NonfiniteLossError
from yt8m_distill.training.train_dir import train_dir_in_use


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("records"), count=22)


@pytest.fixture(scope="module")
def finished(pattern, tmp_path_factory):
    """Two passes of 11 steps, stopped at step 17: the train_dir, what `train` returned, and what it wrote."""
    train_dir = tmp_path_factory.mktemp("run")
    config = training_config(
        train_dir,
        pattern,
        eval_data_pattern=pattern,
        batch_size=2,
        num_epochs=2,
        max_steps=17,
        export_model_steps=5,
        keep_checkpoints=2,
        learning_rate_decay=0.5,
        learning_rate_decay_examples=8,
    )
    with pytest.MonkeyPatch.context() as patch:
        written = []
        patch.setattr(run.Progress, "show", lambda progress, done, text: written.append((done, text)))
        result = train(model_config(), config)
    return train_dir, result, written


def test_the_final_step_is_saved_and_the_latest_are_kept(finished):
    train_dir, result, _ = finished
    assert result["step"] == 17
    assert checkpoint_steps(train_dir) == [15, 17]  # of 5, 10, 15 and 17


def test_the_best_is_kept_with_its_metrics(finished):
    train_dir, result, _ = finished
    best = json.loads((train_dir / "best" / "metrics.json").read_text())
    assert checkpoint_steps(train_dir / "best") == [best["step"]] and best["step"] in (11, 17)
    assert best["gap"] >= result["metrics"]["gap"] and result["metrics"]["num_examples"] == 22


def test_the_log_line_is_the_original_ones(finished):
    _, _, [(done, text)] = finished
    assert done == 20
    shape = "training step 10 | Loss: 0.00 Examples/sec: 0.00 | Hit@1: 0.00 PERR: 0.00 GAP: 0.00"
    assert re.sub(r"\d+\.\d\d", "0.00", text) == shape


def test_tensorboard_gets_the_originals_tags(finished):
    train_dir, _, _ = finished
    scalars = read_scalars(train_dir)
    assert set(scalars) == {
        "label_loss",
        "reg_loss",
        "learning_rate",
        "model/Training_Hit@1",
        "model/Training_Perr",
        "model/Training_GAP",
        "global_step/Examples/Second",
    }
    assert all([step for step, _ in points] == [10] for points in scalars.values())
    # Steps 9 and 10 are both in the stair of examples 16 to 23.
    assert scalars["learning_rate"][0][1] == pytest.approx(0.01 * 0.5**2)
    assert scalars["label_loss"][0][1] > 0 and 0 < scalars["model/Training_GAP"][0][1] <= 1


def test_without_validation_there_is_no_best(pattern, tmp_path):
    trained = train(model_config(), training_config(tmp_path, pattern, max_steps=1))
    assert trained == {"step": 1, "metrics": None, "examples_per_second": 0.0}  # the only step compiles
    assert not (tmp_path / "best").exists()


def test_the_best_gap_is_remembered(pattern, tmp_path, monkeypatch):
    gaps = iter([0.5, 0.7, 0.6, 0.65, 0.8])
    monkeypatch.setattr(run, "evaluate", lambda *args, **kwargs: {"gap": next(gaps)})
    best = []
    for num_epochs in (3, 4, 5):
        config = training_config(tmp_path, pattern, eval_data_pattern=pattern, num_epochs=num_epochs)
        train(model_config(), config)
        best.append(json.loads((tmp_path / "best" / "metrics.json").read_text()))
        assert checkpoint_steps(tmp_path / "best") == [best[-1]["step"]]
    # Three steps a pass. The fourth pass, in a process of its own, does not beat the second.
    assert best == [{"step": 6, "gap": 0.7}, {"step": 6, "gap": 0.7}, {"step": 15, "gap": 0.8}]


def test_changed_flags_are_honoured(pattern, tmp_path):
    train(model_config(), training_config(tmp_path, pattern, num_epochs=1))
    before = load_model(str(tmp_path)).get_weights()
    # 22 records in batches of 4 are 6 steps; a learning rate of next to nothing leaves the weights alone.
    changes = {"num_epochs": 2, "batch_size": 4, "base_learning_rate": 1e-30}
    assert train(model_config(), training_config(tmp_path, pattern, **changes))["step"] == 3 + 6
    for old, new in zip(before, load_model(str(tmp_path)).get_weights()):
        np.testing.assert_array_equal(old, new)


def test_start_new_model_starts_at_step_0(pattern, tmp_path):
    for start_new_model, steps in ((False, [2]), (True, [1])):
        train(model_config(), training_config(tmp_path, pattern, start_new_model=start_new_model, max_steps=steps[0]))
        assert checkpoint_steps(tmp_path) == steps


def test_a_finished_run_is_left_as_it_is(finished, pattern):
    train_dir, _, _ = finished
    before = checkpoint_values(train_dir)
    config = training_config(train_dir, pattern, batch_size=2, num_epochs=2, max_steps=17)
    assert train(model_config(), config)["step"] == 17
    after = checkpoint_values(train_dir)
    assert before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)


def test_ctrl_c_saves_a_checkpoint(pattern, tmp_path, monkeypatch, caplog):
    interrupt_at(4, monkeypatch)
    with pytest.raises(KeyboardInterrupt), caplog.at_level(logging.WARNING):
        train(model_config(), training_config(tmp_path, pattern, num_epochs=2, start_new_model=True))
    assert checkpoint_steps(tmp_path) == [4]
    assert "Interrupted at step 4; the same command without --start_new_model goes on from here." in caplog.text


@pytest.mark.parametrize("count", [1, 2])
def test_a_signal_within_a_step(count, pattern, tmp_path, monkeypatch, caplog):
    """The first one lets the step end and saves it; the second one does not wait, and what there is is not saved."""
    end_of_batch = run.RunCallback.on_train_batch_end

    def on_train_batch_end(callback, batch, logs=None):
        if callback.position.step == 3:  # weights are those after the fourth step
            for _ in range(count):
                os.kill(os.getpid(), signal.SIGTERM)
        end_of_batch(callback, batch, logs)

    monkeypatch.setattr(run.RunCallback, "on_train_batch_end", on_train_batch_end)
    config = training_config(tmp_path, pattern, num_epochs=2, export_model_steps=2)
    with pytest.raises(KeyboardInterrupt), caplog.at_level(logging.WARNING):
        train(model_config(), config)
    assert checkpoint_steps(tmp_path) == ([2, 4] if count == 1 else [2])
    step, where = (4, "here") if count == 1 else (3, "step 2")
    assert f"Interrupted at step {step}; the same command goes on from {where}." in caplog.text


def test_two_runs_in_one_train_dir(pattern, tmp_path):
    train(model_config(), training_config(tmp_path, pattern))
    before = checkpoint_values(tmp_path)
    with train_dir_in_use(str(tmp_path)):
        for start_new_model in (False, True):
            with pytest.raises(ValueError, match=rf"Another run is training in {tmp_path}. Wait for it.* \(process "):
                train(model_config(), training_config(tmp_path, pattern, start_new_model=start_new_model))
    assert checkpoint_values(tmp_path).keys() == before.keys()
    train(model_config(), training_config(tmp_path, pattern, start_new_model=True))


def interrupt_at(step, monkeypatch):
    """Lets Ctrl-C come at the end of a step."""
    end_of_batch = run.RunCallback.on_train_batch_end

    def on_train_batch_end(callback, batch, logs=None):
        end_of_batch(callback, batch, logs)
        if callback.position.step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(run.RunCallback, "on_train_batch_end", on_train_batch_end)


@pytest.mark.parametrize("mistake", [{"optimizer": "Adem"}, {"optimizer": "Yogi", "weight_decay": 0.1}])
def test_a_mistyped_optimizer_does_not_cost_the_old_run(mistake, pattern, tmp_path):
    write_model_flags(str(tmp_path), model_config(), "CrossEntropyLoss")
    with pytest.raises(ValueError, match=mistake["optimizer"]):
        train(model_config(), training_config(tmp_path, pattern, start_new_model=True, **mistake))
    assert "training" not in json.loads((tmp_path / "model_flags.json").read_text())


@pytest.mark.parametrize(
    "model, mistake, message",
    [
        ("NeXtVLADModel", {"groups": 3}, "groups=3 must divide expansion"),
        ("NeXtVLADModel", {"eigenvalues": [1.0]}, "Feature 'rgb' has 4 values. Received: 1 eigenvalues."),
        ("AttentionPoolingModel", {"attention_heads": 3}, "attention_heads=3 must divide"),
    ],
)
def test_hyperparameters_that_make_no_model_do_not_cost_the_old_run(model, mistake, message, tmp_path):
    frames = write_shards(tmp_path / "frames", FRAMES, count=2)
    train_dir = tmp_path / "run"
    write_model_flags(str(train_dir), model_config(), "CrossEntropyLoss")
    with pytest.raises(ValueError, match=message):
        train(
            model_config(model, FRAMES, hyperparameters=mistake),
            training_config(train_dir, frames, start_new_model=True),
        )
    assert json.loads((train_dir / "model_flags.json").read_text())["model"] == "LogisticModel"


@pytest.mark.parametrize(
    "teacher, changes, message",
    [
        (model_config(num_classes=4), {}, "Teacher and student must agree on num_classes. Received: teacher 4"),
        (model_config(), {"distillation": DistillationConfig("serial", ("int",))}, "the teacher has none"),
        (model_config("MoeModel"), {"student_init": "teacher"}, "the shapes differ"),
    ],
)
def test_a_teacher_that_does_not_fit_does_not_cost_the_old_run(teacher, changes, message, pattern, tmp_path):
    save_model(tmp_path / "teacher", teacher.build())
    save_model(tmp_path / "run", model_config().build(), step=7)
    changes = {"distillation": DistillationConfig("serial"), **changes}
    config = training_config(
        tmp_path / "run", pattern, start_new_model=True, teacher_dir=str(tmp_path / "teacher"), **changes
    )
    with pytest.raises(ValueError, match=message):
        train(model_config(), config)
    assert checkpoint_steps(tmp_path / "run") == [7]


def test_a_mistyped_teacher_does_not_cost_the_old_run(pattern, tmp_path):
    write_model_flags(str(tmp_path / "run"), model_config(), "CrossEntropyLoss")
    config = training_config(
        tmp_path / "run",
        pattern,
        start_new_model=True,
        distillation=DistillationConfig("serial"),
        teacher_dir=str(tmp_path / "typo"),
    )
    with pytest.raises(FileNotFoundError, match=r"No checkpoint file found in .*typo"):
        train(model_config(), config)
    assert "training" not in json.loads((tmp_path / "run" / "model_flags.json").read_text())


def test_weights_alone_are_no_run_to_go_on_with(pattern, tmp_path):
    config = training_config(tmp_path, pattern)
    write_model_flags(str(tmp_path), model_config(), config.label_loss, config.recorded())
    path = tf.train.Checkpoint(model=model_config().build()).save(str(tmp_path / "model.ckpt"))
    with pytest.raises(TrainDirError) as error:
        train(model_config(), config)
    assert str(error.value).startswith(f"{path} holds weights alone")


def test_a_checkpoint_that_lacks_weights_is_no_run_to_go_on_with(pattern, tmp_path):
    """Otherwise the run would go on, from where it stopped, with weights that are partly fresh."""
    config = training_config(tmp_path, pattern)
    write_model_flags(str(tmp_path), model_config(), config.label_loss, config.recorded())
    position = {name: tf.Variable(0, dtype=tf.int64) for name in ("step", "phase", "epoch", "examples")}
    other = model_config("MoeModel").build()
    path = tf.train.Checkpoint(model=other, position=position).save(str(tmp_path / "model.ckpt"))
    with pytest.raises(TrainDirError) as error:
        train(model_config(), config)
    assert str(error.value).startswith(f"{path} lacks weights or optimizer state that this run has")


@pytest.mark.parametrize("file", ["index", "data-00000-of-00001"])
def test_a_damaged_checkpoint_is_named(file, pattern, tmp_path):
    config = training_config(tmp_path, pattern)
    train(model_config(), config)
    path = tf.train.latest_checkpoint(str(tmp_path))
    with open(f"{path}.{file}", "r+b") as damaged:
        damaged.truncate(os.path.getsize(damaged.name) // 2)
    with pytest.raises(TrainDirError) as error:
        train(model_config(), dataclasses.replace(config, num_epochs=5))
    assert str(error.value).startswith(f"{path} is damaged (") and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[1]", "{", '{"gap": "high"}', "3"])
def test_metrics_of_the_best_that_are_none(text, pattern, tmp_path):
    config = training_config(tmp_path, pattern, eval_data_pattern=pattern)
    train(model_config(), config)
    (tmp_path / "best" / "metrics.json").write_text(text)
    with pytest.raises(TrainDirError, match=r"best/metrics.json: holds no metrics .* Remove it"):
        train(model_config(), dataclasses.replace(config, num_epochs=5))


def test_an_averaging_optimizer_leaves_the_averaged_weights(pattern, tmp_path):
    pytest.importorskip("tensorflow_addons", reason="tensorflow-addons is not installed")
    train(model_config(), training_config(tmp_path, pattern, optimizer="MovingAverage", num_epochs=2))
    values = checkpoint_values(tmp_path)
    names = [name for name in values if name.startswith("model/") and ".OPTIMIZER_SLOT" not in name]
    slots = {name: values[f"{name}/.OPTIMIZER_SLOT/optimizer/average"] for name in names}
    assert len(slots) == 2
    for name, average in slots.items():
        np.testing.assert_array_equal(values[name], average)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("model.ckpt*")}
    train(model_config(), training_config(tmp_path, pattern, optimizer="MovingAverage", num_epochs=2))
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.glob("model.ckpt*")}  # nothing to write again


# A loss that is not finite.


@pytest.fixture
def poisoned(tmp_path, monkeypatch):
    """Records of which the loss of one, the tenth and alone in having all labels, is NaN."""

    def loss(labels, predictions, label_weights=None):
        losses = cross_entropy(labels, predictions, label_weights)
        return tf.where(tf.reduce_all(tf.cast(labels, tf.bool), axis=-1), float("nan"), losses)

    cross_entropy = LABEL_LOSSES["CrossEntropyLoss"]
    monkeypatch.setitem(LABEL_LOSSES, "CrossEntropyLoss", loss)
    videos = [dataclasses.replace(video, labels=(1,)) for video in make_videos(MEANS, 24)]
    videos[9] = dataclasses.replace(videos[9], labels=(0, 1, 2))
    return write_records(tmp_path / "records", [record_of(video, MEANS) for video in videos])


def of_poisoned(train_dir, pattern, **changes):
    settings = {"batch_size": 1, "num_epochs": 2, "export_model_steps": 2, "keep_checkpoints": 100, **changes}
    return training_config(train_dir, pattern, **settings)


def weights_at(train_dir, step):
    reader = tf.train.load_checkpoint(str(train_dir / f"model.ckpt-{step}"))
    return [reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if name.startswith("model/")]


def test_a_loss_that_is_nan_stops_the_run_and_leaves_the_checkpoints_before_it(poisoned, tmp_path):
    with pytest.raises(NonfiniteLossError) as error:
        train(model_config(), of_poisoned(tmp_path / "run", poisoned))
    step = int(re.search(r"infinite at step (\d+)\.", str(error.value)).group(1))
    # Every second step is saved, but none after the bad one; and the next look comes at a tenth step or a save.
    assert checkpoint_steps(tmp_path / "run") == list(range(2, step, 2))
    assert all(np.isfinite(values).all() for values in weights_at(tmp_path / "run", 2))


def test_steps_that_are_nan_can_be_left_out(poisoned, tmp_path, caplog):
    assert train(model_config(), of_poisoned(tmp_path / "run", poisoned, skip_nonfinite=True))["step"] == 48
    assert all(np.isfinite(values).all() for values in weights_at(tmp_path / "run", 48))
    assert "Left out 2 steps whose loss or gradients were NaN or infinite." in caplog.text


def test_a_disk_that_is_full_costs_no_earlier_checkpoint(tmp_path):
    pattern = write_shards(tmp_path / "records", FRAMES)
    model = model_config("DbofModel", FRAMES, hyperparameters={"dbof_cluster_size": 512, "dbof_hidden_size": 64})
    train(model, training_config(tmp_path / "run", pattern, max_steps=2))
    before = checkpoint_values(tmp_path / "run")
    with files_limited_to(100_000), pytest.raises(tf.errors.OpError):
        train(model, training_config(tmp_path / "run", pattern, num_epochs=2, max_steps=4))
    assert checkpoint_steps(tmp_path / "run") == [2]
    after = checkpoint_values(tmp_path / "run")
    assert all(np.array_equal(before[name], after[name]) for name in before)
