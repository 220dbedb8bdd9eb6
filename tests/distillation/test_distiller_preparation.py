"""Gradient accumulation, mixup and label smoothing in a distillation: the same for teacher and student."""

import numpy as np
import pytest
import tensorflow as tf

from tests.distillation.small_models import DATA, INPUTS, LABELS, make_pair
from yt8m_distill.distillation import DistillationConfig, Distiller
from yt8m_distill.models import BatchPreparation, Mixup
from yt8m_distill.models.label_losses import cross_entropy_loss
from yt8m_distill.stack import keras

MIXUP = Mixup(0.4, seed=6)


def step_of(pair, config, preparation, rate=0.0):
    """The log of one step."""
    distiller = Distiller(*pair, config)
    optimizers = [keras.optimizers.SGD(rate) for _ in range(2 if config.scheme == "parallel" else 1)]
    distiller.compile(*optimizers, regularization_penalty=1e6, preparation=preparation)
    return distiller, {name: float(value) for name, value in distiller.train_step(DATA).items()}


def test_accumulated_gradients_make_the_step_of_the_whole_batch_for_both_models():
    config = DistillationConfig("parallel", ("rep", "pred", "ce", "int"), pred_reduction="sum")
    results = []
    for num_slices in (1, 2, 7):  # of five videos
        pair = make_pair()
        before = [model.get_weights() for model in pair]
        distiller, logs = step_of(pair, config, BatchPreparation(num_slices), rate=0.1)
        assert int(distiller.optimizer.iterations) == int(distiller.teacher_optimizer.iterations) == 1
        results.append((logs, [model.get_weights() for model in pair]))
    (logs, weights), *others = results
    assert logs["reg_loss"] > 0 and logs["teacher_loss"] > 0
    assert any((old != new).any() for old, new in zip(before[0], weights[0]))
    for other_logs, other_weights in others:
        for name in logs:
            np.testing.assert_allclose(other_logs[name], logs[name], rtol=1e-4, err_msg=name)
        for model, other_model in zip(weights, other_weights):
            for weight, other in zip(model, other_model):
                np.testing.assert_allclose(other, weight, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def pair():
    return make_pair()


def test_teacher_and_student_see_the_same_mixed_encodings(pair):
    config = DistillationConfig("serial", ("rep", "pred", "ce"), prediction_kl="bernoulli")
    _, logs = step_of(pair, config, BatchPreparation(mixup=MIXUP))
    mix = MIXUP.draw(len(LABELS), 0)
    shares, partners = mix.shares.numpy()[:, None], mix.partners.numpy()
    teacher, student = (
        shares * encoding + (1 - shares) * encoding[partners]
        for encoding in (model(INPUTS)["encoding"].numpy() for model in pair)
    )
    labels = shares * LABELS + (1 - shares) * LABELS[partners]
    np.testing.assert_allclose(logs["rep_loss"], ((teacher - student) ** 2).sum() / 5, rtol=1e-4)
    p, q = (model.classifier(encoding).numpy() for model, encoding in zip(pair, (teacher, student)))
    divergence = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum() / 5
    np.testing.assert_allclose(logs["pred_loss"], divergence, rtol=1e-3)
    cross_entropy = -(labels * np.log(q + 1e-5) + (1 - labels) * np.log(1 - q + 1e-5)).sum() / 5
    np.testing.assert_allclose(logs["ce_loss"], cross_entropy, rtol=1e-4)


def test_teacher_and_student_see_the_same_mixed_frames(pair):
    mixup = Mixup(0.4, "frames", seed=6)
    _, logs = step_of(pair, DistillationConfig("serial", ("rep",)), BatchPreparation(mixup=mixup))
    mix = mixup.draw(len(LABELS), 0)
    teacher, student = (model.encode_and_classify(INPUTS, mix=mix)["encoding"].numpy() for model in pair)
    assert (teacher != pair[0](INPUTS)["encoding"].numpy()).any()
    np.testing.assert_allclose(logs["rep_loss"], ((teacher - student) ** 2).sum() / 5, rtol=1e-4)


def test_a_parallel_teacher_learns_the_mixed_and_smoothed_labels():
    pair = make_pair()
    config = DistillationConfig("parallel", ("ce",))
    _, logs = step_of(pair, config, BatchPreparation(label_smoothing=0.2, mixup=MIXUP))
    mix = MIXUP.draw(len(LABELS), 0)
    labels = 0.8 * mix(tf.constant(LABELS, tf.float32)) + 0.1
    for model, name in zip(pair, ("teacher_loss", "ce_loss")):
        predictions = model.encode_and_classify(INPUTS, mix=mix)["predictions"]
        np.testing.assert_allclose(logs[name], np.mean(cross_entropy_loss(labels, predictions)), rtol=1e-4)


def test_testing_neither_mixes_nor_smooths(pair):
    config = DistillationConfig("serial", ("rep", "ce"))
    plain, _ = step_of(pair, config, BatchPreparation())
    expected = {name: float(value) for name, value in plain.test_step(DATA).items()}
    prepared, logs = step_of(pair, config, BatchPreparation(2, 0.2, MIXUP))
    received = {name: float(value) for name, value in prepared.test_step(DATA).items()}
    assert received == pytest.approx(expected) and logs["ce_loss"] != pytest.approx(expected["ce_loss"], rel=1e-3)
