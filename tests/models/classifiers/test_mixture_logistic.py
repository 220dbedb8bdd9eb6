import numpy as np

from tests.layer_checks import check_config, check_save_and_load
from yt8m_distill.models.classifiers import MixtureLogistic
from yt8m_distill.models.label_losses import hinge_loss
from yt8m_distill.stack import keras

RANDOM = np.random.default_rng(12)
NUM_BRANCHES, WIDTH, NUM_CLASSES = 3, 4, 5
CONFIG = {
    "num_classes": NUM_CLASSES,
    "num_branches": NUM_BRANCHES,
    "temperature": 2.0,
    "co_distillation_weight": 0.5,
    "l2": 0.01,
}
WEIGHTS = RANDOM.dirichlet(np.ones(NUM_BRANCHES), size=2)
BRANCHES = RANDOM.normal(size=(2, NUM_BRANCHES, WIDTH))
ENCODING = np.concatenate([BRANCHES.reshape(2, -1), WEIGHTS], axis=-1).astype(np.float32)
LABELS = np.array([[1, 0, 0, 1, 0], [0, 0, 0, 0, 1]], bool)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def make_layer():
    layer = MixtureLogistic(**CONFIG)
    layer(ENCODING)
    layer.set_weights([RANDOM.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


def logits_in_numpy(layer):
    weights = layer.get_weights()
    logits = [BRANCHES[:, m] @ weights[2 * m] + weights[2 * m + 1] for m in range(NUM_BRANCHES)]
    return np.stack(logits, axis=1)  # [B, M, C]


def test_has_its_weights_and_keeps_them():
    layer = make_layer()
    assert layer.count_params() == NUM_BRANCHES * (WIDTH + 1) * NUM_CLASSES
    assert layer.macs() == NUM_BRANCHES * WIDTH * NUM_CLASSES + NUM_BRANCHES * NUM_CLASSES
    check_config(layer, CONFIG, (ENCODING,))
    check_save_and_load(layer, (ENCODING,))


def test_mixes_logits_not_probabilities():
    layer = make_layer()
    outputs = layer(ENCODING)
    branches = logits_in_numpy(layer)
    mixed = sum(WEIGHTS[:, m, None] * branches[:, m] for m in range(NUM_BRANCHES))
    np.testing.assert_allclose(outputs["branch_logits"], branches, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs["predictions"], sigmoid(mixed), rtol=1e-4, atol=1e-6)


def test_mixes_in_float32_under_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        outputs = make_layer()(ENCODING)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    branches = outputs["branch_logits"].numpy()
    expected = sum(ENCODING[:, m - NUM_BRANCHES, None] * branches[:, m] for m in range(NUM_BRANCHES))
    np.testing.assert_allclose(outputs["logits"], expected, rtol=1e-5, atol=1e-6)


def test_branches_learn_the_labels_and_the_mixture():
    layer = make_layer()
    outputs = layer(ENCODING)
    received = layer.auxiliary_losses(outputs, lambda predictions: hinge_loss(LABELS, predictions))
    branches = logits_in_numpy(layer)
    mixed = sum(WEIGHTS[:, m, None] * branches[:, m] for m in range(NUM_BRANCHES))
    expected = np.zeros(2)
    for video in range(2):
        target = np.exp(mixed[video] / 2)
        target /= target.sum()
        for m in range(NUM_BRANCHES):
            soft = np.exp(branches[video, m] / 2)
            soft /= soft.sum()
            expected[video] += 0.5 * np.sum(target * np.log(target / soft))
            signs = np.where(LABELS[video], 1, -1)
            expected[video] += np.maximum(0, 1 - signs * sigmoid(branches[video, m])).sum()
    np.testing.assert_allclose(received, expected, rtol=1e-4)


def test_penalizes_kernels_and_biases():
    layer = make_layer()
    expected = sum(0.01 / 2 * np.sum(weight.astype(float) ** 2) for weight in layer.get_weights())
    np.testing.assert_allclose(sum(float(loss) for loss in layer.losses), expected, rtol=1e-5)


def test_every_branch_starts_at_the_prior_probability():
    layer = MixtureLogistic(5, 2, prior_probability=0.01)
    outputs = layer(np.array([[0, 0, 0, 0, 0.3, 0.7]], np.float32))  # two encodings of 2, and the branches' weights
    np.testing.assert_allclose(outputs["predictions"], np.full((1, 5), 0.01), rtol=1e-5)
