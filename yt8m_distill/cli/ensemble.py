"""`ensemble.py`, `yt8m-ensemble`: several models as one, averages of submissions and of checkpoints."""

from __future__ import annotations

import contextlib
import json
import logging

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import (
    comma_list,
    create_strategy_from,
    define_checkpoint_flag,
    define_prediction_flags,
    define_strategy_flags,
    log_batch_size,
    number_list,
)
from yt8m_distill.cli.eval import EvaluationLog
from yt8m_distill.cli.video_inference import write_video_predictions

_logger = logging.getLogger(__name__)

# What the command can do, by the flag that asks for it, and the flags that go with each.
_GOES_WITH = {
    "train_dirs": (
        "weights",
        "checkpoint",
        "eval_data_pattern",
        "output_metrics_json",
        "input_data_pattern",
        "output_file",
        "output_dir",
        "top_k",
        "batch_size",
        "num_readers",
        "strategy",
        "num_gpu",
    ),
    "submission_files": ("weights", "output_file", "top_k"),
    "average_checkpoints": ("train_dir", "output_dir"),
}
_ALWAYS = ("help", "debug")


def main(argv=None) -> int:
    description = "evaluates, submits or exports several models as one; averages submissions or checkpoints."
    return run_command("ensemble.py", description, _define_flags, _run, argv)


def _define_flags(groups):
    group = "Ensemble"
    groups.add(
        group,
        flags.DEFINE_string,
        "train_dirs",
        "",
        "Models to combine, separated by commas: their predictions are the mean of the members' probabilities.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "weights",
        "",
        "Weight of each of --train_dirs or --submission_files, e.g. 2,1,1. The default weighs all alike.",
    )
    define_checkpoint_flag(groups, group)
    groups.add(group, flags.DEFINE_string, "eval_data_pattern", "", "Evaluate on these TFRecords (globs).")
    groups.add(group, flags.DEFINE_string, "output_metrics_json", "", "Write the metrics to this file, too.")
    groups.add(
        group, flags.DEFINE_string, "input_data_pattern", "", "Classify these TFRecords (globs) into --output_file."
    )
    groups.add(group, flags.DEFINE_string, "output_file", "", "The submission CSV to write.")
    groups.add(
        group,
        flags.DEFINE_string,
        "output_dir",
        "",
        "Directory for one SavedModel of the ensemble, or for the averaged checkpoint; must not exist, or be empty.",
    )
    groups.add(group, flags.DEFINE_integer, "top_k", 20, "Predictions a video.", lower_bound=1)
    define_prediction_flags(groups, group)
    groups.add(
        "Or average submissions",
        flags.DEFINE_string,
        "submission_files",
        "",
        "Submission CSVs of the same videos, separated by commas, to average into --output_file.",
    )
    group = "Or average checkpoints"
    groups.add(
        group,
        flags.DEFINE_integer,
        "average_checkpoints",
        None,
        "Average the weights of so many of the last checkpoints of --train_dir into --output_dir, a new train_dir.",
        lower_bound=1,
    )
    groups.add(group, flags.DEFINE_string, "train_dir", "", "The run to average checkpoints of.")
    define_strategy_flags(groups)


def _run(values):
    task = _task(values)
    if task == "train_dirs":
        _run_ensemble(values)
    elif task == "submission_files":
        _average_submissions(values)
    else:
        _average_checkpoints(values)


def _task(values):
    """The flag that says what to do; ValueError if the flags do not say one thing."""
    asked = [name for name in _GOES_WITH if values[name].value]
    if len(asked) != 1:
        raise ValueError("Give exactly one of --train_dirs, --submission_files and --average_checkpoints.")
    (task,) = asked
    for name in values:
        if values[name].present and name not in (task, *_GOES_WITH[task], *_ALWAYS):
            raise ValueError(f"--{name} does not go with --{task}.")
    return task


