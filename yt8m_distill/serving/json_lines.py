"""Predictions as JSON lines, one video a line: easy to read for programs and, with names of classes, for people."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.serving.submission import HEADER, best_classes, decode_id

_KEYS = ("video_id", "class_indexes", "predictions")


def write_json_lines(
    path: str | os.PathLike,
    batches: Iterable[tuple[Sequence[bytes | str], np.ndarray]],
    top_k: int = 20,
    progress: Callable[[int], None] | None = None,
    names: Sequence[str] | None = None,
) -> int:
    """Writes predictions one video a line, in the order of `batches`:

        {"video_id": "SjJ3", "class_indexes": [11, 4], "predictions": [0.81, 0.0321], "names": ["Vehicle", "Car"]}

    Ids, classes, their order and the digits of the scores are those of `write_submission`.

    Args:
        path, batches, top_k, progress: as of `write_submission`.
        names: names of all classes; None leaves them out.

    Returns:
        The number of videos written.

    Raises:
        ValueError, TypeError, OSError: as `write_submission`.
    """
    num_videos = 0
    with open_atomic(path) as file:
        for video_ids, classes, scores in best_classes(batches, top_k):
            file.writelines(map(_format_line, video_ids, classes.tolist(), scores.tolist(), [names] * len(video_ids)))
            num_videos += len(video_ids)
            if progress is not None:
                progress(num_videos)
    return num_videos


def json_lines_to_submission(paths: Sequence[str], output_path: str | os.PathLike) -> int:
    """Converts predictions in JSON lines to the submission CSV, whole or not at all.

    Takes what `write_json_lines` writes, and what batch prediction with a SavedModel of the original or of this package
    gives: JSON objects with `video_id`, `class_indexes` and `predictions`, each of them wrapped in more lists or not
    (the original's frame-level export has a dimension of 1 more). Other keys and empty lines are passed over. Classes
    stay in their order; scores are written as `%f`, with 6 decimals, as in the original's
    `convert_prediction_from_json_to_csv.py`.

    Args:
        paths: files, local or remote; their rows come in this order.
        output_path: the CSV to write.

    Returns:
        The number of videos written.

    Raises:
        ValueError: a line that holds something else (names the file and the line), or files without any prediction.
        OSError: `output_path` cannot be written.
    """
    num_videos = 0
    with open_atomic(output_path) as csv_file:
        csv_file.write(HEADER)
        for path in paths:
            for number, line in _lines(path):
                try:
                    csv_file.write(_row_of(line, num_videos))
                except (ValueError, TypeError, OverflowError, RecursionError) as error:
                    raise ValueError(f"{path} line {number}: {error}") from error
                num_videos += 1
        if not num_videos:
            raise ValueError(f"The {len(paths)} file(s), {paths[0]} and so on, hold no prediction.")
    return num_videos


def _format_line(video_id, classes, scores, names):
    fields = {
        "video_id": json.dumps(video_id, ensure_ascii=False),
        "class_indexes": f"[{', '.join(map(str, classes))}]",
        # Not json.dumps, which writes all digits.
        "predictions": f"[{', '.join(f'{score:g}' for score in scores)}]",
    }
    if names is not None:
        fields["names"] = json.dumps([names[index] for index in classes], ensure_ascii=False)
    return "{" + ", ".join(f'"{key}": {text}' for key, text in fields.items()) + "}\n"


def _lines(path) -> Iterator[tuple[int, bytes]]:
    with tf.io.gfile.GFile(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def _row_of(line, index):
    try:
        prediction = json.loads(line.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at column {error.colno}.") from error
    if not isinstance(prediction, dict):
        raise ValueError(f"must be a JSON object. Received: {type(prediction).__name__}.")
    missing = [key for key in _KEYS if key not in prediction]
    if missing:
        raise ValueError(f"has no key {missing[0]!r}. Its keys are: {', '.join(prediction) or 'none'}.")
    (video_id,) = _vector(prediction["video_id"], "video_id", length=1)
    classes = _vector(prediction["class_indexes"], "class_indexes")
    scores = _vector(prediction["predictions"], "predictions", length=len(classes))
    for number in classes:
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise ValueError(f"class_indexes must be whole numbers, at least 0. Received: {number!r}.")
    if len(set(classes)) < len(classes):
        raise ValueError(f"class_indexes must list classes once each. Received: {str(classes)[:80]}.")
    for score in scores:
        if not isinstance(score, (int, float)) or isinstance(score, bool) or not math.isfinite(score):
            raise ValueError(f"predictions must be finite numbers. Received: {score!r}.")
    pairs = " ".join(f"{number} {score:f}" for number, score in zip(classes, scores))
    return f"{decode_id(video_id, index)},{pairs}\n"


def _vector(value, key, length=None):
    """A list of plain values, out of as many lists as it is wrapped in."""
    value = value if isinstance(value, list) else [value]
    while len(value) == 1 and isinstance(value[0], list):
        (value,) = value
    if length is not None and len(value) != length:
        raise ValueError(f"{key} must have {length} value(s). Received: {len(value)}.")
    return value
