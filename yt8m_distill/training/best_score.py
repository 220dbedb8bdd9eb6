"""The score of a run's best checkpoint, in `best/metrics.json` beside it."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.models.checkpoints import BEST_DIR
from yt8m_distill.training.train_dir import TrainDirError


class BestScore:
    """The highest score that an evaluation of the run has found so far.

    Args:
      train_dir: of the run.
      name: of the metric: `gap`, or of segments `segment_map`, the scores of the challenges.

    Raises:
      TrainDirError: the file of an earlier run is damaged.
    """

    def __init__(self, train_dir: str, name: str):
        self.name = name
        self._path = os.path.join(train_dir, BEST_DIR, "metrics.json")
        self._score = self._read()

    def is_beaten_by(self, metrics: dict) -> bool:
        return metrics[self.name] > self._score

    def replace(self, step: int, metrics: dict) -> None:
        """Writes the metrics of the checkpoint that is now the best."""
        self._score = metrics[self.name]
        with open_atomic(self._path) as file:
            file.write(json.dumps({"step": step, **metrics}, indent=2) + "\n")

    def _read(self):
        if not tf.io.gfile.exists(self._path):
            return float("-inf")
        with tf.io.gfile.GFile(self._path) as file:
            try:
                # A run that was trained on videos so far has no score of segments, and the other way round.
                return float(dict(json.loads(file.read())).get(self.name, "-inf"))
            except (ValueError, TypeError) as error:
                raise TrainDirError(f"{self._path}: holds no metrics ({error}). Remove it.") from error
