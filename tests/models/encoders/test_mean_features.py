import numpy as np

from tests.layer_checks import run_layer_test
from yt8m_distill.models.encoders.mean_features import MeanFeatures

FEATURES = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)


def test_meets_what_is_asked_of_every_layer():
    run_layer_test(MeanFeatures, {}, FEATURES, num_weights=0)


def test_takes_the_features_as_they_are():
    np.testing.assert_array_equal(MeanFeatures()(FEATURES)["encoding"], FEATURES)
