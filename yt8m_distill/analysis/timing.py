"""What a model takes in time: from records to predictions."""

from __future__ import annotations

import time

from yt8m_distill.data import evaluation_dataset
from yt8m_distill.models import VideoClassifier, predict_batches


def seconds_per_1000_videos(
    model: VideoClassifier, files: list[str], batch_size: int = 256, max_videos: int = 1024, num_passes: int = 3
) -> float:
    """Times passes over records, and gives the best one in seconds per 1000 videos.

    Reading, choosing and decoding frames and the network are in it. What takes as long for one video as for millions is
    not: building the model, tracing it, starting the input pipeline.

    Args:
      model: what predicts.
      files: TFRecord files.
      batch_size: videos a step.
      max_videos: only the first videos, up to the batch that completes so many.
      num_passes: timed ones; one more, before them, traces the model.

    Raises:
      DataError: records that cannot be read.
    """
    num_batches = -(-max_videos // batch_size)
    dataset = evaluation_dataset(files, model.schema, batch_size, model.sampler).take(num_batches)
    _timed_pass(model, dataset)
    return min(_timed_pass(model, dataset) for _ in range(num_passes))


def _timed_pass(model, dataset):
    batches = iter(dataset)
    started = time.perf_counter()
    num_videos = sum(len(batch["predictions"].numpy()) for batch in predict_batches(model, batches))
    return 1000 * (time.perf_counter() - started) / num_videos
