"""Gradient accumulation, mixup and label smoothing: what a batch is made into, and what a train_step makes of it."""

import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.models import BatchPreparation, Mixup, create_model
from yt8m_distill.models.label_losses import cross_entropy_loss
from yt8m_distill.stack import keras

NUM_CLASSES, WIDTH, MAX_FRAMES = 4, 3, 5
RANDOM = np.random.default_rng(80)
LABELS = tf.constant(RANDOM.uniform(size=(7, NUM_CLASSES)) < 0.5)
WEIGHTS = tf.constant((RANDOM.uniform(size=(7, NUM_CLASSES)) < 0.7).astype(np.float32))
MEANS = {"features": tf.constant(RANDOM.normal(size=(7, WIDTH)).astype(np.float32))}
FRAMES = {
    "frames": tf.constant(RANDOM.integers(0, 256, (7, MAX_FRAMES, WIDTH)).astype(np.uint8)),
    "num_frames": tf.constant([5, 2, 4, 0, 1, 3, 5]),
}


def make_model(name="MoeModel"):
    keras.utils.set_random_seed(4)
    lstm = {"lstm_cells": 2, "lstm_layers": 1} if name == "LstmModel" else {}
    return create_model(name, ("rgb",), (WIDTH,), num_classes=NUM_CLASSES, max_frames=MAX_FRAMES, **lstm)


def part_of(nest, part):
    return tf.nest.map_structure(lambda values: values[part], nest)


# ---- what a batch is made into


@pytest.mark.parametrize("size, sizes", [(7, [2, 2, 3]), (6, [2, 2, 2]), (2, [0, 1, 1]), (0, [0, 0, 0])])
def test_slices_are_the_batch_in_order_some_empty_if_it_is_short(size, sizes):
    data = part_of((FRAMES, LABELS, WEIGHTS), slice(0, size))
    slices = list(BatchPreparation(num_slices=3).slices(data, step=0))
    assert [len(one.labels) for one in slices] == sizes
    for name, whole in FRAMES.items():
        np.testing.assert_array_equal(tf.concat([one.inputs[name] for one in slices], 0), whole[:size])
    np.testing.assert_array_equal(tf.concat([one.targets for one in slices], 0), LABELS[:size])
    np.testing.assert_array_equal(tf.concat([one.target_weights for one in slices], 0), WEIGHTS[:size])
    np.testing.assert_array_equal(tf.concat([one.label_weights for one in slices], 0), WEIGHTS[:size])


def test_by_default_a_batch_stays_as_it_is():
    (examples,) = BatchPreparation().slices((MEANS, LABELS), step=0)
    assert examples.inputs is MEANS and examples.targets is LABELS and examples.labels is LABELS
    assert examples.target_weights is None and examples.mix is None


def test_smoothing_by_hand():
    labels = tf.constant([[True, False]])
    (examples,) = BatchPreparation(label_smoothing=0.1).slices((MEANS, labels), step=0)
    np.testing.assert_allclose(examples.targets, [[0.95, 0.05]], rtol=1e-6)
    assert examples.labels is labels


def test_smoothing_is_that_of_keras():
    (examples,) = BatchPreparation(label_smoothing=0.3).slices((MEANS, LABELS), step=0)
    predictions = make_model()(MEANS)["predictions"]
    smoothing = keras.losses.BinaryCrossentropy(label_smoothing=0.3, reduction="none")
    expected = NUM_CLASSES * smoothing(tf.cast(LABELS, tf.float32), predictions)
    np.testing.assert_allclose(cross_entropy_loss(examples.targets, predictions), expected, rtol=1e-3)


def test_labels_are_mixed_then_smoothed_and_stay_whole_for_the_metrics():
    mixup = Mixup(0.4, seed=2)
    preparation = BatchPreparation(num_slices=2, label_smoothing=0.2, mixup=mixup)
    slices = list(preparation.slices((MEANS, LABELS), step=5))
    for number, (examples, part) in enumerate(zip(slices, (slice(0, 3), slice(3, 7)))):
        labels = LABELS[part].numpy().astype(np.float32)
        mix = mixup.draw(len(labels), 5, number)
        shares = mix.shares.numpy()[:, None]
        mixed = shares * labels + (1 - shares) * labels[mix.partners.numpy()]
        np.testing.assert_allclose(examples.targets, 0.8 * mixed + 0.1, rtol=1e-5)
        np.testing.assert_array_equal(examples.mix.shares, mix.shares)
        np.testing.assert_array_equal(examples.labels, labels)


