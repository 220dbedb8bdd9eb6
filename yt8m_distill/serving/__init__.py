"""What leaves the package: submission CSVs, JSON lines, model archives, SavedModels."""

from yt8m_distill.serving.archive import ArchiveError, pack_model, unpack_model
from yt8m_distill.serving.json_lines import json_lines_to_submission, write_json_lines
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
    "average_submissions",
    "export_saved_model",
    "json_lines_to_submission",
    "pack_model",
    "read_segment_classes",
    "read_segment_submission",
    "unpack_model",
    "write_json_lines",
    "write_segment_submission",
    "write_submission",
]
