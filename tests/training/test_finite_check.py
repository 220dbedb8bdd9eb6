import pytest

from yt8m_distill.models.nonfinite_steps import NonfiniteSteps
from yt8m_distill.training.finite_check import FiniteCheck, NonfiniteLossError


def noted(count, first):
    steps = NonfiniteSteps()
    steps.count.assign(count)
    steps.first.assign(first)
    return steps


def test_nothing_to_say(caplog):
    check = FiniteCheck(skip=False)
    check.look(noted(0, -1), 10, 10)
    check.look(noted(0, -1), 20, 20)
    assert check.num_skipped == 0 and not caplog.records


@pytest.mark.parametrize("step, num_updates, wanted", [(20, 20, 14), (1020, 20, 1014)])
def test_the_first_such_step_is_named(step, num_updates, wanted):
    # The fourteenth update has 13 before it; a run that goes on, or fine-tunes, has counted steps before.
    with pytest.raises(NonfiniteLossError, match=f"at step {wanted}. Any checkpoint is from before that."):
        FiniteCheck(skip=False).look(noted(3, 13), step, num_updates)


def test_skipped_steps_are_counted(caplog):
    check = FiniteCheck(skip=True)
    check.look(noted(2, 3), 10, 10)
    check.look(noted(2, 3), 20, 20)
    check.look(noted(5, 3), 30, 30)
    assert check.num_skipped == 5
    assert [record.message.split(" in ")[1] for record in caplog.records] == [
        "2 of the last 10 steps, which are left out; 2 so far.",
        "3 of the last 10 steps, which are left out; 5 so far.",
    ]


def test_a_run_that_learns_nothing_any_more_stops():
    check = FiniteCheck(skip=True)
    check.look(noted(0, -1), 10, 10)
    for number in range(1, 10):
        check.look(noted(10 * number, 10), 10 + 10 * number, 10 + 10 * number)
    with pytest.raises(NonfiniteLossError, match="in each of the last 100 steps, up to step 110"):
        check.look(noted(100, 10), 110, 110)


def test_a_good_step_between_is_hope():
    check = FiniteCheck(skip=True)
    for number in range(1, 30):
        check.look(noted(9 * number, 0), 10 * number, 10 * number)
    assert check.num_skipped == 9 * 29
