import math

import numpy as np
import pytest

from tests.layer_checks import run_layer_test
from yt8m_distill.models.encoders.attention_pooling import AttentionPooling

WIDTH, SLOTS, HIDDEN, HEADS = 3, 5, 4, 2
NUM_FRAMES = np.array([5, 3, 1, 0], np.int32)
FEATURES = np.random.default_rng(11).normal(size=(len(NUM_FRAMES), SLOTS, WIDTH)).astype(np.float32)
CONFIG = {"hidden_size": HIDDEN, "num_layers": 2, "num_heads": HEADS, "attention_dropout": 0.2}

# Four projections and the feed-forward network with their biases, and two layer normalisations.
LAYER_WEIGHTS = 4 * (HIDDEN * HIDDEN + HIDDEN) + (HIDDEN * 16 + 16) + (16 * HIDDEN + HIDDEN) + 4 * HIDDEN


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def normalize(states, layer):
    mean, variance = states.mean(axis=-1, keepdims=True), states.var(axis=-1, keepdims=True)
    return (states - mean) / np.sqrt(variance + layer.epsilon) * layer.gamma.numpy() + layer.beta.numpy()


def gelu(x):
    return np.vectorize(lambda value: value * 0.5 * (1 + math.erf(value / np.sqrt(2))))(x)


def encode_in_numpy(frames, layer):
    """One video without padding, head by head."""
    positions = np.arange(len(frames))
    angles = positions[:, None] / 10000 ** (np.arange(0, HIDDEN, 2) / HIDDEN)
    states = normalize(frames @ layer.projection.kernel.numpy() + layer.projection.bias.numpy(), layer.projection_norm)
    states = states + np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
    for block in layer.transformer_layers:
        query_kernel, query_bias, key_kernel, key_bias, value_kernel, value_bias, output_kernel, output_bias = (
            block.attention.get_weights()
        )
        normalized = normalize(states, block.attention_norm)
        attended = np.zeros_like(states) + output_bias
        for head in range(HEADS):
            query = normalized @ query_kernel[:, head] + query_bias[head]
            key = normalized @ key_kernel[:, head] + key_bias[head]
            value = normalized @ value_kernel[:, head] + value_bias[head]
            attended += softmax(query @ key.T / np.sqrt(HIDDEN // HEADS)) @ value @ output_kernel[head]
        states = states + attended
        widened = normalize(states, block.feed_forward_norm) @ block.widen.kernel.numpy() + block.widen.bias.numpy()
        states = states + gelu(widened) @ block.narrow.kernel.numpy() + block.narrow.bias.numpy()
    states = normalize(states, layer.final_norm)
    weights = softmax((states @ layer.pooling_scores.kernel.numpy()).T)  # [heads, frames]
    size = HIDDEN // HEADS
    return np.concatenate([weights[h] @ states[:, h * size : (h + 1) * size] for h in range(HEADS)])


def test_meets_what_is_asked_of_every_layer():
    num_weights = WIDTH * HIDDEN + HIDDEN + 2 * HIDDEN + 2 * LAYER_WEIGHTS + 2 * HIDDEN + HIDDEN * HEADS
    run_layer_test(AttentionPooling, CONFIG, FEATURES, NUM_FRAMES, num_weights=num_weights)


def test_equals_numpy():
    layer = AttentionPooling(**CONFIG)
    encodings = layer(FEATURES, NUM_FRAMES)["encoding"].numpy()
    assert encodings.shape == (len(NUM_FRAMES), HIDDEN)
    for video, num_frames in enumerate(NUM_FRAMES):
        expected = encode_in_numpy(FEATURES[video, :num_frames], layer) if num_frames else np.zeros(HIDDEN)
        np.testing.assert_allclose(encodings[video], expected, rtol=1e-3, atol=1e-5)


def test_the_order_of_frames_matters():
    layer = AttentionPooling(**CONFIG)
    reversed_frames = FEATURES[:1, ::-1]
    assert not np.allclose(
        layer(FEATURES[:1], NUM_FRAMES[:1])["encoding"], layer(reversed_frames, NUM_FRAMES[:1])["encoding"], atol=1e-3
    )


def test_counts_the_products_of_frames_and_of_pairs_of_frames():
    layer = AttentionPooling(**CONFIG)
    layer(FEATURES, NUM_FRAMES)
    a_frame = WIDTH * HIDDEN + 2 * 12 * HIDDEN * HIDDEN + HIDDEN * HEADS + HIDDEN
    assert layer.macs(5) == 5 * a_frame + 2 * (2 * 5 * 5 * HIDDEN)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="attention_heads=3 must divide attention_hidden_size=4"):
        AttentionPooling(4, num_heads=3)
