"""Averages of submission CSVs, by hand."""

import os

import pytest

from yt8m_distill.serving import average_submissions

HEADER = "VideoId,LabelConfidencePairs\n"


def write(path, *rows):
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def average(tmp_path):
    """Averages files of the given rows, and returns the rows of the result."""

    def average(*files, **options):
        paths = [write(tmp_path / f"{number}.csv", *rows) for number, rows in enumerate(files)]
        number = average_submissions(paths, tmp_path / "mean.csv", **options)
        header, *rows = (tmp_path / "mean.csv").read_bytes().decode().split("\n")
        assert header + "\n" == HEADER and rows.pop() == "" and number == len(rows)
        return rows

    return average


def test_equal_weights(average):
    one, other = ["x,3 0.9 1 0.4", "é,0 0.5 2 0.25"], ["x,3 0.3 2 0.6", "é,0 1e-07 1 0"]
    # x: 3 -> .6, 2 -> .3 (absent from the first: 0), 1 -> .2. é: 0 -> .25000005, 2 -> .125, 1 -> 0.
    assert average(one, other) == ["x,3 0.6 2 0.3 1 0.2", "é,0 0.25 2 0.125 1 0"]


def test_weights(average):
    assert average(["x,0 0.8 1 0.4"], ["x,1 0.8"], ["x,2 1"], weights=(2, 1, 1)) == ["x,0 0.4 1 0.4 2 0.25"]


def test_ties_go_to_the_lower_class(average):
    assert average(["x,12 0.5 7 0.25"], ["x,7 0.25 9 0.5"]) == ["x,7 0.25 9 0.25 12 0.25"]


def test_keeps_the_best_of_the_mean(average):
    """Class 1 is second in both files and first in their mean."""
    assert average(["x,0 0.9 1 0.8"], ["x,2 0.9 1 0.8"], top_k=1) == ["x,1 0.8"]
    many = " ".join(f"{number} 0.{99 - number}" for number in range(15))
    others = " ".join(f"{number} 0.{99 - number}" for number in range(15, 30))
    (row,) = average([f"x,{many}"], [f"x,{others}"])
    assert [int(number) for number in row[2:].split()[::2]] == list(range(20))


@pytest.mark.parametrize("order", ["abc", "cba", "bca", "cab"])
def test_rows_in_the_order_of_the_first_file(average, order):
    second = {"a": "a,0 0.5", "b": "b,1 0.5", "c": "c,2 0.5"}
    rows = average(["a,0 0.1", "b,1 0.2", "c,2 0.3"], [second[video] for video in order])
    assert rows == ["a,0 0.3", "b,1 0.35", "c,2 0.4"]


def test_one_file_and_no_videos(average):
    assert average(["x,1 0.5 0 0.25"], top_k=1) == ["x,1 0.5"]
    assert average([], []) == []


def test_line_ends_of_windows(average):
    assert average(["x,1 0.5\r"], ["x,1 0.25"]) == ["x,1 0.375"]


@pytest.mark.parametrize(
    "one, other, message",
    [
        (["a,0 1", "b,0 1"], ["a,0 1"], r"1\.csv has no row for video 'b', which .*0\.csv has"),
        (["a,0 1"], ["a,0 1", "b,0 1"], r"0\.csv has no row for video 'b', which .*1\.csv has"),
        (["a,0 1"], ["b,0 1", "a,0 1"], r"0\.csv has no row for video 'b', which .*1\.csv has"),
        (["a,0 1"], ["b,0 1", "b,0 1", "a,0 1"], r"1\.csv line 3: is the second row of video 'b'"),
        (["a,0 1"], ["a,0 1", "a,0 1"], r"1\.csv line 3: is the second row of video 'a'"),
        (["a,0 1", "a,0 1"], ["a,0 1", "a,0 1"], r"0\.csv line 3: is the second row of video 'a'"),
        (["a,0 1"], ["a"], r"1\.csv line 2: must be <video id>,<class> <score>"),
        (["a,0 1", "", "b,0 1"], ["a,0 1"], r"0\.csv line 3: must be <video id>,<class> <score>"),
        ([",0 1"], ["a,0 1"], r"0\.csv line 2: must be <video id>,<class> <score>"),
        (["a,0 1 2"], ["a,0 1"], r"0\.csv: the row of video 'a' must list distinct classes, .* Received: '0 1 2'"),
        (["a,0 1 0 1"], ["a,0 1"], "must list distinct classes"),
        (["a,0 x"], ["a,0 1"], "must list distinct classes"),
        (["a,-1 0.5"], ["a,0 1"], "must list distinct classes"),
        (["a,0 nan"], ["a,0 1"], "each with a finite score"),
    ],
)
def test_files_that_cannot_be_averaged(one, other, message, average, tmp_path):
    with pytest.raises(ValueError, match=message):
        average(one, other)
    assert sorted(os.listdir(tmp_path)) == ["0.csv", "1.csv"]


@pytest.mark.parametrize("content", [b"", b"Class,Segments\n", b"a,0 1\n", b"\xff\xfe\n"])
def test_a_file_of_another_kind(content, tmp_path):
    good = write(tmp_path / "good.csv", "a,0 1")
    (tmp_path / "other.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.csv(: is not UTF-8| line 1: must be the header 'VideoId,Label)"):
        average_submissions([good, str(tmp_path / "other.csv")], tmp_path / "mean.csv")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"weights": (1,)}, "Give 2 weights, one for each. Received: 1"),
        ({"weights": (1, 0)}, "weights must be positive numbers. Received: 0"),
        ({"top_k": 0}, "top_k must be at least 1. Received: 0"),
    ],
)
def test_options_out_of_range(options, message, average):
    with pytest.raises(ValueError, match=message):
        average(["a,0 1"], ["a,0 1"], **options)


def test_no_file(tmp_path):
    with pytest.raises(ValueError, match="no submission file"):
        average_submissions([], tmp_path / "mean.csv")
