import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.stack import addons, keras
from yt8m_distill.training import create_optimizer, learning_rate_schedule

ADDONS = ["LAMB", "LazyAdam", "Lookahead", "MovingAverage", "NovoGrad", "RectifiedAdam", "SWA", "Yogi"]


def has_addons():
    try:
        addons()
    except ImportError:
        return False
    return True


@pytest.mark.parametrize(
    "decay_examples, batch_size, stairs",
    [
        (100, 25, {0: 0, 3: 0, 4: 1, 7: 1, 8: 2, 40: 10}),
        # A stair ends within a batch: 3 batches are 90 examples, 4 are 120, 7 are 210.
        (100, 30, {0: 0, 3: 0, 4: 1, 6: 1, 7: 2, 9: 2, 11: 3}),
        # The original's defaults: 3906 batches are 3999744 examples.
        (4000000, 1024, {0: 0, 3906: 0, 3907: 1, 7812: 1, 7813: 2}),
        # Several stairs a batch.
        (10, 25, {0: 0, 1: 2, 2: 5, 3: 7}),
    ],
)
def test_learning_rate_falls_in_stairs(decay_examples, batch_size, stairs):
    schedule = learning_rate_schedule(0.01, 0.95, decay_examples, batch_size)
    for step, stair in stairs.items():
        assert float(schedule(step)) == pytest.approx(0.01 * 0.95**stair, rel=1e-5), step


@pytest.mark.parametrize(
    "name, expected",
    [
        ("Adam", "Adam"),
        ("AdamOptimizer", "Adam"),
        ("SGD", "SGD"),
        ("GradientDescentOptimizer", "SGD"),
        ("RMSPropOptimizer", "RMSprop"),
        ("AdagradOptimizer", "Adagrad"),
        ("FtrlOptimizer", "Ftrl"),
        ("AdamW", "AdamW"),
    ],
)
def test_names_of_keras_and_of_tensorflow_1(name, expected):
    optimizer = create_optimizer(name, 0.1)
    assert type(optimizer) is getattr(keras.optimizers, expected)


@pytest.mark.parametrize("name", ["Bogus", "adam", "Optimizer", "", "get", "legacy", "schedules", "SGDW"])
def test_an_unknown_name(name):
    with pytest.raises(ValueError) as error:
        create_optimizer(name, 0.1)
    assert str(error.value).startswith(f"Unknown optimizer {name!r}. ")
    assert "Lookahead" in str(error.value)


def train(optimizer, gradients, start=((3.0, -2.0), (1.0,))):
    """The weights after each step, float32 [steps, 3]."""
    variables = [tf.Variable(values) for values in start]
    path = []
    for step in gradients:
        optimizer.apply_gradients([(tf.constant(g), v) for g, v in zip(step, variables)])
        path.append(np.concatenate([v.numpy() for v in variables]))
    return np.array(path)


LARGE_AND_SMALL = [([3.0, 4.0], [0.5]), ([-0.3, 0.4], [2.0]), ([30.0, -40.0], [-0.1])]
# By hand: each variable's gradient is scaled down to norm 1, if it is longer.
CLIPPED = [([0.6, 0.8], [0.5]), ([-0.3, 0.4], [1.0]), ([0.6, -0.8], [-0.1])]


@pytest.mark.parametrize("name", ["GradientDescentOptimizer", "AdamOptimizer", "RMSprop"])
def test_each_variable_is_clipped_on_its_own(name):
    clipping = train(create_optimizer(name, 0.1, clip_gradient_norm=1.0), LARGE_AND_SMALL)
    np.testing.assert_allclose(clipping, train(create_optimizer(name, 0.1), CLIPPED), rtol=1e-5)
    assert not np.allclose(clipping, train(create_optimizer(name, 0.1), LARGE_AND_SMALL))


def test_one_clipped_step_by_hand():
    (after,) = train(create_optimizer("SGD", 1.0, clip_gradient_norm=1.0), LARGE_AND_SMALL[:1])
    np.testing.assert_allclose(after, [3 - 0.6, -2 - 0.8, 1 - 0.5], rtol=1e-6)


@pytest.mark.parametrize("norm", [0, -1.0])
def test_no_clipping(norm):
    (after,) = train(create_optimizer("SGD", 1.0, clip_gradient_norm=norm), LARGE_AND_SMALL[:1])
    np.testing.assert_allclose(after, [3 - 3, -2 - 4, 1 - 0.5], rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(not has_addons(), reason="tensorflow-addons is not installed")
@pytest.mark.parametrize("name", ADDONS)
def test_optimizers_of_addons_clip_and_follow_the_schedule(name):
    clipping = train(create_optimizer(name, 0.1, clip_gradient_norm=1.0), LARGE_AND_SMALL)
    np.testing.assert_allclose(clipping, train(create_optimizer(name, 0.1), CLIPPED), rtol=1e-4)
    assert not np.allclose(clipping, train(create_optimizer(name, 0.1), LARGE_AND_SMALL), rtol=1e-4)

    same_gradient = LARGE_AND_SMALL[:1] * 2
    falling = learning_rate_schedule(0.1, 1e-6, decay_examples=8, global_batch_size=8)
    constant = train(create_optimizer(name, 0.1), same_gradient)
    scheduled = train(create_optimizer(name, falling), same_gradient)
    np.testing.assert_allclose(scheduled[0], constant[0], rtol=1e-5)
    assert np.all(np.abs(scheduled[0] - [3, -2, 1]) > 1e-5)
    # At the second step the rate is next to nothing, and what still moves is momentum.
    assert np.all(np.abs(scheduled[1] - scheduled[0]) < 0.9 * np.abs(constant[1] - constant[0]))


@pytest.mark.skipif(has_addons(), reason="tensorflow-addons is installed")
@pytest.mark.parametrize("name", ADDONS)
def test_says_that_addons_are_missing(name):
    with pytest.raises(ImportError, match="tensorflow-addons is needed here and not installed") as error:
        create_optimizer(name, 0.1)
    assert "\n" not in str(error.value)
