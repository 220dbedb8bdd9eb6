import numpy as np
import pytest
import tensorflow as tf

from tests.layer_checks import run_layer_test
from yt8m_distill.models.encoders.dbof import DeepBagOfFrames
from yt8m_distill.stack import keras

WIDTH, SLOTS = 4, 6
NUM_FRAMES = np.array([6, 4, 1, 0], np.int32)
FEATURES = np.random.default_rng(10).normal(size=(len(NUM_FRAMES), SLOTS, WIDTH)).astype(np.float32)
CONFIG = {
    "iterations": 30,
    "cluster_size": 5,
    "hidden_size": 3,
    "pooling_method": "max",
    "activation": "sigmoid",
    "add_batch_norm": True,
    "sample_random_frames": True,
}
EPSILON = 1e-3  # of the batch normalisations, whose fresh moving averages are 0 and 1
ACTIVATIONS = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "relu6": lambda x: np.clip(x, 0, 6)}


@pytest.mark.parametrize(
    "changes, num_weights",
    [
        ({}, 2 * WIDTH + (WIDTH * 5 + 2 * 5) + (5 * 3 + 2 * 3)),
        ({"add_batch_norm": False, "pooling_method": "average"}, (WIDTH * 5 + 5) + (5 * 3 + 3)),
    ],
)
def test_meets_what_is_asked_of_every_layer(changes, num_weights):
    run_layer_test(DeepBagOfFrames, {**CONFIG, **changes}, FEATURES, NUM_FRAMES, num_weights=num_weights)


@pytest.mark.parametrize("pooling_method", ["max", "average"])
@pytest.mark.parametrize("activation", ["sigmoid", "relu6"])
def test_equals_a_loop_over_videos(pooling_method, activation):
    layer = DeepBagOfFrames(**{**CONFIG, "pooling_method": pooling_method, "activation": activation})
    encodings = layer(FEATURES, NUM_FRAMES)["encoding"].numpy()
    activate = ACTIVATIONS[activation]
    scale = 1 / np.sqrt(1 + EPSILON)
    for video, num_frames in enumerate(NUM_FRAMES):
        frames = FEATURES[video, :num_frames] * scale
        clusters = activate(frames @ layer.clusters.dense.kernel.numpy() * scale)
        pooled = np.zeros(5)
        if num_frames:
            pooled = clusters.max(axis=0) if pooling_method == "max" else clusters.mean(axis=0)
        expected = activate(pooled @ layer.hidden.dense.kernel.numpy() * scale)
        np.testing.assert_allclose(encodings[video], expected, rtol=1e-4, atol=1e-6)


def frames_used(num_frames, training, **config):
    """Which frames of videos of 20 slots reach the encoding: those that its gradient by the frames reaches."""
    layer = DeepBagOfFrames(
        **{**CONFIG, "iterations": 5, "pooling_method": "average", "add_batch_norm": False, **config}
    )
    features = tf.constant(np.random.default_rng(0).normal(size=(len(num_frames), 20, WIDTH)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(features)
        encoding = layer(features, tf.constant(num_frames), training=training)["encoding"]
    reached = np.abs(tape.gradient(encoding, features)).sum(axis=-1) > 0
    return [np.flatnonzero(row).tolist() for row in reached]


def test_spreads_frames_evenly_in_evaluation():
    used = frames_used([20, 12, 5, 3, 0], training=False)
    assert used == [[0, 4, 8, 12, 16], [0, 2, 4, 7, 9], [0, 1, 2, 3, 4], [0, 1, 2], []]


def test_draws_frames_of_the_video_in_training():
    keras.utils.set_random_seed(3)
    lengths = [20] * 40 + [3] * 40 + [0]
    used = frames_used(lengths, training=True)
    assert used[-1] == []
    assert {frame for frames in used[:40] for frame in frames} == set(range(20))
    assert {frame for frames in used[40:80] for frame in frames} == {0, 1, 2}
    assert max(map(len, used)) <= 5 and len({tuple(frames) for frames in used[:40]}) > 30


def test_draws_runs_of_consecutive_frames():
    keras.utils.set_random_seed(4)
    used = frames_used([20] * 60 + [3] * 5, training=True, sample_random_frames=False)
    for frames in used[:60]:
        assert frames == list(range(frames[0], frames[0] + 5))
    assert {frames[0] for frames in used[:60]} == set(range(16))
    assert used[60:] == [[0, 1, 2]] * 5


def test_frames_of_unknown_number_are_treated_alike():
    layer = DeepBagOfFrames(**{**CONFIG, "iterations": 3})
    expected = layer(FEATURES, NUM_FRAMES)["encoding"]
    signature = [tf.TensorSpec([None, None, WIDTH]), tf.TensorSpec([None], tf.int32)]
    encode = tf.function(lambda features, lengths: layer(features, lengths)["encoding"], input_signature=signature)
    np.testing.assert_allclose(encode(FEATURES, NUM_FRAMES), expected, rtol=1e-6)


def test_a_frame_budget_below_the_iterations_costs_less():
    layer = DeepBagOfFrames(**CONFIG)
    layer(FEATURES, NUM_FRAMES)
    assert layer.macs(300) == 30 * WIDTH * 5 + 5 * 3
    assert layer.macs(10) == 10 * WIDTH * 5 + 5 * 3


@pytest.mark.parametrize("name, value", [("pooling_method", "none"), ("activation", "tanh")])
def test_rejects_what_it_does_not_know(name, value):
    with pytest.raises(ValueError, match=f"{name} must be one of .* Received: '{value}'"):
        DeepBagOfFrames(**{**CONFIG, name: value})
