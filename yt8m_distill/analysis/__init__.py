"""Analysis: what a model costs."""

from yt8m_distill.analysis.cost import cost_rows, model_cost
from yt8m_distill.analysis.paper_convention import PUBLISHED, PublishedFlops, paper_flops

__all__ = ["model_cost", "cost_rows", "paper_flops", "PUBLISHED", "PublishedFlops"]
