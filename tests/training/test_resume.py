"""A run that was stopped and taken up again ends where one that was never stopped ends, to the last bit."""

import numpy as np
import pytest

from tests.training.tiny_runs import (
    checkpoint_steps,
    checkpoint_values,
    model_config,
    training_config,
    write_shards,
)
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.models import load_model
from yt8m_distill.stack import addons
from yt8m_distill.training import evaluate, run, train

# The learning rate halves at every second step or so, so that a schedule that started anew would show.
SCHEDULE = {"learning_rate_decay": 0.5, "learning_rate_decay_examples": 15, "base_learning_rate": 0.1}


@pytest.fixture(scope="module")
def means(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("means"))


def assert_same_run(one, other, but=()):
    one, other = checkpoint_values(one), checkpoint_values(other)
    assert one.keys() == other.keys()
    for name in one.keys() - set(but):
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(scope="module")
def uninterrupted(means, tmp_path_factory):
    """Two passes of three steps, by Adam."""
    train_dir = tmp_path_factory.mktemp("uninterrupted")
    train(model_config(), training_config(train_dir, means, num_epochs=2, optimizer="Adam", **SCHEDULE))
    return train_dir


def test_the_checkpoint_holds_optimizer_and_position(uninterrupted):
    values = checkpoint_values(uninterrupted)
    assert values["position/step"] == 6 and values["optimizer/_iterations"] == 6
    assert (values["position/phase"], values["position/epoch"], values["position/examples"]) == (0, 2, 0)
    assert values["model/classifier/dense/kernel"].shape == (4, 3)
    assert len([name for name in values if name.startswith("optimizer/_variables")]) == 4  # two slots each


@pytest.mark.parametrize(
    "first_part",
    [
        {"max_steps": 2},
        {"max_steps": 3},
        # The last checkpoint of the pass already stands when the pass is found to be over.
        {"num_epochs": 1, "export_model_steps": 3},
    ],
    ids=["within a pass", "at the last step of a pass", "after a pass"],
)
def test_stopped(first_part, means, uninterrupted, tmp_path):
    settings = {"num_epochs": 2, "optimizer": "Adam", **SCHEDULE}
    train(model_config(), training_config(tmp_path, means, **{**settings, **first_part}))
    assert checkpoint_steps(tmp_path) == [first_part.get("max_steps", 3)]
    train(model_config(), training_config(tmp_path, means, **settings, keep_checkpoints=1))
    assert checkpoint_steps(tmp_path) == [6]
    assert_same_run(tmp_path, uninterrupted)


def interrupt_at(step, config, monkeypatch):
    """A run that Ctrl-C stops at the end of a step."""
    end_of_batch = run.RunCallback.on_train_batch_end

    def on_train_batch_end(callback, batch, logs=None):
        end_of_batch(callback, batch, logs)
        if callback.position.step == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run.RunCallback, "on_train_batch_end", on_train_batch_end)
        train(model_config(), config)


def test_interrupted(means, uninterrupted, tmp_path, monkeypatch):
    config = training_config(tmp_path, means, num_epochs=2, optimizer="Adam", **SCHEDULE)
    interrupt_at(5, config, monkeypatch)
    train(model_config(), config)
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.parametrize("settings", [{"optimizer": "Lookahead"}, {"optimizer": "Adam", "mixed_precision": "float16"}])
def test_an_optimizer_within_an_optimizer(settings, means, tmp_path):
    if settings["optimizer"] == "Lookahead":
        try:
            addons()
        except ImportError as error:
            pytest.skip(str(error))
    for directory, stops in (("one", [5]), ("two", [2, 5])):
        for max_steps in stops:
            config = training_config(
                tmp_path / directory,
                means,
                num_epochs=2,
                max_steps=max_steps,
                keep_checkpoints=1,
                **settings,
                **SCHEDULE,
            )
            train(model_config(), config)
    assert_same_run(tmp_path / "one", tmp_path / "two")


# All that changes weights, rates or examples along a run.
NICETIES = {
    "optimizer": "AdamW",
    "weight_decay": 0.1,
    "learning_rate_schedule": "cosine",
    "warmup_steps": 2,
    "base_learning_rate": 0.1,
    "batch_size": 4,
    "gradient_accumulation_steps": 2,
    "label_smoothing": 0.1,
    "mixup_alpha": 0.4,
    "ema_decay": 0.5,
}


