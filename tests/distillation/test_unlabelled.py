"""Videos without labels teach the student what its teacher says of them, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf

from tests.distillation.small_models import INPUTS, LABELS, losses_by_hand, make_pair
from yt8m_distill.distillation import DistillationConfig, Distiller
from yt8m_distill.models import BatchPreparation
from yt8m_distill.stack import keras

IS_LABELLED = np.array([True, False, True, False, True])
WEIGHTS = tf.constant(IS_LABELLED[:, None], tf.float32)


@pytest.fixture(scope="module")
def pair():
    return make_pair()


def train_step(pair, labels, weights=None, num_slices=1):
    distiller = Distiller(*pair, DistillationConfig())
    preparation = BatchPreparation(num_slices)
    distiller.compile(keras.optimizers.SGD(0.0), preparation=preparation, regularization_penalty=0.0)
    distiller.optimizer.iterations.assign(9)  # a step whose metrics are logged
    data = (INPUTS, tf.constant(labels)) if weights is None else (INPUTS, tf.constant(labels), weights)
    return {name: float(value) for name, value in distiller.train_step(data).items()}


def test_only_labelled_videos_count_in_the_label_loss(pair):
    predictions = pair[1](INPUTS)["predictions"].numpy()[IS_LABELLED]
    likelihood = np.where(LABELS[IS_LABELLED], predictions, 1 - predictions)
    expected = -np.log(likelihood + 1e-5).sum() / len(LABELS)  # the mean over all videos of the step
    by_hand = losses_by_hand(*pair)
    no_label = LABELS & IS_LABELLED[:, None]
    for labels in (no_label, no_label | ~IS_LABELLED[:, None]):
        logs = train_step(pair, labels, WEIGHTS)
        np.testing.assert_allclose(logs["ce_loss"], expected, rtol=1e-5)
        np.testing.assert_allclose(logs["rep_loss"], by_hand["rep"], rtol=1e-4)
        np.testing.assert_allclose(logs["pred_loss"], by_hand["pred"], rtol=1e-4)


def test_slices_add_up(pair):
    labels = LABELS & IS_LABELLED[:, None]
    whole, cut = train_step(pair, labels, WEIGHTS), train_step(pair, labels, WEIGHTS, num_slices=2)
    for name in ("loss", "ce_loss", "rep_loss", "hit_at_one", "perr"):  # each slice has a GAP of its own
        np.testing.assert_allclose(cut[name], whole[name], rtol=1e-5, err_msg=name)


def test_all_labelled_is_as_without_weights(pair):
    with_weights, without = train_step(pair, LABELS, tf.ones([5, 1])), train_step(pair, LABELS)
    for name, value in without.items():
        np.testing.assert_allclose(with_weights[name], value, rtol=1e-6, err_msg=name)
