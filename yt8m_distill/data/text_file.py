"""Text files that a user names: lists of classes, submissions, caches."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf

from yt8m_distill.data.errors import DataError


def numbered_lines(path: str) -> Iterator[tuple[int, str]]:
    """Reads a file line by line.

    Yields:
      Pairs of a line's number, from 1, and the line with its end.

    Raises:
      DataError: the file is not UTF-8 text, or a directory.
      tf.errors.OpError: it cannot be read.
    """
    if tf.io.gfile.isdir(path):  # which TensorFlow reads as a file without a line
        raise DataError(f"{path}: is a directory, not a text file.")
    with tf.io.gfile.GFile(path) as file:
        try:
            yield from enumerate(file, start=1)
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: is not UTF-8 text ({error}).") from error
