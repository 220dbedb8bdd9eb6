"""What a download tells of itself, on its way and in the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

DOWNLOADED, ALREADY_THERE, FAILED = "downloaded", "already there", "failed"


@dataclasses.dataclass(frozen=True)
class FileResult:
    """What became of one file.

    Attributes:
      name: local one.
      status: DOWNLOADED, ALREADY_THERE (and verified) or FAILED.
      reason: of the failure, else empty.
    """

    name: str
    status: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class DownloadReport:
    """What became of a download.

    Attributes:
      num_files: how many there should be.
      results: of the files that were tried, by name.
      stopped: why not all were tried, or empty.
      bytes_received: over the network, tries that failed included.
    """

    num_files: int
    results: Sequence[FileResult]
    stopped: str
    bytes_received: int

    @property
    def failures(self) -> list[FileResult]:
        return [result for result in self.results if result.status == FAILED]

    @property
    def is_complete(self) -> bool:
        """Whether all files are there and verified."""
        return not self.failures and len(self.results) == self.num_files

    def count(self, status: str) -> int:
        return sum(result.status == status for result in self.results)


@dataclasses.dataclass(frozen=True)
class DownloadProgress:
    """How far a download is.

    Attributes:
      num_files: all.
      files_done: those that are there, or have failed.
      bytes_there: of all files, half ones included.
      bytes_received: over the network, by this download.
      bytes_expected: estimated size of all files, from those whose sizes are known; None before the first.
    """

    num_files: int
    files_done: int
    bytes_there: int
    bytes_received: int
    bytes_expected: int | None
