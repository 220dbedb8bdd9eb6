"""Room on the disk, shared out among files whose sizes are known only as they begin to arrive."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator

_UNKNOWN_SIZE_STEP = 1 << 26


class OutOfSpace(OSError):
    """A file does not fit on the disk, beside those under way and the space to keep free."""


class DiskSpace:
    """Grants room for files, so that together they leave `keep_free` bytes of the disk.

    Threads may share one.

    Args:
      directory: an existing one on the disk in question.
      keep_free: bytes that stay free.
    """

    def __init__(self, directory: str, keep_free: int):
        self._directory = directory
        self._keep_free = keep_free
        self._granted = 0  # and not written yet
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def claim(self, name: str, num_bytes: int | None) -> Iterator[Claim]:
        """Grants room for `num_bytes` more bytes of the file `name`; None, for as many as come, piece by piece.

        Raises:
          OutOfSpace: there is not enough.
        """
        claim = Claim(self, name, num_bytes)
        try:
            yield claim
        finally:
            self._give_back(claim.left)

    def _grant(self, name, num_bytes):
        with self._lock:
            free = shutil.disk_usage(self._directory).free
            if free - self._granted - num_bytes < self._keep_free:
                raise OutOfSpace(
                    f"{self._directory}: no room for the {format_bytes(num_bytes)} of {name}: "
                    f"{format_bytes(free)} are free, of which {format_bytes(self._granted)} are for files under way "
                    f"and {format_bytes(self._keep_free)} must stay free"
                )
            self._granted += num_bytes

    def _give_back(self, num_bytes):
        with self._lock:
            self._granted -= num_bytes


class Claim:
    """Room for one file.

    Attributes:
      left: granted bytes that are not used yet.
    """

    def __init__(self, space: DiskSpace, name: str, num_bytes: int | None):
        self._space, self._name = space, name
        self.left = num_bytes or 0
        space._grant(name, self.left)

    def use(self, num_bytes: int) -> None:
        """Says that `num_bytes` are about to be written.

        Raises:
          OutOfSpace: the file's size was unknown, and there is no room for more.
        """
        if num_bytes > self.left:
            more = max(num_bytes, _UNKNOWN_SIZE_STEP)
            self._space._grant(self._name, more)
            self.left += more
        self.left -= num_bytes
        self._space._give_back(num_bytes)


def format_bytes(num_bytes: float) -> str:
    """For instance "1.5 GB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.{0 if unit == 'bytes' else 1}f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} TB"
