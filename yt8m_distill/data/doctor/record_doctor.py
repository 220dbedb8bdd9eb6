"""The record doctor: examines TFRecord files past their damage, in parallel, for a report that names what is wrong.

    examination = examine_files(files, Expectations(), num_processes=2)
    problems = find_misfits(examination, Expectations())       # consistency.py
    repeated = examination.find_repeated_ids()

Nothing in a file makes it raise: damage, other formats and files that cannot be read are problems of the file's report.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from yt8m_distill.data.doctor.census import Census, Feature, Layout
from yt8m_distill.data.doctor.examination import Expectations, examine_record
from yt8m_distill.data.doctor.repeated_ids import RepeatedIds, find_repeated_ids, hash_ids
from yt8m_distill.data.errors import DataError
from yt8m_distill.data.record_reader import check_lengths, read_records
from yt8m_distill.worker_pool import ProcessEnded, ThisProcess, WorkerPool

KEPT_PROBLEMS = 100  # of a file; the others are counted
_BYTES_OF_A_TASK = 1 << 28
_FILES_OF_A_TASK = 64
_NOT_RECORDS = "is not a TFRecord file"
_TOO_SHORT = "truncated in record 0"  # for the length of a record
# What a download may have left instead of records, by its first bytes.
_OTHER_CONTENTS = {
    b"<!doctype": "but an HTML page, perhaps of a failed download",
    b"<html": "but an HTML page, perhaps of a failed download",
    b"<?xml": "but an XML document, perhaps the message of a failed download",
    b"\x1f\x8b": "but compressed with gzip",
    b"pk\x03\x04": "but a ZIP archive",
}


@dataclasses.dataclass
class FileReport:
    """What was found in one file.

    Attributes:
      path: of the file.
      num_bytes: its size; 0 if it cannot be read.
      num_good: records that are whole and can be used.
      num_flawed: records that are whole, but of which no reader could make an example.
      num_damaged: records that fail their checksums or are cut off.
      is_damaged: it has such records, is empty, or cannot be read.
      ends_early: the file has bytes behind its last whole record that are no records.
      problems: the first `KEPT_PROBLEMS`, in words, with the numbers of the records.
      num_problems: all of them.
      layout: how its records are laid out.
      first_of: number of the first record that has a feature.
      id_hashes: uint64, of the ids in order.
    """

    path: str
    num_bytes: int = 0
    num_good: int = 0
    num_flawed: int = 0
    num_damaged: int = 0
    is_damaged: bool = False
    ends_early: bool = False
    problems: list[str] = dataclasses.field(default_factory=list)
    num_problems: int = 0
    layout: Layout = dataclasses.field(default_factory=Layout)
    first_of: dict[Feature, int] = dataclasses.field(default_factory=dict)
    id_hashes: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.uint64))

    @property
    def num_records(self) -> int:
        return self.num_good + self.num_flawed + self.num_damaged

    def add_damage(self, problem: str, ends_early: bool = False) -> None:
        self.is_damaged = True
        self.ends_early |= ends_early
        self.add_problem(problem)

    def add_problem(self, problem: str) -> None:
        self.num_problems += 1
        if len(self.problems) < KEPT_PROBLEMS:
            self.problems.append(problem)


@dataclasses.dataclass
class Examination:
    """Reports of files, by path, and what their records hold together. Examinations of different files add up."""

    files: list[FileReport] = dataclasses.field(default_factory=list)
    census: Census = dataclasses.field(default_factory=Census)

    def __add__(self, other: Examination) -> Examination:
        files = sorted(self.files + other.files, key=lambda report: report.path)
        return Examination(files, self.census + other.census)

    @property
    def layout(self) -> Layout:
        """Of all records."""
        total = Layout()
        for report in self.files:
            total.update(report.layout)
        return total

    def find_repeated_ids(self) -> RepeatedIds:
        return find_repeated_ids([report.path for report in self.files], [report.id_hashes for report in self.files])


def examine_file(path: str, expected: Expectations = Expectations()) -> Examination:  # noqa: B008 (it is frozen)
    """Reads all records of a file, local or remote."""
    report, census, ids = FileReport(path), Census(), []
    try:
        report.num_bytes = tf.io.gfile.stat(path).length
        for record in read_records(path):
            if record.problem:
                report.num_damaged += 1
                report.add_damage(_explain(record.problem, path), ends_early=record.is_last)
                continue
            num_features = len(report.layout.features)
            video_id, flaws = examine_record(record.payload, expected, report.layout, census)
            if len(report.layout.features) > num_features:
                for feature in report.layout.features:
                    report.first_of.setdefault(feature, record.number)
            if video_id:
                ids.append(video_id)
            report.num_flawed += bool(flaws)
            report.num_good += not flaws
            for flaw in flaws:
                report.add_problem(f"record {record.number}: {flaw}")
    except tf.errors.OpError as error:
        report.add_damage(f"cannot be read: {error.message}")
    if not report.num_records and not report.problems:
        report.add_damage("is empty")
    report.id_hashes = hash_ids(ids)
    return Examination([report], census)


def examine_lengths(path: str) -> Examination:
    """Looks at the lengths of the records alone, which finds truncated files quickly; counts nothing."""
    report = FileReport(path)
    try:
        report.num_bytes = tf.io.gfile.stat(path).length
        damaged = check_lengths(path)
        if damaged:
            report.num_damaged = 1
            report.add_damage(_explain(damaged.problem, path), ends_early=True)
        elif not report.num_bytes:
            report.add_damage("is empty")
    except tf.errors.OpError as error:
        report.add_damage(f"cannot be read: {error.message}")
    return Examination([report])


def examine_files(
    files: Sequence[str],
    expected: Expectations = Expectations(),  # noqa: B008
    lengths_only: bool = False,
    num_processes: int = 1,
    on_done: Callable[[int, int], None] = lambda num_files, num_bytes: None,
) -> Examination:
    """Examines files; the same for any number of processes.

    Args:
      files: paths, each once.
      expected: what the user says of the records.
      lengths_only: as `examine_lengths`.
      num_processes: 1 stays in this process. Others take seconds to import TensorFlow.
      on_done: called with the number of files and bytes done so far.

    Raises:
      DataError: a process was killed; names its files.
    """
    examine = examine_lengths if lengths_only else functools.partial(examine_file, expected=expected)
    if num_processes == 1:
        pool, waiting = ThisProcess(functools.partial(_examine_all, examine)), [[path] for path in files]
    else:
        pool = WorkerPool(num_processes, functools.partial(_examine_all, examine), _initialize, math.inf)
        waiting = split_into_tasks([(path, _size(path)) for path in files], num_processes)
    waiting.reverse()
    reports, census, num_bytes = [], Census(), 0
    with pool:
        while waiting or pool.is_busy:
            while waiting and pool.has_room:
                pool.submit(waiting.pop())
            for task, result in pool.wait():
                if isinstance(result, ProcessEnded):
                    raise DataError(f"{result} while it examined {task[0]} and the {len(task) - 1} files behind it.")
                reports += result.files
                census.update(result.census)
                num_bytes += sum(report.num_bytes for report in result.files)
                on_done(len(reports), num_bytes)
    return Examination(sorted(reports, key=lambda report: report.path), census)


def split_into_tasks(sizes: Sequence[tuple[str, int]], num_processes: int) -> list[list[str]]:
    """Groups (path, bytes) in order, so that a task is worth sending and all processes get some."""
    limit = min(_BYTES_OF_A_TASK, sum(size for _, size in sizes) // (2 * num_processes))
    tasks, room = [], 0
    for path, size in sizes:
        if room <= 0 or len(tasks[-1]) >= _FILES_OF_A_TASK:
            tasks.append([])
            room = limit
        tasks[-1].append(path)
        room -= size
    return tasks


def _examine_all(examine, paths):
    reports, census = [], Census()
    for path in paths:
        examination = examine(path)
        reports += examination.files
        census.update(examination.census)
    return Examination(reports, census)


def _initialize():
    """Nothing to prepare: a process imports this module, and TensorFlow with it."""


def _size(path):
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.OpError:
        return 0  # the examination says what is wrong with it


def _explain(problem, path):
    """Adds what the file is instead, if its first bytes say so."""
    if problem not in (_NOT_RECORDS, _TOO_SHORT):
        return problem
    with tf.io.gfile.GFile(path, "rb") as file:
        head = file.read(256).lstrip().lower()
    for start, explanation in _OTHER_CONTENTS.items():
        if head.startswith(start):
            return f"{_NOT_RECORDS}, {explanation}"
    is_text = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)
    return f"{_NOT_RECORDS}, but text" if head and is_text else problem
