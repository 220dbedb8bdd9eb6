"""Files and directories that exist under their final name only when they are complete.

A command that is interrupted half-way (Ctrl-C, a full disk, a pre-empted machine) must not leave a truncated
submission that looks whole, nor destroy the good one of yesterday. The context managers here write under a
temporary name beside the final one and rename at the end. Paths with a scheme (`gs://...`) go through
`tf.io.gfile`; TensorFlow is imported only for those.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator

_BUFFER_BYTES = 1 << 18


@contextlib.contextmanager
def open_atomic(path: str | os.PathLike, mode: str = "w") -> Iterator[io.TextIOWrapper | io.BufferedWriter]:
    r"""Opens `path` for writing; the file appears, or replaces an earlier one, only if the body succeeds.

    On any exception, KeyboardInterrupt included, the temporary file is removed and an earlier file under
    `path` keeps its content. (A killed process leaves a hidden `.<name>.<random>.partial` behind, which may
    be deleted.) Missing parent directories are created, a symbolic link is followed, an earlier file's
    permissions are kept. On an object store the rename is a copy and a delete.

    Args:
        path: local path, or a remote one that `tf.io.gfile` can write.
        mode: "w" for UTF-8 text with "\n" line ends on every platform, or "wb" for bytes.

    Yields:
        A buffered file object. Do not close it inside the body.

    Raises:
        ValueError: another `mode`.
        OSError: `path` cannot be written (no permission, disk full, a directory or a device has that name,
            ...); the message names `path`.
    """
    if mode not in ("w", "wb"):
        raise ValueError(f'open_atomic: `mode` must be "w" or "wb". Received: {mode!r}')
    path = os.fspath(path)
    files = _files_for(path)
    with atomic_path(path) as partial:
        with _errors_name(path):
            raw = files.open(partial, path)
        try:
            stream = io.BufferedWriter(raw, _BUFFER_BYTES)
            if mode == "w":
                stream = io.TextIOWrapper(stream, encoding="utf-8", newline="\n")
            yield stream
            stream.flush()
            with _errors_name(path):
                files.sync(raw)
                raw.close()
        except BaseException:
            with contextlib.suppress(OSError):
                raw.close()  # not stream.close(), which would first write the rest, and could fail once more
            raise


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[str]:
    """As `open_atomic`, for a writer that opens its file by name (`tf.io.TFRecordWriter`).

    Yields:
        The temporary name beside `path`, under which the body writes and closes the file.
    """
    path = os.fspath(path)
    files = _files_for(path)
    with _errors_name(path):
        final = files.resolve_file(path)
        partial = _partial_name(final)
        files.makedirs(_parent(final))
    try:
        yield partial
        with _errors_name(path):
            files.rename(partial, final)
    except BaseException:
        with contextlib.suppress(OSError):
            files.remove(partial)
        raise


@contextlib.contextmanager
def atomic_directory(path: str | os.PathLike, may_replace: Callable[[str], bool] | None = None) -> Iterator[str]:
    """Yields a new temporary directory beside `path`, which becomes `path` only if the `with` body succeeds.

    For outputs of several files, such as a SavedModel: readers see all of it or nothing. On any exception the
    temporary directory is removed and what was under `path` stays. An object store has no directories; there
    the files are moved one by one.

    Args:
        path: local or remote directory; it must not exist yet, or be empty.
        may_replace: says by file name which files `path` may hold nevertheless; they are removed at the end.

    Yields:
        The path of the temporary directory, to be filled by the body.

    Raises:
        FileExistsError: `path` is a file, or a directory that holds something that may not be replaced
            (checked before the body, to fail early, and again after it).
        OSError: `path` cannot be written; the message names it.
    """
    path = os.fspath(path)
    files = _files_for(path)
    with _errors_name(path):
        final = files.resolve_directory(path)
        partial = _partial_name(final)
        _list_replaceable(files, final, may_replace)
    try:
        with _errors_name(path):
            files.makedirs(partial)
        yield partial
        with _errors_name(path):
            for name in _list_replaceable(files, final, may_replace):
                files.remove(f"{final}/{name}")
            files.rename(partial, final)
    except BaseException:
        with contextlib.suppress(OSError):
            files.rmtree(partial)
        raise


def _list_replaceable(
    files: _LocalFiles | _RemoteFiles, final: str, may_replace: Callable[[str], bool] | None
) -> list[str]:
    """Lists the files of a directory that may be replaced by another; FileExistsError if it may not."""
    if not files.exists(final):
        return []
    if not files.isdir(final):
        raise FileExistsError(errno.EEXIST, "it is a file; remove it or choose another directory", final)
    names = files.listdir(final)
    for name in names:
        if may_replace is None or not may_replace(name) or files.isdir(f"{final}/{name}"):
            reason = f"the directory exists and holds {name!r}; remove it or choose another directory"
            raise FileExistsError(errno.EEXIST, reason, final)
    return names


def _partial_name(final: str) -> str:
    # The name is clipped because file systems allow 255 bytes, which a long one may use up already.
    return f"{_parent(final)}.{os.path.basename(final)[:40]}.{uuid.uuid4().hex[:12]}.partial"


def _parent(path: str) -> str:
    return path[: len(path) - len(os.path.basename(path))]  # keeps the "/", without which "gs://" were local


@contextlib.contextmanager
def _errors_name(path: str) -> Iterator[None]:
    """Re-raises an OSError as one of the same kind that names the path the user gave, not a temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno or errno.EIO, f"cannot write: {error.strerror or error}", path) from error


