"""Evaluation metrics of multi-label video classification: exact, vectorised, in numpy on the host.

`EvaluationMetrics` is for a whole evaluation, `SegmentMetrics` for rated segments, `segment_submission_metrics`
for a submission of them. `hit_at_one`, `perr` and `gap` are for one batch, for example to log during training.
`Agreement` compares a student with its teacher. `average_precision` is what GAP and mAP are made of.
"""

from yt8m_distill.metrics.agreement import Agreement
from yt8m_distill.metrics.average_precision import average_precision
from yt8m_distill.metrics.batch_metrics import gap, hit_at_one, perr
from yt8m_distill.metrics.evaluation_metrics import EvaluationMetrics
from yt8m_distill.metrics.segment_metrics import SegmentMetrics, segment_submission_metrics

__all__ = [
    "Agreement",
    "EvaluationMetrics",
    "SegmentMetrics",
    "segment_submission_metrics",
    "hit_at_one",
    "perr",
    "gap",
    "average_precision",
]
