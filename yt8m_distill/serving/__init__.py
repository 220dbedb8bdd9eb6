"""What leaves the package: submission CSVs, JSON lines, model archives, SavedModels, LiteRT models."""

from yt8m_distill.serving.archive import ArchiveError, pack_model, unpack_model
from yt8m_distill.serving.json_lines import json_lines_to_submission, write_json_lines
from yt8m_distill.serving.litert import LiteRtModel, export_litert
from yt8m_distill.serving.prediction_parts import Shard, describe_run, merge_parts, write_part
from yt8m_distill.serving.saved_model import export_saved_model
from yt8m_distill.serving.segment_submission import (
    read_segment_classes,
    read_segment_submission,
    write_segment_submission,
)
from yt8m_distill.serving.submission import write_submission
from yt8m_distill.serving.submission_average import average_submissions

__all__ = [
    "ArchiveError",
    "LiteRtModel",
    "Shard",
    "average_submissions",
    "describe_run",
    "export_litert",
    "export_saved_model",
    "json_lines_to_submission",
    "merge_parts",
    "pack_model",
    "read_segment_classes",
    "read_segment_submission",
    "unpack_model",
    "write_json_lines",
    "write_part",
    "write_segment_submission",
    "write_submission",
]
