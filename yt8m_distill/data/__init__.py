"""Records of YouTube-8M and of data in its format: schema, parsing, frame sampling, tf.data pipelines."""

from yt8m_distill.data.errors import DataError
from yt8m_distill.data.frame_sampling import METHODS, FrameSampler, sample_frame_indices
from yt8m_distill.data.pipeline import (
    evaluation_dataset,
    readable_errors,
    training_dataset,
    unlabelled_dataset,
    window_dataset,
)
from yt8m_distill.data.record_files import (
    check_first_record,
    check_rated_segments,
    estimate_num_records,
    list_record_files,
)
from yt8m_distill.data.record_parser import parse_frame_level, parse_video_level
from yt8m_distill.data.schema import RecordSchema
from yt8m_distill.data.segment_parser import SEGMENT_LENGTH, parse_rated_segments
from yt8m_distill.data.segment_ratings import read_label_cache, read_segment_ratings, write_label_cache
from yt8m_distill.data.skipped_records import BAD_RECORDS, SkippedRecords, reported_skipped_records
from yt8m_distill.data.teacher_cache import TeacherCache
from yt8m_distill.data.vocabulary import read_vocabulary

__all__ = [
    "BAD_RECORDS",
    "METHODS",
    "SEGMENT_LENGTH",
    "DataError",
    "FrameSampler",
    "RecordSchema",
    "SkippedRecords",
    "reported_skipped_records",
    "TeacherCache",
    "check_first_record",
    "check_rated_segments",
    "estimate_num_records",
    "evaluation_dataset",
    "list_record_files",
    "parse_frame_level",
    "parse_rated_segments",
    "parse_video_level",
    "read_label_cache",
    "read_segment_ratings",
    "read_vocabulary",
    "readable_errors",
    "sample_frame_indices",
    "training_dataset",
    "unlabelled_dataset",
    "window_dataset",
    "write_label_cache",
]
