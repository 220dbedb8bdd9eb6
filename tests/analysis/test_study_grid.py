import json
import pathlib

import pytest

from tests.analysis.tiny_grid import tiny_grid
from yt8m_distill.analysis.study_grid import make_grid, read_grid
from yt8m_distill.analysis.study_run import train_dir_of
from yt8m_distill.distillation import DistillationConfig

AUDIOSET = pathlib.Path(__file__).parents[2] / "studies" / "audioset.json"
SERIAL = {"name": "Serial", "distillation": {"scheme": "serial", "losses": ["pred", "ce"]}}


def runs_of(*methods, **changes):
    return {run.name: run for run in make_grid(tiny_grid("records*", *methods, **changes)).runs}


def message(*methods, **changes):
    with pytest.raises(ValueError) as error:
        make_grid(tiny_grid("records*", *methods, **changes))
    return str(error.value)


def test_the_runs_of_a_method_are_its_numbers_of_frames_and_seeds():
    runs = runs_of()
    teachers = ["teacher_s0", "teacher_s7"]
    assert list(runs) == [*teachers, "uniform_k2_s0", "uniform_k2_s7", "uniform_k3_s0", "uniform_k3_s7"]
    run = runs["uniform_k3_s7"]
    assert (run.method, run.group, run.seed, run.model.num_sampled_frames) == ("Uniform", "baseline", 7, 3)
    assert (run.distillation, run.teachers, run.needs) == (None, (), ())
    assert runs["teacher_s7"].model.sampler is None
    config = run.training_config("study")
    assert (config.train_dir, config.train_data_pattern) == ("study/runs/uniform_k3_s7/train", "records*")
    assert (config.batch_size, config.optimizer, config.seed, config.keep_checkpoints) == (8, "SGD", 7, 1)
    assert (config.eval_data_pattern, config.teacher_dir) == ("", "")


def test_a_method_changes_model_and_training_and_has_its_own_budgets_and_seeds():
    own = {"num_sampled_frames": [5], "seeds": [3], "model": {"frame_sampling": "last", "dropout_rate": 0.5}}
    runs = runs_of({"name": "Last, long", **own, "training": {"num_epochs": 4}})
    run = runs["last-long_k5_s3"]
    assert (run.model.frame_sampling, run.model.hyperparameters["dropout_rate"]) == ("last", 0.5)
    config = run.training_config("study")
    assert (config.num_epochs, config.batch_size) == (4, 8)


@pytest.mark.parametrize(
    "model, name, frames",
    [
        ({"frame_percent": 25}, "other_k2_s0", 2),  # of 8 frames
        ({"every_n": 2}, "other_k4_s0", 4),
        ({"frame_budgets": [2, 5]}, "other_k5_s0", 5),
    ],
)
def test_a_budget_in_other_units(model, name, frames):
    runs = runs_of({"name": "Other", "model": model, "seeds": [0]})
    assert [name for name in runs if name.startswith("other")] == [name]
    assert runs[name].model.num_slots == frames


def test_teachers_of_a_student():
    several = {**SERIAL, "name": "All", "teachers": "all_seeds"}
    parallel = {"name": "Parallel", "distillation": {"scheme": "parallel"}}
    runs = runs_of(SERIAL, several, parallel, teacher={"checkpoint": "best"})
    config = runs["serial_k2_s7"].training_config("study")
    assert (config.teacher_dir, config.teacher_checkpoint) == ("study/runs/teacher_s7/train", "best")
    assert runs["all_k2_s7"].needs == ("teacher_s7", "teacher_s0")  # its own first, which it may start from
    assert runs["parallel_k2_s7"].needs == ()
    # The best checkpoint is found by evaluating after each pass.
    assert runs["teacher_s0"].training_config("study").eval_data_pattern == "records*"


def test_a_method_above_is_the_teacher():
    larger = {"name": "Larger", "model": {"dropout_rate": 0.5}, "checkpoint": "best"}
    run = runs_of(larger, {**SERIAL, "teachers": "Larger"})["serial_k3_s7"]
    assert run.teachers == run.needs == ("larger_k3_s7",)
    assert run.teacher_checkpoint == "best"
    with pytest.raises(ValueError, match="teachers='Larger' is neither"):
        runs_of({**SERIAL, "teachers": "Larger"}, larger)


