"""The grid of a study: a JSON file that declares which models are trained, how, and for which seeds.

    {"title": "AudioSet, 10 frames",
     "train_data_pattern": "audioset/train*.tfrecord", "eval_data_pattern": "audioset/validate*.tfrecord",
     "seeds": [0, 1, 2], "num_sampled_frames": [1, 2, 3],
     "model": {"model": "HierarchicalLstmModel", ..., "lstm_cells": 128},     fields of ModelConfig, hyperparameters
     "training": {"batch_size": 128, "num_epochs": 8},                        fields of TrainingConfig
     "teacher": {"model": {}, "training": {}, "checkpoint": "best"},          reads all frames; one a seed
     "methods": [
       {"name": "Random", "group": "baseline", "model": {"frame_sampling": "random"}},
       {"name": "Serial", "group": "published", "distillation": {"scheme": "serial"},
        "for_each": {"distillation.losses": [["rep"], ["rep", "pred", "ce"]]}}]}

`model` and `training` of teacher and methods add to those of the grid, or replace them. Patterns are relative to the
working directory. A method is trained for each number of frames and each seed; it may have its own `num_sampled_frames`
and `seeds`, or a budget in other units (`frame_percent`, `every_n`), or, as one student for several budgets,
`frame_budgets`. Beside these it may have

- `for_each`: fields and their values; each combination is a method, named after its values ("Serial rep+pred+ce");
- `distillation`: fields of DistillationConfig; without it the method is trained on labels alone;
- `teachers`: `same_seed` (serial: this if it is left out), `all_seeds` (their average), `none` (parallel, baselines),
  or the name of a method above, whose run of the same number of frames and seed is the teacher;
- `cache`: true to learn from a teacher cache, which is made when the teachers are there;
- `starts_from`: "Teacher", or the name of a method above, whose run of the same number of frames and seed gives the
  weights that training on labels starts from, such as those of the frames that `skip_frame` and `saliency` choose for;
- `choice`: trains nothing; the weights of `starts_from` are evaluated on k frames chosen by the `sampler` of the model,
  by the `oracle`, which knows the labels, or by the places where that finds its frames (`empirical`);
- `checkpoint`: `latest`, or `best` by GAP on the evaluation records, after each pass of which it is then evaluated.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re

from yt8m_distill.analysis.study_cache import StudyCache, caches_of
from yt8m_distill.analysis.study_choice import CHOICES
from yt8m_distill.analysis.study_run import CHECKPOINTS, StudyRun
from yt8m_distill.distillation import OF_STATES, DistillationConfig
from yt8m_distill.models import ModelConfig
from yt8m_distill.training import TrainingConfig

TEACHER = "Teacher"
_TEACHERS = ("same_seed", "all_seeds", "none")
_REQUIRED = ("title", "train_data_pattern", "eval_data_pattern", "seeds", "num_sampled_frames", "model", "methods")
_OPTIONAL = ("training", "teacher")
_OF_TEACHER = ("model", "training", "checkpoint")
_OF_METHOD = ("name", "group", "model", "training", "distillation", "teachers", "cache", "checkpoint", "for_each")
_OF_METHOD += ("num_sampled_frames", "seeds", "starts_from", "choice")
_OTHER_BUDGETS = ("frame_percent", "every_n", "frame_budgets")
_PARTS = {"name": str, "group": str, "methods": list, "teacher": dict, "model": dict, "training": dict}
_PARTS.update(distillation=dict, for_each=dict)
# What the study itself gives each run.
_SET_BY_STUDY = ("train_dir", "train_data_pattern", "eval_data_pattern", "seed", "start_new_model", "distillation")
_SET_BY_STUDY += ("teacher_dir", "teacher_checkpoint", "teacher_cache", "initial_train_dir")


@dataclasses.dataclass(frozen=True)
class StudyGrid:
    """A grid and the runs that it declares.

    Attributes:
      source: the JSON object.
      runs: in the order of the tables: the teachers, then the methods as they stand in the grid, by number of frames
        and seed.
      caches: teacher caches that some of the runs read.
    """

    source: dict
    runs: tuple[StudyRun, ...]
    caches: tuple[StudyCache, ...] = ()


def read_grid(path: str, patterns: dict | None = None) -> StudyGrid:
    """Reads a grid.

    Args:
      path: of the JSON file.
      patterns: `train_data_pattern` and `eval_data_pattern` to use instead of those in the file, each if it is there.

    Raises:
      OSError: there is no such file.
      ValueError: it is no such grid; the message names the method and the field.
    """
    with open(path, encoding="utf-8") as file:
        try:
            source = json.load(file)
        except ValueError as error:
            raise ValueError(f"{path}: is not valid JSON ({error}).") from error
    try:
        return make_grid({**source, **(patterns or {})} if isinstance(source, dict) else source)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def make_grid(source: dict) -> StudyGrid:
    """The grid of a JSON object; ValueError as `read_grid`."""
    _check_keys("the grid", source, (*_REQUIRED, *_OPTIONAL), _REQUIRED)
    _check_parts("the grid", source)
    for name in ("train_data_pattern", "eval_data_pattern"):
        if not isinstance(source[name], str) or not source[name]:
            raise ValueError(f"{name} must be a glob. Received: {source[name]!r}.")
    _check_numbers("seeds", source["seeds"], 0)
    _check_numbers("num_sampled_frames", source["num_sampled_frames"], 1)
    runs = _teacher_runs(source) if "teacher" in source else []
    teachers = {run.seed: run for run in runs}
    for method in source["methods"]:
        _check_keys("a method", method, _OF_METHOD, ("name",))
        _check_parts(f"method {method['name']!r}", method)
        for combination in _combinations(method):
            runs += _method_runs(source, combination, teachers, runs)
    _check_names(runs)
    return StudyGrid(source, tuple(runs), caches_of(runs))


def _teacher_runs(source):
    teacher = source["teacher"]
    _check_keys("teacher", teacher, _OF_TEACHER)
    _check_parts("teacher", teacher)
    settings = _Settings(source, {**teacher, "name": TEACHER})
    return [settings.run("teacher", seed, None) for seed in source["seeds"]]


def _method_runs(source, method, teachers, runs_above):
    settings = _Settings(source, method)
    name = method["name"]
    seeds = method.get("seeds", source["seeds"])
    _check_numbers(f"method {name!r}: seeds", seeds, 0)
    budgets = method.get("num_sampled_frames", source["num_sampled_frames"])
    _check_numbers(f"method {name!r}: num_sampled_frames", budgets, 1)
    if method.get("teachers") == "all_seeds" and {"rep", *OF_STATES} & set(settings.losses):
        raise ValueError(f"method {name!r}: rep, int, frame and map compare with one teacher, not those of all_seeds.")
    if settings.has_other_budget:
        if "num_sampled_frames" in method:
            raise ValueError(f"method {name!r}: has both num_sampled_frames and another budget. Leave one out.")
        budgets = [None]
    default = "same_seed" if settings.scheme == "serial" else "none"
    which = method.get("teachers", default)
    runs = []
    for budget, seed in itertools.product(budgets, seeds):
        chosen = _chosen_teachers(method, which, teachers, runs_above, budget, seed)
        source = _run_above(method, "starts_from", runs_above, budget, seed).name if "starts_from" in method else ""
        names, checkpoint = tuple(run.name for run in chosen), chosen[0].checkpoint if chosen else "latest"
        runs.append(settings.run(method.get("group", ""), seed, budget, names, checkpoint, source))
    return runs


def _chosen_teachers(method, which, teachers, runs_above, budget, seed):
    """The runs that a method's run learns from."""
    if which == "none":
        return []
    if which not in _TEACHERS:
        return [_run_above(method, "teachers", runs_above, budget, seed)]
    if seed not in teachers:
        raise ValueError(f"method {method['name']!r}: there is no teacher of seed {seed}. Give the grid a `teacher`.")
    # Its own seed's first: a student that starts from a teacher starts from that one.
    others = [run for other, run in sorted(teachers.items()) if other != seed]
    return [teachers[seed], *others] if which == "all_seeds" else [teachers[seed]]


