"""The classifier that chooses its frames: which it reads, what it makes of them, how it learns, what it exports."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.selection.exported import check_export
from yt8m_distill.analysis import model_cost
from yt8m_distill.data import RecordSchema
from yt8m_distill.models import ModelConfig, create_model, warm_start
from yt8m_distill.models.shapes import build_without_values
from yt8m_distill.stack import keras

SCHEMA = RecordSchema(("rgb", "audio"), (4, 2), frame_features=True, num_classes=3, max_frames=20)
NUM_FRAMES = np.array([20, 9, 4, 1, 0], np.int32)
FRAMES = np.random.default_rng(3).integers(0, 256, (5, 20, 6)).astype(np.uint8)
INPUTS = {"frames": tf.constant(FRAMES), "num_frames": tf.constant(NUM_FRAMES)}
LABELS = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 1], [0, 1, 0]], bool)
SKIPS = {"skip_min": 3, "skip_max": 7}  # 3, 4, 5 or 6


def make_model(seed=1, k=4, model="LstmModel", frame_sampling="skip_frame", **changes):
    keras.utils.set_random_seed(seed)
    cells = {"gru_cells": 3, "gru_layers": 2} if model == "GruModel" else {"lstm_cells": 3, "lstm_layers": 2}
    of_selection = SKIPS if frame_sampling == "skip_frame" else {}
    return create_model(
        model,
        SCHEMA.feature_names,
        SCHEMA.feature_sizes,
        num_classes=3,
        max_frames=20,
        frame_sampling=frame_sampling,
        num_sampled_frames=k,
        **{**cells, **of_selection, **changes},
    )


def always_skip(model, frames):
    """Makes the policy take one skip, whatever the state."""
    head = model.policy.action_head
    head.kernel.assign(tf.zeros_like(head.kernel))
    head.bias.assign(tf.where(tf.constant(model.policy.skips) == frames, 50.0, 0.0))


# ---- which frames, and what comes of them


@pytest.mark.parametrize(
    "end, indices, num_read",
    [
        ("stop", [[0, 5, 10, 15], [0, 5, 8, 8], [0, 3, 3, 3], [0] * 4, [0] * 4], [4, 2, 1, 1, 0]),
        ("clamp", [[0, 5, 10, 15], [0, 5, 8, 8], [0, 3, 3, 3], [0] * 4, [0] * 4], [4, 4, 4, 4, 0]),
    ],
)
def test_goes_on_by_the_skips_until_the_end_of_the_video(end, indices, num_read):
    model = make_model(skip_end=end)
    always_skip(model, 5)
    outputs = model.encode_and_classify(INPUTS)
    np.testing.assert_array_equal(outputs["frame_indices"], indices)
    np.testing.assert_array_equal(outputs["num_frames"], num_read)


@pytest.mark.parametrize("model_name", ["LstmModel", "GruModel"])
@pytest.mark.parametrize("end", ["stop", "clamp"])
def test_makes_of_its_frames_what_a_model_makes_that_is_given_them(model_name, end):
    model = make_model(model=model_name, skip_end=end, skip_min=1, skip_max=9)
    chosen = model.encode_and_classify(INPUTS)
    assert len(set(map(tuple, np.diff(chosen["frame_indices"][:3]).tolist()))) == 3  # each video goes its own way

    plain = make_model(seed=2, model=model_name, frame_sampling="uniform")
    warm_start(plain, model, "a plain model")
    frames = np.take_along_axis(FRAMES, chosen["frame_indices"].numpy()[:, :, None], axis=1)
    given = plain({"sampled_frames": frames, "num_sampled_frames": chosen["num_frames"]})
    np.testing.assert_allclose(chosen["predictions"], given["predictions"], atol=1e-6)
    np.testing.assert_allclose(chosen["encoding"], given["encoding"], atol=1e-6)


def test_reads_no_frame_that_it_has_not_chosen():
    model = make_model()
    expected = model.encode_and_classify(INPUTS)
    dequantized = FRAMES * np.float32(4 / 255) + np.float32(4 / 512 - 2)
    unread = np.full_like(dequantized, np.nan)
    for row, (indices, count) in enumerate(zip(expected["frame_indices"].numpy(), expected["num_frames"].numpy())):
        unread[row, indices[:count]] = dequantized[row, indices[:count]]
    outputs = model({"frames": unread, "num_frames": NUM_FRAMES})
    np.testing.assert_allclose(outputs["predictions"], expected["predictions"], atol=1e-6)


def test_costs_its_frames_and_its_decisions():
    config = ModelConfig("LstmModel", ("rgb",), (4,), num_classes=2, num_sampled_frames=10)
    plain = build_without_values(config)
    model = build_without_values(dataclasses.replace(config, frame_sampling="skip_frame"))
    cost = model_cost(model)
    assert cost["frames"] == 10
    assert cost["layers"]["skip_policy/action_head"] == cost["selection_macs"] == 9 * 81_920
    assert cost["macs"] == model_cost(plain)["macs"] + 9 * 81_920
    assert (cost["num_choices"], cost["bytes_read"]) == (9, 10 * 4)
    assert model_cost(model, num_frames=3)["selection_macs"] == 2 * 81_920
    clamping = dataclasses.replace(model.model_config, hyperparameters={"skip_end": "clamp"})
    cost = model_cost(build_without_values(clamping), num_frames=3)  # the last frame again and again
    assert (cost["frames"], cost["num_choices"]) == (10, 9)


# ---- learning


def losses_by_hand(model, outputs):
    """The policy's loss of each video, without the package's functions."""
    policy = {name: value.numpy() for name, value in outputs["policy"].items()}
    frame_states, num_decisions = outputs["frame_states"], model.num_sampled_frames - 1
    is_decision = policy["is_decision"]
    earned = np.zeros(is_decision.shape)
    for video, labels in enumerate(LABELS.astype(np.float64)):
        after = [model.classifier(frame_states[video : video + 1, step]).numpy()[0] for step in range(4)]
        entropy = [-(np.log(np.where(labels > 0, p, 1 - p) + 1e-6)).sum() / labels.sum() for p in after]
        order = labels[np.argsort(-after[-1])]
        average_precision = sum(order[: rank + 1].mean() for rank in range(3) if order[rank]) / labels.sum()
        earned[video] = {
            "immediate": [entropy[step] - entropy[-1] for step in range(num_decisions)],
            "delayed": [-entropy[-1]] * num_decisions,
            "gap": [average_precision] * num_decisions,
        }[model.reward]
    advantages, is_judged = earned.copy(), is_decision.copy()
    for video, step in np.argwhere(is_decision) if model.baseline != "none" else ():
        others = [earned[other, step] for other in range(len(LABELS)) if other != video and is_decision[other, step]]
        is_judged[video, step] = bool(others)
        advantages[video, step] -= np.mean(others) if others else 0.0
        advantages[video, step] -= policy["values"][video, step] if model.baseline == "value" else 0.0
    advantages = np.where(is_judged, advantages, 0.0) / np.sqrt(np.mean(advantages[is_judged] ** 2))
    losses = -advantages * policy["log_probs"]
    losses += 0.5 * advantages**2 if model.baseline == "value" else 0.0
    losses -= model.entropy_weight * policy["entropies"]
    return np.where(is_decision, losses, 0.0).sum(axis=1)


@pytest.mark.parametrize("reward", ["immediate", "delayed", "gap"])
@pytest.mark.parametrize("baseline", ["value", "batch", "none"])
def test_the_policys_loss(reward, baseline):
    model = make_model(skip_reward=reward, skip_baseline=baseline, skip_entropy=0.3)
    outputs = model.encode_and_classify(INPUTS, training=True)
    assert outputs["policy"]["is_decision"].numpy().sum(axis=1).tolist()[3:] == [1, 0]
    expected = losses_by_hand(model, outputs)  # rewards are small differences of cross entropies
    np.testing.assert_allclose(model.selection_losses(outputs, LABELS), expected, rtol=1e-4, atol=1e-4)


def test_a_batch_of_one_video_has_no_other_to_compare_with():
    model = make_model(skip_baseline="batch")
    outputs = model.encode_and_classify({name: value[:1] for name, value in INPUTS.items()}, training=True)
    losses = model.selection_losses(outputs, LABELS[:1])
    policy = outputs["policy"]
    entropy = tf.reduce_sum(tf.where(policy["is_decision"], policy["entropies"], 0.0))
    assert float(losses[0]) == pytest.approx(-model.entropy_weight * float(entropy))


@pytest.mark.parametrize("baseline", ["value", "batch", "none"])
def test_a_replica_without_a_video_trains_nothing(baseline):
    model = make_model(skip_baseline=baseline, policy_backprop=True)
    with tf.GradientTape() as tape:
        outputs = model.encode_and_classify({name: value[:0] for name, value in INPUTS.items()}, training=True)
        loss = tf.reduce_sum(model.selection_losses(outputs, LABELS[:0]))
    gradients = tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero")
    assert all(not np.any(tf.convert_to_tensor(gradient)) for gradient in gradients)


@pytest.mark.parametrize("backprop", [False, True])
def test_the_policy_trains_the_recurrent_layers_only_where_it_is_told_to(backprop):
    model = make_model(policy_backprop=backprop)
    with tf.GradientTape() as tape:
        outputs = model.encode_and_classify(INPUTS, training=True)
        loss = tf.reduce_sum(model.selection_losses(outputs, LABELS))
    gradients = tape.gradient(loss, model.encoder.trainable_weights)
    assert all((gradient is not None) == backprop for gradient in gradients)


@pytest.mark.parametrize("reward", ["immediate", "delayed", "gap"])
def test_learns_the_best_policy(reward):
    """The first frame says how far on the only other frame lies that says anything: its class is the video's."""
    keras.utils.set_random_seed(4)
    random = np.random.default_rng(4)
    num_videos, skips = 256, (2, 3, 4, 5)
    clues, classes = random.integers(0, 4, num_videos), random.integers(0, 3, num_videos)
    frames = np.zeros((num_videos, 8, 8), np.float32)
    frames[np.arange(num_videos), 0, clues] = 1
    frames[np.arange(num_videos), np.array(skips)[clues], 4 + classes] = 1
    inputs = {"frames": tf.constant(frames), "num_frames": tf.constant(np.full(num_videos, 8, np.int32))}
    labels = tf.constant(np.eye(3, dtype=bool)[classes])
    model = create_model(
        "LstmModel",
        ("rgb",),
        (8,),
        num_classes=3,
        max_frames=8,
        frame_sampling="skip_frame",
        num_sampled_frames=2,
        lstm_cells=8,
        lstm_layers=1,
        skip_min=2,
        skip_max=6,
        skip_reward=reward,
        video_level_classifier_model="LogisticModel",
    )
    model.compile(keras.optimizers.Adam(0.03))
    step = tf.function(lambda: model.train_step((inputs, labels)))
    for _ in range(150):
        logs = step()
    chosen = model.encode_and_classify(inputs)["frame_indices"][:, 1]
    assert np.mean(chosen == np.array(skips)[clues]) > 0.95
    assert np.mean(np.argmax(model(inputs)["predictions"], axis=1) == classes) > 0.95
    assert set(logs) >= {"reward", "entropy"} and float(logs["entropy"]) < np.log(4)


