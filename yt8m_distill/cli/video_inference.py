"""What `inference.py` does without --segment_labels: predictions of whole videos as a submission CSV or JSON lines."""

from __future__ import annotations

import functools
import logging
import time

from absl import flags

from yt8m_distill.cli.common_flags import log_batch_size

_logger = logging.getLogger(__name__)


def define_format_flags(groups):
    group = "Inference"
    groups.add(
        group,
        flags.DEFINE_enum,
        "output_format",
        "csv",
        ["csv", "jsonl"],
        "csv: the submission CSV. jsonl: for each video a line of JSON, with the same classes and scores.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "vocabulary",
        "",
        "The dataset's CSV of class names (YouTube-8M's vocabulary.csv, AudioSet's class_labels_indices.csv): adds "
        "names to --output_format=jsonl.",
    )


def check_format_flags(values):
    """ValueError for formats that do not go together."""
    if values.vocabulary and values.output_format != "jsonl":
        raise ValueError("--vocabulary needs --output_format=jsonl: the submission CSV has no place for names.")
    if values.segment_labels and values.output_format != "csv":
        raise ValueError(f"--segment_labels writes a CSV: leave out --output_format={values.output_format}.")


def prediction_writer(values, num_classes):
    """The function that writes --output_format, called as `write_submission`."""
    from yt8m_distill.data import read_vocabulary
    from yt8m_distill.serving import write_json_lines, write_submission

    if values.output_format == "csv":
        return write_submission
    names = read_vocabulary(values.vocabulary, num_classes) if values.vocabulary else None
    return functools.partial(write_json_lines, names=names)


def write_video_predictions(values, model, files, strategy, write, path, skipped=None) -> int:
    """Writes a file from all videos of the record files, by `write` (see `prediction_writer`); returns how many.

    `skipped` as of `evaluation_dataset`.
    """
    if not files:  # one of more shards than there are files
        return write(path, [], values.top_k)
    from yt8m_distill.data import estimate_num_records, evaluation_dataset, readable_errors
    from yt8m_distill.models import predict_batches
    from yt8m_distill.training import Progress

    batch_size = values.batch_size * strategy.num_replicas_in_sync
    log_batch_size(values, strategy, "inference")
    settings = {"num_readers": values.num_readers, "skipped": skipped, "writable_ids": "videos"}
    dataset = evaluation_dataset(files, model.schema, batch_size, model.sampler, **settings)
    progress = Progress(estimate_num_records(files, skip_bad=skipped is not None))
    started = time.perf_counter()

    def on_batch(num_written):
        progress.reach(num_written)
        if progress.is_due():
            times = f"elapsed seconds: {time.perf_counter() - started:.2f} examples/sec: {progress.rate:.2f}"
            progress.show(num_written, f"num examples processed: {num_written} {times}")

    with readable_errors(files, model.schema):
        batches = ((batch["video_ids"], batch["predictions"]) for batch in predict_batches(model, dataset, strategy))
        total = write(path, batches, values.top_k, on_batch)
    progress.close()
    _logger.info("Done with inference. %d predictions written to %s", total, path)
    return total
