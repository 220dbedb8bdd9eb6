"""How long the models of a study take: one after the other in one process, with nothing beside it."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from yt8m_distill.analysis.study_run import StudyRun
from yt8m_distill.analysis.timing import seconds_per_1000_videos
from yt8m_distill.data import list_record_files
from yt8m_distill.data.atomic_file import open_atomic

_logger = logging.getLogger(__name__)

TIMINGS_NAME = "timings.csv"
TIMING_KEYS = ("model", "method", "num_sampled_frames")  # which tell its rows apart
_TIME = "seconds_per_1000_videos"
_TIMED = "timed"  # a hash of the model and the records


def write_timings(study_dir: str, runs: Sequence[StudyRun]) -> None:
    """Times the models of runs on their evaluation records and writes `timings.csv`, a row a method and frame budget.

    Runs that differ in their seed or training alone have one model, which is timed once. Weights are random: they do
    not change how much is computed. Left out are choices that no model makes by itself (`oracle`, `empirical`). A file
    that has all these rows is kept.

    Raises:
      DataError: records that cannot be read.
      OSError: the file cannot be written.
    """
    path = os.path.join(study_dir, TIMINGS_NAME)
    models, table = _planned(runs)
    if _is_there(path, table):
        return
    seconds = {}
    for number, (timed, (model, pattern)) in enumerate(models.items()):
        _logger.info("Timing %d of %d models", number + 1, len(models))
        seconds[timed] = round(seconds_per_1000_videos(model.build(), list_record_files(pattern)), 4)
        gc.collect()  # the graph that was traced, with its weights
    table[_TIME] = table[_TIMED].map(seconds)
    with open_atomic(path) as file:
        table.to_csv(file, index=False, lineterminator="\n")


def read_timings(study_dir: str) -> pd.DataFrame:
    """Columns `TIMING_KEYS` and `seconds_per_1000_videos`, without rows if nothing has been timed yet.

    Raises:
      ValueError: the file is damaged; the message names it.
    """
    path = os.path.join(study_dir, TIMINGS_NAME)
    types = {"model": str, "method": str, "num_sampled_frames": float, _TIME: float}
    if not os.path.exists(path):
        return pd.DataFrame(columns=list(types)).astype(types)
    try:
        return pd.read_csv(path, dtype=types)[list(types)]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: is not a table of times ({error}). Delete it to have them measured anew.") from error


def _planned(runs):
    """What there is to time, {hash: (ModelConfig, glob of records)}, and the table without its times."""
    models, rows = {}, {}
    for run in runs:
        if run.choice in ("oracle", "empirical"):
            continue
        for model in run.evaluated_models:
            timed = _hash_of(model, run.eval_data_pattern)
            models[timed] = model, run.eval_data_pattern
            rows[model.model, run.method, model.frame_budget] = timed
    table = pd.DataFrame([(*key, timed) for key, timed in rows.items()], columns=[*TIMING_KEYS, _TIMED])
    return models, table.astype({"num_sampled_frames": "Int64"})


def _hash_of(model, pattern):
    return hashlib.sha256(json.dumps([asdict(model), pattern], sort_keys=True).encode()).hexdigest()[:16]


def _is_there(path, table):
    if not os.path.exists(path):
        return False
    try:
        before = pd.read_csv(path, dtype={_TIMED: str})
    except ValueError:  # damaged: measured anew
        return False
    return set(table) <= set(before) and _rows(table) <= _rows(before[list(table)])


def _rows(table):
    return set(table.fillna(0).itertuples(index=False, name=None))
