"""Evaluating a model on every record, or every rated segment, of a dataset."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from yt8m_distill.data import SkippedRecords, evaluation_dataset, readable_errors
from yt8m_distill.metrics import Agreement, EvaluationMetrics, SegmentMetrics
from yt8m_distill.metrics.checks import check_finite
from yt8m_distill.models import LABEL_LOSSES, Ensemble, VideoClassifier, predict_batches


def evaluate(
    model: VideoClassifier | Ensemble,
    files: list[str],
    batch_size: int = 1024,
    *,
    top_k: int = 20,
    label_loss: str = "CrossEntropyLoss",
    num_readers: int = 1,
    strategy=None,
    on_batch=None,
    segments: bool = False,
    teacher_predictions: Iterable[np.ndarray] | None = None,
    skipped: SkippedRecords | None = None,
) -> dict:
    """Exact metrics of a model over record files.

    Args:
      model: as `create_model`, `load_model` or `load_ensemble` makes it.
      files: TFRecord files.
      batch_size: examples of one replica in one step.
      top_k: predictions a video that GAP and mAP are computed from.
      label_loss: name of the loss to report.
      num_readers: files read at once.
      strategy: tf.distribute strategy that the model was made under.
      on_batch: optional function called after each batch with a dict of `num_examples`, `hit_at_one`, `perr`, `loss`
        and `seconds` of that batch.
      segments: evaluate on rated segments instead of whole videos. The loss then counts rated classes only (the
        original's counts all others as negatives); for the other metrics, predictions of unrated classes are 0.
      teacher_predictions: what to state the agreement with, batch by batch as `predictions_of` gives them.
      skipped: leave out bad records and note them here; None fails at the first one.

    Returns:
      Dict of `hit_at_one`, `perr`, `map`, `gap`, `loss`, `num_examples`, `num_classes_with_positives`. Of
      segments, also `segment_map` and `num_rated_pairs` (see `SegmentMetrics`). With teacher_predictions, also what
      `Agreement` gives.

    Raises:
      DataError: records that cannot be read.
      ValueError: unknown label_loss, segments for a video-level model, or teacher_predictions of other classes.
    """
    if label_loss not in LABEL_LOSSES:
        raise ValueError(f"label_loss must be one of {', '.join(LABEL_LOSSES)}. Received: {label_loss!r}.")
    schema = model.schema
    batches = _predicted_batches(model, files, batch_size, num_readers, strategy, segments, skipped)
    agreement = Agreement(top_k)
    of_teacher = iter(teacher_predictions) if teacher_predictions is not None else None
    metrics = EvaluationMetrics(num_classes=schema.num_classes, top_k=top_k)
    segment_metrics = SegmentMetrics(schema.num_classes) if segments else None
    started = time.perf_counter()
    with readable_errors(files, schema):
        for batch in batches:
            predictions, labels = batch["predictions"], batch["labels"]
            label_weights = batch.get("label_weights")
            losses = LABEL_LOSSES[label_loss](labels, predictions, label_weights)
            if of_teacher is not None:
                agreement.accumulate(next(of_teacher), predictions.numpy())
            if segments:
                segment_metrics.accumulate(predictions.numpy(), labels, label_weights)
                predictions = predictions * label_weights
            means = metrics.accumulate_ranked(*_ranked(predictions, metrics.depth_of(labels)), labels, losses.numpy())
            finished = time.perf_counter()
            if on_batch is not None:
                on_batch({"num_examples": len(labels), **means, "seconds": finished - started})
            started = finished
    return {
        **metrics.result(),
        **(segment_metrics.result() if segments else {}),
        **(agreement.result() if of_teacher is not None else {}),
    }


def predictions_of(
    model: VideoClassifier | Ensemble,
    files: list[str],
    batch_size: int = 1024,
    *,
    num_readers: int = 1,
    strategy=None,
    segments: bool = False,
    skipped: SkippedRecords | None = None,
) -> Iterator[np.ndarray]:
    """Predictions of all records or rated segments, float32 [B, C], in the batches that `evaluate` sees.

    Raises:
      DataError: records that cannot be read.
    """
    with readable_errors(files, model.schema):
        for batch in _predicted_batches(model, files, batch_size, num_readers, strategy, segments, skipped):
            yield batch["predictions"].numpy()


def _predicted_batches(model, files, batch_size, num_readers, strategy, segments, skipped):
    replicas = strategy.num_replicas_in_sync if strategy is not None else 1
    settings = {"num_readers": num_readers, "segments": segments, "skipped": skipped}
    dataset = evaluation_dataset(files, model.schema, batch_size * replicas, model.sampler, **settings)
    return predict_batches(model, dataset, strategy)


def _ranked(predictions, depth):
    """The best classes and their predictions, [B, depth], found on the device that predicted.

    Raises:
      ValueError: a prediction is NaN or infinite.
    """
    if not tf.reduce_all(tf.math.is_finite(predictions)):
        check_finite(predictions.numpy())
    scores, classes = tf.math.top_k(predictions, depth)
    return classes.numpy(), scores.numpy()
