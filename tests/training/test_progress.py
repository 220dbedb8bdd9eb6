import io

import pytest

from yt8m_distill.training import Progress, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets: `clock[0]`, in seconds."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def test_a_log_gets_plain_lines():
    stream = io.StringIO()
    bar = Progress(200, stream=stream)
    bar.show(50, "half of the half")
    bar.show(100, "half")
    bar.close()
    assert stream.getvalue() == "half of the half | 25%\nhalf | 50%\n"


def test_a_terminal_gets_one_live_line():
    stream = Terminal()
    bar = Progress(200, stream=stream)
    bar.show(50, "a long text")
    bar.show(100, "short")
    bar.close()
    # The shorter line covers the longer one.
    assert stream.getvalue() == "\ra long text | 25%\r" + "short | 50%".ljust(len("a long text | 25%")) + "\n"


def test_closing_twice_or_before_a_line_writes_nothing():
    stream = Terminal()
    bar = Progress(2, stream=stream)
    bar.close()
    bar.show(1, "one")
    bar.close()
    bar.close()
    assert stream.getvalue() == "\rone | 50%\n"


def test_the_rate_leaves_out_stopped_time(clock):
    bar = Progress(1000, stream=io.StringIO())
    assert bar.rate == 0
    bar.count(500)  # while the clock stands: the step that compiles
    assert bar.rate == 0
    bar.start_timing()
    clock[0] += 2
    bar.count(100)
    assert bar.rate == 50
    bar.stop_timing()
    clock[0] += 1000  # an evaluation
    assert bar.rate == 50
    bar.start_timing()
    clock[0] += 3
    bar.count(400)
    assert bar.rate == 100


def test_the_batch_that_traces_the_model_is_not_timed(clock):
    bar = Progress(1000, stream=io.StringIO())
    clock[0] += 60
    bar.count_batch(500)
    assert bar.rate == 0
    clock[0] += 2
    bar.count_batch(300)
    assert bar.rate == 150


def test_stopping_a_stopped_clock_changes_nothing(clock):
    bar = Progress(10, stream=io.StringIO())
    bar.stop_timing()
    bar.start_timing()
    clock[0] += 1
    bar.count(5)
    bar.stop_timing()
    bar.stop_timing()
    assert bar.rate == 5


@pytest.mark.parametrize(
    "done, line", [(0, "0% | ETA 1:06:40"), (3600, "90% | ETA 0:06:40"), (3975, "99% | ETA 0:00:25")]
)
def test_time_left(clock, done, line):
    stream = io.StringIO()
    bar = Progress(4000, stream=stream)
    bar.start_timing()
    clock[0] += 10
    bar.count(10)  # one a second
    bar.show(done, "text")
    assert stream.getvalue() == f"text | {line}\n"


def test_no_time_left_when_done_or_when_the_total_is_unknown(clock):
    stream = io.StringIO()
    for total in (10, None, 0):
        bar = Progress(total, stream=stream)
        bar.start_timing()
        clock[0] += 1
        bar.count(10)
        bar.show(20, "text")
    assert stream.getvalue() == "text | 100%\ntext\ntext\n"


@pytest.mark.parametrize("stream, seconds", [(Terminal(), 0.2), (io.StringIO(), 10)])
def test_a_log_grows_slowly_and_a_terminal_is_lively(clock, stream, seconds):
    bar = Progress(10, stream=stream)
    assert bar.is_due()
    bar.show(1, "one")
    assert not bar.is_due()
    clock[0] += seconds - 0.01
    assert not bar.is_due()
    clock[0] += 0.02
    assert bar.is_due()


def test_writes_to_standard_error_by_default(capsys):
    Progress(2).show(1, "one")
    assert capsys.readouterr().err == "one | 50%\n"


def test_what_is_done_since_the_last_call_counts(clock):
    bar = Progress(1000, stream=io.StringIO())
    bar.reach(500)
    clock[0] += 2
    bar.reach(800)
    assert bar.rate == 150
