import json
import math

import pytest

from tests.training.tiny_runs import training_config
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.training import TrainingConfig

SERIAL, PARALLEL = DistillationConfig("serial"), DistillationConfig("parallel")


def test_defaults_are_the_original_ones():
    config = TrainingConfig("dir", "files")
    assert (config.batch_size, config.num_epochs, config.max_steps) == (1024, 5, None)
    assert (config.optimizer, config.label_loss) == ("AdamOptimizer", "CrossEntropyLoss")
    assert (config.base_learning_rate, config.learning_rate_decay) == (0.01, 0.95)
    assert (config.learning_rate_decay_examples, config.clip_gradient_norm) == (4000000, 1.0)
    assert (config.regularization_penalty, config.export_model_steps, config.num_readers) == (1.0, 1000, 8)


def test_what_the_original_has_not_is_off():
    config = TrainingConfig("dir", "files")
    assert (config.ema_decay, config.label_smoothing, config.mixup_alpha, config.weight_decay) == (0, 0, 0, None)
    assert (config.gradient_accumulation_steps, config.warmup_steps) == (1, 0)
    assert config.learning_rate_schedule == "exponential"


@pytest.mark.parametrize(
    "name, value, problem",
    [
        ("batch_size", 0, "at least 1"),
        ("num_epochs", 0, "at least 1"),
        ("export_model_steps", 0, "at least 1"),
        ("keep_checkpoints", 0, "at least 1"),
        ("num_readers", -1, "at least 1"),
        ("max_steps", -1, "not be negative"),
        ("base_learning_rate", 0.0, "positive"),
        ("learning_rate_decay", -0.5, "positive"),
        ("learning_rate_decay_examples", 0, "positive"),
        ("base_learning_rate", math.nan, "positive"),
        ("learning_rate_decay_examples", math.nan, "positive"),
        ("mixup_alpha", math.nan, "not be negative"),
        ("weight_decay", math.nan, "not be negative"),
        ("ema_decay", math.nan, "in [0, 1)"),
        ("clip_gradient_norm", math.nan, "must be a number"),
        ("finetune_epochs", -1, "not be negative"),
        ("regularization_penalty", -1.0, "not be negative"),
        ("seed", -1, "not be negative"),
        ("seed", 2**32, "below 2**32"),
        ("gradient_accumulation_steps", 0, "at least 1"),
        ("warmup_steps", -1, "not be negative"),
        ("weight_decay", -0.1, "not be negative"),
        ("mixup_alpha", -0.2, "not be negative"),
        ("mixup_level", "pixels", "one of encoding, frames"),
        ("ema_decay", 1.0, "in [0, 1)"),
        ("ema_decay", -0.1, "in [0, 1)"),
        ("label_smoothing", 1.0, "in [0, 1)"),
        ("learning_rate_schedule", "linear", "one of exponential, cosine"),
        ("label_loss", "L2", "one of CrossEntropyLoss, HingeLoss, SoftmaxLoss, FocalLoss"),
        ("student_init", "random", "one of scratch, teacher"),
        ("mixed_precision", "int8", "one of none, bfloat16, float16"),
        ("teacher_checkpoint", "first", "one of latest, best"),
    ],
)
def test_a_value_out_of_range_is_named(name, value, problem):
    with pytest.raises(ValueError) as error:
        training_config("dir", **{name: value})
    assert str(error.value).startswith(name) and problem in str(error.value)
    assert str(error.value).endswith(f"Received: {value!r}.")


def test_needs_a_train_dir():
    with pytest.raises(ValueError, match="train_dir must not be empty"):
        training_config("")


