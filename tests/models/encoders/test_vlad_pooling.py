import importlib

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_checks import run_layer_test
from yt8m_distill.models.encoders.nextvlad import NextVladPooling
from yt8m_distill.models.encoders.vlad_pooling import VladPooling
from yt8m_distill.stack import addons, keras

SIZE, SLOTS, CLUSTERS = 3, 6, 4
NUM_FRAMES = np.array([6, 4, 1, 0])
FEATURES = np.random.default_rng(4).normal(size=(len(NUM_FRAMES), SLOTS, SIZE)).astype(np.float32)
IS_FRAME = np.arange(SLOTS) < NUM_FRAMES[:, None]
VARIANTS = {"netvlad": SIZE * CLUSTERS, "netrvlad": SIZE * CLUSTERS, "softdbow": CLUSTERS}
EPSILON = 1e-3  # of the batch normalisation, whose fresh moving averages are 0 and 1


def pool_in_loops(frames, kernel, anchors, variant):
    """The pooled vector of one video, frame by frame, cluster by cluster."""
    total = [0.0] * CLUSTERS
    vectors = [np.zeros(SIZE) for _ in range(CLUSTERS)]
    for frame in frames:
        scores = np.array([frame @ kernel[:, k] for k in range(CLUSTERS)]) / np.sqrt(1 + EPSILON)
        weights = np.exp(scores) / np.exp(scores).sum()
        for k in range(CLUSTERS):
            total[k] += weights[k]
            vectors[k] = vectors[k] + weights[k] * (frame - anchors[:, k] if variant == "netvlad" else frame)
    if variant == "softdbow":
        return unit(np.array(total))
    vectors = [unit(vector) for vector in vectors]
    return unit(np.array([vectors[k][i] for i in range(SIZE) for k in range(CLUSTERS)]))


def unit(vector):
    length = np.linalg.norm(vector)
    return vector / length if length else vector


@pytest.mark.parametrize("variant", VARIANTS)
def test_meets_what_is_asked_of_every_layer(variant):
    num_weights = SIZE * CLUSTERS + 2 * CLUSTERS + (SIZE * CLUSTERS if variant == "netvlad" else 0)
    config = {"cluster_size": CLUSTERS, "variant": variant, "add_batch_norm": True}
    run_layer_test(VladPooling, config, FEATURES, IS_FRAME, num_weights=num_weights)


@pytest.mark.parametrize("variant, width", VARIANTS.items())
def test_equals_a_loop_over_frames_and_clusters(variant, width):
    layer = VladPooling(CLUSTERS, variant)
    pooled = layer(FEATURES, IS_FRAME).numpy()
    assert pooled.shape == (len(NUM_FRAMES), width)
    anchors = layer.anchors.numpy() if variant == "netvlad" else None
    for video, num_frames in enumerate(NUM_FRAMES):
        expected = pool_in_loops(FEATURES[video, :num_frames], layer.assignment.dense.kernel.numpy(), anchors, variant)
        np.testing.assert_allclose(pooled[video], expected, rtol=1e-4, atol=1e-6)


def test_equals_tensorflow_addons():
    """With tfa's bias as that of the batch normalisation."""
    try:
        addons()
    except ImportError as error:
        pytest.skip(str(error))
    reference = importlib.import_module("tensorflow_addons.layers.netvlad").NetVLAD(CLUSTERS)
    layer = VladPooling(CLUSTERS)
    layer(FEATURES, IS_FRAME)
    random = np.random.default_rng(5)
    kernel, anchors = (random.normal(size=(SIZE, CLUSTERS)).astype(np.float32) for _ in range(2))
    bias = random.normal(size=CLUSTERS).astype(np.float32)
    full = FEATURES[:1]
    reference(full)
    by_name = {weight.name: weight for weight in reference.weights}
    assert len(by_name) == 3
    for name, weight in by_name.items():
        weight.assign(kernel if "kernel" in name else bias if "bias" in name else anchors[None])
    layer.assignment.dense.kernel.assign(kernel)
    layer.anchors.assign(anchors)
    layer.assignment.batch_norm.beta.assign(bias)
    layer.assignment.batch_norm.moving_variance.assign(np.full(CLUSTERS, 1 - EPSILON))
    np.testing.assert_allclose(layer(full, IS_FRAME[:1]), reference(full), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_enters_neither_the_vector_nor_the_statistics(variant):
    noisy = FEATURES.copy()
    noisy[~IS_FRAME] = 1e3
    results = []
    for features in (FEATURES * IS_FRAME[:, :, None], noisy):
        layer = VladPooling(CLUSTERS, variant)
        layer(FEATURES, IS_FRAME)
        layer.set_weights([np.linspace(-1, 1, w.size).reshape(w.shape) ** 2 for w in layer.get_weights()])
        results += [[layer(features, IS_FRAME, training=True).numpy(), *layer.get_weights()]]
    for of_zeros, of_noise in zip(*results):
        np.testing.assert_array_equal(of_noise, of_zeros)


def test_a_video_without_frames_is_zero():
    np.testing.assert_array_equal(VladPooling(CLUSTERS)(FEATURES, IS_FRAME)[-1], np.zeros(SIZE * CLUSTERS))


@pytest.mark.parametrize(
    "make_pooling",
    [lambda: VladPooling(CLUSTERS), lambda: NextVladPooling(CLUSTERS, groups=1)],
    ids=["vlad", "nextvlad"],
)
def test_a_video_without_frames_has_a_finite_gradient_in_float16(make_pooling):
    """The length of a vector of zeros has none."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        layer, features = make_pooling(), tf.constant(FEATURES)
        with tf.GradientTape() as tape:
            tape.watch(features)
            pooled = tf.cast(layer(features, IS_FRAME, training=True), tf.float32)
            loss = tf.reduce_sum(pooled * np.random.default_rng(0).normal(size=pooled.shape))
        gradients = tape.gradient(loss, [features, *layer.trainable_weights])
    finally:
        keras.mixed_precision.set_global_policy("float32")
    for gradient in gradients:
        assert np.isfinite(gradient).all()
    assert gradients[0].numpy()[0].any() and not gradients[0].numpy()[-1].any()


def test_rejects_an_unknown_variant():
    with pytest.raises(ValueError, match=r"variant must be one of netvlad, netrvlad, softdbow. Received: 'fv'"):
        VladPooling(4, "fv")
