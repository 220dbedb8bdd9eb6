"""Rows as a table for people."""

from __future__ import annotations


def format_table(rows: list[dict]) -> str:
    """Columns in the order in which the rows bring them up; numbers with 4 significant digits; empty where a row has
    no value.

    >>> print(format_table([{"stage": "parse", "videos_per_s": 1234.56}, {"stage": "all", "ratio": 0.98765}]))
    stage  videos_per_s  ratio
    parse          1235
    all                 0.9877
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_format(row.get(name)) for name in columns] for row in rows]
    is_text = [any(isinstance(row.get(name), str) for row in rows) for name in columns]
    widths = [max(len(text) for text in column) for column in zip(columns, *cells)]
    lines = [
        "  ".join(text.ljust(width) if left else text.rjust(width) for text, width, left in zip(line, widths, is_text))
        for line in (columns, *cells)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _format(value):
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return " ".join(map(_format, value))
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")