@pytest.mark.parametrize(
    "name, value", [("teacher_dir", "teacher"), ("student_init", "teacher"), ("finetune_epochs", 2)]
)
def test_choices_of_a_distillation_need_one(name, value):
    with pytest.raises(ValueError) as error:
        training_config("dir", **{name: value})
    assert str(error.value) == f"{name}={value!r} needs --distillation=serial or --distillation=parallel."


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"distillation": None, "teacher_dir": ""}, "needs --distillation=serial and 'rep' or 'pred'"),
        ({"distillation": PARALLEL}, "needs --distillation=serial and 'rep' or 'pred'"),
        ({"distillation": DistillationConfig(losses=("ce",))}, "needs --distillation=serial and 'rep' or 'pred'"),
        ({"segment_labels": True}, "is of whole videos: leave out --segment_labels"),
    ],
)
@pytest.mark.parametrize("name", ["teacher_cache", "unlabelled_data_pattern"])
def test_what_only_a_serial_student_can_learn_from(name, changes, problem):
    settings = {"distillation": SERIAL, "teacher_dir": "teacher", name: "x"}
    assert getattr(training_config("dir", **settings), name) == "x"
    with pytest.raises(ValueError, match=f"{name} {problem}"):
        training_config("dir", **{**settings, **changes})


def test_what_a_teacher_cache_does_not_hold():
    settings = {"distillation": SERIAL, "teacher_dir": "teacher", "teacher_cache": "x"}
    with pytest.raises(ValueError, match="nothing of mixtures"):
        training_config("dir", **settings, mixup_alpha=0.2)
    settings["distillation"] = DistillationConfig(losses=("pred", "int"))
    with pytest.raises(ValueError, match="no intermediate states"):
        training_config("dir", **settings)


@pytest.mark.parametrize("optimizer", ["MovingAverage", "SWA"])
def test_weights_are_averaged_once(optimizer):
    with pytest.raises(ValueError) as error:
        training_config("dir", optimizer=optimizer, ema_decay=0.9)
    assert str(error.value).startswith(f"optimizer={optimizer!r} averages the weights itself. Leave out --ema_decay")
    assert training_config("dir", optimizer="Lookahead", ema_decay=0.9).ema_decay == 0.9


def test_a_level_of_mixup_needs_mixup():
    with pytest.raises(ValueError, match="mixup_level='frames' needs --mixup_alpha"):
        training_config("dir", mixup_level="frames")


def test_states_of_mixed_frames_cannot_be_matched():
    distillation = DistillationConfig("parallel", ("int", "ce"))
    with pytest.raises(ValueError, match="Use --mixup_level=encoding"):
        training_config("dir", mixup_alpha=0.2, mixup_level="frames", distillation=distillation)
    assert training_config("dir", mixup_alpha=0.2, distillation=distillation).mixup_level == "encoding"


def test_a_serial_distillation_needs_a_teacher():
    with pytest.raises(ValueError, match="Serial distillation needs --teacher_dir"):
        training_config("dir", distillation=SERIAL)
    assert training_config("dir", distillation=SERIAL, teacher_dir="teacher").teacher_dir == "teacher"


def test_a_parallel_distillation_makes_its_own_teacher_but_cannot_start_from_it():
    assert training_config("dir", distillation=PARALLEL).teacher_dir == ""
    with pytest.raises(ValueError, match="student_init='teacher' needs --teacher_dir"):
        training_config("dir", distillation=PARALLEL, student_init="teacher")


@pytest.mark.parametrize("teacher_dir", ["runs/a", "runs/a/", "./runs/a/teacher"])
def test_a_new_run_must_not_delete_its_teacher(teacher_dir):
    settings = {"distillation": SERIAL, "teacher_dir": teacher_dir, "start_new_model": True}
    with pytest.raises(ValueError, match="start_new_model would delete the teacher"):
        training_config("runs/a", **settings)
    assert training_config("runs/ab", **settings).start_new_model
    assert training_config("runs/a", **{**settings, "start_new_model": False}).teacher_dir == teacher_dir


def test_records_everything_but_the_order_to_start_anew():
    config = training_config("dir", "files", start_new_model=True, distillation=SERIAL, teacher_dir="teacher")
    recorded = json.loads(json.dumps(config.recorded()))
    assert "start_new_model" not in recorded
    assert recorded["train_dir"] == "dir" and recorded["batch_size"] == 8 and recorded["max_steps"] is None
    assert recorded["distillation"]["scheme"] == "serial"
    assert (recorded["ema_decay"], recorded["weight_decay"], recorded["mixup_level"]) == (0.0, None, "encoding")
    assert recorded["distillation"]["losses"] == ["rep", "pred", "ce"]
