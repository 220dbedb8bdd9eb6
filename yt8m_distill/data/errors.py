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
    match = re.search(rf"{BAD_RECORD_MARK} (.*?)[\]\"]?(?:\n|$)", str(error))
    return match.group(1).replace("\\'", "'") if match else None
