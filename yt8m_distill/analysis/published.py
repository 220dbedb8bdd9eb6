"""The published results of see-very-little video classification, as they were printed.

All were measured on YouTube-8M. "I Have Seen Enough" states its split (the public validation split, because the test
labels are not public); the slides do not state theirs.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

SLIDES = "slides of the talk on “Efficient Video Classification Using Fewer Frames” (Bhardwaj et al., CVPR 2019)"
WORKSHOP_PAPER = "“I Have Seen Enough” (Bhardwaj and Khapra, CVPR 2018 workshop BIVU), table 1"


class Score(NamedTuple):
    """A cell of a table; mAP, as GAP, from each video's 20 best predictions."""

    gap: float
    map: float


@dataclasses.dataclass(frozen=True)
class PublishedTable:
    """Scores of one network by number of frames.

    Attributes:
      model: name in the zoo.
      title: what the authors call it.
      source: where it was printed.
      teacher: the "skyline", which sees all frames.
      num_sampled_frames: k of each column.
      rows: (training, name) -> `Score` a column. Training is "baseline", with a frame selector for the name; "serial"
        or "parallel", with losses, such as "rep,pred,ce"; or "student" where neither was stated.
    """

    model: str
    title: str
    source: str
    teacher: Score
    num_sampled_frames: tuple[int, ...]
    rows: dict[tuple[str, str], tuple[Score, ...]]

    def score(self, training: str, name: str, k: int) -> Score | None:
        """One cell; None where nothing was published."""
        if k not in self.num_sampled_frames or (training, name) not in self.rows:
            return None
        return self.rows[training, name][self.num_sampled_frames.index(k)]

    def gap_closed(self, training: str, name: str, k: int) -> float | None:
        """Share of the way in GAP from uniform selection to the teacher, from the printed three decimals."""
        score, uniform = self.score(training, name, k), self.score("baseline", "Uniform", k)
        if score is None or uniform is None:
            return None
        return (score.gap - uniform.gap) / (self.teacher.gap - uniform.gap)


def _scores(*cells: str) -> tuple[Score, ...]:
    """Cells as printed: "GAP/mAP"."""
    return tuple(Score(*map(float, cell.split("/"))) for cell in cells)


H_RNN = PublishedTable(
    model="HierarchicalLstmModel",
    title="H-RNN",
    source=SLIDES,
    teacher=Score(0.811, 0.414),
    num_sampled_frames=(6, 10, 15, 20, 30),
    rows={
        ("baseline", "Uniform"): _scores(".715/.266", ".759/.324", ".777/.350", ".785/.363", ".795/.378"),
        ("baseline", "Random"): _scores(".679/.246", ".681/.254", ".717/.268", ".763/.329", ".774/.339"),
        ("baseline", "First"): _scores(".478/.133", ".539/.163", ".595/.199", ".632/.223", ".676/.258"),
        ("baseline", "Middle"): _scores(".577/.178", ".600/.198", ".620/.214", ".638/.229", ".665/.25"),
        ("baseline", "Last"): _scores(".255/.062", ".267/.067", ".282/.077", ".294/.083", ".317/.094"),
        ("baseline", "First-Middle-Last"): _scores(".640/.215", ".671/.242", ".680/.249", ".698/.268", ".721/.287"),
        ("serial", "rep"): _scores(".727/.288", ".768/.339", ".786/.365", ".795/.381", ".802/.394"),
        ("serial", "pred"): _scores(".722/.287", ".766/.341", ".784/.367", ".793/.383", ".798/.390"),
        ("serial", "rep,ce"): _scores(".728/.291", ".769/.341", ".786/.368", ".794/.383", ".803/.399"),
        ("serial", "pred,ce"): _scores(".724/.289", ".763/.341", ".785/.369", ".795/.386", ".799/.391"),
        ("serial", "rep,pred,ce"): _scores(".731/.297", ".771/.349", ".789/.375", ".798/.390", ".806/.405"),
        ("parallel", "rep"): _scores(".724/.280", ".762/.331", ".785/.365", ".794/.380", ".803/.392"),
        ("parallel", "rep,ce"): _scores(".726/.285", ".766/.334", ".785/.362", ".795/.381", ".804/.396"),
        ("parallel", "rep,pred,ce"): _scores(".729/.292", ".770/.337", ".789/.371", ".796/.388", ".806/.404"),
    },
)

NETVLAD = PublishedTable(
    model="NetVLADModelLF",
    title="NetVLAD",
    source=SLIDES,
    teacher=Score(0.823, 0.462),
    num_sampled_frames=(10, 30),
    rows={
        ("baseline", "Uniform"): _scores(".773/.364", ".803/.421"),
        ("student", ""): _scores(".784/.383", ".812/.436"),
    },
)

NEXTVLAD = PublishedTable(
    model="NeXtVLADModel",
    title="NeXtVLAD",
    source=SLIDES,
    teacher=Score(0.831, 0.464),
    num_sampled_frames=(30,),
    rows={("baseline", "Uniform"): _scores(".812/.424"), ("student", ""): _scores(".818/.439")},
)

PUBLISHED_TABLES = {table.model: table for table in (H_RNN, NETVLAD, NEXTVLAD)}


class WorkshopResult(NamedTuple):
    """A row of the workshop paper: H-RNN, with k in percent of a video's frames."""

    model: str
    hit_at_one: float
    perr: float
    map: float
    gap: float


WORKSHOP_RESULTS = (
    WorkshopResult("TEACHER-FULL", 0.862, 0.736, 0.402, 0.809),
    WorkshopResult("TEACHER-UNIFORM-50", 0.859, 0.731, 0.390, 0.804),
    WorkshopResult("TEACHER-UNIFORM-25", 0.855, 0.725, 0.371, 0.798),
    WorkshopResult("TEACHER-UNIFORM-10", 0.848, 0.716, 0.362, 0.788),
    WorkshopResult("TEACHER-UNIFORM-5", 0.834, 0.698, 0.333, 0.770),
    WorkshopResult("TEACHER-RANDOM-50", 0.841, 0.702, 0.305, 0.775),
    WorkshopResult("TEACHER-RANDOM-25", 0.832, 0.693, 0.297, 0.765),
    WorkshopResult("TEACHER-RANDOM-10", 0.829, 0.693, 0.320, 0.765),
    WorkshopResult("TEACHER-RANDOM-5", 0.804, 0.665, 0.288, 0.731),
    WorkshopResult("STUDENT-50-FINAL", 0.860, 0.733, 0.360, 0.803),
    WorkshopResult("STUDENT-25-FINAL", 0.857, 0.727, 0.385, 0.802),
    WorkshopResult("STUDENT-10-FINAL", 0.852, 0.721, 0.375, 0.795),
    WorkshopResult("STUDENT-5-FINAL", 0.842, 0.710, 0.359, 0.783),
    WorkshopResult("STUDENT-50-INTERMEDIATE", 0.862, 0.739, 0.385, 0.805),
    WorkshopResult("STUDENT-25-INTERMEDIATE", 0.851, 0.718, 0.346, 0.792),
    WorkshopResult("STUDENT-10-INTERMEDIATE", 0.854, 0.725, 0.382, 0.799),
    WorkshopResult("STUDENT-5-INTERMEDIATE", 0.845, 0.720, 0.356, 0.787),
)
