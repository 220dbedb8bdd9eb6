"""One file from a server: resumed, verified, and under its final name only when it is complete and right."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable
from typing import BinaryIO

from yt8m_distill.data.download.http import HttpClient, RangeNotSatisfiable, Stopped, TransferError, content_length
from yt8m_distill.data.download.space import DiskSpace, OutOfSpace

_READ_BYTES = 1 << 20
_WORTHWHILE_BYTES = 1 << 20
_PARTIAL_CONTENT = 206


def download_file(
    url: str,
    path: str,
    md5: str,
    client: HttpClient,
    space: DiskSpace,
    stop: threading.Event,
    on_bytes: Callable[[int, int, int | None], None],
) -> None:
    """Downloads `url` to `path`.

    What has arrived is in `<path>.part` meanwhile, and stays there if the download fails or is killed, at any moment;
    the next one goes on from there if the server can (HTTP Range), and starts over if it cannot, or if what was there
    turns out not to be the file's beginning.

    Args:
      url: http or https.
      path: local file; an earlier one is replaced.
      md5: of the content, in lower-case hexadecimal digits.
      client: its options say how often and how patiently to try.
      space: where room for the file is claimed.
      stop: raises Stopped once it is set; a read that waits for the server may take the client's timeout first.
      on_bytes: function (bytes that just arrived, bytes that are there now, bytes of the whole file or None).

    Raises:
      TransferError: the server does not give it, or gives other content than `md5` says.
      OutOfSpace: it does not fit on the disk.
      OSError: it cannot be written; the message names the file.
    """
    part_path = f"{path}.part"
    try:
        with open(part_path, "a+b", buffering=0) as file:  # unbuffered: what has arrived survives kill -9
            part = _PartialFile(file, stop)
            transfer = _Transfer(url, md5, part, client, space, stop, on_bytes)
            client.try_repeatedly(transfer.attempt, stop, transfer.has_progressed)
            os.fsync(file.fileno())
        os.replace(part_path, path)
    except (TransferError, OutOfSpace):
        if not os.path.getsize(part_path):
            os.remove(part_path)
        raise
    except OSError as error:
        if error.errno is None or error.filename:
            raise
        raise OSError(error.errno, error.strerror, part_path) from error


def open_regular(path: str) -> BinaryIO:
    """Opens a file for reading; OSError if it is a device or a pipe, of which opening or reading may have no end."""
    _check_regular(os.stat(path), path)
    return open(path, "rb")


def require_regular(file) -> os.stat_result:
    """Returns the status of an open file; OSError if it is a device or a pipe, which may have no end."""
    found = os.fstat(file.fileno())
    _check_regular(found, file.name)
    return found


def _check_regular(found, path):
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):  # open() says what a directory is
        raise OSError(errno.EINVAL, "is not a file", path)


def hash_stream(stream, stop: threading.Event):
    """Returns the `hashlib` MD5 of all that a binary stream still holds.

    Raises:
      Stopped: `stop` was set meanwhile.
    """
    digest = hashlib.md5(usedforsecurity=False)
    while True:
        data = stream.read(_READ_BYTES)
        if not data:
            return digest
        digest.update(data)
        if stop.is_set():
            raise Stopped


class _NotResumable(Exception):
    """The server, or what was there, is not fit for going on."""


class _Transfer:
    """The tries at one file."""

    def __init__(self, url, md5, part, client, space, stop, on_bytes):
        self._url, self._md5, self._part = url, md5, part
        self._client, self._space, self._stop, self._on_bytes = client, space, stop, on_bytes
        self._may_resume = True
        self._farthest = part.size

    def attempt(self):
        """One request; a second one at once if it turns out that there is nothing to go on from."""
        if not self._may_resume:
            self._part.restart()
        if self._is_complete():  # killed between the last byte and the new name
            return
        try:
            self._request(self._part.size)
        except _NotResumable:
            self._may_resume = False
            self._part.restart()
            self._request(0)

    def has_progressed(self):
        """Whether there is clearly more now than there ever was."""
        if self._part.size < self._farthest + _WORTHWHILE_BYTES:
            return False
        self._farthest = self._part.size
        return True

    def _is_complete(self):
        return self._part.md5 == self._md5

    def _request(self, offset):
        try:
            offset = self._receive(offset)
        except RangeNotSatisfiable as error:
            if offset:
                raise _NotResumable from error
            raise
        except TransferError:
            if self._is_complete():  # the server promised more bytes than there are
                return
            raise
        if self._is_complete():
            return
        if offset:
            raise _NotResumable
        size = self._part.size
        self._part.restart()
        raise TransferError(f"{self._url}: the {size} bytes that came do not have the plan's checksum")

    def _receive(self, offset):
        """Appends a body to the .part; returns how many bytes of the .part are of earlier requests."""
        with self._client.open(self._url, offset) as response:
            if offset and response.status != _PARTIAL_CONTENT:  # a server without Range: the file from its start
                self._check_is_longer(response, offset)
                self._part.restart()
                offset = 0
            if offset and not re.match(rf"bytes {offset}-", response.headers.get("Content-Range", "")):
                raise _NotResumable
            size = content_length(response)
            total = None if size is None else offset + size
            with self._space.claim(self._url.rpartition("/")[2], size) as claim:
                self._on_bytes(0, offset, total)
                for piece in self._client.pieces(response, size, self._stop):
                    claim.use(len(piece))
                    self._part.append(piece)
                    self._on_bytes(len(piece), self._part.size, total)
        return offset

    def _check_is_longer(self, response, offset):
        """Looks closer at a whole body that is shorter than what is here.

        Raises:
          _NotResumable: it is the file, and what is here is not its beginning.
          TransferError: it is a page about something else, and no reason to lose what has arrived.
        """
        size = content_length(response)
        if size is None or size >= offset:
            return
        digest = hashlib.md5(usedforsecurity=False)
        for piece in self._client.pieces(response, size, self._stop):
            digest.update(piece)
        if digest.hexdigest() == self._md5:
            raise _NotResumable
        raise TransferError(
            f"{self._url}: the server answers with {size} bytes, and {offset} of the file are here already"
        )


class _PartialFile:
    """The beginning of a file under a temporary name.

    Attributes:
      size: bytes that it holds.
    """

    def __init__(self, file, stop):
        self._file = file
        require_regular(file)
        self._file.seek(0)
        self._digest = hash_stream(self._file, stop)
        self.size = self._file.tell()

    @property
    def md5(self):
        return self._digest.hexdigest()

    def append(self, data):
        rest = memoryview(data)
        while rest:
            written = self._file.write(rest)
            self._digest.update(rest[:written])
            self.size += written
            rest = rest[written:]

    def restart(self):
        self._file.truncate(0)
        self._digest = hashlib.md5(usedforsecurity=False)
        self.size = 0
