"""Evaluating a model on every record of a dataset."""

from __future__ import annotations

import time

from yt8m_distill.data import evaluation_dataset, readable_errors
from yt8m_distill.metrics import EvaluationMetrics
from yt8m_distill.models import LABEL_LOSSES, VideoClassifier, predict_batches


def evaluate(
    model: VideoClassifier,
    files: list[str],
    batch_size: int = 1024,
    *,
    top_k: int = 20,
    label_loss: str = "CrossEntropyLoss",
    num_readers: int = 1,
    strategy=None,
    on_batch=None,
) -> dict:
    """Exact metrics of a model over record files.

    Args:
      model: as `create_model` or `load_model` makes it.
      files: TFRecord files.
      batch_size: examples of one replica in one step.
      top_k: predictions a video that GAP and mAP are computed from.
      label_loss: name of the loss to report.
      num_readers: files read at once.
      strategy: tf.distribute strategy that the model was made under.
      on_batch: optional function called after each batch with a dict of `num_examples`, `hit_at_one`, `perr`, `loss`
        and `seconds` of that batch.

    Returns:
      Dict of `hit_at_one`, `perr`, `map`, `gap`, `loss`, `num_examples`, `num_classes_with_positives`.

    Raises:
      DataError: records that cannot be read.
      ValueError: unknown label_loss.
    """
    if label_loss not in LABEL_LOSSES:
        raise ValueError(f"label_loss must be one of {', '.join(LABEL_LOSSES)}. Received: {label_loss!r}.")
    config = model.model_config
    replicas = strategy.num_replicas_in_sync if strategy is not None else 1
    dataset = evaluation_dataset(
        files, config.schema, batch_size * replicas, config.sampler, num_readers=num_readers
    )
    metrics = EvaluationMetrics(num_classes=config.num_classes, top_k=top_k)
    started = time.perf_counter()
    with readable_errors(files, config.schema):
        for batch in predict_batches(model, dataset, strategy):
            predictions, labels = batch["predictions"], batch["labels"]
            losses = LABEL_LOSSES[label_loss](labels, predictions).numpy()
            means = metrics.accumulate(predictions, labels, losses)
            finished = time.perf_counter()
            if on_batch is not None:
                on_batch({"num_examples": len(labels), **means, "seconds": finished - started})
            started = finished
    return metrics.result()
