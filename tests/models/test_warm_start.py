"""Starting a model from the weights of another."""

import numpy as np
import pytest

from tests.distillation.small_models import BUDGET, INPUTS, NUM_FRAMES, make_model
from yt8m_distill.models import warm_start


@pytest.mark.parametrize(
    "of_student", [{"num_blocks": 2}, {"num_blocks": None, "block_length": 4}, {"every_n": 2}], ids=str
)
def test_copies_weights_over_other_blocks_and_budgets(of_student):
    budget = {} if "every_n" in of_student else BUDGET
    teacher = make_model(1, "HierarchicalLstmModel")
    student = make_model(2, "HierarchicalLstmModel", **budget, **of_student)
    warm_start(student, teacher, "a student")
    for copied, original in zip(student.get_weights(), teacher.get_weights()):
        np.testing.assert_array_equal(copied, original)
    assert not any(copied is original for copied, original in zip(student.weights, teacher.weights))


def test_lets_batch_normalization_adapt():
    """The first batch takes nine tenths of the moving averages, as of a fresh model, whatever the teacher's age."""
    small = {"dbof_cluster_size": 3, "dbof_hidden_size": 2}
    teacher, student = make_model(1, "DbofModel", **small), make_model(2, "DbofModel", **BUDGET, **small)
    teacher.encoder.input_norm.num_updates.assign(10_000.0)
    teacher.encoder.input_norm.moving_mean.assign(np.full(teacher.encoder.input_norm.moving_mean.shape, 5.0))
    warm_start(student, teacher, "a student")
    norm = student.encoder.input_norm
    np.testing.assert_array_equal(norm.moving_mean, teacher.encoder.input_norm.moving_mean)
    norm(np.full([1, 2, norm.moving_mean.shape[0]], 1.0, np.float32), training=True)
    np.testing.assert_allclose(norm.moving_mean, np.full(norm.moving_mean.shape, 0.1 * 5 + 0.9 * 1), rtol=1e-5)


@pytest.mark.parametrize("name", ["DbofModel", "NetVLADModelLF", "NeXtVLADModel"])
def test_a_model_whose_network_is_frozen_starts_from_one_that_is_not(name):
    """Keras lists the weights of layers with batch normalisation in another order once they are frozen."""
    small = {
        "DbofModel": {"dbof_cluster_size": 3, "dbof_hidden_size": 2},
        "NetVLADModelLF": {"netvlad_cluster_size": 2, "netvlad_hidden_size": 3},
        "NeXtVLADModel": {"nextvlad_cluster_size": 2, "nextvlad_hidden_size": 8, "groups": 2},
    }[name]
    trained = make_model(1, name, **small)
    trained.set_weights([np.random.default_rng(0).uniform(size=weight.shape) for weight in trained.get_weights()])
    chooser = make_model(2, name, frame_sampling="saliency", saliency_inputs="rgb", **BUDGET, **small)
    warm_start(chooser, trained, "a chooser")
    assert not chooser.encoder.trainable and trained.encoder.trainable
    few = {"sampled_frames": INPUTS["frames"][:, :4], "num_sampled_frames": np.minimum(NUM_FRAMES, 4)}
    np.testing.assert_allclose(chooser(few)["predictions"], trained(few)["predictions"], rtol=1e-5)


@pytest.mark.parametrize(
    "name, of_student",
    [("LstmModel", {"lstm_cells": 3}), ("LstmModel", {"num_classes": 5}), ("HierarchicalLstmModel", {})],
    ids=str,
)
def test_refuses_other_shapes(name, of_student):
    student = make_model(2, name, **BUDGET, **of_student)
    before = student.get_weights()
    with pytest.raises(ValueError, match="A student needs weights of its own shapes, but the shapes differ"):
        warm_start(student, make_model(1), "A student")
    for after, value in zip(student.get_weights(), before):
        np.testing.assert_array_equal(after, value)