def test_a_run_with_everything(means, tmp_path, monkeypatch):
    whole, parts = (training_config(tmp_path / name, means, num_epochs=2, **NICETIES) for name in ("one", "two"))
    train(model_config(), whole)
    interrupt_at(5, parts, monkeypatch)
    train(model_config(), parts)
    assert checkpoint_values(tmp_path / "one")["position/step"] == 6
    assert_same_run(tmp_path / "one", tmp_path / "two")


@pytest.fixture(scope="module")
def teacher(means, tmp_path_factory):
    teacher_dir = tmp_path_factory.mktemp("teacher")
    train(model_config(), training_config(teacher_dir, means, base_learning_rate=1.0))
    return teacher_dir


@pytest.mark.parametrize(
    "scheme, stops, ema_decay",
    [
        # Three steps of distillation, and three of fine-tuning.
        ("serial", [3], 0.0),
        ("parallel", [2, 5], 0.5),
    ],
)
def test_a_distillation(scheme, stops, ema_decay, means, teacher, tmp_path):
    settings = {
        "num_epochs": 1,
        "finetune_epochs": 1,
        "optimizer": "Adam",
        "ema_decay": ema_decay,
        "distillation": DistillationConfig(scheme),
        "teacher_dir": str(teacher) if scheme == "serial" else "",
        "keep_checkpoints": 1,
        **SCHEDULE,
    }
    train(model_config(), training_config(tmp_path / "one", means, **settings))
    for max_steps in (*stops, None):
        train(model_config(), training_config(tmp_path / "two", means, **settings, max_steps=max_steps))
        assert checkpoint_steps(tmp_path / "two") == [max_steps or 6]
    assert checkpoint_values(tmp_path / "one")["position/phase"] == 1
    assert_same_run(tmp_path / "one", tmp_path / "two")
    if scheme == "parallel":
        # Its teacher, too, although fine-tuning was taken up without it.
        assert_same_run(tmp_path / "one" / "teacher", tmp_path / "two" / "teacher")
    else:
        assert not any(name.startswith("teacher") for name in checkpoint_values(tmp_path / "two"))


def test_a_student_can_start_from_its_teacher(means, teacher, tmp_path):
    config = training_config(
        tmp_path,
        means,
        max_steps=1,
        base_learning_rate=1e-30,
        distillation=DistillationConfig("serial"),
        teacher_dir=str(teacher),
        student_init="teacher",
    )
    train(model_config(), config)
    for of_student, of_teacher in zip(load_model(str(tmp_path)).get_weights(), load_model(str(teacher)).get_weights()):
        np.testing.assert_array_equal(of_student, of_teacher)


@pytest.mark.parametrize("limit", [{"num_epochs": 2}, {"num_epochs": 4, "max_steps": 6}], ids=["passes", "steps"])
@pytest.mark.parametrize("evaluation", [1, 2], ids=["first", "last"])
def test_an_evaluation_that_was_interrupted_is_made_up_for(limit, evaluation, means, tmp_path, monkeypatch):
    settings = {**limit, **SCHEDULE, "eval_data_pattern": means, "optimizer": "Adam"}
    expected = train(model_config(), training_config(tmp_path / "undisturbed", means, **settings))
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(args)
        if len(calls) == evaluation:
            raise KeyboardInterrupt
        return evaluate(*args, **kwargs)

    monkeypatch.setattr(run, "evaluate", interrupted)
    config = training_config(tmp_path / "run", means, **settings)
    with pytest.raises(KeyboardInterrupt):
        train(model_config(), config)
    resumed = train(model_config(), config)
    assert (resumed["step"], resumed["metrics"]) == (expected["step"], expected["metrics"]) and len(calls) == 3
    assert checkpoint_steps(tmp_path / "run" / "best") == checkpoint_steps(tmp_path / "undisturbed" / "best")
    # A checkpoint is not written twice: it stands at the end of a pass that has yet to be evaluated.
    assert_same_run(tmp_path / "run", tmp_path / "undisturbed", but={"position/epoch", "position/examples"})
