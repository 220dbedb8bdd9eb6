"""The Kaggle submission CSV: for every video its best classes with their scores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.data.video_ids import id_problem

HEADER = "VideoId,LabelConfidencePairs\n"


def write_submission(
    path: str | os.PathLike,
    batches: Iterable[tuple[Sequence[bytes | str], tf.Tensor | np.ndarray]],
    top_k: int = 20,
    progress: Callable[[int], None] | None = None,
) -> int:
    r"""Writes predictions as the CSV file that the YouTube-8M Kaggle competitions score.

    The text is that of the original `inference.py` (2018 and later): a header `VideoId,LabelConfidencePairs`,
    then one row `<id>,<class> <score> <class> <score> ...` a video, in the order of `batches`, with exactly
    `top_k` pairs formatted `"%i %g"` (6 significant digits), highest score first. Equal scores go to the
    lower class index (the original leaves their order open); scores below 2^-126 are equal, as TensorFlow
    computes. Batches are written as they come, and the file appears under `path` only when all of them are
    (see `open_atomic`).

    Args:
        path: the CSV file, local or remote (`gs://...`).
        batches: pairs of video ids (length B; bytes are decoded as UTF-8) and predictions (float32 `[B, C]`).
        top_k: pairs a row, 1 <= top_k <= C.
        progress: called after each batch with the number of videos written so far.

    Returns:
        The number of videos written.

    Raises:
        ValueError: `top_k` is not in 1..C; ids and predictions of a batch do not fit together; an id is
            empty, not UTF-8, or holds a comma, a double quote or a line break; a prediction is NaN or
            infinite.
        TypeError: an id is neither bytes nor str.
        OSError: `path` cannot be written.
    """
    num_videos = 0
    with open_atomic(path) as csv_file:
        csv_file.write(HEADER)
        for names, classes, scores in best_classes(batches, top_k):
            csv_file.write(_format_rows(names, classes, scores))
            num_videos += len(names)
            if progress is not None:
                progress(num_videos)
    return num_videos


def best_classes(
    batches: Iterable[tuple[Sequence[bytes | str], tf.Tensor | np.ndarray]], top_k: int
) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """Checks batches of predictions and finds the best classes of each video; arguments and errors as above.

    Yields:
        Video ids, classes int32 `[B, top_k]`, best first, and their scores float32 `[B, top_k]`.
    """
    if top_k < 1:
        raise ValueError(f"--top_k must be at least 1. Received: {top_k}")
    num_videos = 0
    for video_ids, predictions in batches:
        predictions = tf.cast(predictions, tf.float32)
        names = [decode_id(video_id, num_videos + row) for row, video_id in enumerate(video_ids)]
        check_predictions(names, predictions, top_k)
        # On the device that predicted: of thousands of classes only these few go to the host.
        scores, classes = tf.math.top_k(predictions, top_k)  # [B, top_k], ties to the lowest class
        yield names, classes.numpy(), scores.numpy()
        num_videos += len(names)


def decode_id(video_id: bytes | str, index: int) -> str:
    where = f"video id {video_id!r} (video {index} of the input)"
    if not isinstance(video_id, (bytes, str)):
        raise TypeError(f"{where} must be bytes or str. Received: {type(video_id).__name__}")
    problem = id_problem(video_id)
    if problem:
        raise ValueError(f"{where} {problem}; correct the `id` feature of that record")
    return video_id.decode("utf-8") if isinstance(video_id, bytes) else video_id


def check_predictions(names: list[str], predictions: tf.Tensor, top_k: int) -> None:
    if predictions.shape.rank != 2 or len(names) != len(predictions):
        raise ValueError(
            "each batch must hold predictions of shape [B, C] for B video ids. "
            f"Received: shape {predictions.shape.as_list()} for {len(names)} ids, the first of them {names[:1]}"
        )
    if top_k > predictions.shape[1]:
        raise ValueError(f"--top_k={top_k} exceeds the number of classes, {predictions.shape[1]}; lower it")
    is_finite = tf.math.is_finite(predictions)
    if not tf.reduce_all(is_finite):
        row, column = np.argwhere(~is_finite.numpy())[0]
        raise ValueError(
            f"the prediction for video {names[row]!r}, class {column}, is {predictions[row, column]}, not a "
            "finite number; the weights may have diverged in training, so take an earlier checkpoint"
        )


def _format_rows(names: list[str], classes: np.ndarray, scores: np.ndarray) -> str:
    top_k = classes.shape[1]
    row_format = "%s," + " ".join(["%i %g"] * top_k) + "\n"
    fields = np.empty((len(names), 2 * top_k), dtype=object)
    fields[:, 0::2] = classes
    fields[:, 1::2] = scores
    return "".join(row_format % (name, *pairs) for name, pairs in zip(names, fields.tolist()))
