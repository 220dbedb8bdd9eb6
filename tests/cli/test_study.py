import json

import pytest

from tests.analysis.tiny_grid import tiny_grid, write_tiny_records
from yt8m_distill.analysis import report
from yt8m_distill.analysis.study_run import StudyRun
from yt8m_distill.cli import study


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    return write_tiny_records(tmp_path_factory.mktemp("records"))


@pytest.fixture
def grid(tmp_path, pattern):
    """Path of a grid of six runs."""
    path = tmp_path / "grid.json"
    path.write_text(json.dumps(tiny_grid(pattern)))
    return path


@pytest.fixture
def output_dir(tmp_path):
    return tmp_path / "study"


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """Runs fail where k is 3, and are not trained otherwise; the report is the number of rows."""

    def execute(run, study_dir):
        if run.model.num_sampled_frames == 3:
            raise ValueError("no such thing")
        return [{"run": run.name, "gap": 0.5}]

    def write_report(study_dir):
        with open(f"{study_dir}/results.csv") as file:
            return f"{study_dir}/report.md of {len(file.readlines()) - 1} rows"

    monkeypatch.setattr(StudyRun, "execute", execute)
    monkeypatch.setattr(report, "write_report", write_report)


def run(*arguments):
    return study.main(["study.py", *map(str, arguments)])


def error(capsys, *arguments):
    assert run(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_runs_fail_one_by_one_and_the_command_at_the_end(grid, output_dir, capsys):
    arguments = (f"--grid={grid}", f"--output_dir={output_dir}", "--num_processes=1")
    assert run(*arguments) == 2
    output = capsys.readouterr()
    assert f"The report is {output_dir}/report.md of 4 rows" in output.out
    lines = output.err.splitlines()
    assert lines[0] == "0 of 6 runs are done."
    assert "4 of 6 runs | uniform_k3_s7 FAILED: no such thing" in lines
    assert lines[-1].startswith("study.py: error: 2 of 6 runs failed: uniform_k3_s0, uniform_k3_s7. The same command")
    assert run(*arguments, "--only=k2") == 0
    assert "2 of 2 runs are done." in capsys.readouterr().err
    assert run(*arguments, "--list") == 0
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert listed[:2] == [["done", "teacher_s0"], ["done", "teacher_s7"]]
    assert listed[4:] == [["-", "uniform_k3_s0"], ["-", "uniform_k3_s7"]]
    assert run(*arguments, "--report_only") == 0
    assert "report.md of 4 rows" in capsys.readouterr().out


def test_mistakes_are_one_line(grid, output_dir, capsys):
    assert "--output_dir must be given" in error(capsys, f"--grid={grid}")
    assert "Give either --grid" in error(capsys, f"--output_dir={output_dir}")
    assert "Give either --grid" in error(capsys, f"--output_dir={output_dir}", f"--grid={grid}", "--smoke")
    assert "No such file" in error(capsys, f"--output_dir={output_dir}", "--grid=none.json")
    arguments = (f"--grid={grid}", f"--output_dir={output_dir}")
    assert "No run's name matches 'k9'" in error(capsys, *arguments, "--only=k9")
    grid.write_text(json.dumps(tiny_grid("none*.tfrecord")))
    assert "none*.tfrecord" in error(capsys, *arguments)
    assert not output_dir.exists()


def test_other_records_than_the_grid_names(grid, output_dir, pattern, tmp_path, capsys):
    grid.write_text(json.dumps(tiny_grid("none*.tfrecord")))
    arguments = (f"--grid={grid}", f"--output_dir={output_dir}", "--list")
    assert run(*arguments, f"--train_data_pattern={pattern}", f"--eval_data_pattern={pattern}") == 0
    assert "teacher_s0" in capsys.readouterr().out
    assert "no such records" in error(
        capsys, *arguments, "--train_data_pattern=no such records", f"--eval_data_pattern={pattern}"
    )
    assert "--smoke makes its own records" in error(
        capsys, f"--output_dir={output_dir}", "--smoke", f"--eval_data_pattern={pattern}"
    )
