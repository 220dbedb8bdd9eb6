"""The flags of train.py that fit records, from what a record doctor counted in them."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from yt8m_distill.data.doctor.census import FRAME_LEVEL, most_common
from yt8m_distill.data.doctor.consistency import usual_kind, usual_widths
from yt8m_distill.data.doctor.record_doctor import Examination

DEFAULT_MAX_FRAMES = 300
_FEATURE_ORDER = ("rgb", "mean_rgb", "audio", "mean_audio")  # as the field writes them; others by name


class _Dataset(NamedTuple):
    name: str
    num_classes: int
    id_key: str
    features: frozenset[str]


_DATASETS = (
    _Dataset("AudioSet", 527, "video_id", frozenset({"audio_embedding"})),
    _Dataset("YouTube-8M of 2018", 3862, "id", frozenset({"rgb", "audio", "mean_rgb", "mean_audio"})),
    _Dataset("YouTube-8M of 2017", 4716, "video_id", frozenset({"rgb", "audio", "mean_rgb", "mean_audio"})),
    _Dataset("YouTube-8M of 2016", 4800, "video_id", frozenset({"inc3", "mean_inc3"})),
)


class SuggestedFlags(NamedTuple):
    """Flags of train.py, and in words what they were guessed from."""

    flags: list[str]
    reasons: list[str]


def suggest_flags(
    examination: Examination, num_classes: int | None = None, max_frames: int | None = None
) -> SuggestedFlags:
    """Flags for these records; none if no model could read them.

    Args:
      examination: of the files.
      num_classes: of the user; None guesses it.
      max_frames: of the user; None derives it.
    """
    layout, census = examination.layout, examination.census
    widths = usual_widths(layout)
    if not widths:
        return SuggestedFlags([], ["no feature that a model could read: bytes a frame, or vectors of floats"])
    flags, reasons = [], []
    names = sorted(widths, key=_place)
    if usual_kind(layout) == FRAME_LEVEL:
        flags.append("--frame_features")
    flags.append(f"--feature_names={','.join(names)}")
    flags.append(f"--feature_sizes={','.join(str(widths[name]) for name in names)}")
    if num_classes is None:
        num_classes, reason = _guess_num_classes(names, most_common(layout.id_keys), max(census.labels, default=-1))
        reasons.append(reason)
    if num_classes is not None:
        flags.append(f"--num_classes={num_classes}")
    if max_frames is None:
        max_frames, reason = _derive_max_frames(census.num_frames)
        reasons += [reason] if reason else []
    if max_frames is not None:
        flags.append(f"--max_frames={max_frames}")
    if census.segments["segments"]:
        flags.append("--segment_labels")
        reasons.append("--segment_labels: to train on the rated segments; leave it out for the labels of whole videos")
    return SuggestedFlags(flags, reasons)


def _derive_max_frames(num_frames):
    """The longest video's frames where that differs much from the default, or None, and why."""
    longest, default = max(num_frames, default=0), DEFAULT_MAX_FRAMES
    if longest > default:
        num_longer = num_longer_than(default, num_frames)
        return longest, f"--max_frames: the default of {default} drops frames of {num_longer} videos"
    if 0 < 2 * longest <= default:
        return longest, f"--max_frames: no video has more; the default of {default} would read the same with more work"
    return None, ""


def num_longer_than(max_frames: int, num_frames: Counter) -> int:
    """How many videos have more frames."""
    return sum(count for length, count in num_frames.items() if length > max_frames)


def _guess_num_classes(names, id_key, largest):
    """Number of classes, or None, and why."""
    label = f"the largest label is {largest}" if largest >= 0 else "no record has a label"
    for dataset in _DATASETS:
        if dataset.id_key == id_key and dataset.features.issuperset(names) and largest < dataset.num_classes:
            what = f"{','.join(names)} and the key {id_key!r} are those of {dataset.name}"
            return dataset.num_classes, f"--num_classes is a guess: {what}; {label}"
    if largest < 0:
        return None, "--num_classes: no record has a label to guess it from"
    for dataset in sorted(_DATASETS, key=lambda dataset: dataset.num_classes):
        if largest < dataset.num_classes:
            what = f"the smallest known vocabulary that holds the labels is that of {dataset.name}"
            return dataset.num_classes, f"--num_classes is a guess: {what}; {label}"
    return largest + 1, f"--num_classes is a guess: no known vocabulary is so large; {label}"


def _place(name):
    return (_FEATURE_ORDER.index(name) if name in _FEATURE_ORDER else len(_FEATURE_ORDER)), name
