"""`eval.py`, `yt8m-eval`: GAP, mAP, Hit@1 and PERR of a trained model, once or for each new checkpoint."""

from __future__ import annotations

import json
import logging
import os
import time

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import create_strategy_from, define_checkpoint_flag, define_strategy_flags

_logger = logging.getLogger(__name__)


def main(argv=None) -> int:
    return run_command("eval.py", "evaluates a trained model on labelled records.", _define_flags, _run, argv)


def _define_flags(groups):
    group = "Evaluation"
    groups.add(group, flags.DEFINE_string, "train_dir", "/tmp/yt8m_model/", "The model to evaluate.")
    groups.add(group, flags.DEFINE_string, "eval_data_pattern", "", "Globs of the evaluation TFRecords.")
    define_checkpoint_flag(groups, group)
    groups.add(
        group, flags.DEFINE_integer, "batch_size", 1024, "Examples a step of each replica.", lower_bound=1
    )
    groups.add(group, flags.DEFINE_integer, "num_readers", 8, "Files read at once.", lower_bound=1)
    groups.add(
        group, flags.DEFINE_integer, "top_k", 20, "Predictions a video for GAP and mAP.", lower_bound=1
    )
    groups.add(
        group, flags.DEFINE_boolean, "run_once", False, "Evaluate once; else each new checkpoint, for ever."
    )
    groups.add(
        group,
        flags.DEFINE_float,
        "eval_interval_secs",
        60.0,
        "Pause between looks for a new checkpoint.",
        lower_bound=0,
    )
    groups.add(group, flags.DEFINE_string, "output_metrics_json", "", "Write the metrics to this file, too.")
    define_strategy_flags(groups)


def _run(values):
    from yt8m_distill.data import list_record_files
    from yt8m_distill.models import checkpoint_path

    files = list_record_files(values.eval_data_pattern, "evaluation")
    _logger.info("Using batch size of %d for evaluation.", values.batch_size)
    _logger.info("number of evaluation files: %d", len(files))
    strategy = create_strategy_from(values)
    if values.run_once:
        _evaluate_checkpoint(values, files, checkpoint_path(values.train_dir, values.checkpoint), strategy)
        return
    evaluated = None
    while True:
        try:
            path = checkpoint_path(values.train_dir, values.checkpoint)
        except FileNotFoundError as error:
            path = None
            _logger.info("%s Looking again in %g s.", error, values.eval_interval_secs)
        if path is not None and path != evaluated:
            _evaluate_checkpoint(values, files, path, strategy)
            evaluated = path
        time.sleep(values.eval_interval_secs)


def _evaluate_checkpoint(values, files, path, strategy):
    import tensorflow as tf

    from yt8m_distill.data import check_first_record, estimate_num_records
    from yt8m_distill.data.atomic_file import open_atomic
    from yt8m_distill.models import (
        checkpoint_step,
        model_config_from_flags,
        read_model_flags,
        restore_weights,
    )
    from yt8m_distill.training import Progress, evaluate

    recorded = read_model_flags(values.train_dir)
    config = model_config_from_flags(recorded, os.path.join(values.train_dir, "model_flags.json"))
    check_first_record(files, config.schema)
    with strategy.scope():
        model = config.build()
        restore_weights(model, path)
    step = checkpoint_step(path)
    _logger.info("Loading checkpoint for eval: %s", path)
    summaries = tf.summary.create_file_writer(os.path.join(values.train_dir, "eval"))
    progress = Progress(estimate_num_records(files))
    done = 0

    def on_batch(batch):
        nonlocal done
        rate = batch["num_examples"] / batch["seconds"]
        if done:
            progress.count(batch["num_examples"])
        else:
            progress.start_timing()  # the first batch traces the model
        done += batch["num_examples"]
        text = (
            f"examples_processed: {done} | global_step {step} | Batch Hit@1: {batch['hit_at_one']:.3f} | "
            f"Batch PERR: {batch['perr']:.3f} | Batch Loss: {batch['loss']:.3f} | Examples_per_sec: {rate:.3f}"
        )
        if progress.is_due():
            progress.show(done, text)
        with summaries.as_default(step=step):
            tf.summary.scalar("GlobalStep/Eval_Hit@1", batch["hit_at_one"])
            tf.summary.scalar("GlobalStep/Eval_Perr", batch["perr"])
            tf.summary.scalar("GlobalStep/Eval_Loss", batch["loss"])
            tf.summary.scalar("GlobalStep/Eval_Example_Second", rate)

    metrics = evaluate(
        model,
        files,
        values.batch_size,
        top_k=values.top_k,
        label_loss=recorded.get("label_loss", "CrossEntropyLoss"),
        num_readers=values.num_readers,
        strategy=strategy,
        on_batch=on_batch,
    )
    progress.close()
    _logger.info("Done with batched inference. Now calculating global performance metrics.")
    _logger.info(
        "epoch/eval number %d | Avg_Hit@1: %.3f | Avg_PERR: %.3f | MAP: %.3f | GAP: %.3f | Avg_Loss: %3f | num_classes: %d",
        step,
        metrics["hit_at_one"],
        metrics["perr"],
        metrics["map"],
        metrics["gap"],
        metrics["loss"],
        metrics["num_classes_with_positives"],
    )
    _logger.info("Total: examples_processed: %d", metrics["num_examples"])
    with summaries.as_default(step=step):
        tf.summary.scalar("Epoch/Eval_Avg_Hit@1", metrics["hit_at_one"])
        tf.summary.scalar("Epoch/Eval_Avg_Perr", metrics["perr"])
        tf.summary.scalar("Epoch/Eval_Avg_Loss", metrics["loss"])
        tf.summary.scalar("Epoch/Eval_MAP", metrics["map"])
        tf.summary.scalar("Epoch/Eval_GAP", metrics["gap"])
    summaries.close()
    if values.output_metrics_json:
        with open_atomic(values.output_metrics_json) as file:
            file.write(json.dumps({"global_step": step, **metrics}, indent=2) + "\n")
