"""A study's directory with made-up results, as the study leaves it."""

from __future__ import annotations

import json

import pandas as pd

from yt8m_distill.analysis.study_grid import make_grid
from yt8m_distill.analysis.study_run import COLUMNS


def write_study(folder, grid: dict, measured: dict) -> str:
    """Writes grid.json and results.csv.

    Args:
      folder: made if it is missing.
      grid: changes of a grid with seeds 0 and 1, of which "methods" must be given.
      measured: run name -> GAP, or a dict of columns. A run that is not in it has not finished. mAP is half the GAP
        where it is not given.

    Returns:
      The directory.
    """
    source = {
        "title": "A tiny study",
        "train_data_pattern": "train*",
        "eval_data_pattern": "validate*",
        "seeds": [0, 1],
        "num_sampled_frames": [6, 10],
        "model": {
            "model": "HierarchicalLstmModel",
            "feature_names": ["rgb"],
            "feature_sizes": [4],
            "num_classes": 3,
            "max_frames": 30,
        },
        "teacher": {},
        **grid,
    }
    rows = [_row(run, measured[run.name]) for run in make_grid(source).runs if run.name in measured]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "grid.json").write_text(json.dumps(source), encoding="utf-8")
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(folder / "results.csv", index=False)
    return str(folder)


def _row(run, values):
    values = values if isinstance(values, dict) else {"gap": values}
    budget = run.model.num_slots if run.model.has_frame_budget else None
    return {"run": run.name, "seed": run.seed, "num_sampled_frames": budget, "map": values["gap"] / 2, **values}
