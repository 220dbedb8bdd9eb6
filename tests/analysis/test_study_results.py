import math

import pytest

from tests.analysis.tiny_study import write_study
from yt8m_distill.analysis.study_results import read_study, summary

METHODS = [
    {"name": "Uniform", "group": "baseline"},
    {"name": "Serial", "group": "published", "distillation": {"losses": ["pred", "ce"]}},
    {"name": "Longer", "group": "fair baseline"},
    {"name": "Jitter", "group": "fair baseline", "model": {"frame_jitter": True}},
]
MEASURED = {
    "teacher_s0": 0.80,
    "teacher_s1": 0.82,
    "uniform_k6_s0": 0.70,
    "uniform_k6_s1": 0.72,
    "uniform_k10_s0": 0.81,  # better than its teacher
    "uniform_k10_s1": 0.72,
    "serial_k6_s0": 0.75,
    "serial_k6_s1": 0.80,
    "serial_k10_s0": 0.82,
    "serial_k10_s1": 0.77,
    "longer_k6_s0": 0.71,
    "longer_k6_s1": 0.74,
    "jitter_k6_s1": 0.73,
}


@pytest.fixture
def study(tmp_path):
    return read_study(write_study(tmp_path, {"methods": METHODS}, MEASURED))


def by_name(results):
    return {method.name: method for method in results.methods}


def test_mean_and_sample_standard_deviation(study):
    (results,) = study.results
    serial = by_name(results)["Serial"]
    found = summary(results.values("gap", serial, 6))
    assert found.mean == pytest.approx(0.775)
    assert found.spread == pytest.approx(0.05 / math.sqrt(2))
    assert found.count == 2


def test_one_seed_has_no_spread(study):
    (results,) = study.results
    assert summary(results.values("gap", by_name(results)["Jitter"], 6)) == (0.73, None, 1)
    assert summary(results.values("gap", by_name(results)["Jitter"], 10)) is None


def test_gap_closed_is_paired_by_seed(study):
    (results,) = study.results
    shares = results.gap_closed(by_name(results)["Serial"], 6)
    assert shares.to_dict() == pytest.approx({0: 0.5, 1: 0.8})  # .05 of .10, .08 of .10


def test_seed_whose_teacher_is_no_better_than_uniform_is_left_out(study):
    (results,) = study.results
    assert results.gap_closed(by_name(results)["Serial"], 10).to_dict() == pytest.approx({1: 0.5})  # .05 of .10


def test_gain_is_over_the_strongest_fair_baseline(study):
    (results,) = study.results
    methods = by_name(results)
    assert results.fair_baseline(6) == methods["Jitter"]  # .73, and Longer .725
    assert results.gain(methods["Serial"], 6).to_dict() == pytest.approx({1: 0.07})
    assert results.fair_baseline(10) is None
    assert results.gain(methods["Serial"], 10).empty


def test_unfinished_runs_are_named(study):
    assert study.num_runs == 2 + 4 * 4
    assert study.unfinished == ("longer_k10_s0", "longer_k10_s1", "jitter_k6_s0", "jitter_k10_s0", "jitter_k10_s1")


def test_best_method_has_runs_at_most_k(study):
    (results,) = study.results
    methods = by_name(results)
    assert results.best_method([methods["Uniform"], methods["Jitter"]]) == methods["Uniform"]
    assert results.best_method([methods["Longer"], methods["Jitter"]]) == methods["Jitter"]
    assert results.best_method([]) is None


def test_only_the_first_of_published_methods_alike_is_the_published_one(tmp_path):
    weights = {"distillation.pred_weight": [1, 2]}
    methods = [{**METHODS[1], "for_each": weights}]
    (results,) = read_study(write_study(tmp_path, {"methods": methods}, {})).results
    assert [method.group for method in results.methods] == ["published", "published, varied"]


def test_student_of_several_budgets_has_a_row_for_each(tmp_path):
    grid = {"methods": [{"name": "Any k", "model": {"frame_budgets": [6, 10]}}]}
    study = read_study(write_study(tmp_path, grid, {}))
    assert study.results[0].num_sampled_frames == [6, 10]
    assert study.unfinished == ("teacher_s0", "teacher_s1", *dict.fromkeys(r.name for r in study.grid.runs[2:]))


def test_rows_of_runs_that_are_not_in_the_grid_are_counted(tmp_path):
    write_study(tmp_path, {"methods": METHODS}, MEASURED)
    table = (tmp_path / "results.csv").read_text()
    write_study(tmp_path, {"methods": METHODS[:1]}, {})
    (tmp_path / "results.csv").write_text(table)
    study = read_study(str(tmp_path))
    assert (study.num_runs, study.unfinished, study.num_left_out) == (6, (), 7)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda text: "", r"results.csv: is not a table of runs"),
        (lambda text: text.replace("gap", "GAP", 1), r"results.csv: has no column 'gap'"),
        (lambda text: text.replace("0.75", "much"), r"results.csv: column 'gap' must hold numbers"),
        (lambda text: text + text.splitlines()[-1] + "\n", r"results.csv: has two rows of run 'jitter_k6_s1'"),
    ],
)
def test_damaged_results_are_refused(tmp_path, damage, message):
    write_study(tmp_path, {"methods": METHODS}, MEASURED)
    path = tmp_path / "results.csv"
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=message):
        read_study(str(tmp_path))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"grid\.json"):
        read_study(str(tmp_path))
