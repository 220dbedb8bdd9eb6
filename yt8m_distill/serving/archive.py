"""Model archives: one `.tgz` that holds all it takes to rebuild a trained model.

The layout is that of the Kaggle 2018 contract (README of the YouTube-8M starter code): `model_flags.json` and
the checkpoint files `inference_model.*`, flat at the root. Archives come from other people, so `unpack_model`
trusts neither the names nor the sizes nor the `checkpoint` file of an archive.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import tensorflow as tf

from yt8m_distill.data.atomic_file import atomic_directory, open_atomic

_FLAGS = "model_flags.json"
_CHECKPOINT = "inference_model"
_STATE_FILE = "checkpoint"
_STATE = f'model_checkpoint_path: "{_CHECKPOINT}"\n'.encode()
_DATA_SUFFIX = r"\.data-[0-9]{5}-of-[0-9]{5}"
_MODEL_FILE = re.compile(rf"{re.escape(_FLAGS)}|{_STATE_FILE}|{_CHECKPOINT}(\.index|{_DATA_SUFFIX})")

_MAX_BYTES = 8 << 30
_MAX_MEMBERS = 100
_MAX_FLAGS_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20

_FORBIDDEN_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.DIRTYPE: "a directory",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}


class ArchiveError(ValueError):
    """A model archive that cannot be used. The message names the archive, the member (if any), and why."""

    def __init__(self, archive_path: str, reason: str, member: str | None = None) -> None:
        where = "" if member is None else f"member {member!r}: "
        super().__init__(f"model archive {archive_path}: {where}{reason}")


def pack_model(
    model_flags_path: str | os.PathLike, checkpoint_prefix: str | os.PathLike, archive_path: str | os.PathLike
) -> None:
    """Writes a model archive: the flags and one checkpoint, which is called `inference_model` there.

    The same files give the same bytes (no times, owners or paths are stored), and `archive_path` appears only
    when it is complete. Every path may be local or remote (`gs://...`).

    Args:
        model_flags_path: the `model_flags.json` of the training directory.
        checkpoint_prefix: a checkpoint's path without suffix, e.g. `<train_dir>/model.ckpt-1200`.
        archive_path: the `.tgz` to write.

    Raises:
        FileNotFoundError: the flags, the checkpoint's index or one of its data files is missing.
        OSError: `archive_path` cannot be written.
    """
    sources = _checkpoint_files(os.fspath(checkpoint_prefix))
    sources[_FLAGS] = os.fspath(model_flags_path)
    with (
        open_atomic(archive_path, "wb") as archive_file,
        gzip.GzipFile(filename="", mode="wb", fileobj=archive_file, mtime=0) as gzip_file,
        tarfile.open(fileobj=gzip_file, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        archive.addfile(_member(_STATE_FILE, len(_STATE)), io.BytesIO(_STATE))
        for name, source in sorted(sources.items()):
            with _open_for_reading(source) as source_file:
                archive.addfile(_member(name, tf.io.gfile.stat(source).length), source_file)


def unpack_model(archive_path: str | os.PathLike, target_dir: str | os.PathLike, max_bytes: int = _MAX_BYTES) -> None:
    """Unpacks a model archive into a directory that `tf.train.latest_checkpoint` then finds the weights in.

    An archive is either unpacked completely or refused, and then `target_dir` stays as it was. A model
    unpacked there earlier is replaced, so that files of two models never mix. The `checkpoint` file is
    written anew instead of taken from the archive, because it could name a path elsewhere.

    Args:
        archive_path: a `.tgz` written by `pack_model`, local or remote (`gs://...`).
        target_dir: the directory to make; if it exists, it may hold nothing but an earlier unpacked model.
        max_bytes: limit for the uncompressed archive, counted while it is read.

    Raises:
        ArchiveError: the archive is corrupt, incomplete or too large, holds anything but the regular files of
            a model flat at its root, or is one of the original starter code; or `target_dir` holds other
            files.
        OSError: `archive_path` cannot be read or `target_dir` cannot be written.
    """
    archive_path = os.fspath(archive_path)
    with _open_for_reading(archive_path) as archive_file:
        reader = _TarReader(archive_file, archive_path, max_bytes)
        try:
            with atomic_directory(target_dir, may_replace=_is_model_file) as directory:
                names = _extract(reader, directory)
                _require_complete(archive_path, names)
                with open_atomic(os.path.join(directory, _STATE_FILE), "wb") as state_file:
                    state_file.write(_STATE)
        except FileExistsError as error:
            raise ArchiveError(archive_path, f"the target directory is not free: {error}") from error


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)  # its defaults are mtime, uid and gid 0, mode 0o644
    member.size = size
    return member


def _open_for_reading(path: str) -> BinaryIO:
    if "://" not in path:
        return open(path, "rb")
    if not tf.io.gfile.exists(path):
        raise FileNotFoundError(f"{path} does not exist")
    return tf.io.gfile.GFile(path, "rb")


def _is_model_file(name: str) -> bool:
    return _MODEL_FILE.fullmatch(name) is not None


def _checkpoint_files(prefix: str) -> dict[str, str]:
    """Returns the checkpoint's files, keyed by their names in the archive."""
    directory, base = os.path.split(prefix)
    suffix = re.compile(rf"\.index|{_DATA_SUFFIX}")
    present = tf.io.gfile.listdir(directory or ".") if tf.io.gfile.isdir(directory or ".") else []
    suffixes = [name[len(base) :] for name in present if name.startswith(base)]
    suffixes = [s for s in suffixes if suffix.fullmatch(s)]
    problem = _checkpoint_problem(base, [base + s for s in suffixes])
    if problem:
        raise FileNotFoundError(
            f"{prefix} is not a complete checkpoint: {problem}; give the path of a checkpoint without its "
            "suffix, e.g. <train_dir>/model.ckpt-1200"
        )
    return {_CHECKPOINT + s: prefix + s for s in suffixes}


