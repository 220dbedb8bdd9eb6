import json
import logging
import shutil

import pandas as pd
import pytest

from tests.analysis.tiny_grid import tiny_grid, write_tiny_records
from yt8m_distill.analysis import model_cost
from yt8m_distill.analysis.study import Study
from yt8m_distill.analysis.study_grid import make_grid
from yt8m_distill.analysis.study_run import COLUMNS, StudyRun, data_fingerprint
from yt8m_distill.data import list_record_files
from yt8m_distill.data.directory_lock import lock_directory
from yt8m_distill.models import checkpoint_path, load_model, restore_weights
from yt8m_distill.training import evaluate

SERIAL = {"name": "Serial", "group": "published", "distillation": {"losses": ["ce", "rep", "pred"]}, "cache": True}
PARALLEL = {"name": "Parallel", "distillation": {"scheme": "parallel", "losses": ["ce", "pred"]}}
ANY_K = {"name": "Any k", "model": {"frame_budgets": [1, 2]}}
ONE_RUN = {"seeds": [0], "num_sampled_frames": [2]}


def study_of(study_dir, pattern, *methods, only="", **changes):
    return Study(make_grid(tiny_grid(pattern, *methods, **{**ONE_RUN, **changes})), str(study_dir), only)


def results_of(study_dir):
    return pd.read_csv(study_dir / "results.csv").set_index(["run", "num_sampled_frames"], drop=False)


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    return write_tiny_records(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="module")
def finished(pattern, tmp_path_factory):
    study_dir = tmp_path_factory.mktemp("study")
    assert study_of(study_dir, pattern, SERIAL, ANY_K).execute(1, 1) == {}
    return study_dir


@pytest.fixture
def executed(monkeypatch):
    """Names of the runs that were executed, in their order; instead of training, they give a row, or fail."""
    names, failing = [], set()

    def execute(run, study_dir):
        names.append(run.name)
        if run.name in failing:
            raise ValueError("first line\nof the reason")
        return [{"run": run.name, "seed": run.seed, "gap": 0.25}]

    monkeypatch.setattr(StudyRun, "execute", execute)
    return names, failing


def test_a_row_a_run_in_the_order_of_the_grid(finished, pattern):
    table = pd.read_csv(finished / "results.csv")
    assert tuple(table.columns) == COLUMNS
    names = ["teacher_s0", "uniform_k2_s0", "serial_k2_s0", "any-k_k2_s0", "any-k_k2_s0"]
    assert list(table["run"]) == names
    assert list(table["num_sampled_frames"].fillna(0)) == [0, 2, 2, 1, 2]
    assert list(table["steps"]) == [3] * 5  # 24 records in batches of 8
    assert table["train_seconds"].notna().all()
    serial = table.iloc[2]
    assert list(serial[["scheme", "losses", "match"]]) == ["serial", "rep,pred,ce", "final"]
    assert table["teacher_gap"].notna().tolist() == [False, False, True, False, False]
    assert serial["teacher_gap"] == pytest.approx(table["gap"][0], abs=1e-6)
    assert serial["top_1_agreement"] > 0 and serial["kl"] > 0


def test_metrics_and_cost_are_those_of_the_trained_models(finished, pattern):
    table = results_of(finished)
    for name in ("teacher_s0", "uniform_k2_s0", "serial_k2_s0"):
        row = table.loc[name].iloc[0]
        model = load_model(row["train_dir"])
        metrics = evaluate(model, list_record_files(pattern))
        names = ["gap", "map", "hit_at_one", "perr", "loss"]
        assert row[names].tolist() == pytest.approx([metrics[name] for name in names], abs=1e-6)
        cost = model_cost(model, 8)
        assert (row["macs"], row["params"]) == (cost["macs"], cost["params"])


def test_finished_runs_are_not_executed_again(finished, pattern, executed):
    assert study_of(finished, pattern, SERIAL, ANY_K).execute(1, 1) == {}
    assert executed[0] == []


