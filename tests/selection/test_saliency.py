"""The classifier that reads the most salient frames."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_checks import run_layer_test
from tests.selection.exported import check_export
from yt8m_distill.analysis import model_cost
from yt8m_distill.data import RecordSchema
from yt8m_distill.models import ModelConfig, create_model, warm_start
from yt8m_distill.selection.saliency_scorer import SaliencyScorer
from yt8m_distill.stack import keras

SCHEMA = RecordSchema(("rgb", "audio"), (4, 2), frame_features=True, num_classes=3, max_frames=12)
NUM_FRAMES = np.array([12, 7, 2, 0], np.int32)
FRAMES = np.random.default_rng(3).integers(0, 256, (4, 12, 6)).astype(np.uint8)
INPUTS = {"frames": tf.constant(FRAMES), "num_frames": tf.constant(NUM_FRAMES)}
LABELS = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 1]], bool)
LSTM = {"lstm_cells": 3, "lstm_layers": 1}


def make_model(seed=1, k=4, model="LstmModel", frame_sampling="saliency", **changes):
    keras.utils.set_random_seed(seed)
    of_selection = {"saliency_inputs": "rgb:3", "saliency_hidden_size": 5, "saliency_window": 5}
    of_selection = of_selection if frame_sampling == "saliency" else {}
    return create_model(
        model,
        SCHEMA.feature_names,
        SCHEMA.feature_sizes,
        num_classes=3,
        max_frames=12,
        frame_sampling=frame_sampling,
        num_sampled_frames=k,
        **{**(LSTM if "Lstm" in model else {}), **of_selection, **changes},
    )


def test_scorer_meets_what_is_asked_of_every_layer():
    frames = np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32)
    config = {"columns": [0, 1, 5], "hidden_size": 4, "num_classes": 2}
    run_layer_test(SaliencyScorer, config, frames, num_weights=(3 + 1) * 4 + (4 + 1) * 2)


def test_scorer_reads_its_columns_only_and_takes_bytes():
    scorer = SaliencyScorer([0, 5])
    expected = scorer(FRAMES)
    others = FRAMES.copy()
    others[:, :, 1:5] = 0
    np.testing.assert_array_equal(scorer(others), expected)
    dequantized = FRAMES * np.float32(4 / 255) + np.float32(4 / 512 - 2)
    np.testing.assert_allclose(scorer(dequantized), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["LstmModel", "HierarchicalLstmModel", "FrameLevelLogisticModel"])
def test_makes_of_its_frames_what_the_network_makes_of_them(name):
    model = make_model(model=name)
    outputs = model.encode_and_classify(INPUTS)
    scores = outputs["frame_scores"].numpy()
    for video, count in enumerate(NUM_FRAMES):
        best = np.sort(np.argsort(-scores[video, :count], kind="stable")[:4])
        assert outputs["num_frames"][video] == len(best) == min(4, count)
        np.testing.assert_array_equal(outputs["frame_indices"][video, : len(best)], best)

    plain = make_model(seed=2, model=name, frame_sampling="uniform")
    warm_start(plain, model, "a plain model")
    frames = np.take_along_axis(FRAMES, outputs["frame_indices"].numpy()[:, :, None], axis=1)
    given = plain({"sampled_frames": frames, "num_sampled_frames": outputs["num_frames"]})
    np.testing.assert_allclose(outputs["predictions"], given["predictions"], atol=1e-6)


@pytest.mark.parametrize("objective", ["ac", "sal_cl", "sal_rank"])
def test_training_teaches_the_scorer_and_nothing_else(objective):
    model = make_model(saliency_objective=objective, dropout_rate=0.5, saliency_union_inputs="audio")
    before = model.get_weights()
    model.compile(keras.optimizers.Adam(0.01))
    losses = [float(model.train_step((INPUTS, tf.constant(LABELS)))["loss"]) for _ in range(12)]
    assert losses[-1] < losses[0]
    changed = {weight.name.split("/")[1] for weight, old in zip(model.weights, before) if np.any(weight.numpy() != old)}
    assert changed == {"saliency_scorer", "saliency_union_scorer"}
    assert [v.name.split("/")[1] for v in model.trainable_variables] == ["saliency_scorer"] * 4 + [
        "saliency_union_scorer"
    ] * 4


@pytest.mark.parametrize("objective", ["ac", "sal_cl", "sal_rank"])
def test_finds_the_frames_that_tell_the_class(objective):
    """One frame of ten shows the class, in the network's own terms; the scorer sees another column that marks it."""
    keras.utils.set_random_seed(2)
    random = np.random.default_rng(2)
    num_videos = 128
    places, classes = random.integers(0, 10, num_videos), random.integers(0, 3, num_videos)
    frames = np.abs(random.normal(0, 0.05, (num_videos, 10, 7))).astype(np.float32)
    frames[np.arange(num_videos), places, classes] = 1  # seen by the network
    frames[np.arange(num_videos), places, 3 + classes] = 1  # seen by the scorer
    inputs = {"frames": tf.constant(frames), "num_frames": tf.constant(np.full(num_videos, 10, np.int32))}
    labels = tf.constant(np.eye(3, dtype=bool)[classes])
    model = create_model(
        "FrameLevelLogisticModel",
        ("rgb", "audio"),
        (3, 4),
        num_classes=3,
        max_frames=10,
        frame_sampling="saliency",
        num_sampled_frames=1,
        saliency_inputs="audio",
        saliency_objective=objective,
        saliency_window=1,
        saliency_hidden_size=8,
    )
    kernel, bias = model.classifier.get_weights()
    model.classifier.set_weights([np.eye(*kernel.shape) * 8, bias - 4])
    model.compile(keras.optimizers.Adam(0.03))
    step = tf.function(lambda: model.train_step((inputs, labels)))
    for _ in range(150):
        step()
    outputs = model.encode_and_classify(inputs)
    assert np.mean(outputs["frame_indices"][:, 0] == places) > 0.95
    assert np.mean(np.argmax(outputs["predictions"], axis=1) == classes) > 0.95


