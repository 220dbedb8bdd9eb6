import numpy as np
import pytest

from tests.layer_checks import run_layer_test
from yt8m_distill.models.encoders.nextvlad import MixtureNextVlad, NextVlad, NextVladPooling

SIZES, SLOTS = [4, 2], 5
NUM_FRAMES = np.array([5, 3, 1, 0], np.int32)
FEATURES = np.random.default_rng(7).normal(size=(len(NUM_FRAMES), SLOTS, sum(SIZES))).astype(np.float32)
IS_FRAME = np.arange(SLOTS) < NUM_FRAMES[:, None]
CONFIG = {
    "feature_sizes": SIZES,
    "cluster_size": 4,
    "groups": 2,
    "expansion": 2,
    "hidden_size": 6,
    "gating_reduction": 2,
    "drop_rate": 0.25,
}
EPSILON = 1e-3  # of the batch normalisations, whose fresh moving averages are 0 and 1


def pooling_weights(size, clusters, groups):
    """Trainable values of one pooling with expansion 2, by hand."""
    width = 2 * size
    expand, attention = size * width + width, width * groups + groups
    assignment = width * groups * clusters + 2 * groups * clusters
    pooled = width // groups * clusters
    return expand + attention + assignment + pooled + 2 * pooled


# Pooled widths 8 / 2 * 4 = 16 and 4 / 1 * 2 = 8; the hidden layer of 6 and its norm; the gating 6 -> 3 -> 6.
ENCODER_WEIGHTS = pooling_weights(4, 4, 2) + pooling_weights(2, 2, 1) + (24 * 6 + 12) + (6 * 3 + 6 + 3 * 6)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def pool_in_loops(frames, layer):
    """The pooled vector of one video, frame by frame, group by group, cluster by cluster."""
    groups, clusters = layer.groups, layer.cluster_size
    anchors = layer.anchors.numpy()
    width = len(anchors)
    vectors = np.zeros((width, clusters))
    for frame in frames:
        expanded = frame @ layer.expand.kernel.numpy() + layer.expand.bias.numpy()
        attention = sigmoid(expanded @ layer.attention.kernel.numpy() + layer.attention.bias.numpy())
        scores = expanded @ layer.assignment.dense.kernel.numpy() / np.sqrt(1 + EPSILON)
        for g in range(groups):
            of_group = np.exp(scores[g * clusters : (g + 1) * clusters])
            of_group /= of_group.sum()
            for k in range(clusters):
                for j in range(width):
                    residual = expanded[g * width + j] - anchors[j, k]
                    vectors[j, k] += attention[g] * of_group[k] * residual
    lengths = np.linalg.norm(vectors, axis=0)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors.ravel() / np.sqrt(1 + EPSILON)


def test_pooling_equals_a_loop():
    layer = NextVladPooling(cluster_size=3, groups=2, expansion=2)
    features = FEATURES[:, :, :4]
    layer(features, IS_FRAME)
    random = np.random.default_rng(8)
    for weight in (layer.expand.bias, layer.attention.bias):
        weight.assign(random.normal(size=weight.shape))
    pooled = layer(features, IS_FRAME).numpy()
    assert pooled.shape == (len(NUM_FRAMES), 4 * 3)
    for video, num_frames in enumerate(NUM_FRAMES):
        expected = pool_in_loops(features[video, :num_frames], layer)
        np.testing.assert_allclose(pooled[video], expected, rtol=1e-3, atol=1e-6)


def test_pooling_has_the_weights_counted_by_hand():
    layer = NextVladPooling(cluster_size=4, groups=2, expansion=2)
    layer(FEATURES[:, :, :4], IS_FRAME)
    assert sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights) == pooling_weights(4, 4, 2)


def test_groups_must_divide_the_expanded_frame():
    with pytest.raises(ValueError, match=r"groups=3 must divide expansion \* feature size = 2 \* 4"):
        NextVladPooling(4, groups=3)(FEATURES[:, :, :4], IS_FRAME)


def test_encoder_meets_what_is_asked_of_every_layer():
    run_layer_test(NextVlad, CONFIG, FEATURES, NUM_FRAMES, num_weights=ENCODER_WEIGHTS)


def test_encoder_gates_the_hidden_layer_of_both_poolings():
    layer = NextVlad(**CONFIG)
    layer(FEATURES, NUM_FRAMES)
    assert [(pooling.cluster_size, pooling.groups) for pooling in layer.poolings] == [(4, 2), (2, 1)]
    parts = zip(layer.poolings, np.split(FEATURES, [4], axis=-1))
    pooled = np.concatenate([pooling(part, IS_FRAME) for pooling, part in parts], axis=-1)
    hidden = (pooled @ layer.hidden.dense.kernel.numpy() / np.sqrt(1 + EPSILON)).astype(np.float32)
    np.testing.assert_allclose(layer(FEATURES, NUM_FRAMES)["encoding"], layer.gating(hidden), rtol=1e-3, atol=1e-5)


def test_counts_the_products_of_the_published_network():
    """4,588,544 a frame, 75,497,472 of the hidden layer, 1,048,576 of its gating."""
    layer = NextVlad((1024, 128))
    layer(np.zeros((1, 1, 1152), np.float32), np.array([1]))
    assert layer.macs(300) == 300 * 4_588_544 + 36_864 * 2048 + 2 * 2048 * 256


def test_mixture_meets_what_is_asked_of_every_layer():
    num_weights = 2 * ENCODER_WEIGHTS + 2 * 6 + (6 * 2 + 2)
    run_layer_test(MixtureNextVlad, {"num_branches": 2, **CONFIG}, FEATURES, NUM_FRAMES, num_weights=num_weights)


def test_mixture_encodes_branches_and_their_weights():
    layer = MixtureNextVlad(num_branches=2, **CONFIG)
    encoding = layer(FEATURES, NUM_FRAMES)["encoding"].numpy()
    assert encoding.shape == (len(NUM_FRAMES), 2 * 6 + 2)
    for number, branch in enumerate(layer.branches):
        expected = branch(FEATURES, NUM_FRAMES)["encoding"]
        np.testing.assert_allclose(encoding[:, 6 * number : 6 * number + 6], expected, rtol=1e-5, atol=1e-6)
    for video, num_frames in enumerate(NUM_FRAMES):
        mean = FEATURES[video, :num_frames].mean(axis=0) if num_frames else np.zeros(6)
        scores = np.exp(mean / np.sqrt(1 + EPSILON) @ layer.mixture.kernel.numpy())
        np.testing.assert_allclose(encoding[video, -2:], scores / scores.sum(), rtol=1e-4)
    assert layer.macs(3) == 2 * layer.branches[0].macs(3) + 6 * 2
