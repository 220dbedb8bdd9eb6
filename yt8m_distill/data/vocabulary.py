"""The names of a dataset's classes, from the vocabulary file that comes with it."""

from __future__ import annotations

import csv
import io

import tensorflow as tf

from yt8m_distill.data.errors import DataError

_INDEX_COLUMNS = ("index",)
_NAME_COLUMNS = ("name", "display_name")


def read_vocabulary(path: str, num_classes: int) -> list[str]:
    """Reads the names of a model's classes.

    The file is a CSV with a header, whose columns are found by name in any case: `Index` and `Name` in YouTube-8M's
    `vocabulary.csv`, `index` and `display_name` in AudioSet's `class_labels_indices.csv`. Rows may come in any order.

    Args:
      path: local or remote file.
      num_classes: classes of the model.

    Returns:
      One name a class, in the order of their indices. A class whose name the file leaves empty, as YouTube-8M's of 2018
      does for 56 of them, is called "".

    Raises:
      DataError: no such columns, an index that is not a whole number or stands there twice, a class without a row, or a
        row without a class: the vocabulary is then that of another dataset.
    """
    with tf.io.gfile.GFile(path) as file:
        try:
            rows = csv.reader(io.StringIO(file.read().lstrip("\ufeff"), newline=""))
            header = next(rows, [])
            index_column, name_column = (_find(header, names, path) for names in (_INDEX_COLUMNS, _NAME_COLUMNS))
            names = {}
            for row in filter(None, rows):
                index, name = _index_and_name(row, index_column, name_column, f"{path} line {rows.line_num}")
                if index in names:
                    raise DataError(f"{path} line {rows.line_num}: index {index} stands there twice.")
                names[index] = name
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}: is not a CSV file in UTF-8 ({error}).") from error
    missing = [index for index in range(num_classes) if index not in names]
    if missing:
        raise DataError(f"{path}: has no row for class {missing[0]}; the model has {num_classes} classes.")
    if len(names) > num_classes:
        raise DataError(
            f"{path}: names class {max(names)}, but the model has {num_classes} classes. "
            "Give the vocabulary of the dataset that it was trained on."
        )
    return [names[index] for index in range(num_classes)]


def _find(header, names, path):
    columns = [column.strip().lower() for column in header]
    for name in names:
        if name in columns:
            return columns.index(name)
    wanted = " or ".join(map(repr, names))
    raise DataError(f"{path}: has no column {wanted}. Its first line is: {','.join(header)[:200]}")


def _index_and_name(row, index_column, name_column, place):
    if len(row) <= max(index_column, name_column):
        raise DataError(f"{place}: has {len(row)} fields, fewer than the header.")
    if not row[index_column].strip().isdecimal():
        raise DataError(f"{place}: the index must be a whole number. Received: {row[index_column]!r}.")
    return int(row[index_column]), row[name_column].strip()
