import json
import os

import numpy as np
import pytest
import tensorflow as tf

from tests.training.tiny_runs import FRAMES, checkpoint_steps, model_config, training_config
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.models import checkpoint_path, load_model
from yt8m_distill.training import TrainDirError, train_dir
from yt8m_distill.training.train_dir import CheckpointKeeper, empty_train_dir, prepare_train_dir


def save_checkpoint(directory, step=3):
    tf.train.CheckpointManager(
        tf.train.Checkpoint(value=tf.Variable(1.0)), str(directory), None, checkpoint_name="model.ckpt"
    ).save(checkpoint_number=step)


def make_train_dir(directory, model=None, **changes):
    """A train_dir as a run leaves it."""
    prepare_train_dir(model or model_config(), training_config(directory, **changes))
    save_checkpoint(directory)


def files_in(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_new_train_dir_records_the_flags(tmp_path):
    prepare_train_dir(model_config(), training_config(tmp_path / "a" / "b", seed=7))
    flags = json.loads((tmp_path / "a" / "b" / "model_flags.json").read_text())
    assert flags["model"] == "LogisticModel" and flags["training"]["seed"] == 7


class TestStartNewModel:
    def test_deletes_a_train_dir(self, tmp_path):
        make_train_dir(tmp_path)
        for name in ("best", "eval", "teacher"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "checkpoint").write_text("")
        (tmp_path / "events.out.tfevents.1.host").write_text("")
        prepare_train_dir(model_config("MoeModel"), training_config(tmp_path, start_new_model=True))
        assert list(files_in(tmp_path)) == ["model_flags.json"]

    def test_an_absent_or_empty_directory_is_as_good(self, tmp_path):
        for directory in (tmp_path, tmp_path / "absent"):
            prepare_train_dir(model_config(), training_config(directory, start_new_model=True))
            assert list(files_in(directory))[-1].endswith("model_flags.json")
            (directory / "model_flags.json").unlink()

    @pytest.mark.parametrize("foreign", ["thesis.tex", "photos/cat.jpg", "model.ckpt", ".git/HEAD"])
    def test_refuses_a_directory_that_holds_something_else(self, tmp_path, foreign):
        make_train_dir(tmp_path)
        path = tmp_path / foreign
        path.parent.mkdir(exist_ok=True)
        path.write_text("precious")
        before = files_in(tmp_path)
        with pytest.raises(TrainDirError) as error:
            prepare_train_dir(model_config(), training_config(tmp_path, start_new_model=True))
        assert str(tmp_path) in str(error.value) and f"it holds {foreign.split('/')[0]!r}" in str(error.value)
        assert files_in(tmp_path) == before

    def test_refuses_a_directory_without_flags(self, tmp_path):
        save_checkpoint(tmp_path)
        before = files_in(tmp_path)
        with pytest.raises(TrainDirError, match=r"it has no model_flags\.json"):
            empty_train_dir(str(tmp_path))
        assert files_in(tmp_path) == before

    def test_who_is_killed_while_deleting_can_start_again(self, tmp_path, monkeypatch):
        make_train_dir(tmp_path)
        save_checkpoint(tmp_path)
        removed = []

        def remove(path):
            if len(removed) == 2:
                raise KeyboardInterrupt
            removed.append(path)
            os.remove(path)

        monkeypatch.setattr(train_dir, "_remove", remove)
        with pytest.raises(KeyboardInterrupt):
            empty_train_dir(str(tmp_path))
        monkeypatch.undo()
        prepare_train_dir(model_config(), training_config(tmp_path, start_new_model=True))
        assert {path.name for path in tmp_path.iterdir()} == {"model_flags.json"}

    def test_who_is_killed_while_the_flags_are_written_can_start_again(self, tmp_path):
        (tmp_path / ".model_flags.json.abc.partial").write_text("{")
        prepare_train_dir(model_config(), training_config(tmp_path, start_new_model=True))
        assert {path.name for path in tmp_path.iterdir()} == {"model_flags.json"}


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    make_train_dir(tmp_path)
    for directory in (tmp_path, tmp_path / "best"):
        (directory / "model.ckpt-12_temp").mkdir(parents=True)
        (directory / "model.ckpt-12_temp" / "part-00000-of-00001.index").write_text("")
    (tmp_path / ".model_flags.json.ab12.partial").write_text("{")
    before = files_in(tmp_path)
    prepare_train_dir(model_config(), training_config(tmp_path))
    assert set(before) - set(files_in(tmp_path)) == {name for name in before if "_temp" in name or "partial" in name}


HIERARCHICAL = {"model": "HierarchicalLstmModel", "schema": FRAMES}
SERIAL = {"distillation": DistillationConfig("serial"), "teacher_dir": "teacher"}
PARALLEL = {"distillation": DistillationConfig("parallel")}


@pytest.mark.parametrize(
    "name, model, changed",
    [
        ("model", {}, {"model": "MoeModel"}),
        ("feature_names", {}, {"feature_names": ("mean_audio",)}),
        ("feature_sizes", {}, {"feature_sizes": (5,)}),
        ("num_classes", {}, {"num_classes": 4}),
        ("max_frames", HIERARCHICAL, {"max_frames": 9}),
        ("frame_sampling", {**HIERARCHICAL, "num_sampled_frames": 2}, {"frame_sampling": "first"}),
        ("num_sampled_frames", HIERARCHICAL, {"num_sampled_frames": 2}),
        ("frame_percent", HIERARCHICAL, {"frame_percent": 50.0}),
        ("every_n", HIERARCHICAL, {"every_n": 2}),
        ("lstm_cells", HIERARCHICAL, {"hyperparameters": {"lstm_cells": 5}}),
        ("num_blocks", HIERARCHICAL, {"hyperparameters": {"num_blocks": 2}}),
        ("moe_num_mixtures", HIERARCHICAL, {"hyperparameters": {"moe_num_mixtures": 3}}),
        (
            "video_level_classifier_model",
            HIERARCHICAL,
            {"hyperparameters": {"video_level_classifier_model": "LogisticModel"}},
        ),
    ],
)
def test_refuses_another_model(tmp_path, name, model, changed):
    make_train_dir(tmp_path, model_config(**model))
    before = files_in(tmp_path)
    with pytest.raises(TrainDirError) as error:
        prepare_train_dir(model_config(**{**model, **changed}), training_config(tmp_path))
    assert f"{tmp_path} holds a run with {name}=" in str(error.value)
    assert "--start_new_model" in str(error.value)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    "name, first, changed",
    [
        ("label_loss", {}, {"label_loss": "HingeLoss"}),
        ("optimizer", {}, {"optimizer": "Adam"}),
        ("mixed_precision", {}, {"mixed_precision": "float16"}),
        ("ema_decay", {}, {"ema_decay": 0.9}),
        ("ema_decay", {"ema_decay": 0.9}, {}),
        ("distillation", {}, SERIAL),
        ("distillation", SERIAL, {}),
        ("scheme", SERIAL, PARALLEL),
        ("share_classifier", PARALLEL, {"distillation": DistillationConfig("parallel", share_classifier=True)}),
        ("project_encoding", PARALLEL, {"distillation": DistillationConfig("parallel", project_encoding=True)}),
    ],
)
def test_refuses_another_way_of_training(tmp_path, name, first, changed):
    make_train_dir(tmp_path, **first)
    before = files_in(tmp_path)
    with pytest.raises(TrainDirError, match=f"holds a run with {name}="):
        prepare_train_dir(model_config(), training_config(tmp_path, **changed))
    assert files_in(tmp_path) == before


