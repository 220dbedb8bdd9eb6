"""The TFRecord files of a dataset: finding them, checking that they fit the flags, locating a damaged one."""

from __future__ import annotations

import itertools
import os
import re
import stat

import tensorflow as tf
from google.protobuf.message import DecodeError

from yt8m_distill.data.errors import DataError
from yt8m_distill.data.record_reader import FOOTER_BYTES, HEADER_BYTES, Record, check_lengths, read_records
from yt8m_distill.data.schema import RecordSchema
from yt8m_distill.data.segment_parser import SEGMENT_START_TIMES

_RECORDS_SEARCHED_FOR_SEGMENTS = 1000
_NAME = re.compile(r"[\w./-]+")  # what a flag can say
_RECORDS_SEARCHED_FOR_A_GOOD_ONE = 100


def list_record_files(pattern: str, purpose: str = "input") -> list[str]:
    """Files that match a comma-separated list of globs, local or remote (`gs://`), sorted and each once.

    Raises:
      DataError: a glob matches nothing, or a pipe or the like, opening which may take for ever.
    """
    files = set()
    for glob in filter(None, (part.strip() for part in pattern.split(","))):
        try:
            matches = tf.io.gfile.glob(glob)
        except tf.errors.OpError as error:
            raise DataError(f"Unable to list {purpose} files. data_pattern={glob!r}: {error.message}") from error
        except UnicodeError as error:
            name = error.object
            raise DataError(f"{name!r}: the name of this file is not UTF-8, and cannot be read. Rename it.") from error
        if not matches:
            raise DataError(f"Unable to find {purpose} files. data_pattern={glob!r} matches no file.")
        files.update(matches)
    if not files:
        raise DataError(f"Unable to find {purpose} files. data_pattern={pattern!r} is empty.")
    files = sorted(files)
    for path in files:
        _check_may_be_opened(path)
    return files


def _check_may_be_opened(path):
    """DataError for a local pipe, socket or device. What is missing, or a directory, is named by who opens it."""
    if "://" in path:
        return
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{path}: is a pipe, a socket or a device, not a file. Leave it out of the pattern.")


def check_first_record(files: list[str], schema: RecordSchema, skip_bad: bool = False) -> None:
    """Compares the first record of a dataset with the schema, so that a wrong flag fails early and clearly.

    Args:
      files: TFRecord files.
      schema: layout of the records.
      skip_bad: let one of the first hundred that can be read be enough.

    Raises:
      DataError: no file holds a record, or the record does not have the stated features; names what it has.
    """
    problem = None
    records = ((path, record) for path in files for record in _read_records(path, skip_bad))
    for path, record in itertools.islice(records, _RECORDS_SEARCHED_FOR_A_GOOD_ONE if skip_bad else 1):
        problem_of_this = record_problem(path, record, schema)
        if problem_of_this is None:
            return
        problem = problem or problem_of_this
    can_be_read = " that can be read" if skip_bad else ""
    raise DataError(
        problem or f"The {len(files)} input file(s) hold no record{can_be_read}: {files[0]} and the rest are empty."
    )


def check_rated_segments(files: list[str], schema: RecordSchema, skip_bad: bool = False) -> None:
    """Looks for a rated segment, so that records without any fail early and clearly.

    Raises:
      DataError: the records are video-level, or none of the first thousand holds a rated segment.
    """
    if not schema.frame_features:
        raise DataError(
            "Segments are parts of frame-level records, and this model reads video-level ones. Leave out "
            "--segment_labels, or use a frame-level model."
        )
    records = itertools.islice(_all_records(files, skip_bad), _RECORDS_SEARCHED_FOR_SEGMENTS)
    if not any(_num_rated_segments(record) for record in records):
        raise DataError(
            f"{files[0]} and what follows it, {_RECORDS_SEARCHED_FOR_SEGMENTS} records at most, hold no rated segment "
            f"(no {SEGMENT_START_TIMES} in a record's context). Name files that do, or leave out --segment_labels."
        )


def estimate_num_records(
    files: list[str], sample_size: int = 32, segments: bool = False, skip_bad: bool = False
) -> int:
    """Rough number of records in `files`: their bytes over the mean size of the first records.

    With `skip_bad`, records that cannot be read are no part of the sample. With `segments`, rough number of rated
    segments, from how many those records hold; from the first thousand if they hold none.
    """
    total_bytes = sum(tf.io.gfile.stat(path).length for path in files)
    sample = list(itertools.islice(_all_records(files, skip_bad), sample_size))
    sample_bytes = sum(len(record) + HEADER_BYTES + FOOTER_BYTES for record in sample)
    count = sum(map(_num_rated_segments, sample)) if segments else len(sample)
    if segments and not count and sample_size < _RECORDS_SEARCHED_FOR_SEGMENTS:
        return estimate_num_records(files, _RECORDS_SEARCHED_FOR_SEGMENTS, segments, skip_bad)
    return max(1, round(total_bytes * count / sample_bytes)) if sample else 0


