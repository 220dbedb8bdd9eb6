import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.models.nonfinite_steps import NonfiniteSteps

NAN, INF = float("nan"), float("inf")


def guarded(noted, gradient, loss=1.0, step=0, **settings):
    gradients = [tf.constant(gradient), None, tf.constant([7.0])]
    return noted.without_nonfinite(gradients, tf.constant(loss), step, **settings)


def test_finite_gradients_pass_as_they_are():
    noted = NonfiniteSteps()
    first, none, last = guarded(noted, [1.0, -1e18])
    np.testing.assert_array_equal(first, np.float32([1.0, -1e18]))
    assert none is None
    np.testing.assert_array_equal(last, [7.0])
    assert (int(noted.count), int(noted.first)) == (0, -1)


@pytest.mark.parametrize(
    "gradient, loss", [([1.0, NAN], 1.0), ([INF, 1.0], 1.0), ([1.0, 2.0], NAN), ([1.0, 2.0], -INF)]
)
def test_one_value_that_is_not_finite_makes_all_gradients_zero(gradient, loss):
    noted = NonfiniteSteps()
    first, none, last = guarded(noted, gradient, loss, step=5)
    assert none is None and not np.any(first) and not np.any(last)
    assert (int(noted.count), int(noted.first)) == (1, 5)


def test_steps_are_counted_once_and_the_first_is_remembered():
    noted = NonfiniteSteps()
    for step, loss in ((0, 1.0), (1, NAN), (1, NAN), (2, 1.0), (3, INF)):  # the teacher's and the student's of step 1
        guarded(noted, [1.0], loss, step)
    assert (int(noted.count), int(noted.first)) == (2, 1)


def test_scaled_gradients_may_overflow():
    noted = NonfiniteSteps()
    first, *_ = guarded(noted, [INF], may_overflow=True)
    assert np.isinf(first).all() and int(noted.count) == 0
    first, *_ = guarded(noted, [INF], loss=NAN, may_overflow=True)
    assert not np.any(first) and int(noted.count) == 1


@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_a_compiled_step(jit_compile):
    noted = NonfiniteSteps()

    @tf.function(jit_compile=jit_compile)
    def step(value):
        return noted.without_nonfinite([value], tf.reduce_sum(value), 4)[0]

    np.testing.assert_array_equal(step(tf.constant([2.0])), [2.0])
    np.testing.assert_array_equal(step(tf.constant([NAN])), [0.0])
    assert (int(noted.count), int(noted.first)) == (1, 4)
