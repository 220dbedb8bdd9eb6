import math

import pytest

from yt8m_distill.stack import keras
from yt8m_distill.training import learning_rate_schedule
from yt8m_distill.training.learning_rate import LinearWarmup, cosine_schedule


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


def test_cosine_falls_to_0():
    schedule = cosine_schedule(0.2, num_steps=10)
    for step in range(11):
        assert float(schedule(step)) == pytest.approx(0.1 * (1 + math.cos(math.pi * step / 10)), abs=1e-7), step
    assert float(schedule(15)) == pytest.approx(0, abs=1e-7)


def test_warmup_then_stairs():
    # Stairs of four steps, the first of which is the fifth step.
    schedule = LinearWarmup(learning_rate_schedule(0.8, 0.5, decay_examples=100, global_batch_size=25), 4)
    expected = [0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.4, 0.2]
    assert [float(schedule(step)) for step in range(13)] == pytest.approx(expected)


def test_warmup_then_a_cosine_that_ends_with_the_run_is_that_of_keras():
    schedule = LinearWarmup(cosine_schedule(0.2, num_steps=10, warmup_steps=4), 4)
    reference = keras.optimizers.schedules.CosineDecay(0.0, 6, warmup_target=0.2, warmup_steps=4)
    for step in range(13):
        assert float(schedule(step)) == pytest.approx(float(reference(step)), abs=1e-7), step
    assert float(schedule(4)) == pytest.approx(0.2) and float(schedule(10)) == pytest.approx(0, abs=1e-7)


def test_a_warmup_may_be_all_of_the_run():
    schedule = LinearWarmup(cosine_schedule(0.2, num_steps=3, warmup_steps=10), 10)
    assert [float(schedule(step)) for step in range(3)] == pytest.approx([0, 0.02, 0.04])
