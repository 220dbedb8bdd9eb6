"""The average of several submission CSVs: an ensemble of models of which only the predictions are at hand."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import tensorflow as tf

from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.models.ensemble import normalized_weights
from yt8m_distill.serving.submission import HEADER


def average_submissions(
    paths: Sequence[str],
    output_path: str,
    weights: Sequence[float] | None = None,
    top_k: int = 20,
) -> int:
    """Writes the weighted mean of submission CSVs, whole or not at all.

    A class that a file's row does not list counts 0 in it. Rows come in the order of the first file, each with its
    `top_k` best classes (or as many as its files list), in the format of `write_submission`, ties to the lower class.

    Files whose videos come in the same order are read side by side, a row at a time. Where the order differs, rows that
    come earlier than in the first file wait in memory for their turn. The ids of all files are kept, to find one twice.

    Args:
      paths: CSVs of the same videos, local or remote.
      output_path: the CSV to write.
      weights: one positive number a file, in any unit; None weighs all alike.
      top_k: classes a row.

    Returns:
      The number of videos written.

    Raises:
      ValueError: a file that is no submission CSV, or has two rows of a video (names the line), files of different
        videos (names one), bad weights.
    """
    if not paths:
        raise ValueError("There is no submission file to average.")
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1. Received: {top_k}.")
    weights = normalized_weights(weights, len(paths))
    num_videos = 0
    with contextlib.ExitStack() as stack:
        first, *others = (stack.enter_context(_Submission(path)) for path in paths)
        output = stack.enter_context(open_atomic(output_path))
        output.write(HEADER)
        for video_id, pairs in first:
            rows = [pairs, *(other.pairs_of(video_id, first.path) for other in others)]
            output.write(_format_row(video_id, _weighted_mean(rows, weights), top_k))
            num_videos += 1
        for other in others:
            other.check_exhausted(first.path)
    return num_videos


class _Submission:
    """The rows of one file, in their order or by video id; a context manager.

    A row is (video id, {class: score}).
    """

    def __init__(self, path: str):
        self.path = path
        self._file = tf.io.gfile.GFile(path)
        self._number = 0  # of the line read last, from 1
        self._seen: set[str] = set()  # videos
        self._waiting: dict[str, str] = {}  # rows read before their turn, as text

    def __enter__(self):
        self._check(self._next_line().rstrip() == HEADER.rstrip(), f"must be the header {HEADER.rstrip()!r}")
        return self

    def __exit__(self, *error):
        self._file.close()

    def __iter__(self) -> Iterator[tuple[str, dict[int, float]]]:
        for video_id, text in self._rows():
            yield video_id, self._parse_pairs(video_id, text)

    def pairs_of(self, video_id: str, first_path: str) -> dict[int, float]:
        """The row of a video that the first file has."""
        text = self._waiting.pop(video_id, None)
        if text is None:
            for other_id, text in self._rows():
                if other_id == video_id:
                    break
                self._waiting[other_id] = text
            else:
                raise ValueError(f"{self.path} has no row for video {video_id!r}, which {first_path} has.")
        return self._parse_pairs(video_id, text)

    def check_exhausted(self, first_path: str) -> None:
        video_id = next(iter(self._waiting), None) or next((video_id for video_id, _ in self._rows()), None)
        if video_id is not None:
            raise ValueError(f"{first_path} has no row for video {video_id!r}, which {self.path} has.")

    def _rows(self):
        while line := self._next_line():
            video_id, comma, text = line.rstrip("\r\n").partition(",")
            self._check(video_id and comma, "must be <video id>,<class> <score> <class> <score> ...")
            self._check(video_id not in self._seen, f"is the second row of video {video_id!r}")
            self._seen.add(video_id)
            yield video_id, text

    def _next_line(self):
        self._number += 1
        try:
            return self._file.readline()
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path}: is not UTF-8 text ({error}).") from error

    def _parse_pairs(self, video_id, text):
        fields = text.split()
        try:
            pairs = {int(number): float(score) for number, score in zip(fields[::2], fields[1::2])}
        except ValueError:
            pairs = {}
        # Half as many classes as fields: every class has a score and stands there once.
        if 2 * len(pairs) != len(fields) or min(pairs, default=0) < 0 or not all(map(math.isfinite, pairs.values())):
            raise ValueError(
                f"{self.path}: the row of video {video_id!r} must list distinct classes, each with a finite score. "
                f"Received: {text[:60]!r}."
            )
        return pairs

    def _check(self, ok, what):
        if not ok:
            raise ValueError(f"{self.path} line {self._number}: {what}.")


def _weighted_mean(rows, weights):
    total = {}
    for pairs, weight in zip(rows, weights):
        for number, score in pairs.items():
            total[number] = total.get(number, 0.0) + weight * score
    return total


def _format_row(video_id, scores, top_k):
    best = sorted(scores, key=lambda number: (-scores[number], number))[:top_k]
    return f"{video_id}," + " ".join(f"{number} {scores[number]:g}" for number in best) + "\n"