def test_what_may_change_is_recorded_anew(tmp_path):
    make_train_dir(tmp_path, **SERIAL, ema_decay=0.9)
    changes = {
        "batch_size": 3,
        "num_epochs": 9,
        "max_steps": 70,
        "base_learning_rate": 0.5,
        "learning_rate_decay": 0.5,
        "learning_rate_decay_examples": 10,
        "clip_gradient_norm": 0.0,
        "regularization_penalty": 2.0,
        "export_model_steps": 5,
        "keep_checkpoints": 2,
        "num_readers": 1,
        "seed": 4,
        "jit_compile": True,
        "eval_data_pattern": "validate*",
        "train_data_pattern": "train*",
        "teacher_dir": "moved",
        "finetune_epochs": 2,
        "gradient_accumulation_steps": 3,
        "learning_rate_schedule": "cosine",
        "warmup_steps": 5,
        "weight_decay": 0.1,
        "label_smoothing": 0.1,
        "mixup_alpha": 0.2,
        "mixup_level": "frames",
        "ema_decay": 0.99,
    }
    losses = DistillationConfig("serial", losses=("pred",), pred_weight=3.0)
    model = model_config(hyperparameters={"dropout_rate": 0.5})
    config = training_config(tmp_path, changes.pop("train_data_pattern"), **changes, distillation=losses)
    prepare_train_dir(model, config)
    flags = json.loads((tmp_path / "model_flags.json").read_text())
    assert {name: flags["training"][name] for name in changes} == changes
    assert flags["training"]["distillation"]["pred_weight"] == 3.0
    assert flags["hyperparameters"]["dropout_rate"] == 0.5


def test_dropout_and_jitter_may_change(tmp_path):
    budget = {"model": "NeXtVLADModel", "schema": FRAMES, "num_sampled_frames": 2}
    make_train_dir(tmp_path, model=model_config(**budget))
    changed = model_config(**budget, frame_jitter=True, hyperparameters={"drop_rate": 0.1, "dropout_rate": 0.2})
    prepare_train_dir(changed, training_config(tmp_path))
    flags = json.loads((tmp_path / "model_flags.json").read_text())
    assert flags["frame_jitter"] and flags["hyperparameters"]["drop_rate"] == 0.1


