"""Runs of a study that train nothing: a trained network is evaluated on frames that are chosen for it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from yt8m_distill.data import evaluation_dataset, readable_errors
from yt8m_distill.metrics import EvaluationMetrics
from yt8m_distill.selection.reference_choices import NUM_PLACES, count_places, empirical_choice, oracle_choice

CHOICES = ("sampler", "oracle", "empirical")
_BATCH_SIZE = 64
_WINDOW = 5  # frames that are judged together, as in saliency sampling
_VIDEOS_FOR_PLACES = 2000


def evaluate_choice(model, sampler, choice: str, num_chosen: int, files: list[str], train_files: list[str]) -> dict:
    """Metrics of a model on chosen frames.

    Args:
      model: `VideoClassifier` that reads all frames it is given.
      sampler: `FrameSampler` of choice `sampler`.
      choice: `sampler`; `oracle`, which knows the labels; or `empirical`, by where the oracle finds its frames in the
        first 2000 training videos.
      num_chosen: k.
      files: evaluation records.
      train_files: training records, for `empirical`.

    Returns:
      As `EvaluationMetrics.result`.

    Raises:
      DataError: records that cannot be read.
    """
    counts = _oracle_places(model, num_chosen, train_files) if choice == "empirical" else None
    metrics, first = EvaluationMetrics(model.schema.num_classes), 0
    for batch in _batches(model, files):
        frames, num_frames, labels = batch
        if choice == "oracle":
            indices, num_read = oracle_choice(model, frames, num_frames, labels, num_chosen, _WINDOW)
        elif choice == "empirical":
            seeds = np.arange(first, first + len(labels))
            indices, num_read = empirical_choice(counts, num_frames, num_chosen, seeds)
        else:
            indices, num_read = sampler.sample(num_frames, tf.range(first, first + len(labels), dtype=tf.int64))
        first += len(labels)
        chosen = tf.gather(frames, indices, batch_dims=1)
        inputs = {"sampled_frames": chosen, "num_sampled_frames": tf.cast(num_read, tf.int32)}
        metrics.accumulate(model.predictions_of(inputs).numpy(), labels.numpy())
    return metrics.result()


def _oracle_places(model, num_chosen, files):
    counts, num_videos = np.zeros(NUM_PLACES, np.int64), 0
    for frames, num_frames, labels in _batches(model, files):
        indices, num_read = oracle_choice(model, frames, num_frames, labels, num_chosen, _WINDOW)
        count_places(counts, indices, num_read, num_frames)
        num_videos += len(labels)
        if num_videos >= _VIDEOS_FOR_PLACES:
            break
    return counts


def _batches(model, files):
    with readable_errors(files, model.schema):
        for batch in evaluation_dataset(files, model.schema, _BATCH_SIZE, None):
            yield batch["frames"], tf.cast(batch["num_frames"], tf.int32), batch["labels"]