def _files_for(path: str) -> _LocalFiles | _RemoteFiles:
    return _RemoteFiles() if "://" in path else _LocalFiles()


class _LocalFiles:
    """The operations above on the local file system."""

    exists = staticmethod(os.path.lexists)
    isdir = staticmethod(os.path.isdir)
    listdir = staticmethod(os.listdir)
    remove = staticmethod(os.remove)
    rmtree = staticmethod(shutil.rmtree)

    def makedirs(self, path: str) -> None:
        try:
            os.makedirs(path, exist_ok=True)
        except FileExistsError as error:
            reason = f"{os.path.normpath(error.filename)} is not a directory"
            raise NotADirectoryError(errno.ENOTDIR, reason, path) from error

    def resolve_file(self, path: str) -> str:
        final = os.path.realpath(path)
        if path.endswith(os.sep) or os.path.isdir(final):
            raise IsADirectoryError(errno.EISDIR, "it is a directory; give a file name", path)
        if os.path.exists(path):  # on `path`: the /proc target of /dev/stdout has no name of its own
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise OSError(errno.EINVAL, "a device or pipe cannot be replaced; give a file name", path)
            if not os.access(final, os.W_OK):
                raise PermissionError(errno.EACCES, "the file is read-only", path)
        return final

    def resolve_directory(self, path: str) -> str:
        return os.path.realpath(path)

    def open(self, partial: str, path: str) -> _LocalFile:
        return _LocalFile(partial, path)

    def sync(self, raw: _LocalFile) -> None:
        os.fsync(raw.fileno())

    def rename(self, partial: str, final: str) -> None:
        if os.path.exists(final):
            shutil.copymode(final, partial)
        os.replace(partial, final)


class _LocalFile(io.FileIO):
    """An unbuffered new file whose write errors name the final path."""

    def __init__(self, partial: str, path: str) -> None:
        super().__init__(partial, "x")
        self._path = path

    def write(self, data: bytes) -> int:
        with _errors_name(self._path):
            return super().write(data)


class _RemoteFiles:
    """The operations above through `tf.io.gfile`, with its errors as OSError."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._gfile = tf.io.gfile

    def makedirs(self, path: str) -> None:
        with _tensorflow_errors_as_os_errors():
            self._gfile.makedirs(path)

    def remove(self, path: str) -> None:
        with _tensorflow_errors_as_os_errors():
            self._gfile.remove(path)

    def rmtree(self, path: str) -> None:
        with _tensorflow_errors_as_os_errors():
            self._gfile.rmtree(path)

    def resolve_file(self, path: str) -> str:
        if path.endswith("/") or self.isdir(path):
            raise IsADirectoryError(errno.EISDIR, "it is a directory; give a file name", path)
        return path

    def resolve_directory(self, path: str) -> str:
        return path.rstrip("/")

    def exists(self, path: str) -> bool:
        with _tensorflow_errors_as_os_errors():
            return self._gfile.exists(path)

    def isdir(self, path: str) -> bool:
        with _tensorflow_errors_as_os_errors():
            return self._gfile.isdir(path)

    def listdir(self, path: str) -> list[str]:
        with _tensorflow_errors_as_os_errors():
            return self._gfile.listdir(path)

    def open(self, partial: str, path: str) -> _RemoteFile:
        return _RemoteFile(self._gfile.GFile(partial, "wb"), path)

    def sync(self, raw: _RemoteFile) -> None:
        """Closing a remote file is what commits it."""

    def rename(self, partial: str, final: str) -> None:
        with _tensorflow_errors_as_os_errors():
            self._gfile.rename(partial, final, overwrite=True)


class _RemoteFile(io.RawIOBase):
    """A `GFile` as a raw stream whose write errors name the final path."""

    def __init__(self, gfile: object, path: str) -> None:
        super().__init__()
        self._gfile = gfile
        self._path = path

    def writable(self) -> bool:
        return True

    def write(self, data: memoryview) -> int:
        with _errors_name(self._path), _tensorflow_errors_as_os_errors():
            self._gfile.write(bytes(data))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            with _tensorflow_errors_as_os_errors():
                self._gfile.close()


@contextlib.contextmanager
def _tensorflow_errors_as_os_errors() -> Iterator[None]:
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        codes = {
            tf.errors.NOT_FOUND: errno.ENOENT,
            tf.errors.PERMISSION_DENIED: errno.EACCES,
            tf.errors.UNAUTHENTICATED: errno.EACCES,
            tf.errors.ALREADY_EXISTS: errno.EEXIST,
            tf.errors.RESOURCE_EXHAUSTED: errno.ENOSPC,
            tf.errors.UNIMPLEMENTED: errno.ENOTSUP,
        }
        raise OSError(codes.get(error.error_code, errno.EIO), error.message) from error
