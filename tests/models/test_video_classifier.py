import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.data import sample_frame_indices
from yt8m_distill.models import create_model
from yt8m_distill.models.frame_input import dequantize
from yt8m_distill.models.label_losses import LABEL_LOSSES, hinge_loss
from yt8m_distill.stack import keras

FEATURES = ("rgb", "audio"), (5, 2)
WIDTH, NUM_CLASSES, MAX_FRAMES = 7, 6, 12
SMALL_LSTM = {"lstm_cells": 3, "lstm_layers": 1}
FRAME_LEVEL_MODELS = {
    "FrameLevelLogisticModel": {},
    "LstmModel": SMALL_LSTM,
    "HierarchicalLstmModel": {**SMALL_LSTM, "block_length": 3},
}
NUM_FRAMES = np.array([12, 7, 3, 1, 0], np.int32)
LABELS = np.random.default_rng(20).uniform(size=(len(NUM_FRAMES), NUM_CLASSES)) < 0.4
FRAMES = np.random.default_rng(21).integers(0, 256, (len(NUM_FRAMES), MAX_FRAMES, WIDTH)).astype(np.uint8)
IS_PADDING = np.arange(MAX_FRAMES) >= NUM_FRAMES[:, None]
MEAN_FEATURES = np.random.default_rng(22).normal(size=(4, WIDTH)).astype(np.float32)
BUDGETS = [
    {"num_sampled_frames": 4},
    {"num_sampled_frames": 4, "frame_sampling": "stride"},
    {"num_sampled_frames": 4, "frame_sampling": "first"},
    {"num_sampled_frames": 4, "frame_sampling": "middle"},
    {"num_sampled_frames": 4, "frame_sampling": "last"},
    {"num_sampled_frames": 4, "frame_sampling": "first_middle_last"},
    {"frame_percent": 50},
    {"every_n": 3},
]


def small_model(name, **budget_and_hyperparameters):
    arguments = {**FRAME_LEVEL_MODELS[name], **budget_and_hyperparameters}
    return create_model(name, *FEATURES, num_classes=NUM_CLASSES, max_frames=MAX_FRAMES, **arguments)


def whole_videos():
    return {"frames": FRAMES, "num_frames": NUM_FRAMES}


def pick_in_numpy(budget, num_slots):
    """What a pipeline with this budget gives the model."""
    arguments = {name: budget[name] for name in ("frame_percent", "every_n") if name in budget}
    default = "stride" if "every_n" in budget else "uniform"
    sampled = np.zeros((len(NUM_FRAMES), num_slots, WIDTH), np.uint8)
    counts = []
    for video, num_frames in enumerate(NUM_FRAMES):
        indices = sample_frame_indices(
            int(num_frames),
            budget.get("num_sampled_frames"),
            budget.get("frame_sampling", default),
            max_frames=MAX_FRAMES,
            **arguments,
        )
        sampled[video, : len(indices)] = FRAMES[video, indices]
        counts.append(len(indices))
    return {"sampled_frames": sampled, "num_sampled_frames": np.array(counts, np.int32)}


def assert_same_outputs(outputs, expected, **tolerance):
    for name in ("encoding", "predictions"):
        np.testing.assert_allclose(outputs[name], expected[name], err_msg=name, **tolerance)


def hand_written_update(model, inputs, labels, learning_rate, penalty_of, loss_of):
    """The weights after one step of plain gradient descent on the mean label loss plus a penalty."""
    with tf.GradientTape() as tape:
        losses = loss_of(tf.cast(labels, tf.float32), model(inputs)["predictions"])
        loss = tf.add_n(tf.unstack(losses)) / len(labels) + penalty_of(model)
    gradients = tape.gradient(loss, model.trainable_variables)
    return [v.numpy() - learning_rate * g.numpy() for v, g in zip(model.trainable_variables, gradients)]


def plain_cross_entropy(labels, p):
    return tf.reduce_sum(-labels * tf.math.log(p + 1e-5) - (1 - labels) * tf.math.log(1 - p + 1e-5), axis=1)


def no_penalty(model):
    return 0.0


# ---- outputs


@pytest.mark.parametrize("name", FRAME_LEVEL_MODELS)
def test_outputs_an_encoding_and_probabilities(name):
    outputs = small_model(name)(whole_videos())
    assert set(outputs) == {"encoding", "predictions"}
    width = {"FrameLevelLogisticModel": WIDTH, "LstmModel": 3, "HierarchicalLstmModel": 6}[name]
    assert outputs["encoding"].shape == (5, width) and outputs["encoding"].dtype == tf.float32
    assert outputs["predictions"].shape == (5, NUM_CLASSES) and outputs["predictions"].dtype == tf.float32
    predictions = outputs["predictions"].numpy()
    assert predictions.min() >= 0 and predictions.max() <= 1


