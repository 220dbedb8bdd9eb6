"""One run of a study: train, evaluate, count the cost, and the row of the results that it makes."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import hashlib
import json
import os
import time
from typing import NamedTuple

import tensorflow as tf

from yt8m_distill.analysis.cost import model_cost
from yt8m_distill.analysis.study_choice import evaluate_choice
from yt8m_distill.data import estimate_num_records, evaluation_dataset, list_record_files, readable_errors
from yt8m_distill.distillation import LOSSES, DistillationConfig
from yt8m_distill.metrics import EvaluationMetrics
from yt8m_distill.models import (
    ModelConfig,
    checkpoint_path,
    load_ensemble,
    load_model_config,
    predict_batches,
    restore_weights,
)
from yt8m_distill.models.shapes import build_without_values
from yt8m_distill.training import TrainingConfig, evaluate, train

CHECKPOINTS = ("latest", "best")
# Columns of results.csv. A run that did not measure one leaves it empty.
COLUMNS = (
    "run",
    "method",
    "group",
    "model",
    "scheme",  # of the distillation; "" without one
    "losses",
    "match",
    "num_sampled_frames",  # empty for a model that reads all frames
    "seed",
    "gap",
    "map",
    "hit_at_one",
    "perr",
    "loss",
    "teacher_gap",
    "top_1_agreement",
    "top_20_agreement",
    "kl",
    "macs",
    "params",
    "train_seconds",  # with building and compiling; empty if the run was interrupted
    "seconds_per_epoch",  # without compiling, evaluating and saving
    "steps",
    "num_epochs",
    "train_dir",
)
_METRICS = ("gap", "map", "hit_at_one", "perr", "loss", "top_1_agreement", "top_20_agreement", "kl")
_MODELS_KEPT = 4
_TEACHERS_REMEMBERED = 4
_BATCH_SIZE = 512
_BYTES_OF_AN_END = 65536


@dataclasses.dataclass(frozen=True)
class StudyRun:
    """One training run, as a grid declares it.

    Attributes:
      name: names its directory, too.
      method, group: as in the grid.
      seed: of the training.
      model: what is trained.
      training: fields of `TrainingConfig` but those that the study gives.
      distillation: None to train on labels alone.
      teachers: names of the runs whose models are the teacher.
      cache: learn from a teacher cache.
      checkpoint: which of its checkpoints is evaluated, and what its students learn from.
      teacher_checkpoint: which of the teachers'.
      train_data_pattern, eval_data_pattern: globs of records.
      starts_from: name of the run whose weights training on labels starts from; "" for fresh ones.
      choice: of `CHOICES`: evaluate the weights of `starts_from` on frames that are chosen so, and train nothing.
    """

    name: str
    method: str
    group: str
    seed: int
    model: ModelConfig
    training: dict
    distillation: DistillationConfig | None
    teachers: tuple[str, ...]
    cache: bool
    checkpoint: str
    teacher_checkpoint: str
    train_data_pattern: str
    eval_data_pattern: str
    starts_from: str = ""
    choice: str = ""

    def training_config(self, study_dir: str) -> TrainingConfig:
        """The configuration of the run in a study's directory; ValueError as `TrainingConfig`."""
        return TrainingConfig(
            train_dir=train_dir_of(study_dir, self.name),
            train_data_pattern=self.train_data_pattern,
            eval_data_pattern=self.eval_data_pattern if self.checkpoint == "best" else "",
            seed=self.seed,
            distillation=self.distillation,
            teacher_dir=",".join(train_dir_of(study_dir, teacher) for teacher in self.teachers),
            teacher_checkpoint=self.teacher_checkpoint,
            initial_train_dir=train_dir_of(study_dir, self.starts_from) if self.starts_from else "",
            **self._cache_setting(study_dir),
            **{"keep_checkpoints": 1, **self.training},
        )

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of what must be there before it starts."""
        cache = (cache_name(self.teachers),) if self.cache else ()
        return (*self.learned_from, *cache)

    @property
    def learned_from(self) -> tuple[str, ...]:
        """Names of the runs whose weights or outputs it uses."""
        return (*self.teachers, self.starts_from) if self.starts_from else self.teachers

    @property
    def train_data_patterns(self) -> tuple[str, ...]:
        """Globs of the labelled records and, where there are any, of the unlabelled."""
        unlabelled = self.training.get("unlabelled_data_pattern")
        return (self.train_data_pattern, unlabelled) if unlabelled else (self.train_data_pattern,)

    @property
    def data_patterns(self) -> tuple[str, ...]:
        """Globs of all records that its result depends on."""
        return (*self.train_data_patterns, self.eval_data_pattern)

    @property
    def evaluated_models(self) -> list[ModelConfig]:
        """What its rows are of: the model, or a student of several `frame_budgets` at each of them."""
        if not self.model.frame_budgets:
            return [self.model]
        return [self.model.with_num_sampled_frames(budget) for budget in self.model.frame_budgets]

    @property
    def columns(self) -> dict:
        """The columns of its rows that are known before it has run."""
        losses = self.distillation.losses if self.distillation else ()
        return {
            "run": self.name,
            "method": self.method,
            "group": self.group,
            "model": self.model.model,
            "scheme": self.distillation.scheme if self.distillation else "",
            "losses": ",".join(loss for loss in LOSSES if loss in losses and loss != "int"),
            "match": ("intermediate" if "int" in losses else "final") if losses else "",
            "seed": self.seed,
        }

    def _cache_setting(self, study_dir):
        return {"teacher_cache": cache_dir_of(study_dir, self.teachers)} if self.cache else {}

    def digest(self, data: str, of_teachers: list[str]) -> str:
        """What the result depends on, as a hash: the choices of this run that are not defaults, data and teachers.

        Args:
          data: that of `data_fingerprint`.
          of_teachers: the digests of the runs that it has learned from.
        """
        run = dataclasses.asdict(self)
        for name in ("name", "method", "group", "train_data_pattern", "eval_data_pattern", "teachers"):
            del run[name]
        del run["starts_from"]  # its digest is among those
        if not self.choice:
            del run["choice"]  # so that runs from before it existed stay what they are
        run["model"] = _non_defaults(self.model, ModelConfig)
        known, chosen = self.model.known_hyperparameters(), self.model.hyperparameters
        run["model"]["hyperparameters"] = {n: v for n, v in sorted(chosen.items()) if v != known[n]}
        if self.distillation is not None:
            run["distillation"] = _non_defaults(self.distillation, DistillationConfig)
        text = json.dumps([run, data, of_teachers], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def execute(self, study_dir: str) -> list[dict]:
        """Trains and evaluates, or goes on where an interrupted run stopped.

        Returns:
          The rows of the results: one, or for a student of several `frame_budgets` one for each. Keys are among
          `COLUMNS`.

        Raises:
          ValueError, OSError: as `train` and `evaluate`.
        """
        if self.choice:
            return [self._evaluated_choice(study_dir)]
        config = self.training_config(study_dir)
        is_resumed = tf.train.latest_checkpoint(config.train_dir) is not None
        started = time.perf_counter()
        trained = train(self.model, config)
        row = {
            **self.columns,
            "train_seconds": None if is_resumed else round(time.perf_counter() - started, 2),
            "seconds_per_epoch": _seconds_per_epoch(config, trained["examples_per_second"]),
            "steps": trained["step"],
            "num_epochs": config.num_epochs + config.finetune_epochs,
            "train_dir": config.train_dir,
        }
        of_teacher = _of_own_teacher(self, config)
        row["teacher_gap"] = of_teacher.gap if of_teacher else None
        return [{**row, **_evaluated(self, model, config, of_teacher)} for model in self.evaluated_models]

    def _evaluated_choice(self, study_dir):
        source = train_dir_of(study_dir, self.starts_from)
        model = _trained_model("teacher", load_model_config(source), checkpoint_path(source))
        files = [list_record_files(pattern) for pattern in (self.eval_data_pattern, self.train_data_pattern)]
        metrics = evaluate_choice(model, self.model.sampler, self.choice, self.model.num_slots, *files)
        return {
            **self.columns,
            **{name: metrics[name] for name in _METRICS if name in metrics},
            **_costs(self.model),
            "train_dir": source,
        }


def run_dir_of(study_dir: str, name: str) -> str:
    return os.path.join(study_dir, "runs", name)


def train_dir_of(study_dir: str, name: str) -> str:
    return os.path.join(run_dir_of(study_dir, name), "train")


def cache_name(teachers: tuple[str, ...]) -> str:
    return f"cache_of_{'+'.join(sorted(teachers))}"


def cache_dir_of(study_dir: str, teachers: tuple[str, ...]) -> str:
    return os.path.join(run_dir_of(study_dir, cache_name(teachers)), "cache")


def data_fingerprint(*patterns: str) -> str:
    """Names, sizes and both ends of record files as a hash; other data of the same pattern is likely to have another.

    Raises:
      DataError: a pattern without files.
    """
    digest = hashlib.sha256()
    for path in [path for pattern in patterns for path in list_record_files(pattern)]:
        num_bytes = tf.io.gfile.stat(path).length
        digest.update(f"{os.path.basename(path)} {num_bytes}\n".encode())
        with tf.io.gfile.GFile(path, "rb") as file:
            digest.update(file.read(_BYTES_OF_AN_END))
            file.seek(max(0, num_bytes - _BYTES_OF_AN_END))
            digest.update(file.read(_BYTES_OF_AN_END))
    return digest.hexdigest()[:16]


def _evaluated(run, model_config, config, of_teacher):
    """Columns of the trained weights, used in a model of `model_config`."""
    model = _trained_model("student", model_config, checkpoint_path(config.train_dir, run.checkpoint))
    files = list_record_files(run.eval_data_pattern, "evaluation")
    predictions = of_teacher.predictions if of_teacher else None
    metrics = evaluate(model, files, _BATCH_SIZE, label_loss=config.label_loss, teacher_predictions=predictions)
    return {**{name: metrics[name] for name in _METRICS if name in metrics}, **_costs(model_config)}


def _costs(model_config):
    cost = model_cost(build_without_values(model_config), model_config.max_frames)
    return {
        "num_sampled_frames": model_config.frame_budget,
        "macs": cost["macs"],
        "params": cost["params"],
    }


def _of_own_teacher(run, config):
    """`_OfTeacher` of the teacher that a run has learned from; None of one without."""
    if run.distillation is not None and run.distillation.scheme == "parallel":
        # train() leaves the teacher that it trained there, as it was at the end.
        return _of_teacher((os.path.join(config.train_dir, "teacher"),), "latest", run.eval_data_pattern)
    if not config.teacher_dirs:
        return None
    return _of_teacher(tuple(config.teacher_dirs), run.teacher_checkpoint, run.eval_data_pattern)


class _OfTeacher(NamedTuple):
    """What a teacher reaches on the evaluation records."""

    gap: float
    predictions: list  # float32 [B, C], batch by batch


@functools.lru_cache(maxsize=_TEACHERS_REMEMBERED)
def _of_teacher(teacher_dirs, which, eval_data_pattern):
    """Of a teacher that many runs have in common, once a process."""
    teacher, files = _teacher(teacher_dirs, which), list_record_files(eval_data_pattern, "evaluation")
    metrics, predictions = EvaluationMetrics(teacher.schema.num_classes), []
    with readable_errors(files, teacher.schema):
        for batch in predict_batches(teacher, evaluation_dataset(files, teacher.schema, _BATCH_SIZE, teacher.sampler)):
            predictions.append(batch["predictions"].numpy())
            metrics.accumulate(predictions[-1], batch["labels"])
    return _OfTeacher(metrics.result()["gap"], predictions)


def _teacher(teacher_dirs, which):
    if len(teacher_dirs) > 1:
        return _ensemble(teacher_dirs, which)
    return _trained_model("teacher", load_model_config(teacher_dirs[0]), checkpoint_path(teacher_dirs[0], which))


@functools.lru_cache(maxsize=1)
def _ensemble(train_dirs, which):
    return load_ensemble(train_dirs, which=which)


def _trained_model(role, model_config, path):
    """A model with the weights of a checkpoint.

    Runs that differ in their weights alone use one model after the other, because tracing its graph takes seconds.
    Teacher and student, whose roles differ, are two at the same time.
    """
    model = _built_model(role, json.dumps(dataclasses.asdict(model_config)))
    restore_weights(model, path)
    return model


@functools.lru_cache(maxsize=_MODELS_KEPT)
def _built_model(role, config_json):
    return ModelConfig(**json.loads(config_json)).build()


# TensorFlow's functions must not outlive TensorFlow.
atexit.register(_built_model.cache_clear)
atexit.register(_ensemble.cache_clear)


def _seconds_per_epoch(config, examples_per_second):
    """Duration of a pass; None of a run too short to be timed."""
    if not examples_per_second:
        return None
    patterns = filter(None, (config.train_data_pattern, config.unlabelled_data_pattern))
    num_records = sum(estimate_num_records(list_record_files(pattern)) for pattern in patterns)
    return round(num_records / examples_per_second, 2)


def _non_defaults(config, config_class):
    defaults = {field.name: field.default for field in dataclasses.fields(config_class)}
    given = dataclasses.asdict(config)
    return {name: value for name, value in given.items() if name != "hyperparameters" and value != defaults[name]}
