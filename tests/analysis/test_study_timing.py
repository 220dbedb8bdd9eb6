import pandas as pd
import pytest

from tests.analysis.tiny_grid import tiny_grid
from yt8m_distill.analysis import study_timing
from yt8m_distill.analysis.study_grid import make_grid
from yt8m_distill.analysis.study_timing import read_timings, write_timings

METHODS = [
    {"name": "Random", "model": {"frame_sampling": "random"}},
    {"name": "Serial", "distillation": {"losses": ["ce", "pred"]}},
    {"name": "Any k", "model": {"frame_budgets": [2, 3]}},
    {"name": "Middle of all", "starts_from": "Teacher", "choice": "sampler", "model": {"frame_sampling": "middle"}},
    {"name": "Oracle", "starts_from": "Teacher", "choice": "oracle"},
]


@pytest.fixture
def timed(monkeypatch):
    """The models that are timed, in order; the n-th one takes n seconds."""
    models = []

    def seconds_per_1000_videos(model, files):
        models.append((model.model_config.frame_sampling, model.model_config.frame_budget, len(files)))
        return float(len(models))

    monkeypatch.setattr(study_timing, "seconds_per_1000_videos", seconds_per_1000_videos)
    return models


def runs_of(folder, *methods):
    (folder / "records00").write_bytes(b"")
    return make_grid(tiny_grid(str(folder / "records*"), *methods)).runs


def test_a_row_a_method_and_budget_and_each_model_once(tmp_path, timed):
    write_timings(str(tmp_path), runs_of(tmp_path, *METHODS))
    # The serial student and the one of several budgets are, at each k, the model of Uniform.
    assert timed == [(None, None, 1), *[(way, k, 1) for way in (None, "random", "middle") for k in (2, 3)]]
    rows = pd.read_csv(tmp_path / "timings.csv")
    found = {(row.method, row.num_sampled_frames): row.seconds_per_1000_videos for row in rows.fillna(0).itertuples()}
    assert found == {
        ("Teacher", 0): 1,
        ("Uniform", 2): 2,
        ("Uniform", 3): 3,
        ("Random", 2): 4,
        ("Random", 3): 5,
        ("Serial", 2): 2,
        ("Serial", 3): 3,
        ("Any k", 2): 2,
        ("Any k", 3): 3,
        ("Middle of all", 2): 6,
        ("Middle of all", 3): 7,
    }


def test_all_are_timed_anew_if_any_is_missing_and_none_otherwise(tmp_path, timed):
    write_timings(str(tmp_path), runs_of(tmp_path, METHODS[0]))
    assert len(timed) == 5
    write_timings(str(tmp_path), runs_of(tmp_path))
    write_timings(str(tmp_path), runs_of(tmp_path, METHODS[0]))
    assert len(timed) == 5
    write_timings(str(tmp_path), runs_of(tmp_path, *METHODS[:2]))  # the same models, a method more
    assert len(timed) == 10
    write_timings(str(tmp_path), runs_of(tmp_path, {**METHODS[0], "model": {"frame_sampling": "last"}}))
    assert len(timed) == 15
    write_timings(str(tmp_path), runs_of(tmp_path, {"name": "Last", "model": {"frame_sampling": "last"}}))
    assert len(timed) == 20  # the same models under another name
    (tmp_path / "timings.csv").write_text("")
    write_timings(str(tmp_path), runs_of(tmp_path))
    assert len(timed) == 23


def test_what_is_read(tmp_path):
    assert len(read_timings(str(tmp_path))) == 0
    path = tmp_path / "timings.csv"
    path.write_text("model,method,num_sampled_frames,timed,seconds_per_1000_videos\nA,Teacher,,x,2.5\n")
    (row,) = read_timings(str(tmp_path)).itertuples(index=False)
    assert row[:2] == ("A", "Teacher") and pd.isna(row[2]) and row[3] == 2.5
    for damaged in ("", "model,method\nA,B\n", path.read_text().replace("2.5", "soon")):
        path.write_text(damaged)
        with pytest.raises(ValueError, match=r"timings.csv: is not a table of times .* Delete it"):
            read_timings(str(tmp_path))
