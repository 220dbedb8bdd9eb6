import sys

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


# ---- weight decay


def make_model():
    """Kernels, attention's biases [heads, width] and the vectors that must not decay; none of them 0."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input([3, 4])
    values = keras.layers.LayerNormalization(name="layer_norm")(keras.layers.Dense(4, name="dense")(inputs))
    values = keras.layers.BatchNormalization(name="batch_norm")(values)
    model = keras.Model(inputs, keras.layers.MultiHeadAttention(2, 2, name="attention")(values, values))
    for variable in model.trainable_variables:
        variable.assign(tf.random.uniform(variable.shape, 1, 2))
    return model


KERNELS = ["dense/kernel:0", *(f"attention/{part}/kernel:0" for part in ("query", "key", "value", "attention_output"))]


def shrinkage(name, **settings):
    """How much smaller each weight is after a step whose gradient is zero; by the variable's name."""
    model = make_model()
    variables = model.trainable_variables
    optimizer = create_optimizer(name, 0.1, variables=variables, **settings)
    before = [variable.numpy() for variable in variables]
    optimizer.apply_gradients([(tf.zeros_like(variable), variable) for variable in variables])
    return {v.name: np.unique(np.round(1 - v.numpy() / old, 5)) for v, old in zip(variables, before)}


@pytest.mark.parametrize(
    "name, settings, expected",
    [
        # learning rate * weight decay
        ("AdamW", {"weight_decay": 0.5}, 0.05),
        ("SGD", {"weight_decay": 0.2}, 0.02),
        ("AdamOptimizer", {"weight_decay": 0.2, "clip_gradient_norm": 1.0}, 0.02),
        # The default of Keras' AdamW is 0.004.
        ("AdamW", {}, 0.0004),
        ("AdamW", {"weight_decay": 0.0}, 0),
        ("Adam", {}, 0),
        # LAMB takes a step of the weight's own norm against it.
        ("LAMB", {"weight_decay": 0.5}, 0.1),
    ],
)
def test_kernels_decay_and_nothing_else(name, settings, expected):
    if name == "LAMB" and not has_addons():
        pytest.skip("tensorflow-addons is not installed")
    of_variables = shrinkage(name, **settings)
    assert len(of_variables) == 14
    for variable, shrunk in of_variables.items():
        np.testing.assert_allclose(shrunk, [expected if variable in KERNELS else 0], atol=2e-5, err_msg=variable)


@pytest.mark.parametrize("name", sorted({*ADDONS} - {"LAMB"}))
def test_optimizers_without_weight_decay_say_so(name):
    with pytest.raises(ValueError) as error:
        create_optimizer(name, 0.1, weight_decay=0.01)
    assert str(error.value).startswith(f"Optimizer {name!r} has no weight decay") and "AdamW" in str(error.value)


@pytest.mark.skipif(not has_addons(), reason="tensorflow-addons is not installed")
def test_the_weight_decay_of_lamb_is_no_part_of_a_checkpoint():
    """It would come back when a run goes on with another one."""
    model = make_model()
    optimizer = create_optimizer("LAMB", 0.1, weight_decay=0.5, variables=model.trainable_variables)
    optimizer.apply_gradients([(tf.zeros_like(v), v) for v in model.trainable_variables])
    assert not [v.name for v in optimizer.variables() if "weight_decay" in v.name]
    assert optimizer.get_config()["weight_decay"] == 0.5


def test_the_compiled_update_of_many_weights_is_that_of_few():
    """Weights enough for XLA on a CPU, in the same steps as a slice of them."""
    gradient = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    many, few = tf.Variable(tf.ones([1024, 1024])), tf.Variable(tf.ones([4, 1024]))
    optimizers = [create_optimizer("Adam", 0.1, variables=[variable]) for variable in (many, few)]
    for step in (1, 2):
        optimizers[0].apply_gradients([(step * gradient, many)])
        optimizers[1].apply_gradients([(step * gradient[:4], few)])
    np.testing.assert_allclose(many[:4], few, rtol=1e-5)
    assert (many[:4].numpy() != 1).any()
    if sys.platform != "darwin":
        assert optimizers[0].jit_compile
