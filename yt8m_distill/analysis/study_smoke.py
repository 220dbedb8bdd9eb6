"""The smallest study that has a part of everything, on records of its own: to see in a minute that a study works."""

from __future__ import annotations

import os

from yt8m_distill.data.synthetic import FEATURE_NAMES, FEATURE_SIZES, SyntheticVideos, write_synthetic_shards

_NUM_CLASSES, _MAX_FRAMES = 10, 12
_NUM_TRAIN, _NUM_VALIDATION = 96, 64


def write_smoke_records(directory: str) -> None:
    """Writes the records, unless they are there; always the same."""
    videos = SyntheticVideos(_NUM_CLASSES)
    for prefix, first, count in (("train", 0, _NUM_TRAIN), ("validate", _NUM_TRAIN, _NUM_VALIDATION)):
        if not os.path.exists(os.path.join(directory, f"{prefix}0000.tfrecord")):
            write_synthetic_shards(directory, prefix, videos, first, count, num_shards=1)


def smoke_grid(directory: str) -> dict:
    """A teacher, a baseline of two frame budgets, a serial and a parallel student; one seed.

    Args:
      directory: of the records.
    """
    return {
        "title": "Smoke test on synthetic records: its numbers mean nothing",
        "train_data_pattern": os.path.join(directory, "train*.tfrecord"),
        "eval_data_pattern": os.path.join(directory, "validate*.tfrecord"),
        "seeds": [0],
        "num_sampled_frames": [2],
        "model": {
            "model": "LstmModel",
            "feature_names": list(FEATURE_NAMES),
            "feature_sizes": list(FEATURE_SIZES),
            "num_classes": _NUM_CLASSES,
            "max_frames": _MAX_FRAMES,
            "lstm_cells": 8,
            "lstm_layers": 1,
        },
        "training": {"batch_size": 8, "num_epochs": 2},
        "teacher": {"checkpoint": "best"},
        "methods": [
            {"name": "Uniform", "group": "baseline", "num_sampled_frames": [2, 4]},
            {
                "name": "Serial",
                "group": "published",
                "distillation": {"scheme": "serial"},
                "cache": True,
                "for_each": {"distillation.losses": [["rep", "pred", "ce"]]},
            },
            {
                "name": "Parallel",
                "group": "published",
                "distillation": {"scheme": "parallel"},
                "for_each": {"distillation.losses": [["rep", "pred", "ce", "int"]]},
            },
        ],
    }