def _run_ensemble(values):
    from yt8m_distill.data import check_first_record, list_record_files
    from yt8m_distill.models import checkpoint_path, load_ensemble
    from yt8m_distill.serving import export_saved_model, write_submission

    if bool(values.input_data_pattern) != bool(values.output_file):
        raise ValueError("--input_data_pattern and --output_file go together: records in, CSV out.")
    if values.output_metrics_json and not values.eval_data_pattern:
        raise ValueError("--output_metrics_json needs --eval_data_pattern.")
    if not (values.eval_data_pattern or values.output_file or values.output_dir):
        raise ValueError("Give --eval_data_pattern, --input_data_pattern with --output_file, or --output_dir.")
    strategy = create_strategy_from(values, stands_alone=True)
    eval_files = list_record_files(values.eval_data_pattern, "evaluation") if values.eval_data_pattern else []
    input_files = list_record_files(values.input_data_pattern, "input") if values.input_data_pattern else []
    train_dirs = _paths(values, "train_dirs")
    checkpoints = [checkpoint_path(train_dir, values.checkpoint) for train_dir in train_dirs]
    with strategy.scope():
        ensemble = load_ensemble(train_dirs, _weights(values), values.checkpoint)
    for path, weight in zip(checkpoints, ensemble.weights):
        _logger.info("Member of weight %.4g: %s", weight, path)
    for files in filter(None, (eval_files, input_files)):
        check_first_record(files, ensemble.schema)
    num_classes = ensemble.schema.num_classes
    if input_files and values.top_k > num_classes:  # before an evaluation, which takes long
        raise ValueError(f"--top_k={values.top_k} exceeds the number of classes, {num_classes}; lower it")
    if values.output_dir:
        export_saved_model(ensemble, values.output_dir, values.top_k)
        _logger.info("SavedModel written to %s", values.output_dir)
    if eval_files:
        _evaluate(values, ensemble, checkpoints, eval_files, strategy)
    if input_files:
        _logger.info("number of input files: %d", len(input_files))
        write_video_predictions(values, ensemble, input_files, strategy, write_submission, values.output_file)


def _evaluate(values, ensemble, checkpoints, files, strategy):
    """Logs what eval.py does. The step is that of the member trained longest, the loss that of the first member."""
    from yt8m_distill.data import estimate_num_records
    from yt8m_distill.data.atomic_file import open_atomic
    from yt8m_distill.models import checkpoint_step, read_model_flags
    from yt8m_distill.training import evaluate

    log_batch_size(values, strategy, "evaluation")
    _logger.info("number of evaluation files: %d", len(files))
    log = EvaluationLog(None, estimate_num_records(files), max(map(checkpoint_step, checkpoints)))
    # Opened first: who cannot write there should not learn it after hours.
    output = open_atomic(values.output_metrics_json) if values.output_metrics_json else contextlib.nullcontext()
    with output as file:
        metrics = evaluate(
            ensemble,
            files,
            values.batch_size,
            top_k=values.top_k,
            label_loss=read_model_flags(comma_list(values.train_dirs)[0]).get("label_loss", "CrossEntropyLoss"),
            num_readers=values.num_readers,
            strategy=strategy,
            on_batch=log.batch,
        )
        log.epoch(metrics)
        if file is not None:
            members = [{"checkpoint": path, "weight": weight} for path, weight in zip(checkpoints, ensemble.weights)]
            file.write(json.dumps({"global_step": log.step, **metrics, "members": members}, indent=2) + "\n")


def _average_submissions(values):
    from yt8m_distill.serving import average_submissions

    if not values.output_file:
        raise ValueError("--submission_files needs --output_file.")
    paths = _paths(values, "submission_files")
    total = average_submissions(paths, values.output_file, _weights(values), values.top_k)
    _logger.info("Average of %d files, %d videos, written to %s", len(paths), total, values.output_file)


def _average_checkpoints(values):
    from yt8m_distill.models import average_checkpoints

    for name in ("train_dir", "output_dir"):
        if not values[name].value:
            raise ValueError(f"--average_checkpoints needs --{name}.")
    steps = average_checkpoints(values.train_dir, values.output_dir, values.average_checkpoints)
    _logger.info("Average of the checkpoints of steps %s written to %s", ", ".join(map(str, steps)), values.output_dir)


def _paths(values, name):
    paths = comma_list(values[name].value)
    if not all(paths):
        raise ValueError(f"--{name} must list paths, separated by commas. Received: {values[name].value!r}.")
    return paths


def _weights(values):
    return number_list("weights", values.weights) if values.weights else None
