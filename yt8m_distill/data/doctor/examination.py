"""One serialized record: what it holds, and what in it no reader could use. Frames are measured, not decoded.

Formats: `record_parser.py` and `segment_parser.py`, which reject what is called a flaw here.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from yt8m_distill.data.doctor.census import (
    BOTH_IDS,
    FRAME_LEVEL,
    NEITHER,
    NO_ID,
    VIDEO_LEVEL,
    Census,
    Feature,
    Layout,
)
from yt8m_distill.data.frame_record import frame_header
from yt8m_distill.data.record_parser import ID_FEATURES
from yt8m_distill.data.segment_parser import SEGMENT_LABELS, SEGMENT_SCORES, SEGMENT_START_TIMES
from yt8m_distill.data.video_ids import id_problem

UNLABELLED, REPEATED_LABEL, ALL_ZERO = "without the key labels", "with a label twice", "of zeros"
LATE_SEGMENT = "with a rated segment behind the last frame"

_LABELS = "labels"
_NO_FEATURES = {*ID_FEATURES, _LABELS, SEGMENT_LABELS, SEGMENT_START_TIMES, SEGMENT_SCORES, "segment_end_times"}
_SHOWN_VALUES = 5


@dataclasses.dataclass(frozen=True)
class Expectations:
    """What the user says of the records.

    Attributes:
      num_classes: size of the label vocabulary, or None if it is not known.
      feature_sizes: name -> width of the features that will be read; empty if they are not known.
    """

    num_classes: int | None = None
    feature_sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)


def examine_record(payload: bytes, expected: Expectations, layout: Layout, census: Census) -> tuple[bytes, list[str]]:
    """Adds a record to `layout` and `census`.

    Returns:
      The video's id, empty if there is none, and the record's flaws in words.
    """
    try:
        # An Example and the context of a SequenceExample share their place in the wire format.
        record = tf.train.SequenceExample.FromString(payload)
    except DecodeError:
        record = tf.train.SequenceExample()
    context, lists = record.context.feature, record.feature_lists.feature_list
    if not context and not lists:
        layout.kinds[NEITHER] += 1
        layout.id_keys[NO_ID] += 1
        return b"", ["is neither a tf.train.Example nor a tf.train.SequenceExample with features"]
    flaws: list[str] = []
    has_vectors = _examine_vectors(context, not lists, layout, census, flaws)
    kind = FRAME_LEVEL if lists else VIDEO_LEVEL if has_vectors else NEITHER
    layout.kinds[kind] += 1
    if kind == NEITHER:
        flaws.append("holds neither frames nor a vector of floats")
    num_frames = _examine_frames(lists, expected.feature_sizes, layout, flaws)
    if lists:
        census.num_frames[num_frames] += 1
    _examine_labels(context, expected.num_classes, census, flaws)
    _examine_segments(context, num_frames, expected.num_classes, census, flaws)
    return _examine_id(context, layout, flaws), flaws


def _examine_id(context, layout, flaws):
    keys = [key for key in ID_FEATURES if key in context]
    layout.id_keys[(BOTH_IDS if len(keys) > 1 else keys[0]) if keys else NO_ID] += 1
    values = {key: _values(context[key], "bytes") for key in keys}
    for key in keys:
        if values[key] is None or len(values[key]) != 1:
            flaws.append(f"{key!r} is not one bytes value")
            return b""
    video_id = next((values[key][0] for key in keys if values[key][0]), b"")
    if not video_id:
        flaws.append("has neither 'id' nor 'video_id'" if not keys else "has an empty id")
    elif id_problem(video_id):
        flaws.append(f"id {video_id!r} {id_problem(video_id)}: inference.py cannot write it")
    return video_id


def _examine_vectors(context, is_video_level, layout, census, flaws):
    """Whether there is a vector of floats."""
    has_vectors = False
    for name, feature in context.items():
        if name in _NO_FEATURES:
            continue
        dtype = _dtype(feature)
        width = len(feature.float_list.value) if dtype == "float" else 0
        layout.features[Feature(name, VIDEO_LEVEL, dtype, width)] += 1
        has_vectors |= width > 0
        if not is_video_level or not width:
            continue
        vector = _floats(feature)
        if not np.isfinite(vector).all():
            flaws.append(f"feature {name!r} holds NaN or infinity")
        elif not vector.any():
            census.remarks[f"{ALL_ZERO} in {name}"] += 1
    return has_vectors


def _examine_frames(lists, sizes, layout, flaws):
    """The number of frames; the largest if features differ in it."""
    counts = {}
    for name, entries in lists.items():
        dtype, width = _shape_of_entries(name, entries, flaws)
        count = len(entries.feature)
        size = sizes.get(name)
        if size and dtype == "bytes" and width and width % size == 0:  # entries may hold several frames each
            count, width = count * width // size, size
        layout.features[Feature(name, FRAME_LEVEL, dtype, width)] += 1
        counts[name] = count
    counts = {name: count for name, count in counts.items() if name in sizes} or counts
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        flaws.append(f"features differ in their number of frames: {found}")
    return max(counts.values(), default=0)


def _shape_of_entries(name, entries, flaws):
    """dtype and width of the entries of a feature list."""
    if not entries.feature:
        return "bytes", 0
    shape = _shape(entries.feature[0])
    if _are_all_frames(entries, *shape):
        return shape
    shapes = set(map(_shape, entries.feature))
    if len(shapes) > 1:
        found = ", ".join(f"{width} {dtype}" for dtype, width in sorted(shapes)[:_SHOWN_VALUES])
        flaws.append(f"frames of feature {name!r} differ: {found}")
    if shape == ("bytes", 0):
        flaws.append(f"frames of feature {name!r} are empty")
    if any(len(feature.bytes_list.value) > 1 for feature in entries.feature):
        flaws.append(f"frames of feature {name!r} have several values each")
    return shape


def _are_all_frames(entries, dtype, width):
    """Whether all entries are bytes of this width, seen from the bytes between them: no Python object for each."""
    if dtype != "bytes" or not width:
        return False
    header = _header(width)
    content = entries.SerializeToString()
    stride = len(header) + width
    if len(content) != len(entries.feature) * stride:
        return False
    rows = np.frombuffer(content, np.uint8).reshape(-1, stride)
    return bool((rows[:, : len(header)] == header).all())


@functools.lru_cache(maxsize=64)
def _header(width):
    return np.frombuffer(frame_header(width), np.uint8)


def _shape(feature):
    dtype = _dtype(feature)
    if dtype == "bytes":
        return dtype, sum(map(len, feature.bytes_list.value))
    return dtype, 0 if dtype == "none" else len(getattr(feature, f"{dtype}_list").value)


def _examine_labels(context, num_classes, census, flaws):
    if _LABELS not in context:
        census.remarks[UNLABELLED] += 1
        return
    values = _values(context[_LABELS], "int64")
    if values is None:
        flaws.append(f"'labels' are {_dtype(context[_LABELS])}, not int64")
        return
    labels = set(values)
    census.labels.update(labels)
    census.num_labels[len(labels)] += 1
    if len(labels) < len(values):
        census.remarks[REPEATED_LABEL] += 1
    _check_classes("label", labels, num_classes, flaws)


def _examine_segments(context, num_frames, num_classes, census, flaws):
    keys = {SEGMENT_LABELS: "int64", SEGMENT_START_TIMES: "int64", SEGMENT_SCORES: "float"}
    found = {key: _values(context[key], dtype) for key, dtype in keys.items() if key in context}
    if not any(values is None or len(values) for values in found.values()):
        return
    wrong = [key for key, values in found.items() if values is None]
    if wrong:
        flaws.append(f"{wrong[0]!r} are {_dtype(context[wrong[0]])}, not {keys[wrong[0]]}")
        return
    lengths = {key: len(found.get(key, ())) for key in keys}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{key} {length}" for key, length in lengths.items())
        flaws.append(f"rated segments are lists of different length: {listed}")
        return
    starts, scores = set(found[SEGMENT_START_TIMES]), np.array(found[SEGMENT_SCORES])
    if min(starts) < 0:
        flaws.append(f"segment_start_times holds {min(starts)}")
    if not np.isfinite(scores).all():
        flaws.append("segment_scores holds NaN or infinity")
    if max(starts) >= num_frames:
        census.remarks[LATE_SEGMENT] += 1
    _check_classes("segment label", set(found[SEGMENT_LABELS]), num_classes, flaws)
    counts = {"videos": 1, "segments": len(starts), "ratings": len(scores), "positive ratings": int((scores > 0).sum())}
    census.segments.update(counts)


def _check_classes(noun, labels, num_classes, flaws):
    wrong = sorted(label for label in labels if label < 0 or (num_classes is not None and label >= num_classes))
    if wrong:
        listed = ", ".join(map(str, wrong[:_SHOWN_VALUES])) + (", ..." if len(wrong) > _SHOWN_VALUES else "")
        limit = "is negative" if num_classes is None else f"is outside [0, num_classes={num_classes})"
        flaws.append(f"{noun} {listed} {limit}")


def _dtype(feature):
    kind = feature.WhichOneof("kind")
    return kind[: -len("_list")] if kind else "none"


def _values(feature, dtype):
    """The values, () of an empty feature, or None for values of another dtype."""
    found = _dtype(feature)
    if found == "none":
        return ()
    return getattr(feature, f"{dtype}_list").value if found == dtype else None


def _floats(feature):
    """float32 [n]; from the wire, since a list of Python floats costs more than all else."""
    num_values = len(feature.float_list.value)
    content = feature.float_list.SerializeToString()
    return np.frombuffer(content, "<f4", num_values, len(content) - 4 * num_values)
