"""The ground truth of the 2019 challenge: which segments people rated for which classes.

As a `dict`: class -> {"<video id>:<start time>": score}; a score above 0 says that the segment shows the class.
"""

from __future__ import annotations

import collections
import math
import re

from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.data.errors import DataError
from yt8m_distill.data.pipeline import readable_errors, segment_ratings_dataset
from yt8m_distill.data.text_file import numbered_lines

_CACHE_LINE = re.compile(r"([^,'\"\s]+:\d+),(\d+),([^,\s]+)")


def read_segment_ratings(files: list[str]) -> dict:
    """Reads the ratings of record files; of a pair that is rated twice, the last one holds.

    Raises:
      DataError: records that cannot be read, an id that is not UTF-8, or none of them holds a rated segment.
    """
    ratings = collections.defaultdict(dict)
    with readable_errors(files):
        for batch in segment_ratings_dataset(files).as_numpy_iterator():
            pairs = zip(*(batch[name].tolist() for name in ("video_ids", "start_times", "classes", "scores")))
            for video_id, start_time, class_index, score in pairs:
                ratings[class_index][f"{_text(video_id)}:{start_time}"] = score
    if not ratings:
        raise DataError(f"The {len(files)} file(s), {files[0]} and so on, hold no rated segment.")
    return dict(ratings)


def write_label_cache(path: str, ratings: dict) -> None:
    """Writes ratings as lines `<video id>:<start time>,<class>,<score>`, whole or not at all.

    Raises:
      DataError: an id holds a comma, a quote or white space, and could not be read again.
    """
    with open_atomic(path) as file:
        for class_index, scores in sorted(ratings.items()):
            for segment, score in scores.items():
                line = f"{segment},{class_index},{score:g}"
                if not _CACHE_LINE.fullmatch(line):
                    raise DataError(
                        f"{path}: cannot hold segment {segment!r}, whose id has a comma, a quote or white space. Leave "
                        "out --label_cache, or correct the `id` feature of that record."
                    )
                file.write(line + "\n")


def read_label_cache(path: str) -> dict:
    """Reads what `write_label_cache` wrote.

    Raises:
      DataError: a line that is not of that form, such as those that the original writes under Python 3
        (`b'xxxx':5,...`), or no line at all.
    """
    ratings = collections.defaultdict(dict)
    for number, line in numbered_lines(path):
        match = _CACHE_LINE.fullmatch(line.strip())
        score = _number(match.group(3)) if match else None
        if score is None:
            raise DataError(
                f"{path}: line {number} is not <video id>:<start time>,<class>,<score>. Received: "
                f"{line.strip()[:80]!r}. Remove the file; it is made anew from --eval_data_pattern."
            )
        ratings[int(match.group(2))][match.group(1)] = score
    if not ratings:
        raise DataError(f"{path}: holds no rating. Remove the file; it is made anew from --eval_data_pattern.")
    return dict(ratings)


def _text(video_id):
    try:
        return video_id.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"video id {video_id!r} is not UTF-8; correct the `id` feature of that record.") from error


def _number(text):
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