def test_intermediate_outputs_say_where_each_frame_read_stands_in_the_video():
    model = small_model("HierarchicalLstmModel", num_sampled_frames=4)
    outputs = model.encode_and_classify(whole_videos(), training=False)
    np.testing.assert_array_equal(outputs["num_frames"], [4, 4, 3, 1, 0])
    np.testing.assert_array_equal(outputs["frame_indices"][:3], [[0, 3, 6, 9], [0, 1, 3, 5], [0, 1, 2, 0]])
    assert outputs["frame_states"].shape == (5, 4, 3) and outputs["block_states"].shape == (5, 2, 3)


def test_without_a_budget_every_frame_is_read():
    model = small_model("LstmModel")
    outputs = model.encode_and_classify(whole_videos(), training=False)
    np.testing.assert_array_equal(outputs["num_frames"], NUM_FRAMES)
    np.testing.assert_array_equal(outputs["frame_indices"], [list(range(MAX_FRAMES))] * 5)


# ---- which frames


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_the_model_picks_the_frames_that_the_pipeline_picks(budget):
    model = small_model("LstmModel", **budget)
    picked = pick_in_numpy(budget, model.sampler.num_slots)
    assert_same_outputs(model(whole_videos()), model(picked), rtol=0, atol=0)


def test_a_random_budget_draws_anew_only_in_training():
    model = small_model("LstmModel", frame_sampling="random", num_sampled_frames=4)
    keras.utils.set_random_seed(0)

    def indices(training):
        return model.encode_and_classify(whole_videos(), training=training)["frame_indices"].numpy()

    np.testing.assert_array_equal(indices(False), indices(False))
    draws = [indices(True) for _ in range(5)]
    assert any((draw != draws[0]).any() for draw in draws[1:])
    for draw in draws:
        assert draw[0].max() < 12 and draw[1].max() < 7
        assert all(len(set(row)) == 4 and list(row) == sorted(row) for row in draw[:2].tolist())


@pytest.mark.parametrize("budget", [{}, {"num_sampled_frames": 4}], ids=["all frames", "4 frames"])
def test_frames_past_max_frames_are_ignored(budget):
    model = small_model("LstmModel", **budget)
    longer = np.concatenate([FRAMES[:1], FRAMES[1:2]], axis=1)  # 24 frames, of which the model takes 12
    outputs = model({"frames": longer, "num_frames": np.array([24])})
    expected = model({"frames": FRAMES[:1], "num_frames": np.array([12])})
    assert_same_outputs(outputs, expected, rtol=0, atol=0)


def test_num_frames_past_the_input_counts_the_frames_there_are():
    model = small_model("FrameLevelLogisticModel")
    outputs = model({"frames": FRAMES[:1, :5], "num_frames": np.array([9])})
    assert_same_outputs(outputs, model({"frames": FRAMES[:1, :5], "num_frames": np.array([5])}), rtol=0, atol=0)


# ---- padding and dtypes


@pytest.mark.parametrize("name", FRAME_LEVEL_MODELS)
@pytest.mark.parametrize("budget", [{}, {"num_sampled_frames": 4}], ids=["all frames", "4 frames"])
def test_the_content_of_padding_changes_nothing(name, budget):
    model = small_model(name, **budget)
    zeros, noise, nan = FRAMES.copy(), FRAMES.copy(), dequantize(FRAMES).numpy()
    zeros[IS_PADDING] = 0
    noise[IS_PADDING] = np.random.default_rng(23).integers(0, 256, (IS_PADDING.sum(), WIDTH))
    nan[IS_PADDING] = np.nan
    expected = model({"frames": zeros, "num_frames": NUM_FRAMES})
    assert np.isfinite(expected["predictions"]).all()
    for frames in (noise, nan):
        outputs = model({"frames": frames, "num_frames": NUM_FRAMES})
        assert_same_outputs(outputs, expected, rtol=0, atol=1e-6)


def test_padding_of_sampled_frames_changes_nothing():
    model = small_model("LstmModel", num_sampled_frames=4)
    sampled = dequantize(FRAMES[:, :4]).numpy()
    counts = np.minimum(NUM_FRAMES, 4)
    with_nan = sampled.copy()
    with_nan[np.arange(4) >= counts[:, None]] = np.nan
    outputs = model({"sampled_frames": with_nan, "num_sampled_frames": counts})
    expected = model({"sampled_frames": sampled, "num_sampled_frames": counts})
    assert_same_outputs(outputs, expected, rtol=0, atol=0)


