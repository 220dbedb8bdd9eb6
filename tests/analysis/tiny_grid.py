"""A grid small enough for tests, and its records."""

import copy

from tests.training.tiny_runs import FRAMES, write_shards

GRID = {
    "title": "Tiny",
    "train_data_pattern": "",
    "eval_data_pattern": "",
    "seeds": [0, 7],
    "num_sampled_frames": [2, 3],
    "model": {
        "model": "FrameLevelLogisticModel",
        "feature_names": list(FRAMES.feature_names),
        "feature_sizes": list(FRAMES.feature_sizes),
        "num_classes": FRAMES.num_classes,
        "max_frames": FRAMES.max_frames,
    },
    "training": {"batch_size": 8, "num_epochs": 1, "optimizer": "SGD"},
    "teacher": {},
    "methods": [{"name": "Uniform", "group": "baseline"}],
}


def tiny_grid(pattern="records*", *methods, **changes) -> dict:
    """The grid on records, with these methods after Uniform, and with other top-level values."""
    grid = copy.deepcopy({**GRID, "train_data_pattern": pattern, "eval_data_pattern": pattern, **changes})
    grid["methods"] += methods
    return grid


def write_tiny_records(folder) -> str:
    return write_shards(folder, FRAMES, count=24)
