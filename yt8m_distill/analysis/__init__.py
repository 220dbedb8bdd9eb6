"""Analysis: what a model costs."""

from yt8m_distill.analysis.cost import model_cost

__all__ = ["model_cost"]