def _run_above(method, field, runs_above, budget, seed):
    """The run that a method's run starts or learns from: of the method that it names, with its frames and seed."""
    wanted = method[field]
    for run in runs_above:
        if run.method == wanted and run.seed == seed and (wanted == TEACHER or run.model.num_sampled_frames == budget):
            return run
    of_teachers = f"one of {', '.join(_TEACHERS)}, " if field == "teachers" else ""
    raise ValueError(
        f"method {method['name']!r}: {field}={wanted!r} is neither {of_teachers}{TEACHER!r} nor a method above it "
        f"with a run of {budget} frames and seed {seed}."
    )


class _Settings:
    """What the runs of a method have in common, checked once."""

    def __init__(self, source, method):
        self.method, self.source = method, source
        self.where = f"method {method['name']!r}"
        self.model = {**source["model"], **method.get("model", {})}
        self.training = {**source.get("training", {}), **method.get("training", {})}
        self.distillation = None
        self.checkpoint = method.get("checkpoint", "latest")
        self.cache = method.get("cache", False)
        _check_choice(f"{self.where}: checkpoint", self.checkpoint, CHECKPOINTS)
        _check_choice(f"{self.where}: cache", self.cache, (False, True))
        self.choice = method.get("choice", "")
        _check_choice(f"{self.where}: choice", self.choice, ("", *CHOICES))
        if self.choice and "starts_from" not in method:
            raise ValueError(f"{self.where}: choice needs starts_from, the method whose network is evaluated.")
        if "num_sampled_frames" in self.model:
            raise ValueError(f"{self.where}: num_sampled_frames belongs beside `model`, not into it.")
        allowed = [name for name in _fields(TrainingConfig) if name not in _SET_BY_STUDY]
        _check_keys(f"{self.where}: training", self.training, allowed)
        if "distillation" in method:
            _check_keys(f"{self.where}: distillation", method["distillation"], _fields(DistillationConfig))
            self.distillation = self._made(lambda: DistillationConfig(**method["distillation"]))

    @property
    def scheme(self):
        return self.distillation.scheme if self.distillation else ""

    @property
    def losses(self):
        return self.distillation.losses if self.distillation else ()

    @property
    def has_other_budget(self):
        return any(self.model.get(name) for name in _OTHER_BUDGETS)

    def run(self, group, seed, num_sampled_frames, teachers=(), teacher_checkpoint="latest", starts_from=""):
        run = StudyRun(
            name=_run_name(self.method["name"], self._num_slots(num_sampled_frames), seed),
            method=self.method["name"],
            group=group,
            seed=seed,
            model=self._model(num_sampled_frames),
            training=self.training,
            distillation=self.distillation,
            teachers=teachers,
            cache=self.cache,
            checkpoint=self.checkpoint,
            teacher_checkpoint=teacher_checkpoint,
            train_data_pattern=self.source["train_data_pattern"],
            eval_data_pattern=self.source["eval_data_pattern"],
            starts_from=starts_from,
            choice=self.choice,
        )
        self._made(lambda: run.training_config("unused"))
        return run

    def _model(self, num_sampled_frames):
        fields = {name: value for name, value in self.model.items() if name in _fields(ModelConfig)}
        hyperparameters = {name: value for name, value in self.model.items() if name not in fields}
        if num_sampled_frames is None and fields.get("frame_budgets"):
            num_sampled_frames = max(fields["frame_budgets"])
        fields["num_sampled_frames"] = num_sampled_frames
        _check_keys(f"{self.where}: model", fields, _fields(ModelConfig), ("model", "feature_names", "feature_sizes"))
        return self._made(lambda: ModelConfig(**fields, hyperparameters=hyperparameters))

    def _num_slots(self, num_sampled_frames):
        model = self._model(num_sampled_frames)
        return model.num_slots if model.has_frame_budget else None

    def _made(self, make):
        try:
            return make()
        except (ValueError, TypeError) as error:  # a TypeError is a value of another type, such as "128" for 128
            raise ValueError(f"{self.where}: {error}") from error


