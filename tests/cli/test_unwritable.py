"""A full disk, or one that may not be written: a command says so in one line, and what it wrote earlier stays."""

import os
import pathlib

import pytest
import tensorflow as tf

from tests.full_disk import files_limited_to
from tests.records import make_videos, write_videos
from tests.training.tiny_runs import FRAMES, checkpoint_values, model_config, save_model
from yt8m_distill.cli import cache_teacher, doctor, ensemble, export_model, frames, inference, train
from yt8m_distill.cli import eval as eval_command

# Not even root can make a file there.
READ_ONLY = pathlib.Path("/sys/yt8m_distill")
MODEL = "--train_dir={places}/model"
RECORDS = "--input_data_pattern={places}/frames*"
# Module, flags, and what it writes into {out}.
COMMANDS = {
    "inference.py": (inference, [MODEL, RECORDS, "--output_file={out}/a.csv"], "a.csv"),
    "inference.py jsonl": (inference, [MODEL, RECORDS, "--output_file={out}/a", "--output_format=jsonl"], "a"),
    "inference.py segments": (inference, [MODEL, RECORDS, "--output_file={out}/a.csv", "--segment_labels"], "a.csv"),
    "eval.py": (
        eval_command,
        [MODEL, "--eval_data_pattern={places}/frames*", "--run_once", "--output_metrics_json={out}/m.json"],
        "m.json",
    ),
    "export_model.py": (export_model, [MODEL, "--output_dir={out}/model", "--top_k=2"], "model"),
    "export_model.py litert": (export_model, [MODEL, "--output_dir={out}/model", "--format=litert"], "model"),
    "cache_teacher.py": (
        cache_teacher,
        ["--teacher_dir={places}/model", RECORDS, "--output_dir={out}/cache"],
        "cache",
    ),
    "frames.py": (frames, [MODEL, RECORDS, "--output_dir={out}/pictures"], "pictures"),
    "doctor.py": (doctor, ["{places}/frames*", "--output_json={out}/report.json"], "report.json"),
    "ensemble.py": (
        ensemble,
        ["--submission_files={places}/a.csv,{places}/a.csv", "--output_file={out}/b.csv"],
        "b.csv",
    ),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("places")
    write_videos(root, make_videos(FRAMES, 60), FRAMES, prefix="frames")
    save_model(root / "model", model_config("FrameLevelLogisticModel", FRAMES).build())
    rows = [f"video{number},0 0.5 1 0.25" for number in range(60)]
    (root / "a.csv").write_text("\n".join(["VideoId,LabelConfidencePairs", *rows]) + "\n")
    return root


def error_of(name, module, flags, places, out, capsys):
    """The last line on stderr of a command that must fail."""
    flags = [flag.format(places=places, out=out) for flag in flags]
    if module is inference:
        flags.append("--top_k=2")
    assert module.main([name.split()[0], *flags]) == 2
    errors = capsys.readouterr().err
    line = errors.splitlines()[-1]
    assert line.startswith(f"{name.split()[0]}: error: ") and "Traceback" not in errors
    return line


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(name, places, tmp_path, capsys):
    module, flags, output = COMMANDS[name]
    is_directory = output in ("model", "cache", "pictures")
    if not is_directory:
        (tmp_path / output).write_text("earlier")
    with files_limited_to(100):
        line = error_of(name, module, flags, places, tmp_path, capsys)
    assert "File too large" in line
    if not is_directory:
        assert (tmp_path / output).read_text() == "earlier" and os.listdir(tmp_path) == [output]
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != output] == []


@pytest.mark.skipif(not READ_ONLY.parent.is_dir(), reason="no /sys here")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_place_that_cannot_be_written(name, places, capsys):
    module, flags, _ = COMMANDS[name]
    assert str(READ_ONLY) in error_of(name, module, flags, places, READ_ONLY, capsys)


@pytest.mark.skipif(not READ_ONLY.parent.is_dir(), reason="no /sys here")
@pytest.mark.parametrize("name", ["eval.py", "doctor.py", "inference.py"])
def test_it_says_so_before_the_work(name, places, monkeypatch, capsys):
    module, flags, _ = COMMANDS[name]
    monkeypatch.setattr("yt8m_distill.training.evaluate", None)
    monkeypatch.setattr("yt8m_distill.data.doctor.record_doctor.examine_files", None)
    monkeypatch.setattr("yt8m_distill.models.predict_batches", lambda *_: (1 / 0 for _ in "a"))
    assert "cannot write" in error_of(name, module, flags, places, READ_ONLY, capsys)


def test_training_onto_a_full_disk(places, tmp_path, capsys):
    flags = ["--train_data_pattern={places}/frames*", "--train_dir={out}", "--frame_features", "--max_frames=8"]
    flags += ["--feature_names=rgb", "--feature_sizes=4", "--num_classes=3", "--model=FrameLevelLogisticModel"]
    flags += ["--batch_size=20"]
    argv = [flag.format(places=places, out=tmp_path) for flag in flags]
    assert train.main(["train.py", *argv, "--num_epochs=1"]) == 0
    checkpoint, weights = tf.train.latest_checkpoint(str(tmp_path)), checkpoint_values(tmp_path)
    with files_limited_to(100):
        error = error_of("train.py", train, [*flags, "--num_epochs=2"], places, tmp_path, capsys)
    assert "File too large" in error
    assert tf.train.latest_checkpoint(str(tmp_path)) == checkpoint
    assert all((value == weights[name]).all() for name, value in checkpoint_values(tmp_path).items())
    assert train.main(["train.py", *argv, "--num_epochs=2"]) == 0
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("model.ckpt-6")


@pytest.mark.skipif(not READ_ONLY.parent.is_dir(), reason="no /sys here")
def test_training_where_nothing_can_be_written(places, capsys):
    flags = ["--train_data_pattern={places}/frames*", "--train_dir={out}", "--frame_features", "--max_frames=8"]
    flags += ["--feature_names=rgb", "--feature_sizes=4", "--num_classes=3", "--model=FrameLevelLogisticModel"]
    assert str(READ_ONLY) in error_of("train.py", train, flags, places, READ_ONLY, capsys)
