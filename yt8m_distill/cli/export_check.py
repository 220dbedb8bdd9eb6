"""What exporting a model costs in GAP: the exported model and the trained one on the same labelled records."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from yt8m_distill.data import evaluation_dataset, readable_errors
from yt8m_distill.metrics import EvaluationMetrics
from yt8m_distill.models import VideoClassifier, predict_batches
from yt8m_distill.serving import LiteRtModel

_BATCH_SIZE = 64


class Comparison(NamedTuple):
    """Attributes:
    num_videos: on which both were compared.
    gap, exported_gap: of the trained and of the exported model, over 20 predictions a video.
    largest_difference: of any prediction.
    """

    num_videos: int
    gap: float
    exported_gap: float
    largest_difference: float


def compare_on_records(model: VideoClassifier, exported: LiteRtModel, files: list[str], max_videos: int) -> Comparison:
    """Predicts the first videos of some files with both models.

    Raises:
      DataError: records that cannot be read.
      ValueError: none of the videos has a label.
    """
    schema = model.schema
    dataset = evaluation_dataset(files, schema, _BATCH_SIZE, model.sampler)
    dataset = dataset.unbatch().take(max_videos).batch(_BATCH_SIZE)
    metrics, exported_metrics = EvaluationMetrics(schema.num_classes), EvaluationMetrics(schema.num_classes)
    largest_difference = 0.0
    with readable_errors(files, schema):
        for batch, exported_batch in zip(predict_batches(model, dataset), predict_batches(exported, dataset)):
            predictions, exported_predictions = (np.asarray(b["predictions"]) for b in (batch, exported_batch))
            metrics.accumulate(predictions, batch["labels"])
            exported_metrics.accumulate(exported_predictions, batch["labels"])
            largest_difference = max(largest_difference, float(np.abs(predictions - exported_predictions).max()))
    result = metrics.result()
    if not result["num_classes_with_positives"]:
        raise ValueError(
            f"--check_data_pattern: none of {result['num_examples']} videos has a label, so there is no GAP. The model "
            "is exported; to check it, name labelled records."
        )
    return Comparison(result["num_examples"], result["gap"], exported_metrics.result()["gap"], largest_difference)
