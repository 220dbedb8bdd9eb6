"""Frame selection that is learned: networks that choose the few frames that a model reads."""

from yt8m_distill.selection.saliency import SaliencyClassifier
from yt8m_distill.selection.skip_frame import SkipFrameClassifier

__all__ = ["SaliencyClassifier", "SkipFrameClassifier"]
