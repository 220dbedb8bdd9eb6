"""What a student learns from its teacher, and how: the choices behind `--distillation`."""

from __future__ import annotations

import dataclasses

from yt8m_distill.distillation.losses import PREDICTION_KL

SCHEMES = ("serial", "parallel")
LOSSES = ("rep", "pred", "ce", "int", "frame", "map")
OF_STATES = ("int", "frame", "map")  # compare what the models say frame by frame
ALIGNMENTS = ("frame", "block", "both")


@dataclasses.dataclass(frozen=True)
class DistillationConfig:
    """Losses and scheme of one distillation.

    Attributes:
      scheme: `serial` learns from a trained, frozen teacher; `parallel` trains teacher and student on the same batches.
      losses: any of `rep` (encodings), `pred` (class probabilities), `ce` (labels), `int` (intermediate states); and of
        cross-resolution distillation `frame` (the class probabilities that each frame's state has) and `map` (the
        states as a map in time). The student's states are upsampled to the teacher's.
      rep_weight, pred_weight, ce_weight, int_weight, frame_weight, map_weight: weight of each. That of `map` is the one
        of ResKD's public code.
      normalize_rep: measure `rep` in units of the teacher's encoding (see `normalized_representation_loss`).
      prediction_kl: `categorical` as the authors' code, or `bernoulli`, class by class.
      temperature: of both distributions that `pred` compares; above 0, 1 leaves them as they are.
      pred_reduction: `mean` over the batch, or the authors' `sum`.
      intermediate_alignment: which states `int` compares: after each `frame`, after each `block`, or `both`.
      project_encoding: learn a linear map from the student's encoding to the teacher's for `rep`, where their widths
        differ. It is used in training only.
      share_classifier: `parallel` only: one classifier for both, updated for both, as in "I Have Seen Enough"; the
        authors' code has two.

    Raises:
      ValueError: an unknown name, a negative weight, or choices that exclude each other.
    """

    scheme: str = "serial"
    losses: tuple[str, ...] = ("rep", "pred", "ce")
    rep_weight: float = 1.0
    pred_weight: float = 1.0
    ce_weight: float = 1.0
    int_weight: float = 1.0
    frame_weight: float = 1.0
    map_weight: float = 100.0
    normalize_rep: bool = False
    prediction_kl: str = "categorical"
    temperature: float = 1.0
    pred_reduction: str = "mean"
    intermediate_alignment: str = "frame"
    project_encoding: bool = False
    share_classifier: bool = False

    def __post_init__(self):
        object.__setattr__(self, "losses", tuple(self.losses))
        _require_one_of("distillation", self.scheme, SCHEMES)
        _require_one_of("prediction_kl", self.prediction_kl, tuple(PREDICTION_KL))
        _require_one_of("pred_reduction", self.pred_reduction, ("mean", "sum"))
        _require_one_of("intermediate alignment", self.intermediate_alignment, ALIGNMENTS)
        for loss in self.losses:
            _require_one_of("distillation_losses", loss, LOSSES)
        if not self.losses or len(set(self.losses)) != len(self.losses):
            raise ValueError(f"distillation_losses must list losses once each. Received: {','.join(self.losses)!r}.")
        for loss in LOSSES:
            if not self.weight(loss) >= 0:  # NaN is not, either
                raise ValueError(f"{loss}_weight must not be negative. Received: {self.weight(loss)}.")
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature must be a positive number. Received: {self.temperature}.")
        for name, default, changed in (("temperature", 1.0, ("pred", "frame")), ("normalize_rep", False, ("rep",))):
            if getattr(self, name) != default and not set(changed) & set(self.losses):
                raise ValueError(
                    f"{name} changes loss {changed[0]!r}, which distillation_losses={','.join(self.losses)!r} lack."
                )
        if self.share_classifier and self.scheme != "parallel":
            raise ValueError("share_classifier needs distillation='parallel': a serial teacher is frozen.")
        if self.scheme == "parallel" and not (self.trains_classifier or self.share_classifier):
            raise ValueError(
                f"With distillation='parallel', losses {','.join(self.losses)!r} train no classifier for the student. "
                "Add 'pred', 'ce' or 'frame', or use share_classifier to give it the teacher's."
            )

    def weight(self, loss: str) -> float:
        return getattr(self, f"{loss}_weight")

    @property
    def needs_teacher(self) -> bool:
        """Whether the teacher must see the videos. For `ce` alone a frozen one lends its weights at most."""
        return self.scheme == "parallel" or self.losses != ("ce",)

    @property
    def trains_classifier(self) -> bool:
        """Whether any loss reaches the student's own classifier; `rep`, `int` and `map` alone do not."""
        return any(loss in self.losses for loss in ("pred", "ce", "frame"))


# The sum that the authors' train.py adds up: L_rep stands in it twice, L_pred is summed over the batch.
AUTHORS_CODE = {
    "losses": ("rep", "pred", "ce"),
    "rep_weight": 2.0,
    "pred_weight": 1.0,
    "ce_weight": 1.0,
    "prediction_kl": "categorical",
    "pred_reduction": "sum",
}
LOSS_PRESETS = {"authors_code": AUTHORS_CODE}


def _require_one_of(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}. Received: {value!r}.")
