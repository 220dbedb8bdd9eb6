"""The one error that bad input data raises, and how TensorFlow's own errors become it."""

from __future__ import annotations

import re

BAD_RECORD_MARK = "bad record:"


class DataError(ValueError):
    """Input files or records that cannot be used. The message is one line and names the file and the way out."""


def bad_record_message(error: Exception) -> str | None:
    """Returns the message of a failed `require_records` check inside a TensorFlow error, or None.

    TensorFlow wraps the message of a failed assertion in the names of the operations that led to it: in brackets, and
    the rest of the line is its own; in eager execution, in double quotes.
    """
    match = re.search(rf"{BAD_RECORD_MARK} (.*?)[\]\"]?(?:\n|$)", _text(error))
    return match.group(1).replace("\\'", "'") if match else None


def parser_message(error: Exception) -> str | None:
    """Returns what TensorFlow's parsers say of a record that they cannot parse, or None.

    They name the record, whose name here is "in <file> record <number>", as an "example id", or first.
    """
    text = re.sub(r"\{\{.*?\}\} *", "", _text(error))
    match = re.search(r"^(?:(.*), example id: |.*Name: )in (.* record \d+)(.*?)(?: \[Op:.*)?$", text, re.MULTILINE)
    if match is None:
        return None
    before, place, after = match.groups(default="")
    return f"{place}: {' '.join((before or after).strip(' ,.').split())[:300]}."


def _text(error):
    """Its message. TensorFlow quotes what is in a record; where that is no text, decoding the message fails."""
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode("utf-8", "replace")
    return str(error)
