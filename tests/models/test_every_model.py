"""What every model of the zoo must do, one test a property."""

import numpy as np
import pytest
import tensorflow as tf

from tests.records import make_videos, record_of
from tests.training.tiny_runs import save_model
from yt8m_distill.analysis import model_cost
from yt8m_distill.distillation import DistillationConfig, Distiller
from yt8m_distill.models import ZOO, ModelConfig, create_model, load_model
from yt8m_distill.serving import export_saved_model
from yt8m_distill.stack import keras

SIZES = {"feature_names": ("rgb", "audio"), "feature_sizes": (6, 2), "num_classes": 4, "max_frames": 8}
# Values that make a model small enough for a test. No dropout: it would hide a loss that falls.
SMALL = {
    "lstm_cells": 3,
    "lstm_layers": 1,
    "gru_cells": 3,
    "gru_layers": 1,
    "iterations": 5,
    "dbof_cluster_size": 8,
    "dbof_hidden_size": 4,
    "netvlad_cluster_size": 4,
    "netvlad_hidden_size": 6,
    "nextvlad_cluster_size": 4,
    "nextvlad_hidden_size": 8,
    "groups": 2,
    "gating_reduction": 2,
    "drop_rate": 0.0,
    "mix_number": 2,
    "attention_hidden_size": 8,
    "attention_layers": 1,
    "attention_heads": 2,
    "attention_dropout": 0.0,
}
BATCH = 12
FRAME_LEVEL = [name for name in ZOO if ZOO[name].frame_level]


def make_model(name, **changes):
    keras.utils.set_random_seed(5)
    hyperparameters = {key: value for key, value in SMALL.items() if key in ZOO[name].hyperparameters}
    return create_model(name, **SIZES, **hyperparameters, **changes)


def make_batch(model):
    """Inputs and labels of a few videos that can be told apart; one has a single frame."""
    videos = make_videos(model.model_config.schema, BATCH, num_frames=[8, 5, 1])
    labels = np.zeros((BATCH, 4), bool)
    for row, video in enumerate(videos):
        labels[row, list(video.labels)] = True
    if not model.is_frame_level:
        return {"features": np.stack([video.means for video in videos])}, labels
    frames = np.zeros((BATCH, 8, 8), np.uint8)
    for row, video in enumerate(videos):
        frames[row, : len(video.frames)] = video.frames
    return {"frames": frames, "num_frames": np.array([len(video.frames) for video in videos], np.int32)}, labels


def as_tensors(batch):
    return tf.nest.map_structure(tf.constant, batch)


@pytest.mark.parametrize("name", ZOO)
def test_predicts(name):
    model = make_model(name)
    inputs, _ = make_batch(model)
    outputs = model(inputs)
    predictions = outputs["predictions"].numpy()
    assert model.name == name and model.built
    assert predictions.shape == (BATCH, 4) and predictions.dtype == np.float32
    assert predictions.min() >= 0 and predictions.max() <= 1
    assert outputs["encoding"].dtype == tf.float32 and outputs["encoding"].shape[0] == BATCH
    np.testing.assert_array_equal(model(inputs)["predictions"], predictions)  # nothing is drawn at random


@pytest.mark.parametrize("name", FRAME_LEVEL)
def test_padding_changes_nothing(name):
    """Neither what it holds nor how much of it there is; not the statistics that training moves, either."""
    model, same = make_model(name), make_model(name)
    inputs, labels = make_batch(model)
    noisy = {**inputs, "frames": inputs["frames"].copy()}
    is_padding = np.arange(8) >= inputs["num_frames"][:, None]
    noisy["frames"][is_padding] = np.random.default_rng(0).integers(0, 256, (is_padding.sum(), 8))
    expected = model(inputs)["predictions"].numpy()
    np.testing.assert_array_equal(model(noisy)["predictions"], expected)
    short = {name: values[2:3] for name, values in inputs.items()}  # one frame
    short["frames"] = short["frames"][:, :3]
    np.testing.assert_allclose(model(short)["predictions"], expected[2:3], atol=1e-6)
    for trained, batch in ((model, inputs), (same, noisy)):
        keras.utils.set_random_seed(2)  # of the frames that DbofModel draws
        trained.compile(keras.optimizers.SGD(0.01))
        trained.train_step(as_tensors((batch, labels)))
    for of_zeros, of_noise in zip(model.get_weights(), same.get_weights()):
        np.testing.assert_array_equal(of_noise, of_zeros)


