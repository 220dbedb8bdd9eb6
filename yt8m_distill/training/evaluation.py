"""Evaluating a model on every record, or every rated segment, of a dataset."""

from __future__ import annotations

import time

import tensorflow as tf

from yt8m_distill.data import evaluation_dataset, readable_errors
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
    teacher: VideoClassifier | Ensemble | None = None,
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
      teacher: model of the same classes to state the agreement with; the records are read once more for it.

    Returns:
      Dict of `hit_at_one`, `perr`, `map`, `gap`, `loss`, `num_examples`, `num_classes_with_positives`. Of
      segments, also `segment_map` and `num_rated_pairs` (see `SegmentMetrics`). With a teacher, also what `Agreement`
      gives.

    Raises:
      DataError: records that cannot be read.
      ValueError: unknown label_loss, segments for a video-level model, or a teacher of other classes.
    """
    if label_loss not in LABEL_LOSSES:
        raise ValueError(f"label_loss must be one of {', '.join(LABEL_LOSSES)}. Received: {label_loss!r}.")
    schema = model.schema
    replicas = strategy.num_replicas_in_sync if strategy is not None else 1

    def batches_of(predictor):
        settings = {"num_readers": num_readers, "segments": segments}
        dataset = evaluation_dataset(files, predictor.schema, batch_size * replicas, predictor.sampler, **settings)
        return predict_batches(predictor, dataset, strategy)

    if teacher is not None and teacher.schema.num_classes != schema.num_classes:
        raise ValueError(
            f"The teacher predicts {teacher.schema.num_classes} classes, the model {schema.num_classes}: they have no "
            "agreement."
        )
    agreement, of_teacher = Agreement(top_k), batches_of(teacher) if teacher is not None else None
    metrics = EvaluationMetrics(num_classes=schema.num_classes, top_k=top_k)
    segment_metrics = SegmentMetrics(schema.num_classes) if segments else None
    started = time.perf_counter()
    with readable_errors(files, schema):
        for batch in batches_of(model):
            predictions, labels = batch["predictions"], batch["labels"]
            label_weights = batch.get("label_weights")
            losses = LABEL_LOSSES[label_loss](labels, predictions, label_weights)
            if of_teacher is not None:
                agreement.accumulate(next(of_teacher)["predictions"].numpy(), predictions.numpy())
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
        **(agreement.result() if teacher is not None else {}),
    }


def _ranked(predictions, depth):
    """The best classes and their predictions, [B, depth], found on the device that predicted.

    Raises:
      ValueError: a prediction is NaN or infinite.
    """
    if not tf.reduce_all(tf.math.is_finite(predictions)):
        check_finite(predictions.numpy())
    scores, classes = tf.math.top_k(predictions, depth)
    return classes.numpy(), scores.numpy()
