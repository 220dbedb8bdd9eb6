"""Which files a partition of YouTube-8M consists of: the download plan that its servers publish."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import string

from yt8m_distill.data.errors import DataError

MAX_PLAN_BYTES = 1 << 24  # a real one of 3844 files has a quarter of a megabyte
_KINDS = {"1": ("video_level", "frame_level"), "2": ("video", "frame"), "3": ("video", "frame")}
_SPLITS = ("train", "validate", "test")
_SUFFIX = ".tfrecord"
# What may become a file's name here: nothing hidden, no folder, nothing that a terminal or a shell takes for its own.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}" + re.escape(_SUFFIX))
_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_DIGITS = string.ascii_lowercase + string.ascii_uppercase + string.digits


@dataclasses.dataclass(frozen=True)
class PlannedFile:
    """One file of a partition.

    Attributes:
      name: on the server.
      md5: of the content, 32 lower-case hexadecimal digits.
    """

    name: str
    md5: str

    @property
    def local_name(self) -> str:
        """The name under which it is stored."""
        return local_name(self.name)


def check_partition(partition: str) -> str:
    """Returns `partition` if it has the form of one, `<version>/<kind>/<split>`.

    Raises:
      ValueError: it has not.
    """
    version, _, rest = partition.partition("/")
    kind, _, split = rest.partition("/")
    if kind not in _KINDS.get(version, ()) or split not in _SPLITS:
        raise ValueError(
            "A partition is <version>/<kind>/<split>, for instance 2/frame/train: version 2 (2018) or 3 (segments), "
            "kind video or frame, split train, validate or test; the kinds of version 1 are video_level and "
            f"frame_level. Received: {partition!r}."
        )
    return partition


def local_name(name: str) -> str:
    """The name that the dataset's own script stores a file under, so that both find each other's files.

    The last two characters of the stem count in base 62 (a-z, A-Z, 0-9) and become four decimal digits:
    `trainaA.tfrecord` is `train0026.tfrecord`. On a disk that does not tell `a` from `A` the names stay distinct. A
    stem with another ending stays as it is.
    """
    stem = name[: -len(_SUFFIX)]
    if len(stem) < 2 or stem[-2] not in _DIGITS or stem[-1] not in _DIGITS:
        return name
    return f"{stem[:-2]}{_DIGITS.index(stem[-2]) * len(_DIGITS) + _DIGITS.index(stem[-1]):04d}{_SUFFIX}"


def parse_plan(text: bytes, where: str) -> list[PlannedFile]:
    """Reads a plan, JSON `{"files": {"trainaa.tfrecord": "<md5>", ...}}`, and trusts none of it.

    Args:
      text: of the plan.
      where: it comes from, for messages.

    Returns:
      Its files by name.

    Raises:
      DataError: it is no plan, or a damaged or a hostile one: a name that is no plain file name, a checksum that is
        none, or two files for one local name.
    """
    if len(text) > MAX_PLAN_BYTES:
        raise DataError(f"{where}: more than {MAX_PLAN_BYTES >> 20} MB, which is too large for a download plan.")
    try:
        plan = json.loads(text, object_pairs_hook=_object_of_distinct_keys)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{where}: is not the JSON of a download plan ({reason}).") from error
    return plan_of(plan, where)


def plan_of(plan: object, where: str) -> list[PlannedFile]:
    """As `parse_plan`, of parsed JSON."""
    checksums = plan.get("files") if isinstance(plan, dict) else None
    if not isinstance(checksums, dict) or not checksums:
        raise DataError(f'{where}: a download plan has an entry "files" that maps names to checksums; this has none.')
    files = [_planned_file(name, md5, where) for name, md5 in sorted(checksums.items())]
    names = {}
    for file in files:
        other = names.setdefault(file.local_name.casefold(), file)
        if other is not file:
            raise DataError(
                f"{where}: {other.name!r} and {file.name!r} would both be stored as {file.local_name!r}; the download "
                "plan is damaged."
            )
    return files


def select_shard(files: list[PlannedFile], shard: int, num_shards: int) -> list[PlannedFile]:
    """The files of shard `shard` of `num_shards`, 1 to `num_shards`, by the rule of the dataset's own script.

    Raises:
      ValueError: there is no such shard.
    """
    if not 1 <= shard <= num_shards:
        raise ValueError(f"A shard X,Y is number X of Y, 1 <= X <= Y. Received: {shard},{num_shards}.")
    return [file for file in files if int(_md5(file.name), 16) % num_shards == shard - 1]


def _planned_file(name, md5, where):
    if not _NAME.fullmatch(name):
        raise DataError(
            f"{where}: {name[:200]!r} is not the name of a shard (letters, digits, '.', '_', '-', and {_SUFFIX} at the "
            "end); the download plan is damaged."
        )
    if not isinstance(md5, str) or not _MD5.fullmatch(md5):
        raise DataError(f"{where}: {name} has the checksum {str(md5)[:100]!r}, which is no MD5 of 32 digits.")
    return PlannedFile(name, md5.lower())


def _object_of_distinct_keys(pairs):
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name occurs twice")
    return entries


def _md5(text):
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