def test_costs_the_scores_of_all_frames_and_the_chosen_ones():
    model = make_model(saliency_union_inputs="audio", saliency_union_objective="ac")
    cost = model_cost(model, num_frames=12)
    assert (cost["frames"], cost["num_choices"]) == (4, 12)
    assert cost["bytes_read"] == 4 * SCHEMA.feature_width + 8 * 5  # the 5 values of the frames not chosen
    assert cost["selection_macs"] == 12 * (3 * 5 + 5) + 12 * (2 * 5 + 5 * 3)
    assert cost["encoder_macs"] == model_cost(make_model(frame_sampling="uniform"), 12)["encoder_macs"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": "LogisticModel", "feature_names": ("mean_rgb",)}, "reads mean features and has no frames to choose"),
        ({"num_sampled_frames": None}, "a whole number from 1 to 12"),
        ({"hyperparameters": {"saliency_objective": "sal"}}, "must be one of ac, sal_cl, sal_rank"),
        ({"hyperparameters": {"saliency_inputs": "video"}}, "must name features: rgb. Received: 'video'"),
        ({"hyperparameters": {"saliency_inputs": 3}}, "must be text"),
        (
            {
                "hyperparameters": {
                    "saliency_inputs": "rgb:2",
                    "saliency_union_inputs": "rgb",
                    "saliency_union_size": 4,
                }
            },
            "saliency_union_size=4 of num_sampled_frames=4 leaves the second scorer nothing",
        ),
    ],
)
def test_says_what_does_not_go_together(changes, message):
    config = {"model": "LstmModel", "feature_names": ("rgb",), "feature_sizes": (4,), "max_frames": 12}
    config.update(frame_sampling="saliency", num_sampled_frames=4)
    with pytest.raises(ValueError, match=message):
        ModelConfig(**{**config, **changes}).check_layers()


@pytest.mark.parametrize("k, size", [(10, 8), (5, 4), (4, 3), (2, 1)])
def test_the_first_of_two_scorers_chooses_four_frames_of_five(k, size):
    assert make_model(k=k, saliency_union_inputs="audio").union_size == size


def test_the_export_picks_the_same_frames_and_predicts_the_same(tmp_path):
    check_export(make_model(saliency_union_inputs="audio", saliency_union_size=2), tmp_path, num_frames=[12, 9, 1])


@pytest.mark.parametrize("objective", ["ac", "sal_rank"])
def test_trains_in_mixed_precision_too(objective):
    expected = make_model()(INPUTS)["predictions"]
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed = make_model(saliency_objective=objective)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    if objective == "sal_rank":  # the same scorer
        np.testing.assert_allclose(mixed(INPUTS)["predictions"], expected, atol=0.02)
    mixed.compile(keras.optimizers.Adam(0.01))
    assert np.isfinite(float(mixed.train_step((INPUTS, tf.constant(LABELS)))["loss"]))
