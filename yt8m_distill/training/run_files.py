"""The input of a training run: its record files and its teacher cache, found and checked before anything is built."""

from __future__ import annotations

from typing import NamedTuple

from yt8m_distill.data import (
    DataError,
    TeacherCache,
    check_first_record,
    check_rated_segments,
    estimate_num_records,
    list_record_files,
)
from yt8m_distill.distillation import teacher_identity
from yt8m_distill.models import ModelConfig, load_model_config
from yt8m_distill.training.training_config import TrainingConfig


class RunFiles(NamedTuple):
    """What a run reads.

    Attributes:
      labelled: training records.
      unlabelled: more videos for the student of a distillation.
      evaluation: validation records.
      teacher_cache: what the teacher said of the labelled and of the unlabelled; None without.
      num_labelled: rough number of videos, or of rated segments, in `labelled`.
      num_unlabelled: rough number of videos in `unlabelled`.
    """

    labelled: list[str]
    unlabelled: list[str]
    evaluation: list[str]
    teacher_cache: TeacherCache | None
    num_labelled: int
    num_unlabelled: int

    def cache_files(self) -> list[str]:
        """The files of the teacher cache."""
        if self.teacher_cache is None:
            return []
        return [self.teacher_cache.path_of(file) for file in (*self.labelled, *self.unlabelled)]


def find_run_files(model_config: ModelConfig, config: TrainingConfig) -> RunFiles:
    """Lists a run's files and compares them with the model, the labels that are asked for and the teacher cache.

    Raises:
      DataError: files that are missing or hold something else, a file that is both labelled and unlabelled, or a cache
        of another teacher or of other files.
    """
    skip_bad = config.bad_records == "skip"
    labelled = list_record_files(config.train_data_pattern, "training")
    unlabelled, evaluation = (
        list_record_files(pattern, purpose) if pattern else []
        for pattern, purpose in (
            (config.unlabelled_data_pattern, "unlabelled"),
            (config.eval_data_pattern, "evaluation"),
        )
    )
    for files in filter(None, (labelled, unlabelled, evaluation)):
        if config.segment_labels:
            check_rated_segments(files, model_config.schema, skip_bad)
        check_first_record(files, model_config.schema, skip_bad)
    in_both = sorted({*labelled} & {*unlabelled})
    if in_both:
        raise DataError(
            f"{in_both[0]} matches both --train_data_pattern and --unlabelled_data_pattern. Leave it out of one."
        )
    return RunFiles(
        labelled,
        unlabelled,
        evaluation,
        _open_cache(model_config, config, [*labelled, *unlabelled]) if config.teacher_cache else None,
        estimate_num_records(labelled, segments=config.segment_labels, skip_bad=skip_bad),
        estimate_num_records(unlabelled, skip_bad=skip_bad) if unlabelled else 0,
    )


def _open_cache(model_config, config, files):
    cache = TeacherCache.open(config.teacher_cache)
    may_share_jitter = model_config.frame_jitter and len(config.teacher_dirs) == 1
    if may_share_jitter and load_model_config(config.teacher_dirs[0]).frame_jitter:
        raise DataError(
            f"Teacher {config.teacher_dir} and the student share frame_jitter, which draws the teacher's frames anew "
            "at each step; a cache cannot do that. Leave out --teacher_cache, or --frame_jitter."
        )
    cache.check_teachers([teacher_identity(path, config.teacher_checkpoint) for path in config.teacher_dirs])
    if "rep" in config.distillation.losses and not cache.records.encoding_size:
        raise DataError(
            f"Loss 'rep' needs the teacher's encodings, which the teacher cache {cache.directory} does not hold. Make "
            "one with cache_teacher.py --encodings, or leave 'rep' out of --distillation_losses."
        )
    cache.check_files(files)
    return cache
