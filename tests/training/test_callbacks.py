"""How often a training step waits for the device; what the callback writes is tested by whole runs (`test_run.py`)."""

from __future__ import annotations

import types

import pytest

from yt8m_distill.models.nonfinite_steps import NonfiniteSteps
from yt8m_distill.training.callbacks import RunCallback
from yt8m_distill.training.finite_check import FiniteCheck, NonfiniteLossError
from yt8m_distill.training.interruption import Interruption
from yt8m_distill.training.progress import Progress
from yt8m_distill.training.run_checkpoint import RunPosition

NAMES = ("loss", "reg_loss", "hit_at_one", "perr", "gap")


class OnDevice:
    """A number that counts how often it is read."""

    reads = 0
    value = 0.0

    def numpy(self):
        self.reads += 1
        return self.value

    def __float__(self):
        return float(self.numpy())


@pytest.fixture
def updates():
    return OnDevice()


@pytest.fixture
def callback(updates):
    settings = 1000, None, FiniteCheck(skip=False), Interruption()
    callback = RunCallback(RunPosition(), 8, Progress(1000), None, None, *settings)
    callback.model = types.SimpleNamespace(
        optimizer=types.SimpleNamespace(iterations=updates), nonfinite_steps=NonfiniteSteps()
    )
    return callback


def run_steps(callback, updates, outcomes):
    """Runs a pass of which each step counts as an update or not; returns the steps whose logs were read."""
    callback.on_epoch_begin(0)
    read = []
    for batch, is_update in enumerate(outcomes):
        updates.value += is_update
        logs = {name: OnDevice() for name in NAMES}
        callback.on_train_batch_end(batch, logs)
        if logs["gap"].reads:
            read.append(batch + 1)
        assert all(log.reads == 0 for log in logs.values()) or batch == 0 or read[-1] == batch + 1
    return read


def test_waits_for_the_device_at_every_tenth_step_only(callback, updates):
    assert run_steps(callback, updates, [True] * 35) == [10, 20, 30]
    assert updates.reads == 1 + 3


def test_a_pass_that_goes_on_in_the_middle(callback, updates):
    updates.value = 7
    assert run_steps(callback, updates, [True] * 15) == [3, 13]


def test_steps_that_count_no_update_do_not_shift_the_logs(callback, updates):
    """Updates 10 and 20 are those that the step computes its metrics for; float16 overflows skip some."""
    assert run_steps(callback, updates, [False] * 3 + [True] * 25) == [13, 23]


def test_a_signal_saves_nothing_that_is_not_finite(callback, updates):
    callback.on_epoch_begin(0)
    for batch in range(3):
        updates.value += 1
        callback.on_train_batch_end(batch, {name: OnDevice() for name in NAMES})
    callback.model.nonfinite_steps.count.assign(1)
    callback.model.nonfinite_steps.first.assign(3)
    callback.interruption.is_requested = True
    updates.value += 1
    with pytest.raises(NonfiniteLossError, match="at step 4"):
        callback.on_train_batch_end(3, {name: OnDevice() for name in NAMES})


def test_a_run_whose_every_gradient_overflows_stops(callback, updates):
    with pytest.raises(NonfiniteLossError, match=r"in each of the last 1[0-9][0-9] steps, up to step 1[0-9][0-9]"):
        run_steps(callback, updates, [True] * 20 + [False] * 120)