def _combinations(method):
    """The methods that one with `for_each` stands for."""
    for_each = method.get("for_each", {})
    for name, values in for_each.items():
        if not re.fullmatch(r"(model|training|distillation)\.\w+", name) or not isinstance(values, list):
            raise ValueError(
                f"method {method['name']!r}: for_each must map fields such as 'distillation.losses' to lists of "
                f"values. Received: {name!r}: {values!r}."
            )
    for values in itertools.product(*for_each.values()):
        made = {name: value for name, value in method.items() if name != "for_each"}
        for name, value in zip(for_each, values):
            part, field = name.split(".")
            made[part] = {**made.get(part, {}), field: value}
        labels = [_label(name.split(".")[1], value) for name, value in zip(for_each, values)]
        yield {**made, "name": " ".join([method["name"], *labels])}


def _label(field, value):
    if isinstance(value, list):
        return "+".join(map(str, value))
    return value if isinstance(value, str) else f"{field}={json.dumps(value)}"


def _run_name(method, num_frames, seed):
    slug = re.sub(r"[^a-z0-9.]+", "-", method.lower()).strip("-")
    return f"{slug}_s{seed}" if num_frames is None else f"{slug}_k{num_frames}_s{seed}"


def _check_names(runs):
    seen = {}
    for run in runs:
        if run.name in seen:
            raise ValueError(
                f"Methods {seen[run.name]!r} and {run.method!r} both make run {run.name!r}. Give one another name."
            )
        seen[run.name] = run.method


def _check_keys(where, given, allowed, required=()):
    if not isinstance(given, dict):
        raise ValueError(f"{where} must be a JSON object. Received: {given!r}.")
    for name in given:
        if name not in allowed:
            raise ValueError(f"{where} has no key {name!r}. It may have: {', '.join(allowed)}.")
    for name in required:
        if name not in given:
            raise ValueError(f"{where} lacks {name!r}.")


def _check_parts(where, given):
    for name, kind in _PARTS.items():
        if name in given and not isinstance(given[name], kind):
            in_json = {str: "a string", list: "a list", dict: "a JSON object"}[kind]
            raise ValueError(f"{where}: {name} must be {in_json}. Received: {given[name]!r}.")


def _check_numbers(where, values, minimum):
    is_list = isinstance(values, list) and values
    if not is_list or not all(type(value) is int and value >= minimum for value in values):
        raise ValueError(f"{where} must list whole numbers from {minimum}. Received: {values!r}.")
    if len(set(values)) != len(values):
        raise ValueError(f"{where} must list numbers once each. Received: {values!r}.")


def _check_choice(where, value, allowed):
    if value not in allowed:
        raise ValueError(f"{where} must be one of {', '.join(map(json.dumps, allowed))}. Received: {value!r}.")


def _fields(config):
    return [field.name for field in dataclasses.fields(config) if field.name != "hyperparameters"]
