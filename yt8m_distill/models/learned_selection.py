"""Frame selection that a model learns: what `frame_sampling` may name beside the methods of `FrameSampler`."""

from __future__ import annotations

import dataclasses
import importlib


@dataclasses.dataclass(frozen=True)
class LearnedSelection:
    """How a model that chooses its own frames is made.

    Attributes:
      module, class_name: the subclass of `VideoClassifier`. It is imported when one is built: selection is made of
        models, not models of selection.
      hyperparameters: its own, with their defaults.
      models: those of the zoo that it works with; () for all that read frames.
      needs_trained_model: whether it chooses frames for a network that is trained already.
      fewest_frames: the smallest budget that leaves it a choice.
      most_frames: the largest budget; each choice of `skip_frame` is a part of the graph.
    """

    module: str
    class_name: str
    hyperparameters: dict
    models: tuple[str, ...] = ()
    needs_trained_model: bool = False
    fewest_frames: int = 1
    most_frames: int = 100_000

    @property
    def model_class(self) -> type:
        return getattr(importlib.import_module(self.module), self.class_name)


LEARNED_SELECTIONS = {
    "skip_frame": LearnedSelection(
        "yt8m_distill.selection.skip_frame",
        "SkipFrameClassifier",
        {
            "skip_min": 5,
            "skip_max": 25,
            "skip_step": 1,
            "skip_end": "stop",
            "skip_reward": "gap",
            "skip_baseline": "value",
            "skip_entropy": 0.01,
            "skip_epsilon": 0.0,
            "policy_backprop": False,
        },
        models=("LstmModel", "GruModel"),
        fewest_frames=2,
        most_frames=1000,
    ),
    "saliency": LearnedSelection(
        "yt8m_distill.selection.saliency",
        "SaliencyClassifier",
        {
            "saliency_inputs": "rgb:64",
            "saliency_objective": "sal_rank",
            "saliency_union_inputs": "",
            "saliency_union_objective": "sal_rank",
            "saliency_union_size": None,
            "saliency_hidden_size": 64,
            "saliency_window": 5,
        },
        needs_trained_model=True,
    ),
}
