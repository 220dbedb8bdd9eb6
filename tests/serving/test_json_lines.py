"""Predictions as JSON lines, and their conversion to the submission CSV, byte by byte."""

import json
import os

import numpy as np
import pytest

from yt8m_distill.serving import json_lines_to_submission, write_json_lines, write_submission

BATCHES = [
    ([b"ABCD", "efGH"], np.array([[0.1234567, 1e-7, 0.5, 1.0], [0.25, 0.75, 0.25, 0.0]], np.float32)),
    ([b"\xc3\xa9t\xc3\xa9"], np.array([[2.5e-5, 1.23456789e-10, 0.0001, 0.99999994]], np.float32)),
]
NAMES = ["Game", 'The "Sims"', "", "Café"]


def test_golden_file(tmp_path):
    seen = []
    assert write_json_lines(tmp_path / "a.jsonl", BATCHES, 3, seen.append, NAMES) == 3
    assert seen == [2, 3]
    expected = (
        '{"video_id": "ABCD", "class_indexes": [3, 2, 0], "predictions": [1, 0.5, 0.123457], '
        '"names": ["Café", "", "Game"]}\n'
        '{"video_id": "efGH", "class_indexes": [1, 0, 2], "predictions": [0.75, 0.25, 0.25], '
        '"names": ["The \\"Sims\\"", "Game", ""]}\n'
        '{"video_id": "été", "class_indexes": [3, 2, 0], "predictions": [1, 0.0001, 2.5e-05], '
        '"names": ["Café", "", "Game"]}\n'
    )
    assert (tmp_path / "a.jsonl").read_bytes() == expected.encode("utf-8")


def test_without_names(tmp_path):
    write_json_lines(tmp_path / "a.jsonl", BATCHES, 1)
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {"video_id": "ABCD", "class_indexes": [3], "predictions": [1]}


def test_bad_predictions_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="not a finite number"):
        write_json_lines(tmp_path / "a.jsonl", [(["a"], np.float32([[np.nan, 0]]))], 1)
    assert os.listdir(tmp_path) == []


# ---------------------------------------------------------------------------------------------- to the CSV


def convert(folder, *texts):
    paths = []
    for number, text in enumerate(texts):
        (folder / f"{number}.jsonl").write_bytes(text if isinstance(text, bytes) else text.encode())
        paths.append(str(folder / f"{number}.jsonl"))
    count = json_lines_to_submission(paths, folder / "out.csv")
    header, *rows = (folder / "out.csv").read_bytes().decode().split("\n")
    assert header == "VideoId,LabelConfidencePairs" and rows.pop() == "" and count == len(rows)
    return rows


def line(video_id="a", classes=(1,), scores=(0.5,), **others):
    return json.dumps({"video_id": video_id, "class_indexes": classes, "predictions": scores, **others}) + "\n"


def test_golden_conversion(tmp_path):
    texts = [line("été", [7, 0], [0.1234567, 1e-7]) + "\n" + line("b", [3], [1]), line("c", [2], [0.25], names=["x"])]
    assert convert(tmp_path, *texts) == ["été,7 0.123457 0 0.000000", "b,3 1.000000", "c,2 0.250000"]


@pytest.mark.parametrize(
    "video_id, classes, scores",
    [
        ("a", [2, 0], [0.5, 0.25]),  # the original's video-level export
        (["a"], [[2, 0]], [[0.5, 0.25]]),  # its frame-level export
        ([["a"]], [[2, 0]], [[0.5, 0.25]]),
    ],
)
def test_wrapped_in_lists(video_id, classes, scores, tmp_path):
    assert convert(tmp_path, line(video_id, classes, scores)) == ["a,2 0.500000 0 0.250000"]


def test_one_class(tmp_path):
    assert convert(tmp_path, line("a", [[4]], [[0.5]])) == ["a,4 0.500000"]


def test_our_json_lines_convert_to_our_csv(tmp_path):
    """The same videos and classes in the same order; scores differ in their digits only."""
    random = np.random.default_rng(3)
    predictions = random.uniform(size=(20, 30)).astype(np.float32).round(2)  # with ties
    batches = [([f"v{number}" for number in range(20)], predictions)]
    write_json_lines(tmp_path / "a.jsonl", batches, 5, names=[str(number) for number in range(30)])
    write_submission(tmp_path / "a.csv", batches, 5)
    rows = convert(tmp_path, (tmp_path / "a.jsonl").read_bytes())
    assert len(rows) == 20
    for row, expected in zip(rows, (tmp_path / "a.csv").read_text().splitlines()[1:]):
        (video_id, pairs), (expected_id, expected_pairs) = row.split(","), expected.split(",")
        assert video_id == expected_id
        assert pairs.split()[::2] == expected_pairs.split()[::2]
        assert list(map(float, pairs.split()[1::2])) == list(map(float, expected_pairs.split()[1::2]))


@pytest.mark.parametrize(
    "bad, message",
    [
        ("{\n", "is not JSON: Expecting property name enclosed in double quotes at column"),
        (b"\xff\xfe\xfd\n", "decode"),
        ("[1, 2]\n", "must be a JSON object. Received: list"),
        ('{"video_id": "a", "predictions": [1]}\n', "has no key 'class_indexes'. Its keys are: video_id, predictions"),
        ("{}\n", "has no key 'video_id'. Its keys are: none"),
        (line(["a", "b"]), r"video_id must have 1 value\(s\). Received: 2"),
        (line([]), r"video_id must have 1 value\(s\). Received: 0"),
        (line(7), "must be bytes or str. Received: int"),
        (line("a,b"), "holds a comma"),
        (line(classes=[1, 2]), r"predictions must have 2 value\(s\). Received: 1"),
        (line(classes=[1.5]), "class_indexes must be whole numbers, at least 0. Received: 1.5"),
        (line(classes=[-1]), "class_indexes must be whole numbers, at least 0. Received: -1"),
        (line(classes=[True]), "class_indexes must be whole numbers"),
        (line(classes=[4, 4], scores=[0.5, 0.5]), r"class_indexes must list classes once each. Received: \[4, 4\]"),
        (line(scores=["x"]), "predictions must be finite numbers. Received: 'x'"),
        (line(scores=[10**400]), "int too large"),
        ("[" * 200000, "recursion"),
        (line(scores=[float("nan")]), "predictions must be finite numbers. Received: nan"),
        (line(classes=[[1], [2]], scores=[[0.5], [0.5]]), "class_indexes must be whole numbers"),
    ],
)
def test_a_bad_line_is_named(bad, message, tmp_path):
    good = line().encode()
    bad = bad if isinstance(bad, bytes) else bad.encode()
    with pytest.raises(ValueError, match=rf"1\.jsonl line 3: .*{message}"):
        convert(tmp_path, good, good + b"\n" + bad)
    assert sorted(os.listdir(tmp_path)) == ["0.jsonl", "1.jsonl"]


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_files_without_a_prediction(text, tmp_path):
    (tmp_path / "out.csv").write_text("precious")
    with pytest.raises(ValueError, match=r"The 2 file\(s\), .*0\.jsonl and so on, hold no prediction"):
        convert(tmp_path, text, "")
    assert (tmp_path / "out.csv").read_text() == "precious"


def test_an_empty_file_among_others(tmp_path):
    assert convert(tmp_path, "", line("a"), "\n") == ["a,1 0.500000"]
