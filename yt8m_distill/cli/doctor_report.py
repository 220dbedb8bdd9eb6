"""What the record doctor tells: a table, the problems and the flags as text, and everything as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from yt8m_distill.data.doctor.census import FRAME_LEVEL, VIDEO_LEVEL, distribution
from yt8m_distill.data.doctor.consistency import find_misfits
from yt8m_distill.data.doctor.examination import Expectations
from yt8m_distill.data.doctor.record_doctor import KEPT_PROBLEMS, Examination
from yt8m_distill.data.doctor.repeated_ids import RepeatedIds
from yt8m_distill.data.doctor.suggested_flags import DEFAULT_MAX_FRAMES, SuggestedFlags, num_longer_than, suggest_flags

_SHOWN_PROBLEMS = 20
_SHOWN_FEATURES = 12


@dataclasses.dataclass
class Diagnosis:
    """Everything that the doctor found.

    Attributes:
      examination: what the files hold.
      problems: path -> what is wrong with the file, in words; only files with problems.
      num_problems: all of them, also those that `problems` leaves out.
      repeated: ids that occur more than once.
      suggestion: flags of train.py.
      max_frames: longer videos are counted.
    """

    examination: Examination
    problems: dict[str, list[str]]
    num_problems: int
    repeated: RepeatedIds
    suggestion: SuggestedFlags
    max_frames: int


def diagnose(examination: Examination, expected: Expectations, max_frames: int | None = None) -> Diagnosis:
    """Draws conclusions from what the files hold; `max_frames` as the user gave it."""
    misfits, repeated = find_misfits(examination, expected), examination.find_repeated_ids()
    problems, num_problems = {}, 0
    for report in examination.files:
        found = misfits.get(report.path, [])
        if report.path in repeated.records:
            count = repeated.records[report.path]
            found = found + [f"{count} of {report.num_records} records have an id that occurs more than once"]
        num_problems += report.num_problems + len(found)
        if report.problems or found:
            problems[report.path] = report.problems + found
    suggestion = suggest_flags(examination, expected.num_classes, max_frames)
    return Diagnosis(examination, problems, num_problems, repeated, suggestion, max_frames or DEFAULT_MAX_FRAMES)


def report_lines(diagnosis: Diagnosis) -> list[str]:
    """Table, problems and flags."""
    return _table(_rows(diagnosis)) + _problem_lines(diagnosis) + _flag_lines(diagnosis.suggestion)


def lengths_lines(diagnosis: Diagnosis) -> list[str]:
    """As `report_lines`, where only the lengths of the records were looked at."""
    return _table(_file_rows(diagnosis)) + _problem_lines(diagnosis)


def lengths_dict(diagnosis: Diagnosis) -> dict:
    """As `report_dict`, where only the lengths of the records were looked at."""
    examination = diagnosis.examination
    return {
        "num_files": len(examination.files),
        "num_files_with_problems": len(diagnosis.problems),
        "num_bytes": _total(examination, "num_bytes"),
        "num_damaged_files": _total(examination, "is_damaged"),
        "files": [
            {
                "path": report.path,
                "num_bytes": report.num_bytes,
                "is_damaged": report.is_damaged,
                "ends_early": report.ends_early,
                "problems": report.problems,
            }
            for report in examination.files
        ],
    }


def report_dict(diagnosis: Diagnosis) -> dict:
    """All figures, for JSON."""
    examination, repeated = diagnosis.examination, diagnosis.repeated
    census = examination.census
    return {
        "num_files": len(examination.files),
        "num_files_with_problems": len(diagnosis.problems),
        "num_problems": diagnosis.num_problems,
        **{f"num_{name}": _total(examination, f"num_{name}") for name in _FILE_COUNTS},
        **_layout_dict(examination.layout),
        "num_frames": _counts_dict(census.num_frames),
        "num_videos_beyond_max_frames": num_longer_than(diagnosis.max_frames, census.num_frames),
        "max_frames": diagnosis.max_frames,
        "labels": _counts_dict(census.labels),
        "labels_of_a_video": _counts_dict(census.num_labels),
        "segments": dict(sorted(census.segments.items())),
        "remarks": dict(sorted(census.remarks.items())),
        "num_distinct_ids": repeated.num_distinct,
        "num_repeated_ids": repeated.num_repeated,
        "repeated_ids": [
            {"id": example.video_id, "places": [{"path": path, "record": number} for path, number in example.places]}
            for example in repeated.examples
        ],
        "flags": diagnosis.suggestion.flags,
        "reasons": diagnosis.suggestion.reasons,
        "files": [
            {
                "path": report.path,
                **{f"num_{name}": getattr(report, f"num_{name}") for name in _FILE_COUNTS},
                "is_damaged": report.is_damaged,
                "ends_early": report.ends_early,
                **_layout_dict(report.layout),
                "problems": diagnosis.problems.get(report.path, []),
                "num_problems_left_out": report.num_problems - len(report.problems),
            }
            for report in examination.files
        ],
    }


_FILE_COUNTS = ("bytes", "records", "good", "flawed", "damaged")


def _rows(diagnosis) -> Iterable[tuple[str, str]]:
    examination, census = diagnosis.examination, diagnosis.examination.census
    layout = examination.layout
    yield from _file_rows(diagnosis)
    good, flawed, damaged = (_total(examination, f"num_{name}") for name in ("good", "flawed", "damaged"))
    yield "records", f"{good + flawed + damaged:,}: {good:,} good, {flawed:,} flawed, {damaged:,} damaged"
    yield "kind", _shares(layout.kinds)
    yield "key of the id", f"{_shares(layout.id_keys)}; {diagnosis.repeated.num_distinct:,} different ids"
    features = sorted(layout.features.items())
    for row, (feature, count) in enumerate(features[:_SHOWN_FEATURES]):
        unit = {FRAME_LEVEL: " a frame", VIDEO_LEVEL: ""}[feature.level]
        width = f" {feature.width}{unit}" if feature.width else ""
        yield "" if row else "features", f"{feature.name}: {feature.dtype}{width}, in {_records(count)}"
    if len(features) > _SHOWN_FEATURES:
        yield "", f"and {len(features) - _SHOWN_FEATURES} more"
    if census.num_frames:
        frames, limit = distribution(census.num_frames), diagnosis.max_frames
        num_longer = num_longer_than(limit, census.num_frames)
        beyond = f"; {num_longer:,} {'has' if num_longer == 1 else 'have'} more than {limit}" if num_longer else ""
        spread = f"{frames.min} to {frames.max}, median {frames.median:g}, mean {frames.mean:.1f}"
        yield "frames a video", spread + beyond
    labelled = sum(count for number, count in census.num_labels.items() if number)
    empty = f"; {census.num_labels[0]:,} with an empty list of labels" if census.num_labels[0] else ""
    yield "labelled videos", f"{labelled:,}{empty}"
    if labelled:
        labels = distribution(census.num_labels)
        yield "labels a video", f"{labels.min} to {labels.max}, mean {labels.mean:.2f}"
        yield "classes seen", f"{len(census.labels):,}, from {min(census.labels)} to {max(census.labels)}"
    if census.segments:
        yield "rated segments", ", ".join(f"{count:,} {noun}" for noun, count in census.segments.items())
    for row, (remark, count) in enumerate(sorted(census.remarks.items())):
        yield "" if row else "remarks", f"{_records(count)} {remark}"


def _file_rows(diagnosis):
    examination, num_bad = diagnosis.examination, len(diagnosis.problems)
    yield "files", f"{len(examination.files):,}: {len(examination.files) - num_bad:,} good, {num_bad:,} with problems"
    yield "bytes", _readable_bytes(_total(examination, "num_bytes"))


def _table(rows):
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return [f"{name.ljust(width)}  {text}" for name, text in rows]


def _problem_lines(diagnosis):
    lines = [f"{path}: {problem}" for path, problems in diagnosis.problems.items() for problem in problems]
    if not lines:
        return []
    num_more = diagnosis.num_problems - len(lines[:_SHOWN_PROBLEMS])
    more = [f"... and {num_more:,} more; --output_json has the first {KEPT_PROBLEMS} of each file"] if num_more else []
    return ["", "Problems:"] + lines[:_SHOWN_PROBLEMS] + more + _repeated_lines(diagnosis.repeated)


def _repeated_lines(repeated):
    if not repeated.num_repeated:
        return []
    lines = ["", f"Ids that occur more than once: {repeated.num_repeated:,}"]
    for video_id, places in repeated.examples:
        lines.append(f"{video_id!r}: " + ", ".join(f"{path} record {number}" for path, number in places))
    return lines + (["..."] if repeated.num_repeated > len(repeated.examples) else [])


def _flag_lines(suggestion):
    lines = ["", "Flags for this data:", f"  {' '.join(suggestion.flags) or 'none'}"]
    return lines + [f"  ({reason})" for reason in suggestion.reasons]


def _layout_dict(layout):
    return {
        "kinds": dict(sorted(layout.kinds.items())),
        "id_keys": dict(sorted(layout.id_keys.items())),
        "features": [{**feature._asdict(), "num_records": count} for feature, count in sorted(layout.features.items())],
    }


def _counts_dict(counts):
    return {**distribution(counts)._asdict(), "counts": {str(value): counts[value] for value in sorted(counts)}}


def _shares(counts):
    if len(counts) == 1:
        return str(*counts)
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"


def _records(count):
    return f"{count:,} record" if count == 1 else f"{count:,} records"


def _total(examination, name):
    return sum(getattr(report, name) for report in examination.files)


def _readable_bytes(count):
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count:,}"
