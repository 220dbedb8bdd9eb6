import numpy as np
import pytest
import tensorflow as tf

from tests.training.tiny_runs import model_config, save_model, training_config
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.models.label_losses import focal_loss
from yt8m_distill.stack import keras
from yt8m_distill.training.trainer import build_models, build_trainer, count_steps

PARALLEL = {"distillation": DistillationConfig("parallel")}


@pytest.mark.parametrize(
    "settings, steps, finetuning_steps",
    [
        # 22 records in batches of 8 are 3 steps.
        ({"num_epochs": 2}, 6, 1),
        ({"num_epochs": 2, "max_steps": 4}, 4, 1),
        ({"num_epochs": 2, "max_steps": 9}, 6, 1),
        ({"num_epochs": 2, "finetune_epochs": 3, **PARALLEL}, 6, 9),
        ({"num_epochs": 2, "finetune_epochs": 3, "max_steps": 8, **PARALLEL}, 6, 2),
        ({"num_epochs": 2, "finetune_epochs": 3, "max_steps": 5, **PARALLEL}, 5, 1),
    ],
)
def test_steps_are_counted_to_the_end_of_the_phase(settings, steps, finetuning_steps):
    config = training_config("dir", **settings)
    assert count_steps(config, num_records=22, global_batch_size=8) == steps
    assert count_steps(config, 22, 8, is_finetuning=True) == finetuning_steps


def test_unlabelled_records_are_of_the_distillation_alone():
    config = training_config("dir", num_epochs=2, finetune_epochs=3, **PARALLEL)
    assert count_steps(config, 22, 8, num_unlabelled=10) == 2 * 4
    assert count_steps(config, 22, 8, is_finetuning=True, num_unlabelled=10) == 9


def test_no_records_are_a_step_nevertheless():
    assert count_steps(training_config("dir"), 0, 8) == 1


def rates_of(num_steps=6, **settings):
    """The learning rate at each step and after them."""
    config = training_config("dir", base_learning_rate=0.4, **settings)
    _, student = build_models(model_config(), config)
    trainer = build_trainer(None, student, config, 8, num_steps)
    variables = student.trainable_variables
    rates = []
    for _ in range(num_steps + 1):
        trainer.optimizer.apply_gradients([(tf.zeros_like(v), v) for v in variables])
        rates.append(float(trainer.optimizer.learning_rate))
    return rates


def test_a_run_by_the_cosine():
    expected = [0.2 * (1 + np.cos(np.pi * step / 6)) for step in range(7)]
    np.testing.assert_allclose(rates_of(learning_rate_schedule="cosine"), expected, atol=1e-6)


def test_a_run_by_stairs_after_a_warmup():
    # Stairs of 16 examples, which are two steps.
    settings = {"learning_rate_decay": 0.5, "learning_rate_decay_examples": 16, "warmup_steps": 2}
    np.testing.assert_allclose(rates_of(**settings), [0, 0.2, 0.4, 0.4, 0.2, 0.2, 0.1], rtol=1e-5)


def test_a_distiller_has_the_choices_of_the_run_and_weight_decay_for_both_models():
    config = training_config(
        "dir",
        optimizer="AdamW",
        weight_decay=0.3,
        label_loss="FocalLoss",
        regularization_penalty=2.0,
        gradient_accumulation_steps=3,
        label_smoothing=0.1,
        mixup_alpha=0.2,
        mixup_level="frames",
        seed=5,
        **PARALLEL,
    )
    distiller = build_trainer(*build_models(model_config(), config), config, 8, 6)
    assert distiller.label_loss is focal_loss and distiller.regularization_penalty == 2
    preparation = distiller.preparation
    assert (preparation.num_slices, preparation.label_smoothing) == (3, 0.1)
    assert (preparation.mixup.alpha, preparation.mixup.level, preparation.mixup.seed) == (0.2, "frames", 5)
    for model, optimizer in (
        (distiller.student, distiller.optimizer),
        (distiller.teacher, distiller.teacher_optimizer),
    ):
        assert isinstance(optimizer, keras.optimizers.AdamW) and optimizer.weight_decay == 0.3
        kernel, bias = model.trainable_variables
        before = kernel.numpy(), bias.assign_add(tf.ones_like(bias)).numpy()
        optimizer.apply_gradients([(tf.zeros_like(v), v) for v in (kernel, bias)])
        np.testing.assert_allclose(kernel, before[0] * (1 - 0.3 * 0.01), rtol=1e-5)
        np.testing.assert_array_equal(bias, before[1])


def test_nothing_is_mixed_by_default():
    config = training_config("dir")
    preparation = build_trainer(*build_models(model_config(), config), config, 8, 6).preparation
    assert (preparation.num_slices, preparation.label_smoothing, preparation.mixup) == (1, 0, None)


# ---- where a student starts


@pytest.fixture(scope="module")
def teacher_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("teacher")
    teacher = model_config("MoeModel").build()
    teacher.set_weights([np.full(w.shape, 0.5) for w in teacher.get_weights()])
    save_model(directory, teacher)
    return str(directory)


def starts_from_its_teacher(teacher_dir, student_init, **hyperparameters):
    settings = {"distillation": DistillationConfig(losses=("pred",)), "teacher_dir": teacher_dir}
    config = training_config("unused", student_init=student_init, **settings)
    _, student = build_models(model_config("MoeModel", hyperparameters=hyperparameters), config)
    return all((weight == 0.5).all() for weight in student.get_weights())


def test_a_student_starts_from_its_teacher_if_it_is_asked_to(teacher_dir):
    assert starts_from_its_teacher(teacher_dir, "teacher")
    assert not starts_from_its_teacher(teacher_dir, "scratch")
    with pytest.raises(ValueError, match=r"--student_init=teacher.* the shapes differ"):
        starts_from_its_teacher(teacher_dir, "teacher", moe_num_mixtures=1)


def test_a_student_starts_from_its_teacher_where_the_weights_fit(teacher_dir):
    assert starts_from_its_teacher(teacher_dir, "auto")
    assert not starts_from_its_teacher(teacher_dir, "auto", moe_num_mixtures=1)
