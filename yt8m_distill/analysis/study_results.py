"""The runs of a study, and what they say together: means and spreads over seeds, paired comparisons."""

from __future__ import annotations

import dataclasses
import os
from typing import NamedTuple

import pandas as pd

from yt8m_distill.analysis.study_grid import StudyGrid, read_grid
from yt8m_distill.analysis.study_run import COLUMNS, StudyRun
from yt8m_distill.analysis.study_timing import TIMING_KEYS, read_timings

# Groups of methods that the report treats apart; all others are shown as they are called.
TEACHER = "teacher"  # sees all frames
BASELINE = "baseline"  # the published frame selectors, trained on labels alone
PUBLISHED = "published"  # the published schemes and losses
VARIANT = "published, varied"
FAIR_BASELINE = "fair baseline"  # no distillation, but as many updates and as much augmentation as the students

_UNIFORM = "uniform"
_TEXT_COLUMNS = ("run", "method", "group", "model", "scheme", "losses", "match", "train_dir")
_NUMBER_COLUMNS = tuple(name for name in COLUMNS if name not in _TEXT_COLUMNS)
_ROW = ["run", "num_sampled_frames"]  # what tells the rows of results.csv apart
_MEASURED = [name for name in _NUMBER_COLUMNS if name not in ("num_sampled_frames", "seed")]


class Method(NamedTuple):
    """What the runs of a row of the tables have in common; `losses` as "rep,pred,ce", "" without distillation."""

    name: str
    group: str
    scheme: str
    losses: str
    match: str


class Summary(NamedTuple):
    """Mean over seeds; the sample standard deviation over them, None of a single one; how many they were."""

    mean: float
    spread: float | None
    count: int


def summary(values: pd.Series) -> Summary | None:
    """Summarises one value a seed; None of no values."""
    values = values.dropna()
    if values.empty:
        return None
    return Summary(float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None, len(values))


@dataclasses.dataclass(frozen=True)
class StudyState:
    """A study as far as it has come.

    Attributes:
      grid: what it is meant to be.
      results: what it has found, one a network.
      num_runs: runs of the grid.
      unfinished: names of those without a result.
      num_left_out: rows of results.csv whose run is not in the grid (any more).
    """

    grid: StudyGrid
    results: tuple[StudyResults, ...]
    num_runs: int
    unfinished: tuple[str, ...]
    num_left_out: int


@dataclasses.dataclass(frozen=True)
class StudyResults:
    """The runs of a study, of one network.

    Attributes:
      model: name in the zoo.
      runs: a row a run and number of frames, in the order of the grid; columns are those of results.csv, `checkpoint`,
        `choice` and, from timings.csv, `seconds_per_1000_videos`. What an unfinished run would measure is NaN.
    """

    model: str
    runs: pd.DataFrame

    @property
    def methods(self) -> list[Method]:
        """Methods in their order, without the teacher.

        Of published methods with the same scheme, losses and match the first is the published one, the others are
        variants of it.
        """
        columns = ["method", "group", "scheme", "losses", "match"]
        rows = self.runs.loc[self.runs["group"] != TEACHER, columns].drop_duplicates("method")
        is_variant = (rows["group"] == PUBLISHED) & rows.duplicated(["group", "scheme", "losses", "match"])
        rows["group"] = rows["group"].mask(is_variant, VARIANT)
        return [Method(*row) for row in rows.itertuples(index=False)]

    @property
    def num_sampled_frames(self) -> list[int]:
        """Every k, ascending."""
        return sorted(self.runs["num_sampled_frames"].dropna().astype(int).unique().tolist())

    def rows(self, method: Method | None, k: int | None = None) -> pd.DataFrame:
        """The runs of a method at k frames; those of the teacher without a method."""
        if method is None:
            return self.runs[self.runs["group"] == TEACHER]
        return self.runs[(self.runs["method"] == method.name) & (self.runs["num_sampled_frames"] == k)]

    def values(self, column: str, method: Method | None, k: int | None = None) -> pd.Series:
        """What the finished ones of `rows` measured, indexed by seed."""
        return self.rows(method, k).set_index("seed")[column].dropna()

    def mean(self, column: str, method: Method | None, k: int | None = None) -> float | None:
        """Mean over seeds; None without finished runs."""
        values = self.values(column, method, k)
        return None if values.empty else float(values.mean())

    def has_any(self, columns: tuple[str, ...], method: Method) -> bool:
        """Whether any run of a method has measured any of these."""
        return bool(self.runs.loc[self.runs["method"] == method.name, list(columns)].notna().any(axis=None))

    @property
    def uniform(self) -> Method | None:
        """The baseline that the gap to the teacher is measured from."""
        named = [m for m in self.methods if m.group == BASELINE and m.name.lower() == _UNIFORM]
        return named[0] if named else None

    def gap_closed(self, method: Method, k: int) -> pd.Series:
        """(GAP - GAP of uniform) / (GAP of the teacher - GAP of uniform), all of the same seed; indexed by seed.

        Seeds in which one of the three is missing, or the teacher is no better than uniform, are left out.
        """
        if self.uniform is None:
            return pd.Series(dtype=float)
        uniform = self.values("gap", self.uniform, k)
        to_teacher = self.values("gap", None) - uniform
        return ((self.values("gap", method, k) - uniform) / to_teacher.where(to_teacher > 0)).dropna()

    def fair_baseline(self, k: int) -> Method | None:
        """Of the fair baselines with runs at k frames, the one of the highest mean GAP."""
        means = {m: self.mean("gap", m, k) for m in self.methods if m.group == FAIR_BASELINE}
        means = {method: mean for method, mean in means.items() if mean is not None}
        return max(means, key=means.get) if means else None

    def gain(self, method: Method, k: int) -> pd.Series:
        """GAP less that of the strongest fair baseline with the same seed; indexed by seed."""
        baseline = self.fair_baseline(k)
        if baseline is None:
            return pd.Series(dtype=float)
        return (self.values("gap", method, k) - self.values("gap", baseline, k)).dropna()

    def best_method(self, candidates: list[Method]) -> Method | None:
        """The candidate of the highest GAP, averaged over k, among those with runs at most k; None without runs."""

        def coverage_and_gap(method):
            means = [self.mean("gap", method, k) for k in self.num_sampled_frames]
            means = [mean for mean in means if mean is not None]
            return len(means), sum(means) / max(len(means), 1)

        best = max(candidates, key=coverage_and_gap, default=None)
        return best if best is not None and coverage_and_gap(best)[0] else None


