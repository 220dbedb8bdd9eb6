"""Writing a teacher cache: the teacher sees every video once, and the students' passes never run it again."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from yt8m_distill.data import readable_errors, unlabelled_dataset
from yt8m_distill.data.atomic_file import atomic_path
from yt8m_distill.data.teacher_cache import TeacherCache, check_names
from yt8m_distill.data.teacher_records import TeacherRecords
from yt8m_distill.models import Ensemble, VideoClassifier, predict_batches
from yt8m_distill.models.prediction_function import prediction_function


def prepare_teacher_cache(
    directory: str,
    teacher: VideoClassifier | Ensemble,
    identities: list[dict],
    files: list[str],
    top_n: int = 100,
    encodings: bool = False,
) -> tuple[TeacherCache, list[str]]:
    """A new cache, or the one in the directory, which an earlier call left unfinished or which gets more files.

    Args:
      directory: of the cache.
      teacher: the model, or the ensemble of several.
      identities: `teacher_identity` of each.
      files: TFRecord files of the videos.
      top_n: classes that keep a probability of their own; more than there are means all.
      encodings: also keep the teacher's encodings.

    Returns:
      The cache, and those of the files that it still lacks.

    Raises:
      ValueError: encodings of several teachers, files of the same name, or a directory with a cache of another teacher
        (`DataError`) or with other contents.
    """
    num_classes = teacher.schema.num_classes
    records = TeacherRecords(num_classes, min(top_n, num_classes), _encoding_size(teacher) if encodings else 0)
    check_names(files)
    if not TeacherCache.exists(directory):
        return TeacherCache(directory, identities, records), files
    cache = TeacherCache.open(directory)
    cache.check_teachers(identities)
    if cache.records != records:
        raise ValueError(
            f"The teacher cache {directory} has {_in_words(cache.records)}; asked for were {_in_words(records)}. "
            "Ask for the same, or give another directory."
        )
    return cache, [file for file in files if cache.problem_with(file)]


def write_teacher_cache(
    cache: TeacherCache,
    teacher: VideoClassifier | Ensemble,
    files: list[str],
    batch_size: int,
    strategy=None,
    on_batch: Callable[[int], None] | None = None,
) -> int:
    """Adds files to a cache, one after the other. What is complete stays when this is interrupted.

    Args:
      cache: as of `prepare_teacher_cache`.
      teacher: as there.
      files: what the cache lacks.
      batch_size: videos a step.
      strategy: tf.distribute strategy that the teacher was made under; None runs on the default device.
      on_batch: called after each batch with the number of videos so far.

    Returns:
      Number of videos written.

    Raises:
      DataError: a record that cannot be read.
    """
    if not files:
        return 0
    waiting, total = dict.fromkeys(files), 0
    with readable_errors(files, teacher.schema):
        rows = _rows(cache.records, teacher, files, batch_size, strategy, on_batch)
        for file, rows_of_file in itertools.groupby(rows, key=lambda row: row[0]):
            total += _write_shard(cache, file, (record for _, record in rows_of_file))
            del waiting[file]
        for file in waiting:  # those without a record
            _write_shard(cache, file, [])
    return total


class _OutputsSideBySide:
    """A teacher whose predictions are followed by its encoding, so that `predict_batches` carries both."""

    def __init__(self, teacher):
        self.skips_padding = teacher.skips_padding

        def outputs_of(inputs):
            outputs = teacher(inputs, training=False)
            return tf.concat([outputs["predictions"], outputs["encoding"]], axis=-1)  # [B, C + E]

        self.predictions_of = prediction_function(outputs_of)


def _rows(records, teacher, files, batch_size, strategy, on_batch):
    """Yields the file and the serialized teacher record of each video, in order."""
    dataset = unlabelled_dataset(files, teacher.schema, batch_size, teacher.sampler)
    model = _OutputsSideBySide(teacher) if records.encoding_size else teacher
    total = 0
    for batch in predict_batches(model, dataset, strategy):
        outputs = batch["predictions"].numpy()
        if not np.isfinite(outputs).all():
            raise ValueError("The teacher predicts NaN or infinity: it has nothing to teach. Give another one.")
        predictions, encodings = outputs[:, : records.num_classes], outputs[:, records.num_classes :]
        serialized = records.serialize(batch["video_ids"], batch["fingerprints"], predictions, encodings)
        yield from zip((path.decode() for path in batch["paths"]), serialized)
        total += len(serialized)
        if on_batch is not None:
            on_batch(total)


def _write_shard(cache, file, serialized):
    num_records = 0
    with atomic_path(cache.path_of(file)) as partial, tf.io.TFRecordWriter(partial) as writer:
        for record in serialized:
            writer.write(record)
            num_records += 1
    cache.add(file, num_records)
    return num_records


def _encoding_size(teacher):
    if isinstance(teacher, Ensemble):
        raise ValueError("Several teachers have no encoding in common. Leave out --encodings, or give one teacher.")
    outputs = teacher(teacher.model_config.whole_video_inputs(), training=False)
    return outputs["encoding"].shape[-1]


def _in_words(records):
    encodings = f"encodings of width {records.encoding_size}" if records.encoding_size else "no encodings"
    return f"top_n={records.top_n} of {records.num_classes} classes and {encodings}"
