"""The records that a run has left out because they cannot be read (`--bad_records=skip`)."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

_logger = logging.getLogger(__name__)
_MOST_WARNINGS = 20
BAD_RECORDS = ("fail", "skip")


class SkippedRecords:
    """Counts bad records, each once however often it is met.

    Pipelines read in several threads, and a run makes many pipelines: one object serves them all.

    Args:
      warns: say of the first records at once what is wrong.
    """

    def __init__(self, warns: bool = True):
        self._warns = warns
        self._problems: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()

    def add(self, path: str, number: int, problem: str) -> None:
        """Notes a record, or with number -1 a whole file; `problem` is a sentence that names it."""
        with self._lock:
            if (path, number) in self._problems:
                return
            self._problems[path, number] = problem
            count = len(self._problems)
        if self._warns and count <= _MOST_WARNINGS:
            last = " Further ones are listed at the end." if count == _MOST_WARNINGS else ""
            _logger.warning("Skipped: %s%s", problem, last)

    def __len__(self) -> int:
        return len(self._problems)

    def by_record(self) -> dict[tuple[str, int], str]:
        """What was wrong: (file, number of the record) -> problem, in order."""
        with self._lock:
            return dict(sorted(self._problems.items()))

    def problems(self) -> list[str]:
        """What was wrong, by file and number of the record."""
        return list(self.by_record().values())

    def report(self) -> None:
        """Logs how many records were skipped, and which."""
        problems = self.problems()
        if problems:
            _logger.warning("Skipped %d bad record%s:", len(problems), "s" if len(problems) > 1 else "")
        for problem in problems:
            _logger.warning("  %s", problem)


@contextlib.contextmanager
def reported_skipped_records(skip: bool) -> Iterator[SkippedRecords | None]:
    """Yields where to note bad records, or None to fail at the first one; reports them however the `with` body ends."""
    skipped = SkippedRecords() if skip else None
    try:
        yield skipped
    finally:
        if skipped is not None:
            skipped.report()
