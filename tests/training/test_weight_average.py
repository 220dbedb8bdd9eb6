"""The moving average of the weights: its values by hand, and the run that evaluates, saves and resumes with it."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.training.tiny_runs import (
    FRAMES,
    checkpoint_values,
    model_config,
    save_model,
    training_config,
    write_shards,
)
from yt8m_distill.data import list_record_files
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.models import load_model, load_model_at, load_model_config
from yt8m_distill.stack import keras
from yt8m_distill.training import evaluate, run, train
from yt8m_distill.training.run_files import find_run_files
from yt8m_distill.training.weight_average import WeightAverage


class TwoWeights(keras.Model):
    """A model of one trained weight and one statistic, as far as averaging sees it."""

    def __init__(self, weight, statistic):
        super().__init__()
        self.weight = tf.Variable([weight])
        self.statistic = tf.Variable([statistic], trainable=False)


class Trainer:
    def __init__(self):
        self.optimizer = keras.optimizers.SGD(1.0)


def test_averages_over_a_few_steps_by_hand():
    trained, averaged, trainer = TwoWeights(10.0, 1.0), TwoWeights(-5.0, -5.0), Trainer()
    average = WeightAverage(trained, averaged, 0.2, tf.distribute.get_strategy())
    average.set_model(trainer)
    np.testing.assert_array_equal([averaged.weight, averaged.statistic], [[10], [1]])
    # Steps down a gradient of 2: 8, 6, 4. Decays: 2/11, then the 0.2 that 3/12 exceeds.
    expected = 10.0
    for step, (weight, decay) in enumerate([(8, 2 / 11), (6, 0.2), (4, 0.2)]):
        trainer.optimizer.apply_gradients([(tf.constant([2.0]), trained.weight)])
        trained.statistic.assign([7.0 + step])
        average.on_train_batch_end(step)
        expected = decay * expected + (1 - decay) * weight
        np.testing.assert_allclose(averaged.weight, [expected], rtol=1e-6)
        np.testing.assert_array_equal(averaged.statistic, [7 + step])
        np.testing.assert_array_equal(trained.weight, [weight])


def test_a_long_run_forgets_its_beginning_at_the_rate_asked_for():
    trained, averaged, trainer = TwoWeights(1.0, 0.0), TwoWeights(0.0, 0.0), Trainer()
    average = WeightAverage(trained, averaged, 0.9, tf.distribute.get_strategy())
    average.set_model(trainer)
    trainer.optimizer.build([trained.weight])
    trained.weight.assign([0.0])
    # (1 + n) / (10 + n) reaches 0.9 at n = 80.
    for num_updates, decay in ((8, 0.5), (80, 0.9), (1000, 0.9)):
        trainer.optimizer.iterations.assign(num_updates)
        averaged.weight.assign([1.0])
        average.on_train_batch_end(0)
        np.testing.assert_allclose(averaged.weight, [decay], rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_weights_that_are_computed_with_in_16_bits_are_averaged_in_32(policy):
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        trained, averaged = (model_config("MoeModel").build() for _ in range(2))
    finally:
        keras.mixed_precision.set_global_policy(before)
    average = WeightAverage(trained, averaged, 0.5, tf.distribute.get_strategy())
    trainer = Trainer()
    trainer.optimizer.build(trained.trainable_variables)
    trainer.optimizer.iterations.assign(100)
    average.set_model(trainer)
    old = trained.get_weights()
    trained.set_weights([weight + 1e-4 for weight in old])
    average.on_train_batch_end(0)
    for weight, value in zip(averaged.get_weights(), old):
        np.testing.assert_allclose(weight, value + 0.5e-4, rtol=1e-6)


# ---- in a run


@pytest.fixture(scope="module")
def means(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("means"))


SETTINGS = {"num_epochs": 2, "base_learning_rate": 1.0, "export_model_steps": 1, "keep_checkpoints": 9}


@pytest.fixture(scope="module")
def averaged_run(means, tmp_path_factory):
    """Two passes of three steps, every one of which is saved."""
    train_dir = tmp_path_factory.mktemp("averaged")
    config = training_config(train_dir, means, eval_data_pattern=means, ema_decay=0.3, **SETTINGS)
    return train_dir, train(model_config(), config)


def kernels(train_dir, part):
    """The classifier's kernel at each step."""
    steps = []
    for step in range(1, 7):
        reader = tf.train.load_checkpoint(str(train_dir / f"model.ckpt-{step}"))
        steps.append(reader.get_tensor(f"{part}/classifier/dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"))
    return steps


