"""Which video ids a submission CSV can hold."""

from __future__ import annotations

import re

import tensorflow as tf

from yt8m_distill.data.record_parser import require_records

# The format has no quoting, so an id that a CSV reader would take apart cannot be written.
_TAKEN_APART = '[,"\r\n]'
_WHOLE = '[^,"\r\n]+'
_WITH_WHITE_SPACE = r"(?s).*[\s\x0b\x1c-\x1f\x{85}\p{Z}].*"  # what Python calls so
_PROBLEM = "holds a comma, a double quote or a line break, for which the CSV format has no quoting"


def id_problem(video_id: bytes | str) -> str | None:
    """What keeps an id from being written, in words that follow "the id"; None of one that can be."""
    try:
        name = video_id.decode("utf-8") if isinstance(video_id, bytes) else video_id
        name.encode("utf-8")  # a str can hold lone surrogates, which no file can
    except UnicodeError:
        return "is not valid UTF-8"
    if not name:
        return "is empty"
    return _PROBLEM if re.search(_TAKEN_APART, name) else None


def require_writable_ids(ids, source, of_segments: bool = False):
    """Fails the step and names the first record whose id (string [B]) cannot be written; `source` as of the parsers.

    Args:
      of_segments: for the CSV of segments, whose separator is white space.

    Returns:
      The ids.
    """
    is_writable = tf.strings.regex_full_match(ids, _WHOLE)  # matches no bytes that are not UTF-8
    problem = f"the id {_PROBLEM}, or is not valid UTF-8; correct the `id` feature of that record"
    if of_segments:
        is_writable &= ~tf.strings.regex_full_match(ids, _WITH_WHITE_SPACE)
        problem = f"the id holds white space, which separates segments in the CSV, or {problem.removeprefix('the id ')}"
    # The message is one line of text, whatever the id holds.
    shown = tf.strings.unicode_transcode(
        ids, "UTF-8", "UTF-8", errors="replace", replacement_char=ord("?"), replace_control_characters=True
    )
    with tf.control_dependencies([require_records(is_writable, problem, shown, source)]):
        return tf.identity(ids)