def test_a_cache_for_each_set_of_teachers():
    rep = {"name": "Rep", "distillation": {"losses": ["rep"]}, "cache": True, "seeds": [7]}
    more = {**SERIAL, "name": "More", "cache": True, "training": {"unlabelled_data_pattern": "more*"}}
    grid = make_grid(tiny_grid("records*", SERIAL, rep, more))
    assert [(cache.name, cache.needs, cache.encodings, cache.data_patterns) for cache in grid.caches] == [
        ("cache_of_teacher_s7", ("teacher_s7",), True, ("more*", "records*")),
        ("cache_of_teacher_s0", ("teacher_s0",), False, ("more*", "records*")),
    ]
    run = {run.name: run for run in grid.runs}["rep_k2_s7"]
    assert run.needs == ("teacher_s7", "cache_of_teacher_s7")
    assert run.training_config("study").teacher_cache == "study/runs/cache_of_teacher_s7/cache"


def test_for_each_names_methods_after_their_values():
    crossed = {
        "name": "Serial",
        "distillation": {"scheme": "serial"},
        "for_each": {"distillation.losses": [["rep"], ["pred", "ce"]], "training.student_init": ["scratch", "teacher"]},
        "num_sampled_frames": [2],
        "seeds": [0],
    }
    runs = runs_of(crossed, {"name": "Warm", "for_each": {"distillation.temperature": [2.0]}, "distillation": {}})
    methods = [run.method for run in runs.values() if run.distillation]
    serial = ["Serial rep scratch", "Serial rep teacher", "Serial pred+ce scratch", "Serial pred+ce teacher"]
    assert methods == [*serial, *["Warm temperature=2.0"] * 4]
    run = runs["serial-pred-ce-teacher_k2_s0"]
    assert run.distillation == DistillationConfig("serial", ("pred", "ce"))
    assert run.training_config("study").student_init == "teacher"


def test_the_digest_tells_what_the_result_depends_on():
    first = runs_of(SERIAL)["serial_k2_s0"]
    renamed = runs_of({**SERIAL, "name": "Other", "group": "mine"})["other_k2_s0"]
    # A default that is given, a hyperparameter among them, is no other run.
    explicit = runs_of({**SERIAL, "model": {"dropout_rate": 0.0, "frame_jitter": False}})["serial_k2_s0"]
    assert first.digest("data", ["t"]) == renamed.digest("data", ["t"]) == explicit.digest("data", ["t"])
    others = [
        runs_of({**SERIAL, "model": {"dropout_rate": 0.5}})["serial_k2_s0"],
        runs_of({**SERIAL, "training": {"num_epochs": 2}})["serial_k2_s0"],
        runs_of({**SERIAL, "distillation": {"losses": ["pred"]}})["serial_k2_s0"],
        runs_of({**SERIAL, "cache": True})["serial_k2_s0"],
        runs_of({**SERIAL, "checkpoint": "best"})["serial_k2_s0"],
        runs_of(SERIAL)["serial_k3_s0"],
        runs_of(SERIAL)["serial_k2_s7"],
    ]
    digests = {run.digest("data", ["t"]) for run in (first, *others)}
    assert len({*digests, first.digest("other data", ["t"]), first.digest("data", ["u"])}) == 10