def test_the_amount_of_padding_changes_nothing():
    """A video of 170 frames in a tensor of 177 rows, no whole number of blocks, or of 300."""
    frames = np.random.default_rng(24).integers(0, 256, (1, 300, WIDTH)).astype(np.uint8)
    model = create_model("HierarchicalLstmModel", *FEATURES, num_classes=6, max_frames=300, lstm_cells=3)
    assert model.encoder.block_length == 15
    short = model({"frames": frames[:, :177], "num_frames": np.array([170])})
    full = model({"frames": frames, "num_frames": np.array([170])})
    assert_same_outputs(short, full, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("budget", [{}, {"num_sampled_frames": 4}], ids=["all frames", "4 frames"])
def test_dequantized_frames_give_what_bytes_give(budget):
    model = small_model("LstmModel", **budget)
    outputs = model({"frames": dequantize(FRAMES), "num_frames": NUM_FRAMES})
    assert_same_outputs(outputs, model(whole_videos()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_num_frames_may_be_any_integer(dtype):
    model = small_model("LstmModel", num_sampled_frames=4)
    outputs = model({"frames": FRAMES, "num_frames": NUM_FRAMES.astype(dtype)})
    assert_same_outputs(outputs, model(whole_videos()), rtol=0, atol=0)


def test_runs_in_a_graph_that_knows_neither_batch_size_nor_length():
    model = small_model("HierarchicalLstmModel")
    specs = {
        "frames": tf.TensorSpec([None, None, WIDTH], tf.uint8),
        "num_frames": tf.TensorSpec([None], tf.int32),
    }
    graph = tf.function(lambda inputs: model(inputs, training=False), input_signature=[specs])
    assert_same_outputs(graph(as_tensors(whole_videos())), model(whole_videos()), rtol=0, atol=1e-6)
    part = {"frames": FRAMES[1:3, :7], "num_frames": NUM_FRAMES[1:3]}
    assert_same_outputs(graph(as_tensors(part)), model(part), rtol=0, atol=1e-6)
    nothing = {"frames": FRAMES[:0], "num_frames": NUM_FRAMES[:0]}
    assert graph(as_tensors(nothing))["predictions"].shape == (0, NUM_CLASSES)


def as_tensors(inputs):
    return {name: tf.constant(value) for name, value in inputs.items()}


def test_mixed_precision_keeps_normalisation_and_outputs_in_float32():
    model = small_model("HierarchicalLstmModel")
    expected = model(whole_videos())
    previous = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed = small_model("HierarchicalLstmModel")
        mixed.set_weights(model.get_weights())
        outputs = mixed(whole_videos())
        assert mixed.frame_input(tf.constant(FRAMES), NUM_FRAMES).dtype == tf.float32
        mixed.compile(keras.optimizers.SGD(0.1))
        logs = mixed.train_step((as_tensors(whole_videos()), tf.constant(LABELS)))
    finally:
        keras.mixed_precision.set_global_policy(previous)
    assert outputs["encoding"].dtype == outputs["predictions"].dtype == tf.float32
    assert all(weight.dtype == tf.float32 for weight in mixed.weights)
    assert_same_outputs(outputs, expected, rtol=0, atol=0.02)
    assert (outputs["predictions"].numpy() != expected["predictions"].numpy()).any(), "bfloat16 was not used"
    assert logs["loss"].dtype == tf.float32 and np.isfinite(logs["loss"])
    for before, after in zip(model.get_weights(), mixed.get_weights()):
        assert np.isfinite(after).all() and (before != after).any()


# ---- video-level models


def test_logistic_model_is_a_logistic_regression_on_unit_vectors():
    model = create_model("LogisticModel", ("mean_rgb", "mean_audio"), (5, 2), num_classes=NUM_CLASSES)
    kernel, bias = model.classifier.get_weights()
    bias = np.linspace(-1, 1, NUM_CLASSES).astype(np.float32)
    model.classifier.set_weights([kernel, bias])
    outputs = model({"features": MEAN_FEATURES})
    for video, row in enumerate(MEAN_FEATURES.astype(np.float64)):
        unit = row / np.sqrt((row**2).sum())
        np.testing.assert_allclose(outputs["encoding"][video], unit, rtol=1e-5)
        expected = 1 / (1 + np.exp(-(unit @ kernel + bias)))
        np.testing.assert_allclose(outputs["predictions"][video], expected, rtol=1e-5)


def test_moe_model_mixes_experts_on_unit_vectors():
    model = create_model("MoeModel", ("mean_rgb",), (WIDTH,), num_classes=NUM_CLASSES, moe_num_mixtures=3)
    unit = MEAN_FEATURES / np.linalg.norm(MEAN_FEATURES, axis=1, keepdims=True)
    for scale in (1, 100):
        predictions = model({"features": scale * MEAN_FEATURES})["predictions"]
        np.testing.assert_allclose(predictions, model.classifier(unit), rtol=1e-5)


def test_mean_features_of_zero_are_no_error():
    model = create_model("MoeModel", ("mean_rgb",), (WIDTH,), num_classes=NUM_CLASSES)
    assert np.isfinite(model({"features": np.zeros((2, WIDTH), np.float32)})["predictions"]).all()


# ---- training


def test_dropout_acts_in_training_and_leaves_the_encoding_whole():
    model = small_model("FrameLevelLogisticModel", dropout_rate=0.5)
    expected = model(whole_videos(), training=False)
    dropped = model(whole_videos(), training=True)
    np.testing.assert_array_equal(dropped["encoding"], expected["encoding"])
    assert (dropped["predictions"][:4].numpy() != expected["predictions"][:4].numpy()).any()
    assert_same_outputs(model(whole_videos()), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", FRAME_LEVEL_MODELS)
def test_train_step_is_one_step_down_the_mean_label_loss(name):
    model = small_model(name, num_sampled_frames=4)
    expected = hand_written_update(model, whole_videos(), LABELS, 0.1, no_penalty, plain_cross_entropy)
    loss = float(np.mean(plain_cross_entropy(LABELS.astype(np.float32), model(whole_videos())["predictions"])))
    model.compile(keras.optimizers.SGD(0.1), regularization_penalty=0.0)
    logs = model.train_step((as_tensors(whole_videos()), tf.constant(LABELS)))
    np.testing.assert_allclose(logs["loss"], loss, rtol=1e-5)
    assert float(logs["reg_loss"]) == 0
    for weight, value in zip(model.trainable_variables, expected):
        np.testing.assert_allclose(weight, value, rtol=1e-4, atol=1e-6, err_msg=weight.name)
    assert int(model.optimizer.iterations) == 1


@pytest.mark.parametrize("label_loss", ["HingeLoss", "SoftmaxLoss"])
def test_train_step_takes_other_label_losses(label_loss):
    model = create_model("MoeModel", ("mean_rgb",), (WIDTH,), num_classes=NUM_CLASSES)
    loss_of = LABEL_LOSSES[label_loss]
    labels = LABELS[:4]
    expected = hand_written_update(model, {"features": MEAN_FEATURES}, labels, 0.1, no_penalty, loss_of)
    model.compile(keras.optimizers.SGD(0.1), label_loss=loss_of, regularization_penalty=0.0)
    model.train_step(({"features": tf.constant(MEAN_FEATURES)}, tf.constant(labels)))
    for weight, value in zip(model.trainable_variables, expected):
        np.testing.assert_allclose(weight, value, rtol=1e-4, atol=1e-6)


def test_train_step_adds_the_weighted_penalty():
    """1e-8 / 2 * sum(w^2) over both kernels, times a regularization_penalty large enough to see."""
    model = create_model("MoeModel", ("mean_rgb",), (WIDTH,), num_classes=NUM_CLASSES)

    def penalty_of(model):
        kernels = model.classifier.gates.kernel, model.classifier.experts.kernel
        return 3e7 * 0.5e-8 * tf.add_n([tf.reduce_sum(kernel**2) for kernel in kernels])

    inputs, labels = {"features": MEAN_FEATURES}, LABELS[:4]
    penalty = float(penalty_of(model))
    expected = hand_written_update(model, inputs, labels, 0.1, penalty_of, plain_cross_entropy)
    model.compile(keras.optimizers.SGD(0.1), regularization_penalty=3e7)
    logs = model.train_step((as_tensors(inputs), tf.constant(labels)))
    np.testing.assert_allclose(logs["reg_loss"], penalty, rtol=1e-5)
    for weight, value in zip(model.trainable_variables, expected):
        np.testing.assert_allclose(weight, value, rtol=1e-4, atol=1e-6)


def test_fit_learns_and_logs_the_batch_metrics_of_the_tenth_step():
    keras.utils.set_random_seed(0)
    model = create_model("MoeModel", ("mean_rgb",), (WIDTH,), num_classes=NUM_CLASSES)
    model.compile(keras.optimizers.Adam(0.05))
    labels = np.eye(NUM_CLASSES, dtype=bool)[:4]
    batches = tf.data.Dataset.from_tensors(({"features": MEAN_FEATURES}, labels)).repeat(10)
    history = model.fit(batches, epochs=4, verbose=0).history
    assert set(history) == {"loss", "reg_loss", "hit_at_one", "perr", "gap"}
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["hit_at_one"][-1] == 1


def test_compile_keeps_its_arguments():
    model = create_model("MoeModel", ("mean_rgb",), (WIDTH,), num_classes=NUM_CLASSES)
    model.compile(keras.optimizers.SGD(0.1), hinge_loss, 2.0)
    assert (model.label_loss, model.regularization_penalty) == (hinge_loss, 2.0)
