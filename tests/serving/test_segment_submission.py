from __future__ import annotations

import csv

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records import REAL_DATA
from yt8m_distill.data import DataError
from yt8m_distill.serving import read_segment_classes, read_segment_submission, write_segment_submission

PREDICTIONS = np.array([[0.1, 0.9, 0.3], [0.2, 0.8, 0.7], [0.9, 0.3, 0.25]], np.float32)
BATCH = ([b"aa", b"aa", "bb"], [0, 5, 0], PREDICTIONS)


def written(tmp_path, batches, **options):
    path = tmp_path / "segments.csv"
    num_segments = write_segment_submission(path, batches, **options)
    assert num_segments == sum(len(predictions) for *_, predictions in batches)
    return path.read_bytes().decode()


# Writing.


def test_by_hand(tmp_path):
    # Each segment is entered for its two best classes.
    assert written(tmp_path, [BATCH], top_k=2) == "Class,Segments\n0,bb:0\n1,aa:0 aa:5 bb:0\n2,aa:5 aa:0\n"


def test_classes_of_the_challenge_only(tmp_path):
    """A whitelisted class is entered even if others that do not count have higher scores."""
    text = written(tmp_path, [BATCH], top_k=1, classes=np.array([0, 2]))
    assert text == "Class,Segments\n0,bb:0\n2,aa:5 aa:0\n"
    assert written(tmp_path, [BATCH], top_k=20, classes=np.array([2])) == "Class,Segments\n2,aa:5 aa:0 bb:0\n"


def test_the_cap(tmp_path):
    assert written(tmp_path, [BATCH], max_segments=1) == "Class,Segments\n0,bb:0\n1,aa:0\n2,aa:5\n"


def test_ties_go_by_id_then_start(tmp_path):
    ids, starts = ["bb"] * 3 + ["aa"] * 2 + ["b"], [10, 0, 5, 105, 20, 0]
    predictions = np.full((6, 2), 0.5, np.float32)
    text = written(tmp_path, [(ids, starts, predictions)], top_k=1)
    assert text == "Class,Segments\n0,aa:20 aa:105 b:0 bb:0 bb:5 bb:10\n"  # starts as numbers; class 1 has no row


def test_no_segments(tmp_path):
    assert written(tmp_path, []) == "Class,Segments\n"
    assert written(tmp_path, [([], [], np.zeros([0, 3], np.float32))]) == "Class,Segments\n"


def test_progress(tmp_path):
    counts = []
    write_segment_submission(tmp_path / "out", [BATCH, (["cc"], [0], PREDICTIONS[:1])], progress=counts.append)
    assert counts == [3, 4]


