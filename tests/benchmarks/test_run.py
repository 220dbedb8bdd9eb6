"""The one command: table, JSON, exit status."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments):
    command = [sys.executable, str(ROOT / "benchmarks/run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_smoke(tmp_path):
    report_file = tmp_path / "report.json"
    result = run("--smoke", "--sections=metrics", "--device=cpu", f"--output_json={report_file}")
    assert result.returncode == 0, result.stderr
    assert "times_plain_python" in result.stdout
    assert "plain Python" in result.stderr  # progress
    report = json.loads(report_file.read_text())
    assert report["machine"]["device"] == "cpu"
    assert report["machine"]["cores"] >= 1
    assert report["settings"]["smoke"] is True
    assert [row["videos"] for row in report["sections"]["metrics"]["rows"]] == [64, 64]


def test_unknown_section():
    result = run("--sections=reader,rader")
    assert result.returncode == 2
    assert "no section 'rader'" in result.stderr