def locate_damage(files: list[str], schema: RecordSchema | None = None) -> str | None:
    """Finds the first file that TensorFlow cannot read, and says what is wrong with it; None if all can be read.

    Without a schema, records with any features can be read.
    Looks at the record lengths of all files first, which finds truncated downloads quickly, then reads them.
    """
    for check in (_check_lengths, lambda path: _check_payloads(path, schema)):
        for path in files:
            try:
                problem = check(path)
            except tf.errors.OpError as error:
                problem = unreadable_message(path, error)
            except DataError as error:
                problem = str(error)
            if problem:
                return problem
    return None


def damage_message(path: str, record: Record) -> str:
    """What to say of a damaged record, and the way out."""
    return f"{path}: {record.problem}. Download it again or remove it."


def unreadable_message(path: str, error: tf.errors.OpError) -> str:
    """What to say of a file that cannot be read."""
    return f"{path}: cannot be read: {error.message}"


def _all_records(files, skip_bad):
    return itertools.chain.from_iterable(_read_records(path, skip_bad) for path in files)


def _read_records(path, skip_bad=False):
    try:
        for record in read_records(path):
            if not record.problem:
                yield record.payload
            elif not skip_bad:
                raise DataError(damage_message(path, record))
    except tf.errors.OpError as error:
        if not skip_bad:
            raise DataError(unreadable_message(path, error)) from error


def _num_rated_segments(record):
    try:
        context = tf.train.SequenceExample.FromString(record).context
    except DecodeError:
        return 0  # whoever reads the record says so
    return len(set(context.feature[SEGMENT_START_TIMES].int64_list.value))


def _check_lengths(path):
    record = check_lengths(path)
    return damage_message(path, record) if record else None


def _check_payloads(path, schema):
    for number, payload in enumerate(_read_records(path)):
        problem = record_problem(f"{path} record {number}", payload, schema)
        if problem:
            return problem
    return None


def record_problem(place: str, record: bytes, schema: RecordSchema | None) -> str | None:
    """Which of the schema's features a serialized record lacks, and what it has instead; None if it has them."""
    try:
        parsed = tf.train.SequenceExample.FromString(record)
    except DecodeError:
        return f"{place}: is neither a tf.train.Example nor a tf.train.SequenceExample."
    if schema is None:
        return None
    # An Example and the context of a SequenceExample share their place in the wire format.
    vectors = {name: len(value.float_list.value) for name, value in parsed.context.feature.items()}
    vectors = {name: size for name, size in vectors.items() if size}
    frames = {
        name: {len(frame.bytes_list.value[0]) if frame.bytes_list.value else 0 for frame in value.feature}
        for name, value in parsed.feature_lists.feature_list.items()
    }
    found = frames if schema.frame_features else vectors
    for name, size in zip(schema.feature_names, schema.feature_sizes):
        if name not in found:
            return f"{place}: has no feature {name!r}. {_suggestion(vectors, frames, schema)}"
        fits = found[name] == size if not schema.frame_features else all(n and n % size == 0 for n in found[name])
        if not fits:
            has = found[name] if not schema.frame_features else "/".join(map(str, sorted(found[name])))
            unit = "bytes a frame" if schema.frame_features else "values"
            return (
                f"{place}: feature {name!r} has {has} {unit}, but feature_sizes says {size}. "
                f"{_suggestion(vectors, frames, schema)}"
            )
    return None


def _suggestion(vectors, frames, schema):
    if schema.frame_features and not frames and vectors:
        return f"The record is video-level (train.py without --frame_features). {_flags_for(vectors)}"
    # Frame-level records may hold vectors besides, as AudioSet's start_time_seconds: those are not what is meant.
    if not schema.frame_features and frames and not set(schema.feature_names) & set(vectors):
        return f"The record is frame-level (train.py --frame_features). {_flags_for(_widths(frames))}"
    return _flags_for(_widths(frames) if schema.frame_features else vectors)


def _widths(frames):
    return {name: max(sizes, default=0) for name, sizes in frames.items()}


def _flags_for(sizes):
    sizes = {name: size for name, size in sizes.items() if size and _NAME.fullmatch(name)}
    if not sizes:
        return "The record holds no feature that would fit."
    names, widths = ",".join(sizes), ",".join(map(str, sizes.values()))
    return f"The record would fit --feature_names={names} --feature_sizes={widths}."
