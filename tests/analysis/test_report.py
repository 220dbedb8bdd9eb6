import importlib.util
import pathlib

import pytest

from tests.analysis.tiny_study import write_study
from tests.records import make_videos, write_videos
from tests.training.tiny_runs import FRAMES, save_model
from yt8m_distill.analysis.report import write_report
from yt8m_distill.analysis.report_figures import write_encodings_figure, write_frames_figure
from yt8m_distill.analysis.study_grid import read_grid
from yt8m_distill.analysis.study_results import read_study
from yt8m_distill.analysis.study_run import train_dir_of

METHODS = [
    {"name": "Uniform", "group": "baseline"},
    {"name": "Serial", "group": "published", "distillation": {"losses": ["rep", "pred", "ce"]}},
]
PNG = b"\x89PNG"


def measured(gap):
    return {"gap": gap, "macs": 1000 * gap, "params": 15, "seconds_per_epoch": 2.0}


MEASURED = {
    "teacher_s0": measured(0.8),
    "uniform_k1_s0": measured(0.5),
    "serial_k1_s0": measured(0.6),
    "serial_k2_s0": measured(0.7),
}


@pytest.fixture(scope="module")
def study_dir(tmp_path_factory):
    """One with a seed whose best student and teacher have (untrained) models; uniform at k=2 has not finished."""
    folder = tmp_path_factory.mktemp("study")
    write_videos(folder, make_videos(FRAMES, 40), FRAMES, prefix="validate")
    model = {"model": "FrameLevelLogisticModel", "feature_names": ["rgb"], "feature_sizes": [4], "num_classes": 3}
    grid = {
        "methods": METHODS,
        "model": {**model, "max_frames": 8},
        "num_sampled_frames": [1, 2],
        "seeds": [0],
        "eval_data_pattern": str(folder / "validate*"),
    }
    study = write_study(folder / "study", grid, MEASURED)
    for run in read_grid(f"{study}/grid.json").runs:
        if run.name in ("teacher_s0", "serial_k2_s0"):
            save_model(pathlib.Path(train_dir_of(study, run.name)), run.model.build())
    return pathlib.Path(study)


def test_report_of_an_unfinished_study(study_dir):
    path = pathlib.Path(write_report(str(study_dir)))
    text = path.read_text(encoding="utf-8")
    assert path == study_dir / "report.md"
    assert text.startswith("# A tiny study\n\n4 of 5 runs.")
    assert "Not finished: `uniform_k2_s0`." in text
    assert "(one: no spread)" in text and "±" not in text.split("### GAP against")[0]
    assert "Teacher (all frames): .800 / .400.\nNothing was published for this network." in text
    # (.731 - .715) / (.811 - .715), .012 / .052, .012 / .034, .013 / .026, .011 / .016
    shares = "17% at k=6, 23% at k=10, 35% at k=15, 50% at k=20, 69% at k=30"
    assert f"For the H-RNN, serial rep + pred + CE, they are {shares}." in text
    names = ("gap_by_frames", "gap_by_macs", "encodings", "frames")
    for name in names:
        file = f"{name}_FrameLevelLogisticModel.png"
        assert f"]({file})" in text
        assert (study_dir / file).read_bytes().startswith(PNG)
    assert "could not be drawn" not in text


def test_missing_libraries_are_named_and_tables_written(tmp_path, monkeypatch, caplog):
    study = write_study(tmp_path, {"methods": METHODS}, {"teacher_s0": 0.8})
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else find_spec(name))
    text = pathlib.Path(write_report(study)).read_text(encoding="utf-8")
    sentence = "The figures could not be drawn: they need scikit-learn: pip install 'yt8m_distill[report]'"
    assert sentence in text
    assert sentence in caplog.text
    assert not list(tmp_path.glob("*.png"))
    assert "| Serial   | rep, pred, CE" in text
    assert "STUDENT-10-INTERMEDIATE" in text
    assert "not on this study's records" in text


def test_what_cannot_be_drawn_is_said(tmp_path, caplog):
    study = write_study(tmp_path, {"methods": METHODS}, {"teacher_s0": 0.8, "serial_k6_s0": 0.7})
    text = pathlib.Path(write_report(study)).read_text(encoding="utf-8")
    assert "This figure could not be drawn: Cannot find " in text
    assert "teacher_s0/train/model_flags.json" in text and "teacher_s0/train/model_flags.json" in caplog.text


def test_study_without_any_finished_run(tmp_path):
    study = write_study(tmp_path, {"methods": METHODS, "teacher": {"checkpoint": "best"}}, {})
    text = pathlib.Path(write_report(study)).read_text(encoding="utf-8")
    assert "\n0 of 10 runs." in text
    assert "Best pass by GAP on these same records, all others after their last pass: Teacher." in text
    assert "no method has finished a run yet" in text
    assert "Not known: it needs a teacher" in text


def test_a_fair_baseline_is_no_student(tmp_path):
    fine_tuned = {"name": "Fine-tuned", "group": "fair baseline", "distillation": {"losses": ["ce"]}}
    study = write_study(tmp_path, {"methods": [fine_tuned]}, {"teacher_s0": 0.8, "fine-tuned_k6_s0": 0.7})
    with pytest.raises(ValueError, match="no finished teacher and student"):
        write_encodings_figure(study, read_study(study).results[0], "validate*")


def test_frames_are_shown_of_a_network_that_was_trained_on_them(tmp_path):
    model = {"model": "FrameLevelLogisticModel", "feature_names": ["rgb"], "feature_sizes": [4], "num_classes": 3}
    oracle = {"name": "Oracle", "starts_from": "Uniform", "choice": "oracle"}
    grid = {"methods": [METHODS[0], oracle], "model": model, "num_sampled_frames": [2], "seeds": [0]}
    study = write_study(tmp_path, grid, {"uniform_k2_s0": 0.5, "oracle_k2_s0": 0.9})
    trained = next(run for run in read_grid(f"{study}/grid.json").runs if run.name == "uniform_k2_s0")
    save_model(pathlib.Path(train_dir_of(study, trained.name)), trained.model.build())
    figure = write_frames_figure(study, read_study(study).results[0])
    assert "the model of the highest GAP (Uniform)" in figure.caption


def test_results_of_skip_frame_stand_above_the_published_ones(tmp_path):
    skip = {"name": "SkipFrame", "group": "selection", "model": {"model": "LstmModel", "frame_sampling": "skip_frame"}}
    uniform = {"name": "Uniform", "group": "baseline", "model": {"model": "LstmModel"}}
    study = write_study(tmp_path, {"methods": [uniform, skip]}, {"uniform_k10_s0": 0.7, "skipframe_k10_s0": 0.71})
    text = pathlib.Path(write_report(study)).read_text(encoding="utf-8")
    assert text.index("| selection | SkipFrame ") < text.index("## Published: SkipFrame, 10 frames, YouTube-8M")
    assert "| SkipFrame  | Delay: GAP | 5-25     | .764 | .341 |" in text
    assert "Published figures: slides of the talk" in text
