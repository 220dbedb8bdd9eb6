"""Predictions shared out over processes: what each of them reads, the part that it writes, and the parts made one.

A process, here a shard, knows nothing of the others: one that dies costs its own part alone. Its part
`<output>-00003-of-00008` is a whole file of the output's format. `<part>.json` beside it, written last, says that the
part is complete and of which run it is. Parts of two runs (one shard was never started again; the checkpoint changed
between the starts of two) would otherwise make a file that looks good and is not.
"""

from __future__ import annotations

import array
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.models import ModelConfig
from yt8m_distill.serving.submission import HEADER

_MOST_LISTED = 10


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of `count` processes that share the record files of a run; `index` counts from 0.

    Raises:
      ValueError: an index outside [0, count).
    """

    index: int
    count: int

    def __post_init__(self):
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"The shards of {self.count} are numbered from 0 to {self.count - 1}. Received: shard {self.index}."
            )

    def share_of(self, files: list[str]) -> list[str]:
        """The files that this shard reads, which follow each other in the list.

        All shards together have each file once, and none has two files more than another; of fewer files than shards,
        some have none.
        """
        first, end = (len(files) * bound // self.count for bound in (self.index, self.index + 1))
        return files[first:end]

    def part_of(self, path: str) -> str:
        """The name of this shard's part of a file."""
        return f"{path}-{self.index:05}-of-{self.count:05}"


def describe_run(config: ModelConfig, checkpoint: str, files: list[str], **settings) -> dict:
    """What the parts of one run have in common, to be compared and shown.

    Args:
      config: the model.
      checkpoint: prefix of its weights. Their fingerprint is that of the checkpoint's index, which holds checksums.
      files: the record files of all shards.
      **settings: what else makes a difference to the rows.
    """
    with tf.io.gfile.GFile(f"{checkpoint}.index", "rb") as index:
        weights = _fingerprint(index.read(), repr(config).encode())
    return {
        "model": f"{os.path.basename(checkpoint)}, fingerprint {weights}",
        "input_files": f"{len(files)}, fingerprint {_fingerprint(*(path.encode() for path in files))}",
        **settings,
    }


def write_part(path: str, shard: Shard, run: dict, write: Callable[[str], int]) -> None:
    """Writes a shard's part of `path`, and beside it what it is part of.

    A part that is written anew counts as unfinished from the start: should this process be stopped, start it again.

    Args:
      path: the file that the parts will make, local or remote.
      shard: whose part.
      run: as of `describe_run`, with `output_format`, `csv` or `jsonl`.
      write: function that writes the part to the path it is given, whole or not at all, and returns the number of rows.

    Raises:
      OSError: a file cannot be written; and what `write` raises.
    """
    part = shard.part_of(path)
    if tf.io.gfile.exists(_description_path(part)):
        tf.io.gfile.remove(_description_path(part))  # it must not vouch for what is written now
    num_rows = write(part)
    with open_atomic(_description_path(part)) as file:
        file.write(json.dumps({**run, "num_rows": num_rows}, indent=2) + "\n")


def merge_parts(path: str, num_shards: int) -> int:
    """Writes `path` from its parts, in their order, whole or not at all. The parts stay.

    The rows are those of a single process that reads the files one by one. (Their scores are sums that other batches
    may round differently, so a last digit may differ, as it may between two batch sizes.)

    Memory: 8 bytes a row, to find an id that comes twice.

    Args:
      path: the file to write, local or remote, with the parts beside it.
      num_shards: how many parts there are.

    Returns:
      The number of rows (videos).

    Raises:
      ValueError: parts that are missing, unfinished, damaged or of different runs, two rows of one video; names them.
      OSError: `path` cannot be written.
    """
    parts = [Shard(index, num_shards).part_of(path) for index in range(num_shards)]
    runs = _read_descriptions(path, parts)
    is_csv = runs[0]["output_format"] == "csv"
    ids = array.array("q")
    with open_atomic(path, "wb") as output:
        if is_csv:
            output.write(HEADER.encode())
        for part, run in zip(parts, runs):
            num_before = len(ids)
            for video_id, line in _rows(part, is_csv):
                ids.append(hash(video_id))
                output.write(line)
            if len(ids) - num_before != run["num_rows"]:
                raise ValueError(
                    f"{part}: holds {len(ids) - num_before} rows instead of the {run['num_rows']} that were written. "
                    "Predict this part again."
                )
        _check_distinct(ids, parts, is_csv)
    return len(ids)


