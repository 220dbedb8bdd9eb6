"""Video ids that occur more than once in a dataset, found without holding the ids: 8 bytes a video."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from yt8m_distill.data.doctor.census import Census, Layout
from yt8m_distill.data.doctor.examination import Expectations, examine_record
from yt8m_distill.data.record_reader import read_records

_EXAMPLES = 5
_PLACES_OF_AN_EXAMPLE = 3
_HASH_BYTES = 8


class RepeatedId(NamedTuple):
    """An id and the first of the places that it stands at: file and number of the record."""

    video_id: str
    places: list[tuple[str, int]]


class RepeatedIds(NamedTuple):
    """Ids that occur more than once.

    Attributes:
      num_distinct: different ids of the dataset.
      num_repeated: how many of them occur more than once.
      records: file -> how many of its records have such an id.
      examples: the first of them.
    """

    num_distinct: int
    num_repeated: int
    records: dict[str, int]
    examples: list[RepeatedId]


def hash_ids(video_ids: Iterable[bytes]) -> np.ndarray:
    """uint64 [n], by BLAKE2b (RFC 7693).

    Two of six million ids share a hash by accident in one of a million datasets.
    """
    digests = b"".join(hashlib.blake2b(video_id, digest_size=_HASH_BYTES).digest() for video_id in video_ids)
    return np.frombuffer(digests, np.uint64)


def find_repeated_ids(files: Sequence[str], hashes: Sequence[np.ndarray]) -> RepeatedIds:
    """Compares the ids of files; reads again the files of the first few that are repeated, to name these.

    Args:
      files: paths.
      hashes: of the ids in each, as of `hash_ids`.
    """
    everything = np.concatenate([*hashes, np.empty(0, np.uint64)])
    everything.sort()
    is_next_equal = everything[1:] == everything[:-1]
    repeated = np.unique(everything[1:][is_next_equal])
    num_distinct = len(everything) - int(is_next_equal.sum())
    del everything
    records, wanted, holders = {}, [], []
    for path, of_file in zip(files, hashes):
        found = of_file[_is_in(of_file, repeated)].tolist()
        if not found:
            continue
        records[path] = len(found)
        if len(wanted) < _EXAMPLES:
            wanted = list(dict.fromkeys(wanted + found))[:_EXAMPLES]
        holders.append((path, set(wanted).intersection(found)))
    return RepeatedIds(num_distinct, len(repeated), records, _look_up(wanted, holders))


def _is_in(values, ascending):
    if not len(ascending):
        return np.zeros(len(values), bool)
    return ascending[np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)] == values


def _look_up(wanted, holders):
    """The ids that `wanted` are the hashes of, from records of the files that hold them."""
    places: dict[int, list] = {value: [] for value in wanted}
    ids = {}
    for path, of_file in holders:
        if all(len(places[value]) >= _PLACES_OF_AN_EXAMPLE for value in of_file):
            continue
        for number, video_id in _read_ids(path):
            value = int(hash_ids([video_id])[0])
            if value in places and len(places[value]) < _PLACES_OF_AN_EXAMPLE:
                ids[value] = video_id.decode(errors="backslashreplace")
                places[value].append((path, number))
    return [RepeatedId(ids[value], places[value]) for value in wanted if value in ids]


def _read_ids(path):
    try:
        for record in read_records(path):
            video_id, _ = examine_record(record.payload, Expectations(), Layout(), Census())
            if video_id:
                yield record.number, video_id
    except tf.errors.OpError:
        return  # read a moment ago, and gone since: its problem has been, or will be, told by whoever needs it
