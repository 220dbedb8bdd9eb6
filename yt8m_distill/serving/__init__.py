"""What leaves the package: submission CSVs, model archives, SavedModels."""

from yt8m_distill.serving.archive import ArchiveError, pack_model, unpack_model
from yt8m_distill.serving.saved_model import export_saved_model
from yt8m_distill.serving.submission import write_submission

__all__ = ["ArchiveError", "export_saved_model", "pack_model", "unpack_model", "write_submission"]
