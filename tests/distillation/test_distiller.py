"""What one step of the Distiller computes and which weights it moves."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.distillation.small_models import BUDGET, DATA, INPUTS, LABELS, losses_by_hand, make_model, make_pair
from tests.records import make_videos, write_videos
from yt8m_distill.data import evaluation_dataset
from yt8m_distill.distillation import LOSS_PRESETS, DistillationConfig, Distiller
from yt8m_distill.models.label_losses import hinge_loss
from yt8m_distill.stack import keras

WEIGHTS = {"rep_weight": 2.0, "pred_weight": 30.0, "ce_weight": 0.5, "int_weight": 4.0}
LOSSES = ("rep", "pred", "ce", "int")  # of the paper; for the others see test_cross_resolution.py
ALL_SUBSETS = [subset for size in range(1, 5) for subset in itertools.combinations(LOSSES, size)]


def make_distiller(teacher, student, config, rate=0.0, teacher_rate=0.0, **settings):
    """Learning rates of 0 leave the weights as they are."""
    distiller = Distiller(teacher, student, config)
    settings = {"regularization_penalty": 0.0, **settings}
    if config.scheme == "parallel":
        settings["teacher_optimizer"] = keras.optimizers.SGD(teacher_rate)
    distiller.compile(keras.optimizers.SGD(rate), **settings)
    return distiller


def parallel(*losses, **choices):
    return DistillationConfig("parallel", losses, **choices)


def assert_same_weights(received, expected, **tolerance):
    for number, (value, reference) in enumerate(zip(received, expected)):
        np.testing.assert_allclose(value, reference, err_msg=f"weight {number}", **tolerance)


def have_moved(model, before):
    return any((after != value).any() for after, value in zip(model.get_weights(), before))


# ---- losses


@pytest.fixture(scope="module")
def pair():
    return make_pair()


@pytest.mark.parametrize("losses", ALL_SUBSETS, ids=",".join)
def test_the_total_is_the_weighted_sum_of_the_losses_asked_for(losses, pair):
    config = DistillationConfig(losses=losses, **WEIGHTS)
    logs = make_distiller(*pair, config).test_step(DATA)
    by_hand = losses_by_hand(*pair)  # after the Distiller, which may copy the classifier
    parts = {"rep": by_hand["rep"], "pred": by_hand["pred"], "ce": by_hand["ce"], "int": by_hand["frame"]}
    assert set(logs) == {"loss", *(f"{name}_loss" for name in losses)}
    for name in losses:
        np.testing.assert_allclose(logs[f"{name}_loss"], parts[name], rtol=1e-4)
    np.testing.assert_allclose(logs["loss"], sum(WEIGHTS[f"{n}_weight"] * parts[n] for n in losses), rtol=1e-4)


@pytest.fixture(scope="module")
def pair_with_blocks():
    return make_pair(name="HierarchicalLstmModel")


@pytest.mark.parametrize("alignment", ["frame", "block", "both"])
def test_intermediate_alignment(alignment, pair_with_blocks):
    config = DistillationConfig(losses=("int", "ce"), intermediate_alignment=alignment)
    by_hand = losses_by_hand(*pair_with_blocks)
    expected = by_hand["frame"] + by_hand["block"] if alignment == "both" else by_hand[alignment]
    logs = make_distiller(*pair_with_blocks, config).test_step(DATA)
    np.testing.assert_allclose(logs["int_loss"], expected, rtol=1e-4)


def test_bernoulli_predictions(pair):
    config = DistillationConfig(losses=("pred",), prediction_kl="bernoulli")
    p, q = (model(INPUTS)["predictions"].numpy() for model in pair)
    expected = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum() / len(p)
    np.testing.assert_allclose(make_distiller(*pair, config).test_step(DATA)["pred_loss"], expected, rtol=1e-4)


def test_the_sum_over_the_batch_is_the_mean_times_the_batch_size(pair):
    mean, total = (
        make_distiller(*pair, DistillationConfig(losses=("pred", "ce"), pred_reduction=reduction)).test_step(DATA)
        for reduction in ("mean", "sum")
    )
    np.testing.assert_allclose(total["pred_loss"], len(LABELS) * mean["pred_loss"], rtol=1e-6)
    np.testing.assert_allclose(total["ce_loss"], mean["ce_loss"])


def test_the_authors_preset_is_the_sum_in_their_code(pair):
    config = DistillationConfig(**LOSS_PRESETS["authors_code"])
    by_hand = losses_by_hand(*pair)
    expected = by_hand["rep"] + len(LABELS) * by_hand["pred"] + by_hand["ce"] + by_hand["rep"]
    np.testing.assert_allclose(make_distiller(*pair, config).test_step(DATA)["loss"], expected, rtol=1e-4)


def test_the_label_loss_can_be_chosen(pair):
    distiller = make_distiller(*pair, DistillationConfig(losses=("ce",)), label_loss=hinge_loss)
    expected = tf.reduce_mean(hinge_loss(LABELS, pair[1](INPUTS)["predictions"]))
    np.testing.assert_allclose(distiller.test_step(DATA)["ce_loss"], expected)


def test_a_student_that_is_its_teacher_has_nothing_left_to_match(pair_with_blocks):
    teacher, _ = pair_with_blocks
    student = make_model(3, "HierarchicalLstmModel", num_sampled_frames=12)  # every frame is within the budget
    student.set_weights(teacher.get_weights())
    config = DistillationConfig(losses=("rep", "pred", "int"), intermediate_alignment="both")
    np.testing.assert_allclose(make_distiller(teacher, student, config).test_step(DATA)["loss"], 0, atol=1e-6)


def test_train_step_and_test_step_agree_and_test_step_updates_nothing():
    teacher, student = make_pair()
    distiller = make_distiller(teacher, student, DistillationConfig(losses=LOSSES, **WEIGHTS), rate=0.1)
    before = teacher.get_weights() + student.get_weights()
    tested = distiller.test_step(DATA)
    assert_same_weights(teacher.get_weights() + student.get_weights(), before, rtol=0)
    assert int(distiller.optimizer.iterations) == 0
    trained = distiller.train_step(DATA)
    for name, value in tested.items():
        np.testing.assert_allclose(trained[name], value, rtol=1e-5, err_msg=name)
    of_batch = {"hit_at_one", "perr", "gap", "top_1_agreement", "top_20_agreement", "kl"}
    assert set(trained) - set(tested) == {"reg_loss", *of_batch}


# ---- which frames


def test_the_student_reads_the_frames_that_the_pipeline_would_give_it(pair, tmp_path):
    teacher, student = pair
    schema = teacher.model_config.schema
    files = write_videos(tmp_path, make_videos(schema, 4, num_frames=[12, 7, 5, 2]), schema)
    (whole,), (picked,) = (list(evaluation_dataset(files, schema, 4, sampler)) for sampler in (None, student.sampler))
    encodings = teacher(whole)["encoding"] - student(picked)["encoding"]
    logs = make_distiller(*pair, DistillationConfig(losses=("rep", "ce"))).test_step((whole, whole["labels"]))
    np.testing.assert_allclose(logs["rep_loss"], tf.reduce_sum(encodings**2) / 4, rtol=1e-5)


# ---- serial


def test_serial_moves_the_student_down_its_gradient_and_leaves_the_teacher_alone():
    teacher, student = make_pair()
    penalty = 1e7  # of L2, whose weights are about 1e-8
    config = DistillationConfig(losses=LOSSES, **WEIGHTS)
    before, of_teacher = student.trainable_variables, teacher.get_weights()
    with tf.GradientTape() as tape:
        by_hand = losses_by_hand(teacher, student)
        l2 = 0.5e-8 * sum(
            tf.reduce_sum(v**2) for v in (student.classifier.gates.kernel, student.classifier.experts.kernel)
        )
        total = 2 * by_hand["rep"] + 30 * by_hand["pred"] + 0.5 * by_hand["ce"] + 4 * by_hand["frame"] + penalty * l2
    expected = [v - 0.1 * gradient for v, gradient in zip(before, tape.gradient(total, before))]

    distiller = make_distiller(teacher, student, config, rate=0.1, regularization_penalty=penalty)
    logs = distiller.train_step(DATA)
    np.testing.assert_allclose(logs["reg_loss"], penalty * l2, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], total - penalty * l2, rtol=1e-4)
    assert_same_weights(student.trainable_variables, expected, rtol=1e-4, atol=1e-5)
    assert_same_weights(teacher.get_weights(), of_teacher, rtol=0)
    assert not teacher.trainable_variables and int(distiller.optimizer.iterations) == 1


def test_a_serial_teacher_runs_without_dropout():
    teacher, student = make_model(1, dropout_rate=0.9), make_model(2, **BUDGET)
    logs = make_distiller(teacher, student, DistillationConfig(losses=("pred",))).train_step(DATA)
    np.testing.assert_allclose(logs["pred_loss"], losses_by_hand(teacher, student)["pred"], rtol=1e-4)


def test_encodings_alone_train_the_encoder_under_the_teachers_classifier():
    teacher, student = make_pair()
    distiller = make_distiller(
        teacher, student, DistillationConfig(losses=("rep",)), rate=0.1, regularization_penalty=1e7
    )
    assert student.classifier is not teacher.classifier
    encoder = student.encoder.get_weights()
    distiller.train_step(DATA)
    assert_same_weights(student.classifier.get_weights(), teacher.classifier.get_weights(), rtol=0)
    assert have_moved(student.encoder, encoder)


def test_encodings_alone_leave_the_statistics_of_the_teachers_classifier():
    """The batch normalisation of its gated probabilities."""
    teacher, student = make_pair(moe_prob_gating=True)
    make_distiller(teacher, student, DistillationConfig(losses=("rep",)), rate=0.1).train_step(DATA)
    assert len(student.classifier.non_trainable_variables) == 3
    assert_same_weights(student.classifier.get_weights(), teacher.classifier.get_weights(), rtol=0)
    make_distiller(teacher, student, DistillationConfig(losses=("rep", "ce"))).train_step(DATA)
    assert float(student.classifier.non_trainable_variables[-1]) == 1  # updates


def test_training_lowers_the_distillation_loss():
    distiller = Distiller(*make_pair(), DistillationConfig(losses=("rep", "pred", "int")))
    distiller.compile(keras.optimizers.Adam(0.02))
    history = distiller.fit(tf.data.Dataset.from_tensors(DATA), epochs=15, verbose=0).history
    for name in ("loss", "rep_loss", "pred_loss", "int_loss"):
        assert history[name][-1] < 0.8 * history[name][0], name


# ---- parallel


def train_alone(teacher, optimizer, penalty, steps):
    """The weights of a copy of the teacher after so many steps on labels only."""
    alone = make_model(9)
    alone.set_weights(teacher.get_weights())
    alone.compile(optimizer, regularization_penalty=penalty)
    return [alone.train_step(DATA)["loss"] for _ in range(steps)], alone.get_weights()


def test_distillation_losses_never_reach_a_parallel_teacher():
    teacher, student = make_pair()
    losses, expected = train_alone(teacher, keras.optimizers.Adam(0.02), penalty=1e7, steps=2)
    of_student = student.get_weights()
    distiller = Distiller(teacher, student, parallel(*LOSSES, **WEIGHTS))
    student_optimizer, teacher_optimizer = keras.optimizers.SGD(0.5), keras.optimizers.Adam(0.02)
    distiller.compile(student_optimizer, teacher_optimizer, regularization_penalty=1e7)
    logs = [distiller.train_step(DATA) for _ in range(2)]
    np.testing.assert_allclose([step["teacher_loss"] for step in logs], losses, rtol=1e-5)
    assert_same_weights(teacher.get_weights(), expected, rtol=1e-4, atol=1e-6)
    assert have_moved(student, of_student)
    assert int(student_optimizer.iterations) == int(teacher_optimizer.iterations) == 2


def test_a_parallel_student_learns_from_the_teacher_of_before_its_update():
    teacher, student = make_pair()
    by_hand = losses_by_hand(teacher, student)
    distiller = make_distiller(teacher, student, parallel("rep", "pred", "ce"), rate=0.5, teacher_rate=0.5)
    logs = distiller.train_step(DATA)
    for name in ("rep", "pred", "ce"):
        np.testing.assert_allclose(logs[f"{name}_loss"], by_hand[name], rtol=1e-4)


def test_each_optimizer_moves_its_own_model():
    for moves_teacher in (False, True):
        teacher, student = make_pair()
        weights = teacher.get_weights(), student.get_weights()
        rates = {"rate": 0.5 * (not moves_teacher), "teacher_rate": 0.5 * moves_teacher}
        make_distiller(teacher, student, parallel("rep", "ce"), **rates).train_step(DATA)
        assert have_moved(teacher, weights[0]) is moves_teacher
        assert have_moved(student, weights[1]) is not moves_teacher


@pytest.mark.parametrize("scheme", ["serial", "parallel"])
def test_a_second_optimizer_belongs_to_a_parallel_teacher(scheme, pair):
    distiller = Distiller(*pair, DistillationConfig(scheme))
    pair[0].trainable = True
    extra = keras.optimizers.SGD() if scheme == "serial" else None
    with pytest.raises(ValueError, match="teacher_optimizer belongs to the parallel scheme"):
        distiller.compile(keras.optimizers.SGD(), extra)


# ---- a shared classifier


def make_sharing_pair():
    teacher, student = make_pair()
    return teacher, student.model_config.build(teacher.classifier)


def test_a_shared_classifier_is_one_object_that_encodings_alone_leave_to_the_teacher():
    teacher, student = make_sharing_pair()
    _, expected = train_alone(teacher, keras.optimizers.SGD(0.5), penalty=0.0, steps=1)
    encoder = student.encoder.get_weights()
    make_distiller(teacher, student, parallel("rep", share_classifier=True), 0.5, 0.5).train_step(DATA)
    assert student.classifier is teacher.classifier
    assert_same_weights(teacher.get_weights(), expected, rtol=1e-4, atol=1e-6)
    assert have_moved(student.encoder, encoder)


def test_both_models_train_a_shared_classifier():
    for rates in ({"rate": 0.5}, {"teacher_rate": 0.5}):
        teacher, student = make_sharing_pair()
        classifier = student.classifier.get_weights()
        make_distiller(teacher, student, parallel("ce", share_classifier=True), **rates).train_step(DATA)
        assert have_moved(teacher.classifier, classifier)
        assert_same_weights(student.classifier.get_weights(), teacher.classifier.get_weights(), rtol=0)