def _fingerprint(*texts):
    return hashlib.sha256(b"\n".join(texts)).hexdigest()[:16]


def _description_path(part):
    return f"{part}.json"


def _read_descriptions(path, parts):
    """The descriptions of all parts; ValueError unless all parts are there and of one run."""
    missing = [
        index for index, part in enumerate(parts) if not all(map(tf.io.gfile.exists, (part, _description_path(part))))
    ]
    if missing:
        listed = ", ".join(map(str, missing[:_MOST_LISTED])) + (" ..." if len(missing) > _MOST_LISTED else "")
        raise ValueError(
            f"{len(missing)} of the {len(parts)} parts of {path} are missing or unfinished, such as "
            f"{parts[missing[0]]}. Predict these first: --num_shards={len(parts)} with --shard_index = {listed}."
        )
    runs = [_read_description(part) for part in parts]
    for part, run in zip(parts, runs):
        for name in sorted({*runs[0], *run} - {"num_rows"}):
            if run.get(name) != runs[0].get(name):
                raise ValueError(
                    f"{part} is of another run than {parts[0]}: its {name} is {run.get(name)!r}, not "
                    f"{runs[0].get(name)!r}. Predict one of the two again."
                )
    return runs


def _read_description(part):
    with tf.io.gfile.GFile(_description_path(part), "rb") as file:
        try:
            run = json.loads(file.read())
        except ValueError:
            run = None
    if isinstance(run, dict) and isinstance(run.get("num_rows"), int) and run.get("output_format") in ("csv", "jsonl"):
        return run
    raise ValueError(f"{_description_path(part)}: does not describe a part. Predict {part} again.")


def _rows(part, is_csv) -> Iterator[tuple[bytes | str, bytes]]:
    """The rows of a part, without a CSV's header: pairs of a video id and the line."""
    with tf.io.gfile.GFile(part, "rb") as file:
        lines = enumerate(file, start=1)
        if is_csv and next(lines, (1, b""))[1] != HEADER.encode():
            raise ValueError(f"{part}: does not begin with the header {HEADER.rstrip()!r}. Predict this part again.")
        for number, line in lines:
            video_id = _csv_id(line) if is_csv else _json_id(line)
            if not video_id or not line.endswith(b"\n"):
                raise ValueError(f"{part}: line {number} is not a whole row of predictions. Predict this part again.")
            yield video_id, line


def _csv_id(line):
    video_id, comma, _ = line.partition(b",")
    return video_id if comma else None


def _json_id(line):
    try:
        video_id = json.loads(line)["video_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return video_id if isinstance(video_id, str) else None


def _check_distinct(hashes, parts, is_csv):
    """ValueError for a video id that comes twice, by the hashes of all; reads the parts again if two are equal."""
    hashes = np.sort(np.frombuffer(hashes, np.int64))
    suspects = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    if not suspects:
        return
    part_of_id = {}
    for part in parts:
        for video_id, _ in _rows(part, is_csv):
            if hash(video_id) not in suspects:
                continue
            if video_id in part_of_id:
                name = video_id.decode(errors="replace") if is_csv else video_id
                raise ValueError(
                    f"{part}: has a row of video {name!r}, and so has {part_of_id[video_id]}. Its record is in the "
                    "input twice; remove one of them."
                )
            part_of_id[video_id] = part
