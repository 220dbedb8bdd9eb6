"""The submission CSV of the 2019 challenge: for every class the segments that show it, best first.

A header `Class,Segments`, then one row `<class>,<id>:<start> <id>:<start> ...` a class.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from yt8m_distill.data import DataError
from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.data.text_file import numbered_lines
from yt8m_distill.serving.submission import check_predictions, decode_id

_HEADER = "Class,Segments\n"
_SEGMENT = re.compile(r"[^\s,]+:\d+")
_BEST_DTYPE = np.dtype([("score", np.float32), ("video", np.uint32), ("start", np.uint32)])
_FIRST_BLOCK = 256


def write_segment_submission(
    path: str | os.PathLike,
    batches: Iterable[tuple[Sequence[bytes | str], np.ndarray, tf.Tensor | np.ndarray]],
    top_k: int = 20,
    max_segments: int = 100000,
    classes: np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Writes predictions of segments as the CSV file that the 2019 challenge scores.

    Each segment is entered for its `top_k` best classes, ties to the lowest class. Each class lists the `max_segments`
    segments of highest score entered for it, best first, ties by video id and then by start time. Classes ascend (the
    original has them as they first appear); a class that no segment is entered for has no row. The file appears under
    `path` only when it is complete (see `open_atomic`).

    Memory: 12 bytes for each entry, of which there are at most `top_k` a segment and 2 `max_segments` a class, and the
    video ids. For 2 million segments, `top_k` 20 and 1000 classes that is 0.5 GB (the blocks that hold the entries may
    be twice as large, but their unused part takes address space only).

    Args:
        path: the CSV file, local or remote (`gs://...`).
        batches: triples of video ids (length B; bytes are decoded as UTF-8), start times (int [B], seconds) and
            predictions (float32 [B, C]). The segments of a video follow each other, over batches too.
        top_k: classes that a segment is entered for; all if there are fewer.
        max_segments: most segments of a class.
        classes: ascending indices of the classes that count; None for all.
        progress: called after each batch with the number of segments so far.

    Returns:
        The number of segments received.

    Raises:
        ValueError: `top_k` or `max_segments` below 1; ids and predictions of a batch do not fit together; an id is
            empty, not UTF-8, comes again after another video or with a start time that it had already, or holds a
            comma, a double quote or white space; a prediction is NaN or infinite.
        TypeError: an id is neither bytes nor str.
        OSError: `path` cannot be written.
    """
    for name, value in (("--top_k", top_k), ("--segment_max_pred", max_segments)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1. Received: {value}")
    videos = _VideoNumbers()
    best_of_class = {}
    num_segments = 0
    with open_atomic(path) as csv_file:
        for video_ids, start_times, predictions in batches:
            predictions = tf.cast(predictions, tf.float32)
            check_predictions(list(video_ids), predictions, top_k=1)
            numbers = videos.numbers(video_ids, start_times)
            chosen, scores = _best_classes(predictions, top_k, classes)
            for class_index, entries in _entries_by_class(chosen, scores, numbers, start_times):
                if class_index not in best_of_class:
                    best_of_class[class_index] = _BestSegments(max_segments, videos.ids)
                best_of_class[class_index].add(entries)
            num_segments += len(predictions)
            if progress is not None:
                progress(num_segments)
        csv_file.write(_HEADER)
        for class_index in sorted(best_of_class):
            csv_file.write(_format_row(class_index, best_of_class.pop(class_index).best(), videos.ids))
    return num_segments


def read_segment_submission(path: str) -> Iterator[tuple[int, list[str]]]:
    """Reads a submission CSV row by row, with a header or without one.

    Yields:
        Pairs of a class and its segments `<id>:<start>`, best first.

    Raises:
        DataError: a file without a line, a row that is not of the format, a class that has two rows, or a segment
            twice in one.
        tf.errors.OpError: the file cannot be read.
    """
    seen = set()
    number = 0
    for number, line in numbered_lines(path):
        name, comma, segments = line.strip().partition(",")
        if not name and not comma:
            continue
        if number == 1 and comma and not _is_integer(name) and ":" not in segments:
            continue  # the header
        if not comma or not name.isdecimal():
            raise DataError(f"{path}: line {number} does not begin with a class number and a comma: {line[:80]!r}.")
        if int(name) in seen:
            raise DataError(f"{path}: line {number} is a second row of class {name}. A class has one row.")
        seen.add(int(name))
        yield int(name), _check_segments(segments.split(), f"{path}: line {number}, class {name}")
    if not number:
        raise DataError(f"{path}: is empty.")


def read_segment_classes(path: str, num_classes: int) -> np.ndarray:
    """Reads a file of class indices, one a line, such as the challenge's segment_label_ids.csv.

    A first line that is no number is a header.

    Returns:
        Ascending distinct indices, int64.

    Raises:
        DataError: another line that is no number, an index outside [0, num_classes), or none at all.
        tf.errors.OpError: the file cannot be read.
    """
    classes = set()
    for number, line in numbered_lines(path):
        text = line.strip()
        if text.isdecimal() and int(text) < num_classes:
            classes.add(int(text))
        elif text and (number > 1 or _is_integer(text)):
            raise DataError(
                f"{path}: line {number} is not a class from 0 to {num_classes - 1}. Received: {text[:80]!r}."
            )
    if not classes:
        raise DataError(f"{path}: holds no class index.")
    return np.array(sorted(classes))


class _VideoNumbers:
    """Numbers videos in the order in which they come.

    Attributes:
        ids: the video ids by number.
    """

    def __init__(self):
        self.ids = []
        self._seen = set()
        self._starts = set()  # of the video that came last

    def numbers(self, video_ids, start_times):
        """The number of each segment's video, uint32 [B]."""
        numbers = np.empty(len(video_ids), np.uint32)
        previous = None
        for row, video_id in enumerate(video_ids):
            if row == 0 or video_id != previous:
                self._enter(decode_id(video_id, len(self.ids)))
                previous = video_id
            if start_times[row] in self._starts:
                raise _comes_twice(self.ids[-1])
            self._starts.add(start_times[row])
            numbers[row] = len(self.ids) - 1
        return numbers

    def _enter(self, name):
        if self.ids and self.ids[-1] == name:
            return  # goes on from the batch before
        if name in self._seen:
            raise _comes_twice(name)
        if re.search(r"\s", name):
            raise ValueError(
                f"video id {name!r} holds white space, which separates the segments of the CSV format; correct the "
                "`id` feature of that record"
            )
        self.ids.append(name)
        self._seen.add(name)
        self._starts.clear()


def _comes_twice(name):
    return ValueError(
        f"video {name!r} comes twice in the input, and a segment can be listed only once; remove one of them"
    )


class _BestSegments:
    """The best segments of one class, out of any number that are added."""

    def __init__(self, limit, video_ids):
        self._limit = limit
        self._video_ids = video_ids
        self._block = np.empty(min(_FIRST_BLOCK, 2 * limit), _BEST_DTYPE)
        self._length = 0

    def add(self, entries):
        while len(entries):
            room = len(self._block) - self._length
            if not room:
                self._make_room()
                continue
            added = entries[:room]
            self._block[self._length : self._length + len(added)] = added
            self._length += len(added)
            entries = entries[room:]

    def best(self):
        """At most `limit` entries, best first."""
        entries = self._block[: self._length]
        ids = np.array([self._video_ids[video].encode() for video in entries["video"].tolist()], dtype=bytes)
        return entries[np.lexsort((entries["start"], ids, -entries["score"]))[: self._limit]]

    def _make_room(self):
        if len(self._block) < 2 * self._limit:
            block = np.empty(min(2 * len(self._block), 2 * self._limit), _BEST_DTYPE)
            block[: self._length] = self._block
            self._block = block
        else:
            best = self.best()
            self._length = len(best)
            self._block[: self._length] = best


def _best_classes(predictions, top_k, classes):
    """The classes that each segment is entered for, int [B, k], and their scores, float32 [B, k]."""
    if classes is None:
        classes = np.arange(predictions.shape[1])
    else:
        predictions = tf.gather(predictions, classes, axis=1)
    scores, places = tf.math.top_k(predictions, min(top_k, len(classes)))
    return classes[places.numpy()], scores.numpy()


def _entries_by_class(chosen, scores, numbers, start_times):
    """Yields pairs (class, entries of the segments entered for it); `chosen` are the classes [B, k] of each segment."""
    entries = np.empty(chosen.shape, _BEST_DTYPE)
    entries["score"] = scores
    entries["video"] = numbers[:, np.newaxis]
    entries["start"] = np.asarray(start_times)[:, np.newaxis]
    order = np.argsort(chosen, axis=None, kind="stable")
    classes, first = np.unique(chosen.ravel()[order], return_index=True)
    return zip(classes.tolist(), np.split(entries.ravel()[order], first[1:]))


def _format_row(class_index, best, video_ids):
    places = zip(best["video"].tolist(), best["start"].tolist())
    return f"{class_index}," + " ".join([f"{video_ids[video]}:{start}" for video, start in places]) + "\n"


def _check_segments(segments, place):
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            raise DataError(f"{place}: a segment must be <id>:<start time>. Received: {segment[:80]!r}.")
    if len(set(segments)) < len(segments):
        seen = set()
        twice = next(segment for segment in segments if segment in seen or seen.add(segment))
        raise DataError(f"{place}: lists segment {twice} twice.")
    return segments


def _is_integer(text):
    return re.fullmatch(r"[+-]?\d+", text) is not None