def test_the_model_in_the_checkpoint_is_the_average_of_the_raw_ones(averaged_run):
    train_dir, _ = averaged_run
    raw, averages = kernels(train_dir, "raw_model"), kernels(train_dir, "model")
    # 2/11, 3/12, then 0.3, which is below 4/13.
    expected = averages[0]
    for step, decay in ((1, 3 / 12), (2, 0.3), (3, 0.3), (4, 0.3), (5, 0.3)):
        expected = decay * expected + (1 - decay) * raw[step]
        np.testing.assert_allclose(averages[step], expected, rtol=1e-5, atol=1e-7)
    assert np.abs(averages[5] - raw[5]).max() > 1e-3


def test_averaging_leaves_training_as_it_is(averaged_run, means, tmp_path):
    train(model_config(), training_config(tmp_path, means, **SETTINGS))
    for raw, plain in zip(kernels(averaged_run[0], "raw_model"), kernels(tmp_path, "model")):
        np.testing.assert_array_equal(raw, plain)
    assert not any(name.startswith("raw_model") for name in checkpoint_values(tmp_path))


def test_the_averaged_model_is_loaded_evaluated_and_kept_as_the_best(averaged_run, means):
    train_dir, result = averaged_run
    latest = load_model(str(train_dir))
    np.testing.assert_array_equal(latest.classifier.get_weights()[0], kernels(train_dir, "model")[5])
    files = list_record_files(means, "evaluation")
    metrics = evaluate(latest, files, 8)
    assert result["metrics"] == pytest.approx(metrics)
    raw = load_model_config(str(train_dir)).build()
    raw.set_weights([checkpoint_values(train_dir)[f"raw_model/classifier/dense/{name}"] for name in ("kernel", "bias")])
    assert evaluate(raw, files, 8)["loss"] != pytest.approx(metrics["loss"], rel=1e-4)
    best = json.loads((train_dir / "best" / "metrics.json").read_text())
    kept = load_model_at(load_model_config(str(train_dir)), str(train_dir / "best" / f"model.ckpt-{best['step']}"))
    np.testing.assert_array_equal(kept.get_weights()[0], kernels(train_dir, "model")[best["step"] - 1])


def test_fine_tuning_starts_from_the_averaged_student(means, averaged_run, tmp_path):
    config = training_config(
        tmp_path,
        means,
        **{**SETTINGS, "num_epochs": 1},
        finetune_epochs=1,
        optimizer="Adam",
        ema_decay=0.3,
        distillation=DistillationConfig("parallel", share_classifier=True),
    )
    starts = []
    build_trainer = run.build_trainer

    def recorded(teacher, student, *args):
        starts.append(student.get_weights()[0])
        return build_trainer(teacher, student, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "build_trainer", recorded)
        train(model_config(), config)
    raw, averages = kernels(tmp_path, "raw_model"), kernels(tmp_path, "model")
    np.testing.assert_array_equal(starts[1], averages[2])
    assert np.abs(averages[2] - raw[2]).max() > 1e-3
    # The average starts anew, at 2/11.
    expected = 2 / 11 * averages[2] + 9 / 11 * raw[3]
    np.testing.assert_allclose(averages[3], expected, rtol=1e-5, atol=1e-6)


def test_a_student_that_takes_over_its_teachers_classifier_is_averaged_with_it(tmp_path):
    """Encodings alone train no classifier."""
    pattern = write_shards(tmp_path / "frames", FRAMES, count=8)
    small = {"hyperparameters": {"lstm_cells": 2, "lstm_layers": 1}}
    teacher = model_config("LstmModel", FRAMES, **small).build()
    save_model(tmp_path / "teacher", teacher)
    config = training_config(
        tmp_path / "student",
        pattern,
        ema_decay=0.5,
        distillation=DistillationConfig("serial", ("rep",)),
        teacher_dir=str(tmp_path / "teacher"),
    )
    student = model_config("LstmModel", FRAMES, num_sampled_frames=2, **small)
    student_run = run._Run(student, config, tf.distribute.get_strategy(), find_run_files(student, config), None)
    for weight, reference in zip(student_run.model.classifier.get_weights(), teacher.classifier.get_weights()):
        np.testing.assert_array_equal(weight, reference)
