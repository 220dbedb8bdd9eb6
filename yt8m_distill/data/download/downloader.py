"""Downloads a partition of YouTube-8M: in parallel, resumable, verified by checksum, and never onto a full disk."""

from __future__ import annotations

import errno
import logging
import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence

from yt8m_distill.data.directory_lock import lock_directory
from yt8m_distill.data.download.file import download_file
from yt8m_distill.data.download.http import HttpClient, HttpOptions, Stopped, TransferError
from yt8m_distill.data.download.plan import PlannedFile
from yt8m_distill.data.download.report import (
    ALREADY_THERE,
    DOWNLOADED,
    FAILED,
    DownloadProgress,
    DownloadReport,
    FileResult,
)
from yt8m_distill.data.download.space import DiskSpace, OutOfSpace
from yt8m_distill.data.download.state import VerifiedFiles

LOCK = ".download.lock"
_MAX_FAILURES_IN_A_ROW = 20
_REPORT_SECONDS = 0.1
_SAVE_SECONDS = 10.0
_STOP_SECONDS = 1.0
_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)
_logger = logging.getLogger(__name__)


def download_files(
    files: Sequence[PlannedFile],
    url_of: Callable[[str], str],
    output_dir: str,
    *,
    num_parallel: int = 8,
    keep_free: int = 10**9,
    verify_all: bool = False,
    may_download: bool = True,
    options: HttpOptions | None = None,
    on_progress: Callable[[DownloadProgress], None] = lambda progress: None,
) -> DownloadReport:
    """Brings files into `output_dir`, and verifies those that are there.

    A file has its final name only when its checksum is right; until then it is `<name>.part`, from which the next
    call goes on. A file of another content under a final name is replaced when the right one has arrived. A disk that
    is nearly full, and many failures in a row, end the download: no further file is begun. KeyboardInterrupt ends it
    within about a second; nothing that has arrived is lost.

    Args:
      files: what there should be.
      url_of: function (name on the server) -> URL.
      output_dir: made if it is missing.
      num_parallel: files at a time.
      keep_free: bytes of the disk that stay free.
      verify_all: read also those files that were verified earlier and have not changed since.
      may_download: False only verifies; missing files count as failed.
      options: patience with the server.
      on_progress: called ten times a second, by the calling thread.

    Raises:
      ValueError: another process downloads to `output_dir`.
      OSError: `output_dir` cannot be written.
    """
    os.makedirs(output_dir, exist_ok=True)
    with lock_directory(output_dir, LOCK, f"Another download to {output_dir} is running"):
        download = _Download(files, url_of, output_dir, keep_free, verify_all, may_download, options or HttpOptions())
        return download.run(num_parallel, on_progress)


class _Download:
    """One call of `download_files`; its workers are threads that share this object."""

    def __init__(self, files, url_of, output_dir, keep_free, verify_all, may_download, options):
        self._files, self._url_of, self._output_dir = files, url_of, output_dir
        self._verify_all, self._may_download = verify_all, may_download
        self._client = HttpClient(options)
        self._space = DiskSpace(output_dir, keep_free)
        self._verified = VerifiedFiles(output_dir)
        self._lock = threading.Lock()  # of all below
        self._waiting = iter(files)
        self._results = {}
        self._there, self._sizes = {}, {}  # bytes, by local name
        self._received = 0
        self._failures_in_a_row = 0
        self._stopped = ""
        self._crash = None
        self._stop = threading.Event()

    def run(self, num_parallel, on_progress):
        # Daemons, because one that waits for a silent server must not hold up a process that wants to end.
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(min(num_parallel, len(self._files)))]
        saved = time.monotonic()
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                while worker.is_alive():
                    worker.join(_REPORT_SECONDS)
                    on_progress(self._progress())
                    if time.monotonic() - saved > _SAVE_SECONDS:
                        self._save()
                        saved = time.monotonic()
        finally:
            self._stop.set()
            deadline = time.monotonic() + _STOP_SECONDS
            for worker in workers:
                if worker.is_alive():  # it may not have been started yet
                    worker.join(max(0.0, deadline - time.monotonic()))
            self._save()
        if self._crash:
            raise self._crash
        on_progress(self._progress())
        results = sorted(self._results.values(), key=lambda result: result.name)
        return DownloadReport(len(self._files), results, self._stopped, self._received)

    def _save(self):
        try:
            self._verified.save()
        except OSError as error:  # of a full disk, which is no reason to lose the report
            _logger.warning("%s. The next download verifies once more what this one has.", error)

    def _work(self):
        try:
            while True:
                with self._lock:
                    file = None if self._stopped or self._stop.is_set() else next(self._waiting, None)
                if file is None:
                    return
                self._record(self._bring(file))
        except Stopped:
            pass
        except BaseException as error:  # `run` raises it in its own thread
            self._crash = error
            self._stop.set()

    def _bring(self, file):
        """Sees to it that one file is there."""
        name = file.local_name
        path = os.path.join(self._output_dir, name)
        try:
            if self._is_there(file, path):
                return FileResult(name, ALREADY_THERE)
            if not self._may_download:
                return FileResult(name, FAILED, f"{path}: is not there, and the server does not answer")
            self._download(file, path)
            return FileResult(name, DOWNLOADED)
        except OutOfSpace as error:
            self._end(f"{error}. Make room, or lower --keep_free_gb")
            return FileResult(name, FAILED, str(error))
        except TransferError as error:
            return FileResult(name, FAILED, str(error))
        except OSError as error:
            reason = f"{error.filename or path}: {error.strerror or error}"
            if error.errno in _DISK_IS_FULL:
                self._end(f"{reason}. What has arrived is kept")
            return FileResult(name, FAILED, reason)

    def _is_there(self, file, path):
        name = file.local_name
        is_known = not self._verify_all and self._verified.knows(name, file.md5)
        if not is_known and not self._verified.verify(name, file.md5, self._stop):
            if os.path.exists(path):
                _logger.warning("%s: has not the checksum of the plan's file, which is to replace it.", path)
            return False
        self._on_bytes(name, 0, os.path.getsize(path), os.path.getsize(path))
        return True

    def _download(self, file, path):
        name = file.local_name

        def on_bytes(received, there, size):
            self._on_bytes(name, received, there, size)

        url = self._url_of(file.name)
        download_file(url, path, file.md5, self._client, self._space, self._stop, on_bytes)
        self._verified.add(name, file.md5)

    def _on_bytes(self, name, received, there, size):
        with self._lock:
            self._received += received
            self._there[name] = there
            if size is not None:
                self._sizes[name] = size

    def _record(self, result):
        with self._lock:
            self._results[result.name] = result
            self._failures_in_a_row = self._failures_in_a_row + 1 if result.status == FAILED else 0
            gives_up = self._may_download and self._failures_in_a_row >= _MAX_FAILURES_IN_A_ROW
        if gives_up:
            self._end(f"{_MAX_FAILURES_IN_A_ROW} files in a row failed")

    def _end(self, reason):
        """Has no further file begun."""
        with self._lock:
            self._stopped = self._stopped or reason

    def _progress(self):
        with self._lock:
            expected = round(statistics.fmean(self._sizes.values()) * len(self._files)) if self._sizes else None
            there = sum(self._there.values())
            return DownloadProgress(len(self._files), len(self._results), there, self._received, expected)
