"""A directory of teacher records: for each file of videos one of what the teacher said of them, and a manifest.

    <directory>/manifest.json
    <directory>/<folder>/<file>.teacher    of the records in .../<folder>/<file>, in their order (see `TeacherRecords`)

A file of videos is known by its own name and that of its folder, so that the data may move as a whole. The manifest
says which teacher it was, and of each file how large it was: a cache of other files is refused before training, and
one of other videos, or of the same with other frames, at the first that differs.
"""

from __future__ import annotations

import dataclasses
import json
import os

import tensorflow as tf

from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.data.errors import DataError
from yt8m_distill.data.teacher_records import TeacherRecords

MANIFEST = "manifest.json"
_VERSION = 2


class TeacherCache:
    """A teacher cache, to be read or to be added to.

    Args:
      directory: local or remote.
      teachers: what each teacher is, as JSON (see `teacher_identity`); the predictions are the mean of theirs.
      records: layout of the records.
      shards: what is complete: name of a file of videos -> its `bytes`, `records` and `cache_bytes`.
    """

    def __init__(self, directory: str, teachers: list[dict], records: TeacherRecords, shards: dict | None = None):
        self.directory = directory
        self.teachers = sorted(teachers, key=lambda teacher: teacher["weights"])
        self.records = records
        self.shards = shards or {}

    @staticmethod
    def exists(directory: str) -> bool:
        """Whether the directory holds a cache, complete or not."""
        return tf.io.gfile.exists(os.path.join(directory, MANIFEST))

    @classmethod
    def open(cls, directory: str) -> TeacherCache:
        """Reads the manifest of a cache.

        Raises:
          DataError: there is none, or it cannot be read.
        """
        path = os.path.join(directory, MANIFEST)
        if not cls.exists(directory):
            raise DataError(f"{directory} is no teacher cache: it has no {MANIFEST}. Make one with cache_teacher.py.")
        try:
            with tf.io.gfile.GFile(path) as file:
                manifest = json.loads(file.read())
            if manifest["version"] != _VERSION:
                raise ValueError(f"has version {manifest['version']}, this package reads {_VERSION}")
            return cls(directory, manifest["teachers"], TeacherRecords(**manifest["layout"]), manifest["shards"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: is no manifest of a teacher cache ({error}). Make the cache anew.") from error

    def path_of(self, file: str) -> str:
        """Where the teacher's records of a file of videos are."""
        return os.path.join(self.directory, f"{shard_name(file)}.teacher")

    def add(self, file: str, num_records: int) -> None:
        """Notes a file of videos whose teacher records are complete."""
        sizes = {"bytes": _size(file), "records": num_records, "cache_bytes": _size(self.path_of(file))}
        self.shards[shard_name(file)] = sizes
        manifest = {
            "version": _VERSION,
            "layout": dataclasses.asdict(self.records),
            "teachers": self.teachers,
            "shards": dict(sorted(self.shards.items())),
        }
        with open_atomic(os.path.join(self.directory, MANIFEST)) as output:
            output.write(json.dumps(manifest, indent=2) + "\n")

    def problem_with(self, file: str) -> str | None:
        """Why the cache cannot serve for a file of videos, or None."""
        name, path = shard_name(file), self.path_of(file)
        if name not in self.shards:
            return f"it has nothing of {name} (from {file})"
        stored, num_bytes = self.shards[name], _size(file)
        if num_bytes != stored["bytes"]:
            return f"{file} has {num_bytes} bytes, and had {stored['bytes']} when the teacher read it"
        try:
            num_bytes = _size(path)
        except tf.errors.NotFoundError:
            return f"{path} is missing"
        if num_bytes != stored["cache_bytes"]:
            return f"{path} has {num_bytes} bytes, and had {stored['cache_bytes']} when it was written"
        return None

    def check_files(self, files: list[str]) -> None:
        """Refuses files of videos that are not those that the teacher read.

        Raises:
          DataError: names the first such file and what differs.
        """
        check_names(files)
        for file in files:
            problem = self.problem_with(file)
            if problem:
                raise DataError(
                    f"The teacher cache {self.directory} does not fit: {problem}. Run cache_teacher.py on these files."
                )

    def check_teachers(self, teachers: list[dict]) -> None:
        """Refuses other teachers, or the same that read frames in another way.

        Raises:
          DataError: names what differs.
        """
        where = f"The teacher cache {self.directory} is another teacher's"
        if len(teachers) != len(self.teachers):
            raise DataError(f"{where}: it was made of {len(self.teachers)}, and now there are {len(teachers)}.")
        for stored, given in zip(self.teachers, sorted(teachers, key=lambda teacher: teacher["weights"])):
            for name in sorted({*stored, *given}, key=lambda name: (name == "weights", name)):
                if stored.get(name) != given.get(name):
                    raise DataError(
                        f"{where}: it has {name}={stored.get(name)!r}, and this one has {given.get(name)!r}. "
                        "Give that teacher, or another directory for a cache of this one."
                    )


def shard_name(file: str) -> str:
    """What a file of videos is called in a cache: `<folder>/<name>`."""
    path = file if "://" in file else os.path.abspath(file)
    return "/".join(path.replace(os.sep, "/").split("/")[-2:])


def check_names(files: list[str]) -> None:
    """ValueError for two files that a cache would call the same."""
    seen = {}
    for file in files:
        other = seen.setdefault(shard_name(file), file)
        if other != file:
            raise ValueError(
                f"A teacher cache knows files by the name of their folder and their own, which {other} and {file} "
                "have in common. Rename a folder."
            )


def _size(path):
    return tf.io.gfile.stat(path).length
