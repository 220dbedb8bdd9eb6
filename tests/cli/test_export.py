import dataclasses

import pytest

from tests.records import make_videos, write_videos
from tests.training.tiny_runs import FRAMES, model_config, save_model
from yt8m_distill.cli import export_model
from yt8m_distill.cli.export_check import compare_on_records
from yt8m_distill.serving import LiteRtModel
from yt8m_distill.training import evaluate


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A frame-level student's train_dir, and records of 11 videos in two files."""
    folder = tmp_path_factory.mktemp("places")
    model = model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=3).build()
    save_model(folder / "run", model)
    files = write_videos(folder, make_videos(FRAMES, 11), FRAMES, 2)
    return folder, model, files


def run(*flags):
    return export_model.main(["export_model.py", *flags])


def test_exports_and_checks_a_litert_model(places, tmp_path, capsys):
    folder, model, files = places
    flags = [f"--train_dir={folder / 'run'}", f"--output_dir={tmp_path / 'out'}", "--format=litert"]
    assert run(*flags, "--precision=int8", f"--check_data_pattern={folder}/*.tfrecord") == 0
    size = sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.json", "model.tflite"]
    said = capsys.readouterr().err
    assert f"Size: {size / 1e6:.1f} MB, within the 1 GB of the YouTube-8M challenge" in said
    gap = evaluate(model, files)["gap"]  # so few weights are not quantised
    assert f"GAP over 11 videos: {gap:.5f} of the exported model, {gap:.5f} of the trained one, difference " in said

    found = compare_on_records(model, LiteRtModel(str(tmp_path / "out")), files, max_videos=7)
    assert found.num_videos == 7
    assert found.largest_difference < 1e-5


def test_states_the_loss_of_another_model(places, tmp_path):
    """A check that cannot fail would show nothing."""
    folder, model, files = places
    other = model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=3).build()
    for weight in other.trainable_variables:
        weight.assign(weight + 1.0)
    assert run(f"--train_dir={folder / 'run'}", f"--output_dir={tmp_path / 'out'}", "--format=litert") == 0
    found = compare_on_records(other, LiteRtModel(str(tmp_path / "out")), files, max_videos=100)
    assert found.num_videos == 11 and found.largest_difference > 0.1
    assert found.gap == pytest.approx(evaluate(other, files)["gap"])
    assert found.exported_gap == pytest.approx(evaluate(model, files)["gap"], abs=1e-6)


def test_warns_of_the_challenges_limit(places, tmp_path, capsys, monkeypatch):
    folder, _, _ = places
    monkeypatch.setattr(export_model, "_CHALLENGE_BYTES", 1000)
    flags = [f"--train_dir={folder / 'run'}", f"--output_dir={tmp_path / 'out'}"]
    assert run(*flags, "--top_k=1") == 0
    said = capsys.readouterr().err
    assert "MB, above the 1 GB of the YouTube-8M challenge" in said and "--precision=float16 takes half of it" in said
    assert (tmp_path / "out" / "saved_model.pb").exists()


def test_records_without_labels_give_no_gap(places, tmp_path, capsys):
    folder, _, _ = places
    unlabelled = [dataclasses.replace(video, labels=()) for video in make_videos(FRAMES, 3)]
    write_videos(tmp_path, unlabelled, FRAMES)
    flags = [f"--train_dir={folder / 'run'}", f"--output_dir={tmp_path / 'out'}", "--format=litert"]
    assert run(*flags, f"--check_data_pattern={tmp_path}/*.tfrecord") == 2
    assert "none of 3 videos has a label, so there is no GAP. The model is exported" in capsys.readouterr().err
    assert (tmp_path / "out" / "model.tflite").exists()


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--precision=int8", "--top_k=1"], "--precision=int8 is for LiteRT models. Add --format=litert"),
        (["--check_max_videos=5"], "--check_max_videos needs --check_data_pattern"),
        (["--format=litert", "--top_k=5"], "--top_k is for SavedModels"),
        (["--check_data_pattern=x"], "--check_data_pattern checks LiteRT models only. Add --format=litert"),
        (["--format=litert", "--check_data_pattern=nowhere*"], "Unable to find check files"),
        (["--format=onnx"], "--format=onnx"),
        (["--format=litert", "--precision=int4"], "--precision=int4"),
    ],
)
def test_errors_take_one_line_and_leave_nothing(flags, message, places, tmp_path, capsys):
    folder, _, _ = places
    assert run(f"--train_dir={folder / 'run'}", f"--output_dir={tmp_path / 'out'}", *flags) == 2
    err = capsys.readouterr().err
    assert err.startswith("export_model.py: error: ") or "--" in err
    assert err.count("\n") == 1 and message in err
    assert list(tmp_path.iterdir()) == []