def test_ratings_stay_whole_for_the_metrics():
    (examples,) = BatchPreparation(mixup=Mixup(0.4, seed=2)).slices((MEANS, LABELS, WEIGHTS), step=5)
    assert examples.label_weights is WEIGHTS and examples.labels is LABELS
    assert not np.array_equal(examples.target_weights, WEIGHTS)


# ---- what a train_step makes of it


def step_of(model, data, preparation, in_graph=False, **settings):
    """The log and the weights after one step of plain gradient descent."""
    settings = {"regularization_penalty": 1e7, **settings}  # of L2, whose weights are about 1e-8
    model.compile(keras.optimizers.SGD(0.1), preparation=preparation, **settings)
    logs = (tf.function(model.train_step) if in_graph else model.train_step)(data)
    return {name: float(value) for name, value in logs.items()}, model.get_weights()


def assert_same_step(one, other):
    for name in one[0]:
        np.testing.assert_allclose(one[0][name], other[0][name], rtol=1e-5, err_msg=name)
    for number, (weight, reference) in enumerate(zip(one[1], other[1])):
        np.testing.assert_allclose(weight, reference, rtol=1e-5, atol=1e-7, err_msg=f"weight {number}")


@pytest.mark.parametrize("num_slices", [2, 9])
def test_accumulated_gradients_make_the_step_of_the_whole_batch(num_slices):
    data = (MEANS, LABELS, WEIGHTS)
    whole = step_of(make_model(), data, BatchPreparation())
    assert whole[0]["reg_loss"] > 0.01
    assert_same_step(step_of(make_model(), data, BatchPreparation(num_slices)), whole)


@pytest.mark.parametrize("name, in_graph", [("LstmModel", False), ("FrameLevelLogisticModel", True)])
def test_accumulated_gradients_of_frames(name, in_graph):
    data = (FRAMES, LABELS)
    whole = step_of(make_model(name), data, BatchPreparation())
    assert_same_step(step_of(make_model(name), data, BatchPreparation(3), in_graph), whole)


def test_accumulated_gradients_under_xla_and_loss_scaling():
    model = make_model()
    before = model.get_weights()
    whole = step_of(model, (MEANS, LABELS), BatchPreparation())
    model = make_model()
    optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1), dynamic=False, initial_scale=64.0)
    model.compile(optimizer, regularization_penalty=1e7, preparation=BatchPreparation(2), jit_compile=True)
    model.fit(tf.data.Dataset.from_tensors((MEANS, LABELS)), verbose=0)
    for weight, reference, old in zip(model.get_weights(), whole[1], before):
        np.testing.assert_allclose(weight, reference, rtol=1e-5, atol=1e-6)
        assert (weight != old).any()


def test_the_logged_metrics_are_those_of_slices_and_of_unmixed_labels():
    model = make_model()
    model.compile(keras.optimizers.SGD(0.0), preparation=BatchPreparation(2, 0.5, Mixup(0.4)))
    model.optimizer.iterations.assign(9)
    logs = model.train_step((MEANS, LABELS))
    hits = 0
    for number, part in enumerate((slice(0, 3), slice(3, 7))):
        mix = Mixup(0.4).draw(part.stop - part.start, 9, number)
        inputs = {"features": MEANS["features"][part]}
        predictions = model.encode_and_classify(inputs, mix=mix)["predictions"].numpy()
        hits += sum(row[scores.argmax()] for row, scores in zip(LABELS.numpy()[part], predictions))
    np.testing.assert_allclose(logs["hit_at_one"], hits / 7, rtol=1e-6)


