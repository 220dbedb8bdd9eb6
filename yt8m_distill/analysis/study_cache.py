"""A teacher cache as a part of a study: made once its teachers are there, before the students that read it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os

from yt8m_distill.analysis.study_run import StudyRun, cache_dir_of, cache_name, train_dir_of
from yt8m_distill.data import list_record_files
from yt8m_distill.distillation import prepare_teacher_cache, teacher_identity, write_teacher_cache
from yt8m_distill.models import load_teacher

_BATCH_SIZE = 512


@dataclasses.dataclass(frozen=True)
class StudyCache:
    """What one or several teachers say of the records that their students learn from.

    Attributes:
      name: names its directory, too.
      teachers: names of the runs whose models are the teacher.
      teacher_checkpoint: which of their checkpoints.
      data_patterns: globs of the records.
      encodings: keep the teacher's encodings, for `rep`.
    """

    name: str
    teachers: tuple[str, ...]
    teacher_checkpoint: str
    data_patterns: tuple[str, ...]
    encodings: bool

    @property
    def needs(self) -> tuple[str, ...]:
        return self.teachers

    learned_from = needs

    def digest(self, data: str, of_teachers: list[str]) -> str:
        """As `StudyRun.digest`."""
        text = json.dumps([self.teacher_checkpoint, self.encodings, data, of_teachers])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def execute(self, study_dir: str) -> list[dict]:
        """Writes the cache, or what an interrupted study left out of it; it has no rows of results.

        Raises:
          ValueError, OSError: as `prepare_teacher_cache` and `write_teacher_cache`.
        """
        train_dirs = [train_dir_of(study_dir, teacher) for teacher in self.teachers]
        which = self.teacher_checkpoint
        identities = [teacher_identity(train_dir, which) for train_dir in train_dirs]
        teacher = load_teacher(train_dirs, which)
        files = sorted({path for pattern in self.data_patterns for path in list_record_files(pattern)})
        directory = cache_dir_of(study_dir, self.teachers)
        os.makedirs(directory, exist_ok=True)
        cache, missing = prepare_teacher_cache(directory, teacher, identities, files, encodings=self.encodings)
        write_teacher_cache(cache, teacher, missing, _BATCH_SIZE)
        return []


def caches_of(runs: list[StudyRun]) -> tuple[StudyCache, ...]:
    """The caches that runs ask for: one for each set of teachers, with all that any of its students needs."""
    students = {}
    for run in runs:
        if run.cache:
            students.setdefault(tuple(sorted(run.teachers)), []).append(run)
    return tuple(_cache_for(teachers, of_teachers) for teachers, of_teachers in students.items())


def _cache_for(teachers, students):
    patterns = {pattern for student in students for pattern in student.train_data_patterns}
    return StudyCache(
        cache_name(teachers),
        teachers,
        students[0].teacher_checkpoint,
        tuple(sorted(patterns)),
        encodings=any("rep" in student.distillation.losses for student in students),
    )
