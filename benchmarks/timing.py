"""Timing side by side: all cases in turn, several rounds, so that what else the machine does hits them alike."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import NamedTuple


class Case(NamedTuple):
    """One way to read record files.

    Attributes:
      make_dataset: function of a list of files that returns a tf.data.Dataset.
      consume: function of the dataset's iterator, which it empties; this is what is timed.
    """

    make_dataset: Callable
    consume: Callable


class Timing(NamedTuple):
    """The best pass of one case.

    Attributes:
      seconds: wall-clock time a video.
      cpu_seconds: CPU time a video, of all threads of this process. Other processes disturb it less.
      num_videos: videos of one pass.
    """

    seconds: float
    cpu_seconds: float
    num_videos: int


def time_passes(
    cases: dict[str, Case], files: list[str], warm_up_files: list[str], settings, label: str = ""
) -> dict[str, Timing]:
    """Times passes over record files.

    Making a dataset and starting its iterator are not timed: this takes as long for one video as for millions. Every
    case runs to warm up, then on more and more files until a pass is long enough, then in turn with the others.

    Args:
      cases: by name.
      files: of `settings.videos_per_file` videos each; they are read again where a pass needs more.
      warm_up_files: records that are not timed.
      settings: gives the seconds of a pass and the number of rounds.
      label: for the progress line.

    Returns:
      The best pass of each case.
    """
    datasets, counts, best = {}, {}, {}
    for name, case in cases.items():
        report_progress(f"{label} {name}: warming up")
        if not settings.smoke:
            _timed(case.consume, case.make_dataset(warm_up_files))
        datasets[name], num_files, best[name] = _long_enough(case, files, settings.seconds_a_pass)
        counts[name] = num_files * settings.videos_per_file
    for number in range(settings.rounds):
        for name, case in cases.items():
            report_progress(f"{label} {name}: round {number + 1} of {settings.rounds}")
            best[name] = tuple(map(min, best[name], _timed(case.consume, datasets[name])))
    return {name: Timing(*(seconds / counts[name] for seconds in best[name]), counts[name]) for name in cases}


def report_progress(text: str) -> None:
    """Shows what is being measured: one changing line of a terminal, lines of a log file."""
    start, end = ("\r\033[K", "") if sys.stderr.isatty() else ("", "\n")
    print(f"{start}{' '.join(text.split())[:100]}", end=end, file=sys.stderr, flush=True)


def _long_enough(case, files, wanted_seconds):
    """A dataset whose pass takes about so long, how many files it reads, and how long it took (wall-clock and CPU)."""
    num_files = 1
    while True:
        dataset = case.make_dataset((files * math.ceil(num_files / len(files)))[:num_files])
        seconds = _timed(case.consume, dataset)
        if seconds[0] >= wanted_seconds / 2:
            return dataset, num_files, seconds
        num_files = math.ceil(num_files * min(16, wanted_seconds / seconds[0]))


def _timed(consume, dataset):
    iterator = iter(dataset)
    wall, cpu = time.perf_counter(), time.process_time()
    consume(iterator)
    return time.perf_counter() - wall, time.process_time() - cpu
