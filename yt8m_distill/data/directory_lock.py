"""One process at a time in a directory."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

_CANNOT_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextlib.contextmanager
def lock_directory(directory: str, name: str, refusal: str) -> Iterator[None]:
    """Keeps other processes out; the system lets go when this one ends, in whatever way.

    Remote directories (`gs://...`), and file systems that cannot lock, are not kept.

    Args:
      directory: an existing directory.
      name: of the file in it that is locked, which stays.
      refusal: what to say if another process has it; who that is is added.

    Raises:
      ValueError: another process has the directory.
      OSError: the file cannot be made or written; the message names it.
    """
    if "://" in directory or fcntl is None:
        yield
        return
    with open(os.path.join(directory, name), "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ValueError(f"{refusal} ({file.read().strip() or 'it does not say which'}).") from error
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                raise
        _write_holder(file)
        yield


def _write_holder(file):
    """Unbuffered: a full disk would fail once more when the file is closed."""
    try:
        file.truncate(0)
        os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, file.name) from error
