"""Passes become long enough, cases take turns, the best pass counts; tables."""

import types

import pytest

from benchmarks import timing
from benchmarks.table import format_table


class Clock:
    """Time that passes when somebody works; stands in for the module `time`."""

    def __init__(self):
        self.now = 0.0

    def work(self, seconds):
        self.now += seconds

    def perf_counter(self):
        return self.now

    def process_time(self):
        return 2 * self.now  # two threads


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_time_a_video(clock):
    settings = types.SimpleNamespace(smoke=False, seconds_a_pass=4.0, rounds=2, videos_per_file=10)
    runs = []
    noise = iter([0, 0, 5, 0, 3, 0, 0, 0])

    def case(name, seconds_a_file):
        def make_dataset(files):
            clock.work(100)  # not timed
            return files

        def consume(iterator):
            num_files = len(list(iterator))
            runs.append((name, num_files))
            clock.work(seconds_a_file * num_files + (next(noise) if num_files > 2 else 0))

        return timing.Case(make_dataset, consume)

    timings = timing.time_passes({"quick": case("quick", 0.5), "slow": case("slow", 8.0)}, ["a", "b"], ["w"], settings)
    assert timings["quick"] == pytest.approx((0.05, 0.1, 80))
    assert timings["slow"] == pytest.approx((0.8, 1.6, 10))
    warm_up_and_growth = [("quick", 1), ("quick", 1), ("quick", 8), ("slow", 1), ("slow", 1)]
    assert runs == warm_up_and_growth + 2 * [("quick", 8), ("slow", 1)]


def test_table_aligns_text_left_and_numbers_right_and_leaves_gaps():
    rows = [{"stage": "parse", "videos_per_s": 1234.56}, {"stage": "all", "ratio": 0.98765, "count": 7}]
    assert format_table(rows).splitlines() == [
        "stage  videos_per_s   ratio  count",
        "parse          1235",
        "all                  0.9877      7",
    ]
