"""What `inference.py --segment_labels` does: a trained model's predictions of segments as a 2019 submission CSV."""

from __future__ import annotations

import logging

from absl import flags

from yt8m_distill.cli.common_flags import log_batch_size

_logger = logging.getLogger(__name__)

_ONLY_WITH_SEGMENTS = ("segment_label_ids_file", "segment_max_pred")


def define_segment_flags(groups):
    group = "Segments"
    groups.add(
        group,
        flags.DEFINE_boolean,
        "segment_labels",
        False,
        "Classify segments of 5 seconds and write the 2019 challenge's CSV: for each class its best segments.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "segment_label_ids_file",
        "",
        "Classes that count, one a line, such as the challenge's segment_label_ids.csv; by default all.",
    )
    groups.add(group, flags.DEFINE_integer, "segment_max_pred", 100000, "Most segments of a class.", lower_bound=1)


def check_segment_flags(values):
    """ValueError for a flag that means nothing without --segment_labels."""
    for name in _ONLY_WITH_SEGMENTS:
        if values[name].present and not values.segment_labels:
            raise ValueError(f"--{name} needs --segment_labels.")


def check_reads_segments(config):
    """ValueError for a model whose records have no segments, or that goes on in steps as long as one."""
    if not config.frame_level:
        raise ValueError("--segment_labels needs a frame-level model; this one reads mean features of whole videos.")
    if config.frame_sampling == "skip_frame":
        raise ValueError(
            "--segment_labels does not go with a model of --frame_sampling=skip_frame: it chooses among the frames of "
            "a whole video, and would read little more than the first one of a segment."
        )


def write_segment_predictions(values, model, files, strategy, skipped=None):
    """Writes --output_file from the segments of all videos of the record files.

    `skipped` as of `window_dataset`.
    """
    from yt8m_distill.data import estimate_num_records, readable_errors, window_dataset
    from yt8m_distill.models import predict_batches
    from yt8m_distill.serving import read_segment_classes, write_segment_submission
    from yt8m_distill.training import Progress

    schema = model.schema
    classes = None
    if values.segment_label_ids_file:
        classes = read_segment_classes(values.segment_label_ids_file, schema.num_classes)
    batch_size = values.batch_size * strategy.num_replicas_in_sync
    log_batch_size(values, strategy, "inference")
    dataset = window_dataset(files, schema, batch_size, num_readers=values.num_readers, skipped=skipped)
    progress = Progress(estimate_num_records(files, skip_bad=skipped is not None), unit="videos")
    num_videos = 0

    def batches():
        nonlocal num_videos
        for batch in predict_batches(model, dataset, strategy):
            begun = int((batch["start_times"] == 0).sum())
            progress.count_batch(begun)
            num_videos += begun
            yield batch["video_ids"], batch["start_times"], batch["predictions"]

    def on_batch(num_segments):
        if progress.is_due():
            progress.show(num_videos, f"num segments processed: {num_segments} | videos/sec: {progress.rate:.2f}")

    with readable_errors(files, schema):
        total = write_segment_submission(
            values.output_file, batches(), values.top_k, values.segment_max_pred, classes, on_batch
        )
    progress.close()
    _logger.info("Done with inference. %d segments of %d videos written to %s", total, num_videos, values.output_file)
