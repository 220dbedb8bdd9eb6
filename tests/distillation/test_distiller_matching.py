"""Which teachers and students the Distiller accepts, and what it does about differences."""

import numpy as np
import pytest
import tensorflow as tf

from tests.distillation.small_models import BUDGET, DATA, INPUTS, losses_by_hand, make_model, make_pair
from yt8m_distill.distillation import DistillationConfig, Distiller
from yt8m_distill.models import Ensemble, warm_start
from yt8m_distill.stack import keras

# ---- features, classes, states


@pytest.mark.parametrize(
    "of_student, message",
    [
        (
            {"feature_names": ("rgb", "sound")},
            "agree on feature_names. Received: teacher .*'audio'.*, student .*'sound'",
        ),
        ({"feature_sizes": (2, 3)}, r"agree on feature_sizes. Received: teacher \(3, 2\), student \(2, 3\)"),
        ({"num_classes": 6}, "agree on num_classes. Received: teacher 4, student 6"),
        ({"max_frames": 20}, "agree on max_frames. Received: teacher 12, student 20"),
    ],
    ids=str,
)
def test_models_of_different_data_are_refused(of_student, message):
    name = "FrameLevelLogisticModel"
    with pytest.raises(ValueError, match=message):
        Distiller(make_model(1, name), make_model(2, name, **BUDGET, **of_student), DistillationConfig())


def test_a_video_level_teacher_of_a_frame_level_student_is_refused():
    with pytest.raises(ValueError, match="agree on frame_features"):
        Distiller(make_model(1, "MoeModel"), make_model(2, **BUDGET), DistillationConfig(losses=("pred",)))


def test_video_level_models_can_be_distilled():
    teacher, student = make_model(1, "MoeModel"), make_model(2, "MoeModel", moe_num_mixtures=1)
    distiller = Distiller(teacher, student, DistillationConfig(losses=("pred", "ce")))
    logs = distiller_logs(distiller, ({"features": tf.ones([3, 5])}, DATA[1][:3]))
    assert logs["pred_loss"] > 0


def distiller_logs(distiller, data=DATA):
    distiller.compile(keras.optimizers.SGD(0.0))
    return distiller.test_step(data)


@pytest.mark.parametrize(
    "teacher, student, alignment, message",
    [
        (
            "FrameLevelLogisticModel",
            "FrameLevelLogisticModel",
            "frame",
            "cannot match frame states: the teacher has none",
        ),
        ("LstmModel", "FrameLevelLogisticModel", "frame", "cannot match frame states: the student has none"),
        ("LstmModel", "LstmModel", "block", "cannot match block states: the teacher has none"),
        ("HierarchicalLstmModel", "LstmModel", "both", "cannot match block states: the student has none"),
    ],
)
def test_intermediate_matching_needs_states(teacher, student, alignment, message):
    config = DistillationConfig(losses=("int", "ce"), intermediate_alignment=alignment)
    with pytest.raises(ValueError, match=message):
        Distiller(make_model(1, teacher), make_model(2, student, **BUDGET), config)


def test_intermediate_matching_needs_states_of_one_width():
    with pytest.raises(ValueError, match=r"frame states of one width. Received: teacher, student = \(2, 3\)"):
        Distiller(make_model(1), make_model(2, lstm_cells=3, **BUDGET), DistillationConfig(losses=("int", "ce")))


def test_intermediate_matching_needs_a_teacher_without_a_budget():
    teacher = make_model(1, num_sampled_frames=6)
    with pytest.raises(ValueError, match="needs a teacher that reads all frames"):
        Distiller(teacher, make_model(2, **BUDGET), DistillationConfig(losses=("int", "ce")))
    Distiller(teacher, make_model(2, **BUDGET), DistillationConfig(losses=("rep", "ce")))


def test_intermediate_matching_needs_a_student_that_reads_frames_one_by_one():
    config = DistillationConfig(losses=("int", "ce"))
    with pytest.raises(ValueError, match=r"reads the means of frame_pooling=2\. Loss 'map' compares states over time"):
        Distiller(make_model(1), make_model(2, frame_pooling=2), config)
    Distiller(make_model(1), make_model(2, leading_values="rgb:2"), config)


