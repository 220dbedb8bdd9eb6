"""Which files of a directory have been verified by checksum, so that a terabyte is not read again at every resume."""

from __future__ import annotations

import json
import logging
import os
import threading

from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.data.download.file import hash_stream, open_regular

_logger = logging.getLogger(__name__)
_STATE_FILE = "download_state.json"


class VerifiedFiles:
    """Remembers size, modification time and MD5 of verified files, in `download_state.json` beside them.

    A file whose size and time have not changed since is not read again. Threads may share one. A state that is lost
    or damaged, or no file, costs the time to read the files once more, nothing else.

    Args:
      directory: of the files; it need not exist.
    """

    def __init__(self, directory: str):
        self._directory = directory
        self._path = os.path.join(directory, _STATE_FILE)
        self._entries = self._load()
        self._lock = threading.Lock()
        self._num_changes = self._num_saved = 0

    def knows(self, name: str, md5: str) -> bool:
        """Whether the file is there, unchanged since it was found to have this checksum."""
        try:
            found = os.stat(os.path.join(self._directory, name))
        except FileNotFoundError:
            return False
        return self._entries.get(name) == _entry(found, md5)

    def verify(self, name: str, md5: str, stop: threading.Event) -> bool:
        """Reads a file and remembers it if it has this checksum; returns whether it has. False if it is not there.

        Raises:
          OSError: it cannot be read, or is no file.
          Stopped: `stop` was set meanwhile.
        """
        path = os.path.join(self._directory, name)
        try:
            with open_regular(path) as file:
                found = os.fstat(file.fileno())
                if hash_stream(file, stop).hexdigest() != md5:
                    return False
        except FileNotFoundError:
            return False
        self._remember(name, _entry(found, md5))
        return True

    def add(self, name: str, md5: str) -> None:
        """Remembers a file that is there and was verified on its way."""
        self._remember(name, _entry(os.stat(os.path.join(self._directory, name)), md5))

    def save(self) -> None:
        """Writes what is new; the file is replaced in one step."""
        with self._lock:
            num_changes = self._num_changes
            if num_changes == self._num_saved:
                return
            text = json.dumps({"files": dict(sorted(self._entries.items()))}, indent=1)
        with open_atomic(self._path) as file:
            file.write(text)
        self._num_saved = num_changes

    def _remember(self, name, entry):
        with self._lock:
            self._entries[name] = entry
            self._num_changes += 1

    def _load(self):
        try:
            with open_regular(self._path) as file:
                files = json.load(file)["files"]
            if isinstance(files, dict):
                return files
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        _logger.warning("%s cannot be read: the files beside it are verified once more.", self._path)
        return {}


def _entry(found, md5):
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "md5": md5}
