import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.models.mixup import Mix, Mixup

SHARES = np.array([0.75, 0.5, 1.0], np.float32)
PARTNERS = np.array([1, 2, 0], np.int32)
MIX = Mix("encoding", tf.constant(SHARES), tf.constant(PARTNERS))


def test_a_mixture_by_hand():
    values = tf.constant([[4.0, 0.0], [8.0, 2.0], [0.0, 10.0]])
    # 3/4 of the first and 1/4 of the second; half of the second and half of the third; the third alone.
    np.testing.assert_allclose(MIX(values), [[5, 0.5], [4, 6], [0, 10]])
    np.testing.assert_allclose(MIX(values[:, :, None])[:, :, 0], MIX(values))


def test_the_longer_video_goes_on_alone():
    frames = np.zeros([3, 3, 1], np.float32)
    frames[0, :1], frames[1, :3], frames[2, :2] = 4, 8, 20
    mixed, num_frames = MIX.frames(tf.constant(frames), tf.constant([1, 3, 2]))
    np.testing.assert_allclose(mixed[:, :, 0], [[5, 2, 2], [14, 14, 4], [20, 20, 0]])
    np.testing.assert_array_equal(num_frames, [3, 3, 2])


def test_labels_are_mixed_alike():
    labels, weights = MIX.labels(tf.constant([[True, False], [False, True], [True, True]]))
    np.testing.assert_allclose(labels, [[0.75, 0.25], [0.5, 1], [1, 1]])
    assert weights is None


def test_a_class_keeps_the_label_of_the_example_it_was_rated_for():
    labels = tf.constant([[True, True, False], [False, False, True], [True, False, False]])
    rated = tf.constant([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    mixed, weights = MIX.labels(labels, rated)
    # The first example: class 0 was rated for both, class 1 for the first alone, class 2 for neither.
    np.testing.assert_allclose(mixed[0], [0.75, 1, 0])
    np.testing.assert_allclose(weights[0], [1, 0.75, 0])
    np.testing.assert_allclose(mixed[1], [0, 0, 0])
    np.testing.assert_allclose(weights[1], [0.5, 0.5, 0.5])


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 5.0])
def test_shares_are_the_larger_part_of_a_beta_draw(alpha):
    shares = Mixup(alpha).draw(100000, step=3).shares.numpy()
    drawn = np.random.default_rng(0).beta(alpha, alpha, 100000)
    quantiles = [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99]
    expected = np.quantile(np.maximum(drawn, 1 - drawn), quantiles)
    np.testing.assert_allclose(np.quantile(shares, quantiles), expected, atol=0.01)
    # The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
    np.testing.assert_allclose(np.mean((shares - 0.5) ** 2), 1 / (4 * (2 * alpha + 1)), rtol=0.02)
    assert shares.min() >= 0.5 and shares.max() <= 1


def test_an_alpha_near_0_mixes_nothing():
    shares = Mixup(1e-3).draw(1000, step=0).shares.numpy()
    assert np.mean(shares > 0.999) > 0.97


def test_partners_are_a_permutation_that_each_draw_makes_anew():
    mixup = Mixup(0.4, seed=1)
    draws = [mixup.draw(20, step, place) for step, place in ((0, 0), (1, 0), (0, 1))]
    draws.append(Mixup(0.4, seed=2).draw(20, 0))
    for draw in draws:
        assert sorted(draw.partners.numpy()) == list(range(20))
    assert len({tuple(draw.partners.numpy()) for draw in draws}) == len({draw.shares.numpy()[0] for draw in draws}) == 4


def test_a_draw_depends_on_seed_step_and_place_alone():
    first, again = (Mixup(0.4, "frames", seed=1).draw(20, tf.constant(7, tf.int64), 2) for _ in range(2))
    np.testing.assert_array_equal(first.shares, again.shares)
    np.testing.assert_array_equal(first.partners, again.partners)
    assert first.level == "frames"


@pytest.mark.parametrize("size", [0, 1, 5])
def test_any_batch_size_also_compiled_by_xla(size):
    @tf.function(jit_compile=True)
    def mixed(values, step):
        mix = Mixup(0.4).draw(tf.shape(values)[0], step)
        return mix(values), mix.shares, mix.partners

    values = np.arange(3.0 * size, dtype=np.float32).reshape(size, 3)
    for step in (0, 3):
        result, shares, partners = (value.numpy() for value in mixed(values, tf.constant(step, tf.int64)))
        assert sorted(partners) == list(range(size)) and ((shares >= 0.5) & (shares <= 1)).all()
        expected = shares[:, None] * values + (1 - shares[:, None]) * values[partners]
        np.testing.assert_allclose(result, expected, rtol=1e-5)
