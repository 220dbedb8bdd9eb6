"""inference.py --output_format=jsonl --vocabulary, and back to the CSV."""

import json
import re

import pytest

from tests.models.small_ensemble import make_model
from tests.records import make_videos, write_videos
from tests.training.tiny_runs import MEANS, model_config, save_model
from yt8m_distill.cli import convert_prediction_from_json_to_csv as convert
from yt8m_distill.cli import inference

NUM_VIDEOS = 5
NAMES = ["Game", "Food, drink", "Café"]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("places")
    write_videos(root, make_videos(MEANS, NUM_VIDEOS), MEANS)
    save_model(root / "model", make_model(model_config()))
    rows = "".join(f'{index},"{name}"\n' for index, name in enumerate(NAMES))
    (root / "names.csv").write_text(f"Index,Name\n{rows}", encoding="utf-8")
    (root / "more.csv").write_text("Index,Name\n0,a\n1,b\n2,c\n3,d\n")
    (root / "other.csv").write_text("id,label\n")
    return root


def infer(places, *flags):
    common = [f"--train_dir={places}/model", f"--input_data_pattern={places}/shard*", "--top_k=2"]
    return inference.main(["inference.py", *common, *flags])


@pytest.fixture(scope="module")
def csv(places):
    assert infer(places, f"--output_file={places}/out.csv") == 0
    return (places / "out.csv").read_text()


def test_says_how_far_it_is_as_the_original_does(places, tmp_path, capsys):
    assert infer(places, f"--output_file={tmp_path / 'out.csv'}") == 0
    err = capsys.readouterr().err
    pattern = rf"num examples processed: {NUM_VIDEOS} elapsed seconds: \d+\.\d\d examples/sec: \d+\.\d\d"
    assert re.search(pattern, err)


def test_json_lines_say_what_the_csv_says(places, csv, tmp_path):
    flags = [f"--output_file={tmp_path}/out.jsonl", "--output_format=jsonl"]
    assert infer(places, *flags, f"--vocabulary={places}/names.csv") == 0
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    rows = csv.splitlines()[1:]
    assert len(lines) == len(rows) == NUM_VIDEOS
    for line, row in zip(lines, rows):
        video = json.loads(line)
        classes, scores = video["class_indexes"], video["predictions"]
        assert row == f"{video['video_id']}," + " ".join(f"{c} {s:g}" for c, s in zip(classes, scores))
        assert list(video) == ["video_id", "class_indexes", "predictions", "names"]
        assert video["names"] == [NAMES[index] for index in classes]


def test_without_a_vocabulary_there_are_no_names(places, tmp_path):
    assert infer(places, f"--output_file={tmp_path}/out.jsonl", "--output_format=jsonl") == 0
    assert list(json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])) == [
        "video_id",
        "class_indexes",
        "predictions",
    ]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--vocabulary={places}/names.csv"], "--vocabulary needs --output_format=jsonl"),
        (["--output_format=jsonl", "--segment_labels"], "--segment_labels writes a CSV: leave out --output_format"),
        (["--output_format=jsonl", "--vocabulary={places}/other.csv"], "other.csv: has no column 'index'"),
        (["--output_format=jsonl", "--vocabulary={places}/more.csv"], "names class 3, but the model has 3 classes"),
        (["--output_format=jsonl", "--vocabulary={places}/none.csv"], "none.csv"),
        (["--output_format=xml"], "--output_format"),
    ],
)
def test_errors(flags, message, places, tmp_path, capsys):
    flags = [flag.format(places=places) for flag in flags]
    assert infer(places, f"--output_file={tmp_path}/out", *flags) == 2
    out, err = capsys.readouterr()
    error = err.splitlines()[-1]
    assert out == "" and error.startswith("inference.py: error: ") and message in error
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------- convert_prediction_from_json_to_csv.py


def to_csv(*flags):
    return convert.main(["convert_prediction_from_json_to_csv.py", *flags])


def test_json_lines_convert_to_the_csv(places, csv, tmp_path, capsys):
    for number in range(2):
        flags = [f"--output_file={tmp_path}/{number}.jsonl", "--output_format=jsonl"]
        assert infer(places, *flags) == 0
    capsys.readouterr()
    pattern = f"--json_prediction_files_pattern={tmp_path}/*.jsonl"
    assert to_csv(pattern, f"--csv_output_file={tmp_path}/out.csv") == 0
    assert capsys.readouterr().err == f"10 predictions of 2 file(s) written to {tmp_path}/out.csv\n"
    header, *rows = (tmp_path / "out.csv").read_text().splitlines()
    expected_header, *expected = csv.splitlines()
    assert header == expected_header
    classes_of = [[row.split(",")[0], *row.split(",")[1].split()[::2]] for row in rows]
    assert classes_of == 2 * [[row.split(",")[0], *row.split(",")[1].split()[::2]] for row in expected]


@pytest.mark.parametrize(
    "pattern, output, message",
    [
        ("", "{out}/x", "--json_prediction_files_pattern must not be empty."),
        ("{out}/*.jsonl", "", "--csv_output_file must not be empty."),
        ("{out}/none*", "{out}/x", "Unable to find prediction files. data_pattern='{out}/none*' matches no file."),
        ("{out}/*.jsonl", "{out}/x", "{out}/bad.jsonl line 2: has no key 'video_id'. Its keys are: id"),
    ],
)
def test_conversion_errors(pattern, output, message, tmp_path, capsys):
    good = '{"video_id": "a", "class_indexes": [1], "predictions": [0.5]}\n'
    (tmp_path / "bad.jsonl").write_text(good + '{"id": "b"}\n')
    pattern, output, message = (text.format(out=tmp_path) for text in (pattern, output, message))
    assert to_csv(f"--json_prediction_files_pattern={pattern}", f"--csv_output_file={output}") == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert err.startswith("convert_prediction_from_json_to_csv.py: error: ") and message in err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]