def hand_written_step(model, predict, mix, weights=None):
    """One step down the mean loss between predictions of mixed inputs and mixed labels."""
    shares, partners = mix.shares.numpy()[:, None], mix.partners.numpy()
    labels = LABELS.numpy().astype(np.float32)
    with tf.GradientTape() as tape:
        predictions = predict(shares, partners)
        # The loss is linear in the labels, with or without weights.
        own = cross_entropy_loss(labels, predictions, weights)
        of_partner = cross_entropy_loss(
            labels[partners], predictions, None if weights is None else tf.gather(weights, partners)
        )
        loss = tf.reduce_mean(shares[:, 0] * own + (1 - shares[:, 0]) * of_partner)
    gradients = tape.gradient(loss, model.trainable_variables)
    return float(loss), [v - 0.1 * g for v, g in zip(model.trainable_variables, gradients)]


def assert_hand_written(logs_and_weights, expected):
    logs, weights = logs_and_weights
    np.testing.assert_allclose(logs["loss"], expected[0], rtol=1e-4)
    for weight, reference in zip(weights, expected[1]):
        np.testing.assert_allclose(weight, reference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weights"])
def test_a_step_on_mixed_encodings(weights):
    mixup, model = Mixup(0.4, "encoding", seed=3), make_model("FrameLevelLogisticModel")

    def predict(shares, partners):
        encoding = model(FRAMES)["encoding"]
        return model.classifier(shares * encoding + (1 - shares) * tf.gather(encoding, partners))

    expected = hand_written_step(model, predict, mixup.draw(7, 0), weights=weights)
    data = (FRAMES, LABELS) if weights is None else (FRAMES, LABELS, weights)
    preparation = BatchPreparation(mixup=mixup)
    assert_hand_written(step_of(model, data, preparation, regularization_penalty=0.0), expected)


def test_a_step_on_mixed_frames():
    mixup, model = Mixup(0.4, "frames", seed=3), make_model("LstmModel")
    num_frames = FRAMES["num_frames"].numpy()

    def predict(shares, partners):
        unit = model.frame_input(FRAMES["frames"], num_frames).numpy()
        mixed = shares[:, :, None] * unit + (1 - shares[:, :, None]) * unit[partners]
        return model.classifier(model.encoder(mixed, np.maximum(num_frames, num_frames[partners]))["encoding"])

    expected = hand_written_step(model, predict, mixup.draw(7, 0))
    preparation = BatchPreparation(mixup=mixup)
    assert_hand_written(step_of(model, (FRAMES, LABELS), preparation, regularization_penalty=0.0), expected)


def test_a_step_on_mixed_mean_features():
    mixup, model = Mixup(0.4, "frames", seed=3), make_model()
    unit = MEANS["features"].numpy() / np.linalg.norm(MEANS["features"], axis=1, keepdims=True)

    def predict(shares, partners):
        return model.classifier(shares * unit + (1 - shares) * unit[partners])

    expected = hand_written_step(model, predict, mixup.draw(7, 0))
    preparation = BatchPreparation(mixup=mixup)
    assert_hand_written(step_of(model, (MEANS, LABELS), preparation, regularization_penalty=0.0), expected)


def test_evaluation_neither_mixes_nor_smooths():
    model = make_model()
    expected = model(MEANS)["predictions"]
    model.compile(keras.optimizers.SGD(0.0), preparation=BatchPreparation(2, 0.5, Mixup(0.4)))
    np.testing.assert_allclose(model.predictions_of(MEANS), expected, rtol=1e-6)  # a graph rounds in other places


@pytest.mark.parametrize("level", ["encoding", "frames"])
def test_a_replica_without_examples_takes_no_step(level):
    data = part_of((FRAMES, LABELS), slice(0, 0))
    model = make_model("FrameLevelLogisticModel")
    before = model.get_weights()
    preparation = BatchPreparation(2, 0.1, Mixup(0.4, level))
    model.compile(keras.optimizers.SGD(0.1), regularization_penalty=0.0, preparation=preparation)
    # Other replicas would give this step its examples.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("yt8m_distill.models.video_classifier.global_num_examples", lambda labels: tf.constant(7.0))
        logs = model.train_step(data)
    assert float(logs["loss"]) == 0
    for weight, old in zip(model.get_weights(), before):
        np.testing.assert_array_equal(weight, old)