# ---- configuration, files, exports


def test_starts_from_a_model_of_evenly_spread_frames():
    model, uniform = make_model(seed=1), make_model(seed=2, frame_sampling="uniform")
    warm_start(model, uniform, "a policy")
    for copied, original in zip(model.encoder.get_weights(), uniform.encoder.get_weights()):
        np.testing.assert_array_equal(copied, original)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": "NetVLADModelLF"}, "from frame to frame: LstmModel or GruModel, not bidirectional. Received: NetVL"),
        ({"model": "LstmModel", "hyperparameters": {"bidirectional": True}}, "not bidirectional"),
        ({"num_sampled_frames": 1}, "a whole number from 2 to 20. Received: 1"),
        ({"num_sampled_frames": None}, "a whole number from 2 to 20. Received: None"),
        ({"num_sampled_frames": None, "frame_percent": 10}, "has no frame_percent"),
        ({"frame_jitter": True}, "has no .*frame_jitter"),
        ({"hyperparameters": {"skip_min": 7, "skip_max": 8}}, "must leave two skips or more"),
        ({"hyperparameters": {"skip_reward": "gold"}}, "skip_reward must be one of immediate, delayed, gap"),
        ({"frame_sampling": "uniform", "hyperparameters": {"skip_min": 7}}, "no hyperparameter 'skip_min'"),
    ],
)
def test_says_what_does_not_go_together(changes, message):
    config = {"model": "LstmModel", "frame_sampling": "skip_frame", "num_sampled_frames": 4, "max_frames": 20}
    with pytest.raises(ValueError, match=message):
        ModelConfig(feature_names=("rgb",), feature_sizes=(4,), **{**config, **changes})


