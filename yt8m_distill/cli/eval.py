"""`eval.py`, `yt8m-eval`: GAP, mAP, Hit@1 and PERR of a trained model, once or for each new checkpoint."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import (
    comma_list,
    create_strategy_from,
    define_bad_records_flag,
    define_batch_size_flag,
    define_checkpoint_flag,
    define_num_frames_flag,
    define_strategy_flags,
    define_teacher_checkpoint_flag,
    log_batch_size,
    on_num_frames,
    skipped_records_from,
)
from yt8m_distill.cli.segment_inference import check_reads_segments

_logger = logging.getLogger(__name__)


def main(argv=None) -> int:
    return run_command("eval.py", "evaluates a trained model on labelled records.", _define_flags, _run, argv)


def _define_flags(groups):
    group = "Evaluation"
    groups.add(group, flags.DEFINE_string, "train_dir", "/tmp/yt8m_model/", "The model to evaluate.")
    groups.add(group, flags.DEFINE_string, "eval_data_pattern", "", "Globs of the evaluation TFRecords.")
    define_checkpoint_flag(groups, group)
    define_num_frames_flag(groups, group)
    groups.add(
        group,
        flags.DEFINE_string,
        "teacher_dir",
        "",
        "Also state how far the model agrees with this one, its teacher; or with several, comma-separated.",
    )
    define_teacher_checkpoint_flag(groups, group)
    define_batch_size_flag(groups, group, 1024)
    groups.add(group, flags.DEFINE_integer, "num_readers", 8, "Files read at once.", lower_bound=1)
    define_bad_records_flag(groups, group)
    groups.add(group, flags.DEFINE_integer, "top_k", 20, "Predictions a video for GAP and mAP.", lower_bound=1)
    groups.add(
        group,
        flags.DEFINE_boolean,
        "segment_labels",
        False,
        "Evaluate on the rated segments of frame-level records (2019) instead of whole videos.",
    )
    groups.add(group, flags.DEFINE_boolean, "run_once", False, "Evaluate once; else each new checkpoint, for ever.")
    groups.add(
        group,
        flags.DEFINE_float,
        "eval_interval_secs",
        60.0,
        "Pause between looks for a new checkpoint.",
        lower_bound=0,
        upper_bound=86400 * 365,
    )
    groups.add(group, flags.DEFINE_string, "output_metrics_json", "", "Write the metrics to this file, too.")
    define_strategy_flags(groups)


def _run(values):
    from yt8m_distill.data import list_record_files
    from yt8m_distill.models import checkpoint_path

    files = list_record_files(values.eval_data_pattern, "evaluation")
    strategy = create_strategy_from(values, stands_alone=True)
    log_batch_size(values, strategy, "evaluation")
    _logger.info("number of evaluation files: %d", len(files))
    with strategy.scope():
        teacher = _load_teacher(values)
    if values.run_once:
        _evaluate_checkpoint(values, files, checkpoint_path(values.train_dir, values.checkpoint), strategy, teacher)
        return
    evaluated = None
    while True:
        try:
            path = checkpoint_path(values.train_dir, values.checkpoint)
        except FileNotFoundError as error:
            path = None
            _logger.info("%s Looking again in %g s.", error, values.eval_interval_secs)
        if path is not None and path != evaluated:
            _evaluate_checkpoint(values, files, path, strategy, teacher)
            evaluated = path
        time.sleep(values.eval_interval_secs)


def _evaluate_checkpoint(values, files, path, strategy, teacher):
    from yt8m_distill.data.atomic_file import open_atomic
    from yt8m_distill.models import checkpoint_step

    # Opened first: who cannot write there should not learn it after hours.
    output = open_atomic(values.output_metrics_json) if values.output_metrics_json else contextlib.nullcontext()
    with output as file, skipped_records_from(values) as skipped:
        metrics = _metrics_of_checkpoint(values, files, path, strategy, teacher, skipped)
        if file is not None:
            file.write(json.dumps({"global_step": checkpoint_step(path), **metrics}, indent=2) + "\n")


def _metrics_of_checkpoint(values, files, path, strategy, teacher, skipped):
    from yt8m_distill.data import check_first_record, check_rated_segments, estimate_num_records
    from yt8m_distill.models import checkpoint_step, load_model_at, load_model_config, read_model_flags
    from yt8m_distill.training import evaluate, predictions_of

    config = on_num_frames(load_model_config(values.train_dir), values)
    if values.segment_labels:
        check_reads_segments(config)
        check_rated_segments(files, config.schema, skip_bad=skipped is not None)
    check_first_record(files, config.schema, skip_bad=skipped is not None)
    with strategy.scope():
        model = load_model_at(config, path)
    _logger.info("Loading checkpoint for eval: %s", path)
    settings = {"num_readers": values.num_readers, "strategy": strategy, "segments": values.segment_labels}
    settings["skipped"] = skipped
    if teacher is not None and skipped is not None and teacher.schema != model.schema:
        raise ValueError(
            "--bad_records=skip does not go with a --teacher_dir that reads other features: a record may be bad for "
            "one of the two. Leave one out."
        )
    num_records = estimate_num_records(files, segments=values.segment_labels, skip_bad=skipped is not None)
    log = EvaluationLog(
        os.path.join(values.train_dir, "eval"), num_records, checkpoint_step(path), values.segment_labels
    )
    metrics = evaluate(
        model,
        files,
        values.batch_size,
        top_k=values.top_k,
        label_loss=read_model_flags(values.train_dir).get("label_loss", "CrossEntropyLoss"),
        **settings,
        on_batch=log.batch,
        teacher_predictions=predictions_of(teacher, files, values.batch_size, **settings) if teacher else None,
    )
    log.epoch(metrics)
    return metrics


def _load_teacher(values):
    from yt8m_distill.models import load_teacher

    train_dirs = comma_list(values.teacher_dir) if values.teacher_dir else ()
    return load_teacher(train_dirs, values.teacher_checkpoint) if train_dirs else None


class EvaluationLog:
    """The lines and TensorBoard scalars (none without a summary_dir) of one evaluation, worded as the original's."""

    def __init__(self, summary_dir, num_records, step, segments=False):
        import tensorflow as tf

        from yt8m_distill.training import Progress

        self.step = step
        self._summaries = tf.summary.create_noop_writer()
        if summary_dir:
            self._summaries = tf.summary.create_file_writer(summary_dir)
        self._progress = Progress(num_records)
        self._tag = "SegEval" if segments else "Eval"
        self._done = 0

    def batch(self, means):
        rate = means["num_examples"] / means["seconds"]
        self._progress.count_batch(means["num_examples"])
        self._done += means["num_examples"]
        if self._progress.is_due():
            self._progress.show(
                self._done,
                f"examples_processed: {self._done} | global_step {self.step} | "
                f"Batch Hit@1: {means['hit_at_one']:.3f} | Batch PERR: {means['perr']:.3f} | "
                f"Batch Loss: {means['loss']:.3f} | Examples_per_sec: {rate:.3f}",
            )
        self._write_scalars(
            f"GlobalStep/{self._tag}_",
            {"Hit@1": means["hit_at_one"], "Perr": means["perr"], "Loss": means["loss"], "Example_Second": rate},
        )

    def epoch(self, metrics):
        self._progress.close()
        _logger.info("Done with batched inference. Now calculating global performance metrics.")
        _logger.info(
            "epoch/eval number %d | Avg_Hit@1: %.3f | Avg_PERR: %.3f | MAP: %.3f | GAP: %.3f | Avg_Loss: %3f | "
            "num_classes: %d",
            self.step,
            metrics["hit_at_one"],
            metrics["perr"],
            metrics["map"],
            metrics["gap"],
            metrics["loss"],
            metrics["num_classes_with_positives"],
        )
        if "segment_map" in metrics:
            _logger.info("Segment mAP: %.6f over %d rated pairs", metrics["segment_map"], metrics["num_rated_pairs"])
        if "kl" in metrics:
            names = [name for name in metrics if name.endswith("_agreement")]
            values = [f"{name}: {metrics[name]:.3f}" for name in names]
            _logger.info("With the teacher | %s | kl: %.3f", " | ".join(values), metrics["kl"])
        _logger.info("Total: examples_processed: %d", metrics["num_examples"])
        averages = {"Avg_Hit@1": "hit_at_one", "Avg_Perr": "perr", "Avg_Loss": "loss", "MAP": "map", "GAP": "gap"}
        averages.update({"Segment_MAP": "segment_map"} if "segment_map" in metrics else {})
        averages.update({name: name for name in metrics if name.endswith("_agreement") or name == "kl"})
        self._write_scalars(f"Epoch/{self._tag}_", {tag: metrics[name] for tag, name in averages.items()})
        self._summaries.close()

    def _write_scalars(self, prefix, scalars):
        import tensorflow as tf

        with self._summaries.as_default(step=self.step):
            for tag, value in scalars.items():
                tf.summary.scalar(prefix + tag, value)