def test_a_run_from_before_a_hyperparameter_existed_has_its_default(tmp_path):
    make_train_dir(tmp_path, model=model_config("MoeModel"))
    path = tmp_path / "model_flags.json"
    flags = json.loads(path.read_text())
    del flags["hyperparameters"]["moe_l2"]
    path.write_text(json.dumps(flags))
    prepare_train_dir(model_config("MoeModel"), training_config(tmp_path))
    with pytest.raises(TrainDirError, match="holds a run with moe_l2=1e-08"):
        prepare_train_dir(model_config("MoeModel", hyperparameters={"moe_l2": 0.5}), training_config(tmp_path))


def test_long_values_are_cut_short(tmp_path):
    """The eigenvalues of YouTube-8M are 1024 numbers."""
    budget = {"model": "NeXtVLADModel", "schema": FRAMES}
    make_train_dir(tmp_path, model=model_config(**budget, hyperparameters={"eigenvalues": [0.123456] * 1024}))
    with pytest.raises(TrainDirError, match=r"a run with eigenvalues=\[0\.123456, .*\.\.\.; this run has eig") as error:
        prepare_train_dir(model_config(**budget), training_config(tmp_path))
    assert len(str(error.value)) < 500 + len(str(tmp_path))


def test_a_run_from_before_weights_could_be_averaged_goes_on_without(tmp_path):
    make_train_dir(tmp_path)
    path = tmp_path / "model_flags.json"
    flags = json.loads(path.read_text())
    del flags["training"]["ema_decay"]
    path.write_text(json.dumps(flags))
    prepare_train_dir(model_config(), training_config(tmp_path))
    assert json.loads(path.read_text())["training"]["ema_decay"] == 0


def test_flags_without_a_checkpoint_bind_nobody(tmp_path):
    prepare_train_dir(model_config(), training_config(tmp_path))
    prepare_train_dir(model_config("MoeModel"), training_config(tmp_path))
    assert json.loads((tmp_path / "model_flags.json").read_text())["model"] == "MoeModel"


def test_the_best_weights_of_a_run_without_a_checkpoint_are_not_those_of_the_next(tmp_path):
    """The first evaluation may come before the first checkpoint, and a kill between the two."""
    prepare_train_dir(model_config(), training_config(tmp_path))
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "metrics.json").write_text('{"gap": 0.999}')
    prepare_train_dir(model_config(), training_config(tmp_path, label_loss="HingeLoss"))
    assert not (tmp_path / "best").exists()


def test_a_lost_checkpoint_is_not_overwritten_by_a_run_from_the_start(tmp_path):
    prepare_train_dir(model_config(), training_config(tmp_path))
    save_checkpoint(tmp_path)
    (lost,) = tmp_path.glob("*.index")
    lost.unlink()
    before = files_in(tmp_path)
    with pytest.raises(TrainDirError, match=r"whose files are not all there. Bring them back, name an older"):
        prepare_train_dir(model_config(), training_config(tmp_path))
    assert files_in(tmp_path) == before
    prepare_train_dir(model_config(), training_config(tmp_path, start_new_model=True))


def test_refuses_checkpoints_without_flags(tmp_path):
    save_checkpoint(tmp_path)
    before = files_in(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"Cannot find .*model_flags.json"):
        prepare_train_dir(model_config(), training_config(tmp_path))
    assert files_in(tmp_path) == before


class TestCheckpointKeeper:
    def test_keeps_the_latest_and_the_best(self, tmp_path):
        model = model_config().build()
        make_train_dir(tmp_path / "run")
        keeper = CheckpointKeeper(str(tmp_path / "run"), tf.train.Checkpoint(model=model), model, keep=2)
        for step in (4, 5, 9):
            model.set_weights([np.full_like(w, step) for w in model.get_weights()])
            keeper.save(step)
            if step < 9:
                keeper.save_best(step)
        # The checkpoint of step 3 was there before this run, and counts as one of the latest.
        assert checkpoint_steps(tmp_path / "run") == [5, 9]
        assert checkpoint_steps(tmp_path / "run" / "best") == [5]
        assert checkpoint_path(str(tmp_path / "run")).endswith("model.ckpt-9")
        latest, best = (load_model(str(tmp_path / "run"), which).get_weights()[0] for which in ("latest", "best"))
        assert np.all(latest == 9) and np.all(best == 5)

    def test_a_worker_that_is_not_the_chief_writes_elsewhere(self, tmp_path):
        model = model_config().build()
        keeper = CheckpointKeeper(str(tmp_path), tf.train.Checkpoint(model=model), model, is_chief=False)
        path = keeper.save(1)
        keeper.save_best(1)
        assert not path.startswith(str(tmp_path)) and files_in(tmp_path) == {}
