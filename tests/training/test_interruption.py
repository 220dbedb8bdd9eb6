import os
import signal
import threading

import pytest

from yt8m_distill.training.interruption import InterruptedAtOnce, Interruption

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def handlers_stay():
    """Whatever happens, the handlers are those of before."""
    before = [signal.signal(number, signal.default_int_handler) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == [signal.default_int_handler] * 2
    for number, handler in zip(SIGNALS, before):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_for_the_check(number, caplog):
    interruption, reached = Interruption(), []
    with pytest.raises(KeyboardInterrupt) as error, interruption.deferred():
        os.kill(os.getpid(), number)
        reached.append("end of the step")
        interruption.check()
        reached.append("another step")
    assert reached == ["end of the step"] and not isinstance(error.value, InterruptedAtOnce)
    assert "Stopping after this step" in caplog.text
    interruption.check()  # once is enough


def test_a_signal_that_no_check_saw_is_not_lost():
    with pytest.raises(KeyboardInterrupt), Interruption().deferred():
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_second_signal_does_not_wait():
    reached = []
    with pytest.raises(InterruptedAtOnce), Interruption().deferred():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("still in the step")
        os.kill(os.getpid(), signal.SIGTERM)
        reached.append("too far")
    assert reached == ["still in the step"]


def test_without_a_signal_nothing_happens():
    interruption = Interruption()
    with interruption.deferred():
        interruption.check()


def test_a_process_that_ignores_one_goes_on_to_ignore_it():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interruption().deferred():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.signal(signal.SIGINT, signal.default_int_handler) == signal.SIG_IGN


def test_another_thread_has_no_signals_to_defer():
    failures = []

    def run():
        try:
            with Interruption().deferred():
                pass
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not failures