def read_study(study_dir: str) -> StudyState:
    """Reads the grid of a study, `grid.json`, the runs it has finished, `results.csv`, and their times, `timings.csv`.

    Raises:
      OSError: one of the files is not there.
      ValueError: one of them is no such file; the message names it.
    """
    grid = read_grid(os.path.join(study_dir, "grid.json"))
    finished = _read_results(os.path.join(study_dir, "results.csv"))
    planned = pd.DataFrame([row for run in grid.runs for row in _planned_rows(run)])
    runs = planned.merge(finished[_ROW + _MEASURED], how="left", on=_ROW, validate="one_to_one")
    runs = runs.merge(read_timings(study_dir), how="left", on=list(TIMING_KEYS), validate="many_to_one")
    unfinished = runs.loc[runs["gap"].isna(), "run"].unique()
    return StudyState(
        grid,
        tuple(StudyResults(model, of_model) for model, of_model in runs.groupby("model", sort=False)),
        num_runs=len(grid.runs),
        unfinished=tuple(unfinished),
        num_left_out=int((~finished["run"].isin(planned["run"])).sum()),
    )


def _planned_rows(run: StudyRun) -> list[dict]:
    """What is known of the rows of a run before it has finished."""
    row = {**run.columns, "checkpoint": run.checkpoint, "choice": run.choice}
    budgets = [model.frame_budget for model in run.evaluated_models]
    return [{**row, "num_sampled_frames": float("nan") if k is None else float(k)} for k in budgets]


def _read_results(path):
    texts = dict.fromkeys(_TEXT_COLUMNS, str)
    no_value = {name: [""] for name in _NUMBER_COLUMNS}
    try:
        runs = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=no_value)
    except ValueError as error:  # an empty file, too
        raise ValueError(f"{path}: is not a table of runs ({error}).") from error
    missing = [name for name in COLUMNS if name not in runs]
    if missing:
        raise ValueError(f"{path}: has no column {missing[0]!r}. Was it written by the study of this version?")
    for name in _NUMBER_COLUMNS:
        try:
            runs[name] = pd.to_numeric(runs[name]).astype(float)
        except ValueError as error:
            raise ValueError(f"{path}: column {name!r} must hold numbers ({error}).") from error
    repeated = runs[runs.duplicated(_ROW)]
    if len(repeated):
        raise ValueError(f"{path}: has two rows of run {repeated['run'].iloc[0]!r} at the same number of frames.")
    return runs
