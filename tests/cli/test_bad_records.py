"""`--bad_records=skip` through train.py, eval.py and inference.py: the good records count, the bad ones are listed."""

import dataclasses
import json
import pathlib

import pytest

from tests.records import make_videos, record_of, write_records
from tests.training.tiny_runs import FRAMES, model_config, save_model
from yt8m_distill.cli import eval as eval_command
from yt8m_distill.cli import inference, train
from yt8m_distill.models import load_model

DATA = ["--frame_features", "--feature_names=rgb", "--feature_sizes=4", "--num_classes=3", "--max_frames=8"]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Twelve good videos of which two have been replaced by garbage, and a shard that is cut off after the third."""
    root = tmp_path_factory.mktemp("places")
    records = [record_of(video, FRAMES) for video in make_videos(FRAMES, 18)]
    records[4] = records[9] = b"\xff garbage"
    write_records(root / "bad00.tfrecord", records[:12])
    whole = pathlib.Path(write_records(root / "bad01.tfrecord", records[12:]))
    size = sum(len(record) + 16 for record in records[12:15])
    whole.write_bytes(whole.read_bytes()[: size + 30])
    save_model(root / "model", model_config("FrameLevelLogisticModel", FRAMES).build())
    return root


def listed(capsys):
    """What the command said at its end, from the count on."""
    lines = capsys.readouterr().err.splitlines()
    (first,) = (number for number, line in enumerate(lines) if line.startswith("Skipped ") and line.endswith(":"))
    return lines[first:]


def check_listed(lines, places):
    assert lines[:4] == [
        "Skipped 3 bad records:",
        f"  {places}/bad00.tfrecord record 4: is neither a tf.train.Example nor a tf.train.SequenceExample.",
        f"  {places}/bad00.tfrecord record 9: is neither a tf.train.Example nor a tf.train.SequenceExample.",
        lines[3],
    ]
    assert lines[3].startswith(f"  {places}/bad01.tfrecord: truncated in record 3, of which ")


def test_eval(places, tmp_path, capsys):
    flags = [f"--train_dir={places}/model", f"--eval_data_pattern={places}/bad*", "--run_once"]
    output = f"--output_metrics_json={tmp_path}/metrics.json"
    assert eval_command.main(["eval.py", *flags]) == 2
    assert "bad01.tfrecord: truncated in record 3" in capsys.readouterr().err.splitlines()[-1]
    assert eval_command.main(["eval.py", *flags, output, "--bad_records=skip", "--batch_size=4"]) == 0
    check_listed(listed(capsys), places)
    assert json.loads((tmp_path / "metrics.json").read_text())["num_examples"] == 13


def test_inference(places, tmp_path, capsys):
    flags = [f"--train_dir={places}/model", f"--input_data_pattern={places}/bad*", "--top_k=2"]
    flags += [f"--output_file={tmp_path}/out.csv", "--bad_records=skip"]
    assert inference.main(["inference.py", *flags]) == 0
    check_listed(listed(capsys), places)
    rows = (tmp_path / "out.csv").read_text().splitlines()[1:]
    ids = [video.video_id for number, video in enumerate(make_videos(FRAMES, 15)) if number not in (4, 9)]
    assert [row.split(",")[0] for row in rows] == ids
    assert inference.main(["inference.py", *flags, "--segment_labels"]) == 0
    check_listed(listed(capsys), places)


def test_inference_of_ids_that_no_csv_can_hold(places, tmp_path, capsys):
    videos = make_videos(FRAMES, 4)
    for number, video_id in ((1, "take 1, cut"), (2, "two\nlines")):
        videos[number] = dataclasses.replace(videos[number], video_id=video_id)
    path = write_records(tmp_path / "odd.tfrecord", [record_of(video, FRAMES) for video in videos])
    flags = [f"--train_dir={places}/model", "--top_k=2", f"--output_file={tmp_path}/out.csv"]
    flags.append(f"--input_data_pattern={path}")
    for segments in ([], ["--segment_labels"]):
        holds = "holds white space, which separates segments in the CSV, or " if segments else ""
        assert inference.main(["inference.py", *flags, *segments]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert f"video 'take 1, cut' in {path} record 1: the id {holds}holds a comma, a double quote or a" in error
        assert not (tmp_path / "out.csv").exists()
    assert inference.main(["inference.py", *flags, "--bad_records=skip"]) == 0
    assert [line.split(":")[0].split()[-1] for line in listed(capsys)[:3]] == ["records", "1", "2"]
    rows = (tmp_path / "out.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == [videos[0].video_id, videos[3].video_id]
    # Who trains or evaluates writes no ids.
    evaluation = [f"--eval_data_pattern={path}", f"--train_dir={places}/model", "--run_once"]
    assert eval_command.main(["eval.py", *evaluation]) == 0


def test_train(places, tmp_path, capsys):
    flags = [*DATA, "--model=FrameLevelLogisticModel", "--batch_size=5", "--num_epochs=2", "--bad_records=skip"]
    flags += [f"--train_data_pattern={places}/bad*", f"--eval_data_pattern={places}/bad*"]
    assert train.main(["train.py", *flags, f"--train_dir={tmp_path}/run"]) == 0
    check_listed(listed(capsys), places)
    assert load_model(f"{tmp_path}/run").model_config.model == "FrameLevelLogisticModel"


def test_wrong_flags_are_no_bad_records(places, tmp_path, capsys):
    flags = [*DATA, "--model=FrameLevelLogisticModel", "--bad_records=skip", "--feature_sizes=5"]
    assert train.main(["train.py", *flags, f"--train_data_pattern={places}/bad*", f"--train_dir={tmp_path}/run"]) == 2
    assert "feature 'rgb' has 4 bytes a frame, but feature_sizes says 5" in capsys.readouterr().err.splitlines()[-1]
