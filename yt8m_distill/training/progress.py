"""Progress of long work: one live line on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time

_LIVE_SECONDS = 0.2
_LOG_SECONDS = 10.0


class Progress:
    """Shows how far work is, how fast it goes and how long it will take.

    Args:
      total: units of work, or None if unknown. May be an estimate.
      unit: what is counted, e.g. "examples".
      stream: where to write; the default is standard error.
    """

    def __init__(self, total: int | None, unit: str = "examples", stream=None):
        self.total = total
        self.unit = unit
        self._stream = stream if stream is not None else sys.stderr
        self._is_live = self._stream.isatty()
        self._last_shown = float("-inf")
        self._line_width = 0
        self._seconds = 0.0
        self._timed_units = 0
        self._reached = 0
        self._started = None

    def start_timing(self) -> None:
        """Starts or continues the clock of the rate."""
        self._started = time.perf_counter()

    def stop_timing(self) -> None:
        """Stops the clock: for compilation, evaluation, saving."""
        if self._started is not None:
            self._seconds += time.perf_counter() - self._started
            self._started = None

    def count(self, units: int) -> None:
        """Counts units towards the rate, if the clock runs."""
        if self._started is not None:
            self._timed_units += units

    def count_batch(self, units: int) -> None:
        """Counts the units of a batch, and starts the clock after the first one: that one traces the model."""
        if self._started is None:
            self.start_timing()
        else:
            self.count(units)

    def reach(self, done: int) -> None:
        """As `count_batch` of the units that are done since the last call; `done` are all so far."""
        self.count_batch(done - self._reached)
        self._reached = done

    @property
    def rate(self) -> float:
        """Units a second while the clock ran; 0 before anything was timed."""
        seconds = self._seconds + (time.perf_counter() - self._started if self._started is not None else 0.0)
        return self._timed_units / seconds if self._timed_units and seconds > 0 else 0.0

    def is_due(self) -> bool:
        """Whether the last line is old enough for another."""
        interval = _LIVE_SECONDS if self._is_live else _LOG_SECONDS
        return time.perf_counter() - self._last_shown >= interval

    def show(self, done: int, text: str) -> None:
        """Writes a line: `text`, then percent, rate and time left."""
        self._last_shown = time.perf_counter()
        line = " | ".join(part for part in (text, self._share(done), self._time_left(done)) if part)
        if self._is_live:
            self._stream.write("\r" + line.ljust(self._line_width))
            self._line_width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Ends a live line, so that what is written next stands on its own."""
        if self._is_live and self._line_width:
            self._stream.write("\n")
            self._line_width = 0

    def _share(self, done):
        return f"{min(100.0, 100 * done / self.total):.0f}%" if self.total else ""

    def _time_left(self, done):
        if not self.total or not self.rate or done >= self.total:
            return ""
        seconds = int((self.total - done) / self.rate)
        return f"ETA {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
