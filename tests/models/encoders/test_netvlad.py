import numpy as np
import pytest

from tests.layer_checks import run_layer_test
from yt8m_distill.models.encoders.netvlad import NetVlad

SIZES, SLOTS = [4, 2], 5
NUM_FRAMES = np.array([5, 3, 1, 0], np.int32)
FEATURES = np.random.default_rng(6).normal(size=(len(NUM_FRAMES), SLOTS, sum(SIZES))).astype(np.float32)
CONFIG = {"feature_sizes": SIZES, "cluster_size": 4, "hidden_size": 3}
POOLED = 4 * 4 + 2 * 2  # dimensions times clusters, of both features


@pytest.mark.parametrize(
    "changes, num_weights",
    [
        # Input norm; kernels, norms and anchors of 4 and 2 clusters; hidden kernel and bias; gates and their norm.
        ({}, 12 + (16 + 8 + 16) + (4 + 4 + 4) + POOLED * 3 + 3 + 9 + 6),
        ({"variant": "netrvlad", "gating": False, "relu": True}, 12 + (16 + 8) + (4 + 4) + POOLED * 3 + 6),
        ({"variant": "softdbow", "add_batch_norm": False}, (16 + 4) + (4 + 2) + (4 + 2) * 3 + 3 + 9 + 3),
    ],
)
def test_meets_what_is_asked_of_every_layer(changes, num_weights):
    defaults = {"variant": "netvlad", "relu": False, "gating": True, "add_batch_norm": True}
    run_layer_test(NetVlad, {**CONFIG, **defaults, **changes}, FEATURES, NUM_FRAMES, num_weights=num_weights)


def test_features_have_clusters_of_their_own():
    """The hidden layer reads the pooled vector of each feature, side by side."""
    layer = NetVlad(**CONFIG)
    layer(FEATURES, NUM_FRAMES)
    is_frame = np.arange(SLOTS) < NUM_FRAMES[:, None]
    assert [pooling.cluster_size for pooling in layer.poolings] == [4, 2]
    normalized = layer.input_norm(FEATURES)
    rgb, audio = (pooling(part, is_frame) for pooling, part in zip(layer.poolings, np.split(normalized, [4], axis=-1)))
    hidden = np.concatenate([rgb, audio], axis=-1) @ layer.hidden.dense.kernel + layer.hidden.dense.bias
    np.testing.assert_allclose(layer(FEATURES, NUM_FRAMES)["encoding"], layer.gating(hidden), rtol=1e-4, atol=1e-6)


def test_relu_is_bounded_by_six():
    layer = NetVlad(**CONFIG, relu=True, gating=False)
    layer(FEATURES, NUM_FRAMES)
    layer.hidden.batch_norm.beta.assign([100.0, -100.0, 0.0])
    encoding = layer(FEATURES, NUM_FRAMES)["encoding"].numpy()
    assert (encoding[:, 0] == 6).all() and (encoding[:, 1] == 0).all()


def test_counts_the_products_of_the_published_network():
    """algorithms of "Gated NetVLAD 256": 557,056 a frame, 285,212,672 of the hidden layer, 1,048,576 of its gating."""
    layer = NetVlad((1024, 128))
    layer(np.zeros((1, 2, 1152), np.float32), np.array([2]))
    assert layer.macs(300) == 300 * 557_056 + 278_528 * 1024 + 1024 * 1024