def test_the_same_policy_reads_fewer_frames():
    config = make_model(k=4).model_config.with_num_sampled_frames(2)
    assert config.build().encode_and_classify(INPUTS)["frame_indices"].shape == (5, 2)
    assert "skip_min" not in config.reading_all_frames().hyperparameters
    assert [weight.shape for weight in config.build().weights] == [weight.shape for weight in make_model(k=4).weights]


def test_the_export_picks_the_same_frames_and_predicts_the_same(tmp_path):
    check_export(make_model(skip_min=1, skip_max=9), tmp_path, num_frames=[20, 9, 4, 1])


@pytest.mark.parametrize("baseline", ["value", "batch"])
def test_trains_in_mixed_precision_too(baseline):
    expected = make_model()(INPUTS)["predictions"]
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed = make_model(skip_baseline=baseline, skip_reward="immediate")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert mixed(INPUTS)["predictions"].dtype == tf.float32
    np.testing.assert_allclose(mixed(INPUTS)["predictions"], expected, atol=0.02)
    mixed.compile(keras.optimizers.Adam(0.01))
    logs = mixed.train_step((INPUTS, tf.constant(LABELS)))
    assert np.isfinite(float(logs["loss"])) and all(weight.dtype == tf.float32 for weight in mixed.weights)
