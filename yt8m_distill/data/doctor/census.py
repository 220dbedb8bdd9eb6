"""What is counted of the records of files, in a form that merges exactly.

All figures are counters: in whatever order files are examined, and by however many processes, the sum is the same.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

FRAME_LEVEL, VIDEO_LEVEL, NEITHER = "frame-level", "video-level", "neither"
BOTH_IDS, NO_ID = "id and video_id", "none"


class Feature(NamedTuple):
    """A feature of a record, beside its id, labels and rated segments.

    Attributes:
      name: its key.
      level: `FRAME_LEVEL` in a feature list, `VIDEO_LEVEL` in an `Example` or a context.
      dtype: "bytes", "float", "int64" or "none".
      width: bytes or values a frame; values of a float vector. 0 where there is no frame, and for anything else, whose
        length is free.
    """

    name: str
    level: str
    dtype: str
    width: int


class _Counted:
    """A dataclass of counters."""

    def update(self, other) -> None:
        """Adds what another one has counted."""
        for field in dataclasses.fields(self):
            getattr(self, field.name).update(getattr(other, field.name))

    def __add__(self, other):
        total = type(self)()
        total.update(self)
        total.update(other)
        return total


@dataclasses.dataclass
class Layout(_Counted):
    """How records are laid out. Small: it is kept for each file, so that the one that differs can be named.

    Attributes:
      kinds: records by `FRAME_LEVEL`, `VIDEO_LEVEL` or `NEITHER`.
      id_keys: records by "id", "video_id", `BOTH_IDS` or `NO_ID`.
      features: records by `Feature`.
    """

    kinds: Counter = dataclasses.field(default_factory=Counter)
    id_keys: Counter = dataclasses.field(default_factory=Counter)
    features: Counter = dataclasses.field(default_factory=Counter)


@dataclasses.dataclass
class Census(_Counted):
    """What records hold.

    Attributes:
      num_frames: frame-level records by their number of frames.
      labels: records by label.
      num_labels: records that have the key `labels` by their number of distinct labels.
      segments: "videos" with rated segments, their "segments", "ratings" and "positive ratings".
      remarks: records by what is odd about them but does no harm.
    """

    num_frames: Counter = dataclasses.field(default_factory=Counter)
    labels: Counter = dataclasses.field(default_factory=Counter)
    num_labels: Counter = dataclasses.field(default_factory=Counter)
    segments: Counter = dataclasses.field(default_factory=Counter)
    remarks: Counter = dataclasses.field(default_factory=Counter)


class Distribution(NamedTuple):
    """Of values that occur so many times each; all 0 for none."""

    min: int = 0
    median: float = 0.0
    mean: float = 0.0
    max: int = 0


def distribution(counts: Counter) -> Distribution:
    """Summary of `counts`, how often each value occurs. The median of an even number lies between the middle two."""
    total = sum(counts.values())
    if not total:
        return Distribution()
    values = sorted(counts)
    middle = [_value_at(values, counts, place) for place in ((total - 1) // 2, total // 2)]
    mean = sum(value * count for value, count in counts.items()) / total
    return Distribution(values[0], sum(middle) / 2, mean, values[-1])


def most_common(counts: Counter, among: Iterable | None = None):
    """The key that occurs most often, or None; of several, the last in order: the same for any order of counting."""
    counts = {key: counts[key] for key in (counts if among is None else among) if counts[key]}
    return max(counts, key=lambda key: (counts[key], key), default=None)


def _value_at(values, counts, place):
    for value in values:
        place -= counts[value]
        if place < 0:
            return value
    raise IndexError(place)
