"""`segment_eval_inference.py`, `yt8m-segment-eval`: mAP of a segment submission against the ratings of records."""

from __future__ import annotations

import json
import logging

from absl import flags

from yt8m_distill.cli.command import run_command

_logger = logging.getLogger(__name__)


def main(argv=None) -> int:
    return run_command(
        "segment_eval_inference.py",
        "scores a segment submission against the rated segments of records.",
        _define_flags,
        _run,
        argv,
    )


def _define_flags(groups):
    group = "Segment evaluation"
    groups.add(
        group,
        flags.DEFINE_string,
        "submission_file",
        "",
        "The CSV to score, as inference.py --segment_labels writes it.",
    )
    groups.add(group, flags.DEFINE_string, "eval_data_pattern", "", "Globs of the TFRecords with rated segments.")
    groups.add(
        group,
        flags.DEFINE_string,
        "label_cache",
        "",
        "File of the ratings: read instead of --eval_data_pattern if it exists, else written.",
    )
    groups.add(
        group,
        flags.DEFINE_integer,
        "top_n",
        0,
        "Segments of a class that count, before those that were not rated are left out; 0 for all.",
        lower_bound=0,
    )
    groups.add(group, flags.DEFINE_string, "output_metrics_json", "", "Write the metrics to this file, too.")


def _run(values):
    import tensorflow as tf

    from yt8m_distill.data.atomic_file import open_atomic
    from yt8m_distill.metrics import segment_submission_metrics
    from yt8m_distill.serving import read_segment_submission

    if not values.submission_file:
        raise ValueError("--submission_file must not be empty.")
    if not tf.io.gfile.exists(values.submission_file):
        raise FileNotFoundError(f"--submission_file: cannot find {values.submission_file}.")
    submission = read_segment_submission(values.submission_file)
    metrics = segment_submission_metrics(_ratings(values), submission, values.top_n)
    _logger.info(
        "Rated pairs of a segment and a class: %d, of which the submission holds %d",
        metrics["num_rated_pairs"],
        metrics["num_rated_pairs_submitted"],
    )
    _logger.info("Num classes: %d | mAP@%d: %.6f", metrics["num_classes"], values.top_n, metrics["segment_map"])
    if values.output_metrics_json:
        with open_atomic(values.output_metrics_json) as file:
            file.write(json.dumps({"top_n": values.top_n, **metrics}, indent=2) + "\n")


def _ratings(values):
    import tensorflow as tf

    from yt8m_distill.data import list_record_files, read_label_cache, read_segment_ratings, write_label_cache

    if values.label_cache and tf.io.gfile.exists(values.label_cache):
        _logger.info("Reading the ratings from %s", values.label_cache)
        return read_label_cache(values.label_cache)
    files = list_record_files(values.eval_data_pattern, "evaluation")
    _logger.info("number of evaluation files: %d", len(files))
    ratings = read_segment_ratings(files)
    if values.label_cache:
        write_label_cache(values.label_cache, ratings)
        _logger.info("Ratings written to %s", values.label_cache)
    return ratings