def rows_in_plain_python(segments, top_k, max_segments, classes):
    """`segments` are (id, start, scores)."""
    entered = {}
    for video_id, start, scores in segments:
        for c in sorted(classes, key=lambda c: (-scores[c], c))[:top_k]:
            entered.setdefault(c, []).append((-scores[c], video_id, start))
    rows = {c: sorted(entries)[:max_segments] for c, entries in sorted(entered.items())}
    return [(c, [f"{video_id}:{start}" for _, video_id, start in entries]) for c, entries in rows.items()]


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=4, max_size=4), max_size=40),
    windows=st.integers(1, 5),
    top_k=st.integers(1, 5),
    max_segments=st.integers(1, 6),
    classes=st.sampled_from([None, [1], [0, 3]]),
    batch_size=st.integers(1, 12),
    shuffle=st.randoms(),
)
def test_agrees_with_plain_python(tmp_path_factory, scores, windows, top_k, max_segments, classes, batch_size, shuffle):
    """Caps far below the number of segments, so that entries are dropped many times, among many ties."""
    names = [f"v{number}" for number in range(-(-len(scores) // windows))]
    shuffle.shuffle(names)
    segments = [(names[row // windows], 5 * (row % windows), row_scores) for row, row_scores in enumerate(scores)]
    batches = []
    for first in range(0, len(segments), batch_size):
        ids, starts, predictions = zip(*segments[first : first + batch_size])
        batches.append(([video_id.encode() for video_id in ids], np.array(starts), np.array(predictions, np.float32)))
    path = tmp_path_factory.getbasetemp() / "agrees.csv"
    write_segment_submission(path, batches, top_k, max_segments, classes if classes is None else np.array(classes))
    expected = rows_in_plain_python(segments, top_k, max_segments, classes or range(4))
    assert list(read_segment_submission(str(path))) == expected
    with open(path, newline="") as file:  # and as other programs read it
        header, *rows = csv.reader(file)
    assert header == ["Class", "Segments"]
    assert [(int(c), listed.split(" ")) for c, listed in rows] == expected


def test_many_segments_of_a_class(tmp_path):
    scores = np.random.default_rng(0).permutation(5000).astype(np.float32)
    batches = [([f"v{n}"] * 50, np.arange(50) * 5, scores[n * 50 : n * 50 + 50, None]) for n in range(100)]
    _, row = written(tmp_path, batches, max_segments=1200).splitlines()
    best = np.argsort(-scores)[:1200]
    assert row == "0," + " ".join(f"v{n // 50}:{n % 50 * 5}" for n in best)


@pytest.mark.parametrize(
    "batches, options, message",
    [
        ([BATCH], {"top_k": 0}, "--top_k must be at least 1"),
        ([BATCH], {"max_segments": 0}, "--segment_max_pred must be at least 1"),
        ([(["a b"], [0], PREDICTIONS[:1])], {}, "'a b' holds white space"),
        ([(["a,b"], [0], PREDICTIONS[:1])], {}, "holds a comma"),
        ([([b"\xff"], [0], PREDICTIONS[:1])], {}, "not valid UTF-8"),
        ([(["a"], [0], PREDICTIONS)], {}, r"shape \[3, 3\] for 1 ids"),
        ([(["a"], [0], np.array([[0.5, np.nan]], np.float32))], {}, "class 1, is nan, not a finite number"),
        ([(["a", "b", "a"], [0, 0, 5], PREDICTIONS)], {}, "video 'a' comes twice"),
        ([BATCH, (["aa"], [10], PREDICTIONS[:1])], {}, "video 'aa' comes twice"),
        ([(["a", "a", "a"], [0, 5, 0], PREDICTIONS)], {}, "video 'a' comes twice"),  # two records, one after the other
        ([BATCH, (["bb"], [0], PREDICTIONS[:1])], {}, "video 'bb' comes twice"),
    ],
)
def test_what_cannot_be_written(tmp_path, batches, options, message):
    with pytest.raises(ValueError, match=message):
        write_segment_submission(tmp_path / "out.csv", batches, **options)
    assert list(tmp_path.iterdir()) == []


# Reading.


def read(tmp_path, content):
    path = tmp_path / "submission.csv"
    path.write_bytes(content.encode())
    return list(read_segment_submission(str(path)))


ROWS = [(3, ["a:0", "b:5"]), (1, ["a:5"])]


@pytest.mark.parametrize(
    "content",
    [
        "Class,Segments\n3,a:0 b:5\n1,a:5\n",
        "Class Id,Segment Ids\n3,a:0 b:5\n1,a:5\n",
        "3,a:0 b:5\n1,a:5\n",
        "3,a:0 b:5\n1,a:5",
        "Class,Segments\r\n3,a:0 b:5\r\n1,a:5\r\n",
        "3,a:0  b:5 \n\n1,a:5\n\n",
    ],
    ids=["header", "another header", "no header", "no last line end", "of Windows", "loose"],
)
def test_forms_of_a_submission(tmp_path, content):
    """The original fails on the header, and never finds the last segment of a line."""
    assert read(tmp_path, content) == ROWS


def test_a_row_without_segments(tmp_path):
    assert read(tmp_path, "3,\n") == [(3, [])]
    assert read(tmp_path, "Class,Segments\n") == []


@pytest.mark.parametrize(
    "content, message",
    [
        ("3,a:0\nx,a:0\n", "line 2 does not begin with a class number and a comma: 'x,a:0"),
        ("Class,Segments\n\n3 a:0\n", "line 3 does not begin with a class number"),
        ("-1,a:0\n", "line 1 does not begin with a class number"),
        ("\ufeff3,a:0\n", "line 1 does not begin with a class number and a comma: '\\ufeff3,a:0"),
        ("", "is empty"),
        ("3,a:0\n4,b:0\n3,c:0\n", "line 3 is a second row of class 3"),
        ("3,a:0 b\n", "line 1, class 3: a segment must be <id>:<start time>. Received: 'b'"),
        ("3,a:0,b:5\n", "line 1, class 3: a segment must be <id>:<start time>. Received: 'a:0,b:5'"),
        ("3,a:0 b:5 c:0 b:5 a:0\n", "line 1, class 3: lists segment b:5 twice"),
    ],
)
def test_what_is_no_submission(tmp_path, content, message):
    with pytest.raises(DataError) as error:
        read(tmp_path, content)
    assert str(error.value).startswith(f"{tmp_path / 'submission.csv'}: ")
    assert message in str(error.value)


def test_a_missing_submission(tmp_path):
    with pytest.raises(tf.errors.NotFoundError):
        list(read_segment_submission(str(tmp_path / "none.csv")))
    with pytest.raises(DataError, match="is a directory"):
        list(read_segment_submission(str(tmp_path)))


# The classes that count.


@pytest.mark.parametrize("content", ["Index\n7\n3\n3\n", "7\r\n3\r\n", "3\n\n 7 "])
def test_classes(tmp_path, content):
    (tmp_path / "ids.csv").write_text(content)
    classes = read_segment_classes(str(tmp_path / "ids.csv"), 8)
    assert classes.tolist() == [3, 7] and classes.dtype == np.int64


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "holds no class index"),
        ("Index\n", "holds no class index"),
        ("Index\n3\n8\n", "line 3 is not a class from 0 to 7. Received: '8'"),
        ("-1\n3\n", "line 1 is not a class from 0 to 7. Received: '-1'"),
        ("9\n3\n", "line 1 is not a class from 0 to 7. Received: '9'"),
        ("Index\n3,Game\n", "line 2 is not a class from 0 to 7. Received: '3,Game'"),
    ],
)
def test_bad_classes(tmp_path, content, message):
    path = tmp_path / "ids.csv"
    path.write_text(content)
    with pytest.raises(DataError) as error:
        read_segment_classes(str(path), 8)
    assert str(error.value).startswith(f"{path}: ") and message in str(error.value)


def test_the_classes_of_the_challenge():
    path = REAL_DATA / "segment_label_ids.csv"
    if not path.exists():
        pytest.skip(f"no file {path}")
    classes = read_segment_classes(str(path), 3862)
    assert len(classes) == 1000 and (classes[0], classes[-1]) == (3, 1831)