def test_an_interrupted_run_goes_on(finished, pattern, tmp_path):
    study_dir = shutil.copytree(finished, tmp_path / "study")
    gap = results_of(study_dir).loc[("uniform_k2_s0", 2), "gap"]
    (study_dir / "runs" / "uniform_k2_s0" / "row.json").unlink()
    study = study_of(study_dir, pattern, SERIAL, ANY_K)
    assert study.execute(1, 1) == {}
    row = results_of(study_dir).loc[("uniform_k2_s0", 2)]
    assert row["gap"] == gap
    assert pd.isna(row["train_seconds"])  # what it took before is not known
    assert "Going on from" in (study_dir / "runs" / "uniform_k2_s0" / "log.txt").read_text()


def test_a_changed_run_is_done_anew_and_leaves_the_table_until_then(finished, pattern, tmp_path, caplog):
    study_dir = shutil.copytree(finished, tmp_path / "study")
    changed = {**ANY_K, "training": {"num_epochs": 2}}
    study = study_of(study_dir, pattern, SERIAL, changed)
    study.write_results()
    assert "any-k_k2_s0" not in set(results_of(study_dir)["run"])
    assert json.loads((study_dir / "grid.json").read_text())["methods"][-1] == changed  # which the report is of
    with caplog.at_level(logging.INFO):
        assert study.execute(1, 1) == {}
    assert "has changed: 1 run(s) are done anew, any-k_k2_s0." in caplog.text
    row = results_of(study_dir).loc[("any-k_k2_s0", 2)]
    assert (row["steps"], row["num_epochs"]) == (6, 2)
    assert pd.notna(row["train_seconds"])  # from the start, not from the checkpoint of the other run


def test_other_records_and_another_teacher_are_a_change(finished, pattern, tmp_path):
    records = write_tiny_records(tmp_path / "records")
    with open(records.replace("*", "shard00"), "ab") as file:
        file.write(b"one more")
    study = study_of(finished, records, SERIAL, ANY_K)
    assert all(study.rows_of(run) is None for run in study.runs)
    study = study_of(finished, pattern, SERIAL, ANY_K, teacher={"training": {"num_epochs": 2}})
    done = {run.name for run in study.runs if study.rows_of(run) is not None}
    assert done == {"uniform_k2_s0", "any-k_k2_s0"}


@pytest.mark.parametrize("place", [0, 99_000])
def test_data_of_the_same_names_and_sizes_have_another_fingerprint(tmp_path, place):
    content = bytearray(100_001)
    (tmp_path / "a").write_bytes(content)
    before = data_fingerprint(str(tmp_path / "a"))
    assert data_fingerprint(str(tmp_path / "a")) == before
    content[place] = 1
    (tmp_path / "a").write_bytes(content)
    assert data_fingerprint(str(tmp_path / "a")) != before


def test_teachers_come_first_then_seed_by_seed(pattern, tmp_path, executed):
    serial = {**SERIAL, "cache": False}
    study = study_of(tmp_path, pattern, serial, seeds=[0, 7], num_sampled_frames=[2, 3])
    assert study.execute(1, 1) == {}
    of_seed = ["uniform_k2_s{}", "uniform_k3_s{}", "serial_k2_s{}", "serial_k3_s{}"]
    expected = ["teacher_s0", "teacher_s7", *(name.format(seed) for seed in (0, 7) for name in of_seed)]
    assert executed[0] == expected
    assert list(pd.read_csv(tmp_path / "results.csv")["run"][:4]) == [*expected[:2], "uniform_k2_s0", "uniform_k2_s7"]