def _checkpoint_problem(base: str, names: Iterable[str]) -> str | None:
    """Says what keeps the named files from being the complete checkpoint `base`; None if nothing does."""
    if f"{base}.index" not in names:
        return f"{base}.index is missing"
    data = sorted(name for name in names if name.startswith(f"{base}.data-"))
    if not data:
        return f"{base}.data-* is missing"
    total = int(data[0][-5:])
    if data != [f"{base}.data-{i:05d}-of-{total:05d}" for i in range(total)]:
        return f"its data files are not the {total} of one checkpoint: {', '.join(data[:5])}"
    return None


def _require_complete(archive_path: str, names: set[str]) -> None:
    problem = _checkpoint_problem(_CHECKPOINT, names) if _FLAGS in names else f"{_FLAGS} is missing"
    if problem:
        raise ArchiveError(archive_path, f"{problem}; it must hold {_FLAGS} and the files of one checkpoint")


def _extract(reader: _TarReader, directory: str) -> set[str]:
    names = set()
    for member in reader.members():
        reason = _reason_to_refuse(member, names)
        if reason:
            raise ArchiveError(reader.archive_path, reason, member.name)
        names.add(member.name)
        if member.name != _STATE_FILE:
            with open_atomic(os.path.join(directory, member.name), "wb") as member_file:
                for chunk in reader.content():
                    member_file.write(chunk)
    return names


def _reason_to_refuse(member: tarfile.TarInfo, names: set[str]) -> str | None:
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        kind = _FORBIDDEN_KINDS.get(member.type, "of a special type")
        return f"it is {kind}; only regular files are accepted"
    if member.name.endswith(".meta"):
        return (
            "it is a TensorFlow 1 graph, so this is an archive of the original YouTube-8M starter code, "
            "whose models this package does not run; train the model again with this package"
        )
    if not _is_model_file(member.name):
        return f"only {_FLAGS}, {_STATE_FILE}, {_CHECKPOINT}.(index|data-*), flat at the root, are accepted"
    if member.name in names:
        return "it is there twice"
    if member.name == _FLAGS and member.size > _MAX_FLAGS_BYTES:
        return f"it has {member.size} bytes; flags never need more than {_MAX_FLAGS_BYTES}"
    return None


class _TarReader:
    """Reads a gzipped tar from front to end in constant memory.

    `tarfile` itself is used for single headers only: its own reader loads extended headers of any size into
    memory, takes a damaged header for the end of the archive, and expands sparse files.
    """

    def __init__(self, archive_file: BinaryIO, archive_path: str, max_bytes: int) -> None:
        self.archive_path = archive_path
        self._gzip_file = gzip.GzipFile(fileobj=archive_file, mode="rb")
        self._max_bytes = max_bytes
        self._bytes_read = 0
        self._bytes_left = 0  # of the content of the current member

    def members(self) -> Iterator[tarfile.TarInfo]:
        """Yields each member's header; `content` reads what follows it, and need not be called."""
        num_headers = 0
        while True:
            block = self._read_exactly(tarfile.BLOCKSIZE)
            if not block.strip(b"\0"):
                break
            num_headers += 1
            if num_headers > _MAX_MEMBERS:
                raise ArchiveError(self.archive_path, f"it has more than {_MAX_MEMBERS} members")
            member = self._parse_header(block)
            self._bytes_left = member.size
            # POSIX extended headers are skipped: names and sizes that a model needs fit into ordinary ones.
            if member.type not in (tarfile.XHDTYPE, tarfile.XGLTYPE):
                yield member
            for _ in self.content():
                pass
            self._read_exactly(-member.size % tarfile.BLOCKSIZE)
        while True:  # to the very end, where gzip keeps its check sum
            padding = self._read(_CHUNK_BYTES)
            if not padding:
                return
            if padding.strip(b"\0"):
                raise ArchiveError(self.archive_path, "there is something behind the end of the archive")

    def content(self) -> Iterator[bytes]:
        while self._bytes_left:
            chunk = self._read_exactly(min(self._bytes_left, _CHUNK_BYTES))
            self._bytes_left -= len(chunk)
            yield chunk

    def _parse_header(self, block: bytes) -> tarfile.TarInfo:
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise self._corrupt(error) from error
        if member.size < 0:
            raise self._corrupt("negative size")
        return member

    def _read_exactly(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) < size:
            raise self._corrupt("unexpected end")
        return data

    def _read(self, size: int) -> bytes:
        try:
            data = self._gzip_file.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self._corrupt(error) from error
        self._bytes_read += len(data)
        if self._bytes_read > self._max_bytes:
            reason = f"its uncompressed size exceeds the limit of max_bytes={self._max_bytes} bytes"
            raise ArchiveError(self.archive_path, reason)
        return data

    def _corrupt(self, reason: object) -> ArchiveError:
        return ArchiveError(self.archive_path, f"it is corrupt or not a gzipped tar ({reason}); fetch or pack it again")
