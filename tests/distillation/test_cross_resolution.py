"""Distillation from a teacher of full resolution to a student of a lower one."""

import numpy as np
import pytest
import tensorflow as tf

from tests.distillation.small_models import DATA, INPUTS, NUM_FRAMES, make_model
from yt8m_distill.distillation import DistillationConfig, Distiller, bernoulli_kl
from yt8m_distill.models import Ensemble
from yt8m_distill.stack import keras


def make_pair():
    return make_model(1), make_model(2, frame_pooling=3)


def losses_of(distiller):
    distiller.compile(keras.optimizers.SGD(0.0))
    return {name: float(value) for name, value in distiller.test_step(DATA).items()}


def test_each_frame_of_the_teacher_meets_the_step_that_it_is_part_of():
    teacher, student = make_pair()
    logs = losses_of(Distiller(teacher, student, DistillationConfig(losses=("map", "frame"), map_weight=10.0)))
    of_teacher, of_student = (model.encode_and_classify(INPUTS, training=False) for model in (teacher, student))
    maps, divergences = [], []
    for video, count in enumerate(NUM_FRAMES):
        squares, kls = [], []
        for frame in range(count):
            states = of_teacher["frame_states"][video, frame], of_student["frame_states"][video, frame // 3]
            squares.append(np.mean((states[0] - states[1]) ** 2))
            scores = [model.classifier(state[None]) for model, state in zip((teacher, student), states)]
            kls.append(float(categorical(*scores)))
        maps.append(np.mean(squares) if squares else 0.0)
        divergences.append(np.mean(kls) if kls else 0.0)
    assert logs["map_loss"] == pytest.approx(np.mean(maps), rel=1e-4)
    assert logs["frame_loss"] == pytest.approx(np.mean(divergences), rel=1e-4)
    assert logs["loss"] == pytest.approx(10 * logs["map_loss"] + logs["frame_loss"], rel=1e-5)


def categorical(p, q):
    p, q = p / tf.reduce_sum(p), q / tf.reduce_sum(q)
    return tf.reduce_sum(p * tf.math.log(p / q))


def test_the_frames_divergence_is_the_one_that_is_asked_for():
    teacher, student = make_model(1), make_model(2)
    config = DistillationConfig(losses=("frame",), prediction_kl="bernoulli", temperature=2.0)
    logs = losses_of(Distiller(teacher, student, config))
    means = []
    for video, count in enumerate(NUM_FRAMES):
        states = [model.encode_and_classify(INPUTS)["frame_states"][video, :count] for model in (teacher, student)]
        scores = [model.classifier(of_model) for model, of_model in zip((teacher, student), states)]
        means.append(float(tf.reduce_mean(bernoulli_kl(*scores, 2.0))) if count else 0.0)
    assert logs["frame_loss"] == pytest.approx(np.mean(means), rel=1e-4)


def test_a_student_of_few_frames_meets_the_last_one_that_it_has_read():
    teacher, student = make_model(1), make_model(2, num_sampled_frames=4)
    logs = losses_of(Distiller(teacher, student, DistillationConfig(losses=("map",))))
    of_teacher, of_student = (model.encode_and_classify(INPUTS, training=False) for model in (teacher, student))
    maps = []
    for video, count in enumerate(NUM_FRAMES):
        read = of_student["frame_indices"][video, : of_student["num_frames"][video]].numpy()
        squares = []
        for frame in range(count):
            step = (read <= frame).sum() - 1
            states = of_teacher["frame_states"][video, frame], of_student["frame_states"][video, step]
            squares.append(np.mean((states[0] - states[1]) ** 2))
        maps.append(np.mean(squares) if squares else 0.0)
    assert logs["map_loss"] == pytest.approx(np.mean(maps), rel=1e-4)


def test_a_teachers_frames_before_the_students_first_one_are_left_out():
    teacher, student = make_model(1), make_model(2, num_sampled_frames=2, frame_sampling="last")
    logs = losses_of(Distiller(teacher, student, DistillationConfig(losses=("map",))))
    of_teacher, of_student = (model.encode_and_classify(INPUTS, training=False) for model in (teacher, student))
    maps = []
    for video, count in enumerate(NUM_FRAMES):
        first = max(0, count - 2)
        pairs = zip(of_teacher["frame_states"][video, first:count], of_student["frame_states"][video])
        squares = [np.mean((states[0] - states[1]) ** 2) for states in pairs]
        maps.append(np.mean(squares) if squares else 0.0)
    assert logs["map_loss"] == pytest.approx(np.mean(maps), rel=1e-4)


@pytest.mark.parametrize("loss", ["map", "frame", "int"])
def test_a_replica_without_a_video_has_a_gradient(loss):
    teacher, student = make_model(1), make_model(2, num_sampled_frames=4)
    distiller = Distiller(teacher, student, DistillationConfig(losses=(loss,)))
    distiller.compile(keras.optimizers.SGD(1.0))
    before = student.get_weights()
    inputs, *targets = DATA
    distiller.train_step(({name: value[:0] for name, value in inputs.items()}, *(value[:0] for value in targets)))
    for old, new in zip(before, student.get_weights()):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("loss", ["map", "frame"])
def test_training_lowers_the_loss(loss):
    distiller = Distiller(*make_pair(), DistillationConfig(losses=(loss, "pred")))
    distiller.compile(keras.optimizers.Adam(0.02))
    losses = [float(distiller.train_step(DATA)[f"{loss}_loss"]) for _ in range(10)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "teacher, student, loss, message",
    [
        ("HierarchicalLstmModel", "HierarchicalLstmModel", "frame", "in the teacher has another width: 2, not 4"),
        ("FrameLevelLogisticModel", "LstmModel", "map", "Loss 'map' cannot match frame states: the teacher has none"),
        ("LstmModel", "FrameLevelLogisticModel", "frame", "the student has none"),
    ],
)
def test_says_what_does_not_go_together(teacher, student, loss, message):
    with pytest.raises(ValueError, match=message):
        Distiller(make_model(1, teacher), make_model(2, student), DistillationConfig(losses=(loss, "ce")))


def test_several_teachers_have_no_map_in_common():
    teachers = Ensemble([make_model(1), make_model(3)])
    with pytest.raises(ValueError, match="Loss 'map' compares encodings or states"):
        Distiller(teachers, make_model(2), DistillationConfig(losses=("map", "ce")))


def test_states_of_teacher_and_student_have_one_width_in_a_map_and_any_in_frames():
    student = make_model(2, lstm_cells=3)
    with pytest.raises(ValueError, match="Loss 'map' needs frame states of one width"):
        Distiller(make_model(1), student, DistillationConfig(losses=("map", "ce")))
    Distiller(make_model(1), student, DistillationConfig(losses=("frame", "ce")))