def test_a_method_may_start_from_the_weights_of_another():
    longer = {"name": "Longer", "starts_from": "Uniform"}
    runs = runs_of(longer, {"name": "Dense", "starts_from": "Teacher"})
    run = runs["longer_k3_s7"]
    assert run.starts_from == "uniform_k3_s7" and run.needs == ("uniform_k3_s7",)
    assert run.training_config("study").initial_train_dir == train_dir_of("study", "uniform_k3_s7")
    assert runs["dense_k2_s0"].starts_from == "teacher_s0"
    assert runs["uniform_k3_s7"].training_config("study").initial_train_dir == ""
    assert run.digest("data", ["a"]) != run.digest("data", ["b"])
    oracle = runs_of({"name": "Oracle", "starts_from": "Teacher", "choice": "oracle"})["oracle_k2_s0"]
    assert (oracle.choice, oracle.needs) == ("oracle", ("teacher_s0",))
    assert "choice must be one of" in message({"name": "A", "starts_from": "Teacher", "choice": "best"})
    assert "choice needs starts_from" in message({"name": "A", "choice": "oracle"})
    for source in ("Longer", "Nothing"):  # a method below, or none
        assert f"starts_from={source!r} is neither 'Teacher' nor a method above it" in message(
            {"name": "A", "starts_from": source}, longer
        )


def test_mistakes_are_named():
    assert "the grid has no key 'sedes'" in message(sedes=[0])
    assert "a method has no key 'models'" in message({"name": "A", "models": {}})
    assert "the grid: model must be a JSON object. Received: 'LstmModel'" in message(model="LstmModel")
    assert "method 'A': training must be a JSON object. Received: ['x']" in message({"name": "A", "training": ["x"]})
    assert "method 5: name must be a string" in message({"name": 5})
    assert "teacher: model must be a JSON object" in message(teacher={"model": []})
    assert "seeds must list whole numbers from 0. Received: [0.5]" in message(seeds=[0.5])
    assert "num_sampled_frames must list numbers once each" in message(num_sampled_frames=[2, 2])
    assert "method 'A': training has no key 'epochs'" in message({"name": "A", "training": {"epochs": 3}})
    assert "training has no key 'seed'" in message(training={"seed": 3})
    assert "method 'A': FrameLevelLogisticModel has no hyperparameter 'cells'" in message(
        {"name": "A", "model": {"cells": 3}}
    )
    assert "method 'A': num_epochs must be at least 1" in message({"name": "A", "training": {"num_epochs": 0}})
    assert "method 'A': " in message({"name": "A", "training": {"num_epochs": "3"}})
    assert "method 'A': num_sampled_frames belongs beside `model`" in message(
        {"name": "A", "model": {"num_sampled_frames": 3}}
    )
    assert "both num_sampled_frames and another budget" in message(
        {"name": "A", "model": {"every_n": 2}, "num_sampled_frames": [2]}
    )
    assert "distillation has no key 'loss'" in message({"name": "A", "distillation": {"loss": ["rep"]}})
    assert "method 'A': distillation_losses must be one of" in message({"name": "A", "distillation": {"losses": ["x"]}})
    assert "for_each must map fields" in message({"name": "A", "for_each": {"losses": [["rep"]]}})
    assert (
        "teachers='both' is neither one of same_seed, all_seeds, none, 'Teacher' nor a method above it with a run of 2 "
        "frames and seed 0" in message({**SERIAL, "teachers": "both"})
    )
    assert "there is no teacher of seed 3" in message({**SERIAL, "seeds": [3]})
    assert "method 'A': teacher_cache needs --distillation=serial" in message({"name": "A", "cache": True})
    assert "Methods 'Uniform' and 'uniform' both make run 'uniform_k2_s0'" in message({"name": "uniform"})


def test_a_file_that_is_no_grid_is_named(tmp_path):
    path = tmp_path / "grid.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"grid.json: is not valid JSON"):
        read_grid(str(path))
    path.write_text(json.dumps({"title": "x"}))
    with pytest.raises(ValueError, match=r"grid.json: the grid lacks 'train_data_pattern'"):
        read_grid(str(path))


def test_the_grid_of_audioset_is_the_published_matrix():
    grid = read_grid(str(AUDIOSET))
    runs = [run for run in grid.runs if run.model.sampler]
    # Six selectors; both schemes, five sets of losses, final and intermediate; k = 1, 2, 3; three seeds.
    assert len(grid.runs) - len(runs) == 3
    assert len([run for run in runs if run.group == "baseline"]) == 6 * 3 * 3
    published = [run.distillation for run in runs if run.group == "published"]
    assert len(published) == 2 * 5 * 2 * 3 * 3
    assert len({(config.scheme, config.losses) for config in published}) == 20