def test_a_flat_student_may_learn_frame_states_of_a_hierarchical_teacher():
    teacher, student = make_model(1, "HierarchicalLstmModel"), make_model(2, **BUDGET)
    distiller = Distiller(teacher, student, DistillationConfig(losses=("int", "ce")))
    assert distiller_logs(distiller)["int_loss"] > 0


# ---- encodings of different widths


def make_unequal_pair():
    return make_model(1, lstm_cells=3), make_model(2, lstm_cells=2, **BUDGET)


def test_encodings_of_different_widths_need_a_projection():
    with pytest.raises(ValueError, match=r"teacher 3, student 2. Use --project_encoding"):
        Distiller(*make_unequal_pair(), DistillationConfig())
    assert Distiller(*make_unequal_pair(), DistillationConfig(losses=("pred", "ce"))).projection is None


def test_encodings_of_one_width_are_not_projected():
    assert Distiller(*make_pair(), DistillationConfig(project_encoding=True)).projection is None


def test_the_projection_is_a_linear_map_that_learns_with_the_student():
    teacher, student = make_unequal_pair()
    distiller = Distiller(teacher, student, DistillationConfig(losses=("rep", "ce"), project_encoding=True))
    kernel, bias = distiller.projection.get_weights()
    assert kernel.shape == (2, 3)
    projected = student(INPUTS)["encoding"].numpy() @ kernel + bias
    expected = np.sum((teacher(INPUTS)["encoding"] - projected) ** 2) / len(projected)
    distiller.compile(keras.optimizers.SGD(0.1))
    losses = [float(distiller.train_step(DATA)["rep_loss"]) for _ in range(3)]
    np.testing.assert_allclose(losses[0], expected, rtol=1e-4)
    assert losses[2] < losses[0]
    assert (distiller.projection.get_weights()[0] != kernel).any()
    assert not any("projection" in variable.name for variable in student.variables)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_projection_works_in_mixed_precision(policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        distiller = Distiller(*make_unequal_pair(), DistillationConfig(losses=("rep", "ce"), project_encoding=True))
        logs = distiller_logs(distiller)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert logs["rep_loss"].dtype == tf.float32 and np.isfinite(logs["loss"])


# ---- the student's classifier


def test_a_classifier_that_no_loss_trains_must_fit_the_teachers():
    config = DistillationConfig(losses=("rep",), project_encoding=True)
    with pytest.raises(ValueError, match="student's classifier needs the teacher's weights, but the shapes differ"):
        Distiller(*make_unequal_pair(), config)


def test_sharing_a_classifier_must_be_both_asked_for_and_built():
    teacher, student = make_pair(name="FrameLevelLogisticModel")
    with pytest.raises(ValueError, match=r"share_classifier=True, but .* two classifiers"):
        Distiller(teacher, student, DistillationConfig("parallel", ("rep",), share_classifier=True))
    sharing = student.model_config.build(teacher.classifier)
    for scheme in ("serial", "parallel"):
        with pytest.raises(ValueError, match=r"share_classifier=False, but .* one classifier"):
            Distiller(teacher, sharing, DistillationConfig(scheme, ("rep", "ce")))


# ---- several teachers


def test_several_teachers_teach_their_mean_prediction():
    teachers, student = [make_model(1), make_model(3)], make_model(2, **BUDGET)
    logs = distiller_logs(Distiller(Ensemble(teachers), student, DistillationConfig(losses=("pred", "ce"))))
    mean = (teachers[0](INPUTS)["predictions"] + teachers[1](INPUTS)["predictions"]) / 2
    by_hand = losses_by_hand(teachers[0], student, {**teachers[0].encode_and_classify(INPUTS), "predictions": mean})
    np.testing.assert_allclose(logs["pred_loss"], by_hand["pred"], rtol=1e-3)
    np.testing.assert_allclose(logs["ce_loss"], by_hand["ce"], rtol=1e-4)


def test_several_teachers_are_frozen():
    teachers = Ensemble([make_model(1), make_model(3)])
    before = [member.get_weights() for member in teachers.members]
    student = make_model(2, **BUDGET)
    distiller = Distiller(teachers, student, DistillationConfig(losses=("pred",)))
    distiller.compile(keras.optimizers.SGD(1.0))
    was = student.get_weights()
    distiller.train_step(DATA)
    assert any((after != value).any() for after, value in zip(student.get_weights(), was))
    for member, weights in zip(teachers.members, before):
        assert not member.trainable_variables
        assert all((after == value).all() for after, value in zip(member.get_weights(), weights))


@pytest.mark.parametrize("loss", ["rep", "int"])
def test_several_teachers_have_no_encoding_in_common(loss):
    teachers = Ensemble([make_model(1), make_model(3)])
    with pytest.raises(ValueError, match=f"Loss '{loss}' compares encodings or states, which several teachers"):
        Distiller(teachers, make_model(2, **BUDGET), DistillationConfig(losses=(loss, "ce")))


# ---- what is cached of the teacher


def test_the_teachers_cached_outputs_replace_it():
    teacher, student = make_pair()
    outputs = make_model(5)(INPUTS)
    cached = {**INPUTS, "teacher_predictions": outputs["predictions"], "teacher_encoding": outputs["encoding"]}
    losses = ("rep", "pred", "ce")
    received = distiller_logs(Distiller(teacher, student, DistillationConfig(losses=losses)), (cached, DATA[1]))
    by_hand = losses_by_hand(teacher, student, {**teacher.encode_and_classify(INPUTS), **outputs})
    for loss in losses:
        np.testing.assert_allclose(received[f"{loss}_loss"], by_hand[loss], rtol=1e-3)


# ---- jitter


def test_teacher_and_student_with_frame_budgets_are_jittered_alike():
    """With equal weights and budgets they read the same frames in training, and agree."""
    budget = {**BUDGET, "frame_jitter": True}
    teacher, student = make_model(1, **budget), make_model(2, **budget)
    warm_start(student, teacher, "a student")
    distiller = Distiller(teacher, student, DistillationConfig(losses=("rep",)))
    distiller.compile(keras.optimizers.SGD(0.0))
    assert float(distiller.train_step(DATA)["rep_loss"]) == 0

    unjittered = make_model(1, **BUDGET)
    warm_start(unjittered, teacher, "a student")
    distiller = Distiller(unjittered, student, DistillationConfig(losses=("rep",)))
    distiller.compile(keras.optimizers.SGD(0.0))
    assert max(float(distiller.train_step(DATA)["rep_loss"]) for _ in range(3)) > 0


def test_a_jittered_teacher_of_several_budgets_reads_the_largest():
    teacher = make_model(1, **BUDGET, frame_jitter=True, frame_budgets=(1, 4))
    inputs = {**INPUTS, "frame_seeds": 7919 * tf.range(5, dtype=tf.int64)}  # of which the second draws a single frame
    num_read = teacher.encode_and_classify(inputs, training=False)["num_frames"]
    np.testing.assert_array_equal(num_read, tf.minimum(INPUTS["num_frames"], 4))


def test_labels_alone_need_no_teacher_to_see_the_videos():
    """A teacher's weights fine-tuned on few frames: the baseline of a student that starts from them."""
    teacher, student = make_pair()
    inputs = {"sampled_frames": INPUTS["frames"][:, :4], "num_sampled_frames": tf.constant([4, 4, 3, 1, 0])}
    distiller = Distiller(teacher, student, DistillationConfig(losses=("ce",)))
    distiller.compile(keras.optimizers.SGD(0.1))
    logs = distiller.train_step((inputs, DATA[1]))  # a teacher would refuse, or read four frames
    assert logs["ce_loss"] > 0 and "kl" not in logs