def test_a_failed_run_takes_its_students_along_and_nothing_else(pattern, tmp_path, executed, caplog):
    names, failing = executed
    failing.add("teacher_s0")
    study = study_of(tmp_path, pattern, {**SERIAL, "cache": False}, seeds=[0, 7])
    with caplog.at_level(logging.INFO):
        failed = study.execute(1, 1)
    assert failed == {"teacher_s0": "first line of the reason", "serial_k2_s0": "needs teacher_s0, which failed"}
    assert "teacher_s0 FAILED: first line of the reason" in caplog.text
    assert "ValueError: first line" in (tmp_path / "runs" / "teacher_s0" / "log.txt").read_text()
    done = ["teacher_s7", "uniform_k2_s0", "uniform_k2_s7", "serial_k2_s7"]
    assert sorted(pd.read_csv(tmp_path / "results.csv")["run"]) == sorted(done)
    names.clear()
    failing.clear()
    assert study.execute(1, 1) == {}
    assert names == ["teacher_s0", "serial_k2_s0"]


def test_two_studies_do_not_execute_the_same_run(pattern, tmp_path, executed):
    directory = tmp_path / "runs" / "uniform_k2_s0"
    directory.mkdir(parents=True)
    with lock_directory(str(directory), ".lock", ""):
        failed = study_of(tmp_path, pattern).execute(1, 1)
    (reason,) = failed.values()
    assert reason.startswith(f"{directory} is in use: another study.py executes this run (process ")
    assert executed[0] == ["teacher_s0"]


def test_a_selection_of_runs_brings_what_they_need(pattern, tmp_path):
    study = study_of(tmp_path, pattern, SERIAL, only="^serial.*s7$", seeds=[0, 7])
    assert [run.name for run in study.runs] == ["teacher_s7", "serial_k2_s7", "cache_of_teacher_s7"]
    with pytest.raises(ValueError, match=r"No run's name matches 'none'. The first of 2 is 'teacher_s0'"):
        study_of(tmp_path, pattern, only="none")
    with pytest.raises(ValueError, match="is not a regular expression"):
        study_of(tmp_path, pattern, only="(")


def test_a_parallel_student_is_compared_with_the_teacher_trained_beside_it(pattern, tmp_path):
    from_trained = {**PARALLEL, "teachers": "same_seed"}  # whose best checkpoint that one does not have
    study = study_of(tmp_path, pattern, from_trained, only="parallel", teacher={"checkpoint": "best"})
    assert study.execute(1, 1) == {}
    (row,) = study.rows_of(study.runs[-1])
    assert (row["scheme"], row["losses"], row["match"]) == ("parallel", "pred,ce", "final")
    teacher = load_model(str(tmp_path / "runs" / "parallel_k2_s0" / "train" / "teacher"))
    assert row["teacher_gap"] == pytest.approx(evaluate(teacher, list_record_files(pattern))["gap"], abs=1e-6)


def test_the_grid_is_kept_with_the_results(finished, pattern):
    grid = json.loads((finished / "grid.json").read_text())
    assert grid == tiny_grid(pattern, SERIAL, ANY_K, **ONE_RUN)


# Runs that train nothing.


def test_a_trained_network_is_evaluated_on_frames_that_are_chosen_for_it(pattern, finished, tmp_path):
    choices = [
        {"name": f"Dense, {choice}", "starts_from": "Teacher", "choice": choice}
        for choice in ("sampler", "oracle", "empirical")
    ]
    shutil.copytree(finished / "runs" / "teacher_s0", tmp_path / "runs" / "teacher_s0")
    assert study_of(tmp_path, pattern, *choices, only="dense").execute(1, 1) == {}
    table = results_of(tmp_path).droplevel(1)
    rows = [table.loc[f"dense-{choice}_k2_s0"] for choice in ("sampler", "oracle", "empirical")]
    assert all(0 < row["gap"] <= 1 and pd.isna(row["steps"]) and pd.isna(row["train_seconds"]) for row in rows)
    config = load_model(str(finished / "runs" / "teacher_s0" / "train")).model_config.with_num_sampled_frames(2)
    model = config.build()
    restore_weights(model, checkpoint_path(str(finished / "runs" / "teacher_s0" / "train")))
    expected = evaluate(model, list_record_files(pattern))
    assert rows[0]["gap"] == pytest.approx(expected["gap"], abs=1e-6)
    assert rows[0]["macs"] == model_cost(model, 8)["macs"] == rows[1]["macs"]
