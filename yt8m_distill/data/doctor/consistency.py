"""Whether the files of a dataset fit each other, and what the user says of them.

What most records have is taken for right: one kind of record, one key of the ids, one width of each feature.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from yt8m_distill.data.doctor.census import (
    BOTH_IDS,
    FRAME_LEVEL,
    NEITHER,
    NO_ID,
    VIDEO_LEVEL,
    Feature,
    Layout,
    most_common,
)
from yt8m_distill.data.doctor.examination import Expectations
from yt8m_distill.data.doctor.record_doctor import Examination, FileReport

# What a model can read of either kind.
_DTYPES = {FRAME_LEVEL: "bytes", VIDEO_LEVEL: "float"}


def usual_kind(layout: Layout) -> str | None:
    """Of most records: `FRAME_LEVEL` or `VIDEO_LEVEL`; None if there is neither."""
    return most_common(layout.kinds, _DTYPES)


def usual_widths(layout: Layout) -> dict[str, int]:
    """Name -> width of the features that a model can read and that most records of the usual kind have."""
    kind = usual_kind(layout)
    names: dict[str, Counter] = {}
    for feature, count in layout.features.items():
        if kind and feature.level == kind and feature.dtype == _DTYPES[kind]:
            names.setdefault(feature.name, Counter())[feature.width] += count
    usual = {}
    for name, widths in sorted(names.items()):
        width = most_common(widths, [width for width in widths if width])
        if width and 2 * sum(widths.values()) > layout.kinds[kind]:
            usual[name] = width
    return usual


def find_misfits(examination: Examination, expected: Expectations) -> dict[str, list[str]]:
    """Path -> in words, how a file differs from the other ones, or from the features that the user expects."""
    layout = examination.layout
    kind, id_key = usual_kind(layout), most_common(layout.id_keys, ("id", "video_id"))
    if expected.feature_sizes:
        widths, source = expected.feature_sizes, "as --feature_sizes says"
        levels = {name: _level(name, layout, kind) for name in widths}
    else:
        widths, source = usual_widths(layout), "as in most records"
        levels = dict.fromkeys(widths, kind)
    misfits = {}
    for report in examination.files:
        found = _other_kind(report, kind) + _other_id(report, id_key) if kind else []
        if report.layout.kinds[kind]:
            for name, width in widths.items():
                found += _other_width(report, kind, Feature(name, levels[name], _DTYPES[levels[name]], width), source)
        if found:
            misfits[report.path] = found
    return misfits


def _level(name, layout, kind):
    """Where a feature stands: frame-level records may hold vectors besides."""
    levels: Counter = Counter()
    for feature, count in layout.features.items():
        if feature.name == name and feature.dtype == _DTYPES[feature.level]:
            levels[feature.level] += count
    return most_common(levels) or kind or FRAME_LEVEL


def _other_kind(report, kind):
    counts = report.layout.kinds
    return [
        f"{counts[other]} of {sum(counts.values())} records are {other}; most are {kind}"
        for other in sorted(counts)
        if other not in (kind, NEITHER) and counts[other]
    ]


def _other_id(report, id_key):
    counts = report.layout.id_keys
    return [
        f"{counts[other]} of {sum(counts.values())} records have {other!r} as the key of the id; most have {id_key!r}"
        for other in sorted(counts)
        if other not in (id_key, BOTH_IDS, NO_ID) and counts[other]
    ]


def _other_width(report: FileReport, kind: str, wanted: Feature, source: str) -> list[str]:
    found = []
    num_having = 0
    unit = "bytes a frame" if wanted.level == FRAME_LEVEL else "values"
    for feature, count in sorted(report.layout.features.items()):
        if feature[:3] != wanted[:3]:
            continue
        num_having += count
        if feature.width not in (wanted.width, 0) or (not feature.width and wanted.level == VIDEO_LEVEL):
            found.append(
                f"feature {wanted.name!r} has {feature.width} {unit} in {_records(count)} (the first is record "
                f"{report.first_of[feature]}), not {wanted.width} {source}"
            )
    num_lacking = report.layout.kinds[kind] - num_having
    if num_lacking > 0:
        others = _dtypes_of(wanted.name, report.layout.features, _DTYPES)
        found.append(f"{_records(num_lacking)} without feature {wanted.name!r} of {wanted.dtype}, {source}{others}")
    return found


def _records(count: int) -> str:
    return f"{count} record" if count == 1 else f"{count} records"


def _dtypes_of(name: str, features: Mapping[Feature, int], usable: Mapping[str, str]) -> str:
    others = sorted({f.dtype for f in features if f.name == name and f.dtype != usable[f.level]})
    return f"; it is of {', '.join(others)}" if others else ""