@pytest.mark.parametrize("name", ZOO)
def test_trains_to_a_falling_loss(name):
    model = make_model(name)
    model.compile(keras.optimizers.Adam(0.01))
    batch = as_tensors(make_batch(model))
    losses = [float(model.train_step(batch)["loss"]) for _ in range(8)]
    assert losses[-1] < 0.97 * losses[0], losses


@pytest.mark.parametrize("name", ZOO)
def test_saves_loads_and_exports_bit_identically(name, tmp_path):
    model = make_model(name)
    model.compile(keras.optimizers.Adam(0.01))
    model.train_step(as_tensors(make_batch(model)))  # moves batch-norm averages, too
    inputs, _ = make_batch(model)

    save_model(tmp_path / "run", model)
    loaded = load_model(str(tmp_path / "run"))
    np.testing.assert_array_equal(loaded(inputs)["predictions"], model(inputs)["predictions"])

    expected = loaded.predictions_of(as_tensors(inputs)).numpy()
    export_saved_model(loaded, str(tmp_path / "exported"), top_k=4)
    schema = model.model_config.schema
    records = [record_of(video, schema) for video in make_videos(schema, BATCH, num_frames=[8, 5, 1])]
    served = tf.saved_model.load(str(tmp_path / "exported")).signatures["serving_default"](
        example_bytes=tf.constant(records)
    )
    by_class = np.zeros_like(expected)
    np.put_along_axis(by_class, served["class_indexes"].numpy(), served["predictions"].numpy(), axis=1)
    np.testing.assert_array_equal(by_class, expected)


@pytest.mark.parametrize("name", ZOO)
def test_runs_under_mixed_bfloat16(name):
    reference = make_model(name)
    inputs, labels = make_batch(reference)
    previous = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = make_model(name)
        model.set_weights(reference.get_weights())
        predictions = model(inputs)["predictions"]
        model.compile(keras.optimizers.Adam(0.01))
        losses = [float(model.train_step(as_tensors((inputs, labels)))["loss"]) for _ in range(4)]
    finally:
        keras.mixed_precision.set_global_policy(previous)
    assert predictions.dtype == tf.float32
    assert all(weight.dtype == tf.float32 for weight in model.weights)
    np.testing.assert_allclose(predictions, reference(inputs)["predictions"], atol=0.03)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


@pytest.mark.parametrize("scheme", ["serial", "parallel"])
@pytest.mark.parametrize("name", FRAME_LEVEL)
def test_distills(name, scheme):
    """Teacher and few-frame student of every kind, without code of their own."""
    teacher = make_model(name)
    student = make_model(name, num_sampled_frames=2, frame_jitter=True)
    assert [weight.shape for weight in student.weights] == [weight.shape for weight in teacher.weights]
    distiller = Distiller(teacher, student, DistillationConfig(scheme))
    teacher_optimizer = keras.optimizers.Adam(0.01) if scheme == "parallel" else None
    distiller.compile(keras.optimizers.Adam(0.01), teacher_optimizer)
    before, of_student = ([weight.numpy() for weight in model.weights] for model in (teacher, student))
    logs = distiller.train_step(as_tensors(make_batch(teacher)))
    assert {"rep_loss", "pred_loss", "ce_loss"} <= set(logs)
    assert all(np.isfinite(float(value)) for value in logs.values())
    is_changed = any((old != new.numpy()).any() for old, new in zip(before, teacher.weights))
    assert is_changed == (scheme == "parallel")
    assert any((old != new.numpy()).any() for old, new in zip(of_student, student.weights))


@pytest.mark.parametrize("name", FRAME_LEVEL)
def test_a_student_costs_less_than_its_teacher(name):
    hyperparameters = {key: value for key, value in SMALL.items() if key in ZOO[name].hyperparameters}
    config = {"hyperparameters": hyperparameters, **SIZES}
    teacher = model_cost(ModelConfig(name, **config).build(), 8)
    student = model_cost(ModelConfig(name, **config, num_sampled_frames=2).build(), 8)
    assert (teacher["frames"], student["frames"]) == (8, 2)
    assert student["params"] == teacher["params"]
    if name == "FrameLevelLogisticModel":  # has no product by frame
        assert student["macs"] == teacher["macs"]
    else:
        assert student["macs"] < teacher["macs"]
