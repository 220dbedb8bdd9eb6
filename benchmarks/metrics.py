"""`EvaluationMetrics` against metrics of plain Python, and at the size of the dataset."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.processes import in_fresh_process, peak_memory_mb
from benchmarks.timing import report_progress
from yt8m_distill.metrics import EvaluationMetrics

_ROOT = Path(__file__).resolve().parents[1]
_TOP_K = 20
_NUM_TEMPLATES = 4
_LABELS_PER_VIDEO = 3
_VIDEOS_OF_DATASET = 1_100_000  # about as many as YouTube-8M validates on


def measure(settings) -> list[dict]:
    """Rows by number of videos: CPU seconds of `accumulate` and of `result`.

    The smaller evaluation is done by plain Python, too, all of it: `times_plain_python` is how many times longer that
    takes than `accumulate` and `result` together. After few videos `result` spends its time on thousands of classes
    of few entries each; over all videos it adds a tenth to a sixth to `accumulate`.

    Raises:
      AssertionError: the two do not agree to 9 digits.
    """
    large = in_fresh_process(measure_evaluation, settings, settings.metrics_large_batches)
    return [in_fresh_process(measure_gain, settings), large]


def measure_evaluation(settings, num_batches: int) -> dict:
    """The row of so many batches, by `EvaluationMetrics` alone, with the memory that they and it take."""
    memory_before = peak_memory_mb()
    row, _ = _evaluate(settings, random_batches(settings, num_batches), num_batches)
    row["peak_memory_growth_mb"] = peak_memory_mb() - memory_before
    share = row["videos"] / _VIDEOS_OF_DATASET
    row["extrapolated_to_dataset_s"] = (row["accumulate_s"] + row["result_s"]) / share
    return row


def measure_gain(settings) -> dict:
    """The row of the evaluation that plain Python does, too."""
    sys.path.insert(0, str(_ROOT))  # the plain Python metrics live among the tests, which are not installed
    from tests.metrics import plain_python_metrics

    batches = list(random_batches(settings, settings.metrics_batches))
    row, result = _evaluate(settings, batches, settings.metrics_batches)
    report_progress(f"metrics: plain Python, {row['videos']} videos")
    predictions, labels = (np.concatenate(parts).tolist() for parts in zip(*batches))
    start = time.process_time()
    expected = plain_python_metrics.evaluate(predictions, labels, _TOP_K)
    row["plain_python_s"] = time.process_time() - start
    assert all(abs(result[name] - value) < 1e-9 for name, value in expected.items()), (result, expected)
    row["times_plain_python"] = row["plain_python_s"] / (row["accumulate_s"] + row["result_s"])
    row["times_plain_python_accumulate_alone"] = row["plain_python_s"] / row["accumulate_s"]
    return row


def _evaluate(settings, batches, num_batches):
    metrics = EvaluationMetrics(settings.num_classes, _TOP_K)
    seconds = num_videos = 0
    for number, (predictions, labels) in enumerate(batches):
        if number % 32 == 0:
            report_progress(f"metrics: batch {number} of {num_batches}")
        start = time.process_time()
        metrics.accumulate(predictions, labels)
        seconds += time.process_time() - start
        num_videos += len(predictions)
    start = time.process_time()
    result = metrics.result()
    row = {
        "videos": num_videos,
        "accumulate_s": seconds,
        "result_s": time.process_time() - start,
        "videos_per_s": num_videos / seconds,
    }
    return row, result


def random_batches(settings, num_batches: int):
    """Predictions float32 and labels bool [B, num_classes] of so many batches.

    Predictions are high for about ten classes a video, most of whose labels are among these. Batches are made of a few
    templates by a rotation of the classes and a factor on the predictions.
    """
    rng = np.random.default_rng(0)
    shape = settings.metrics_batch_size, settings.num_classes
    templates = [_random_videos(rng, shape) for _ in range(min(_NUM_TEMPLATES, num_batches))]
    for number in range(num_batches):
        predictions, labels = templates[number % len(templates)]
        shift = int(rng.integers(settings.num_classes))
        rotated = np.roll(predictions, shift, axis=1)
        rotated *= np.float32(rng.uniform(0.5, 1))
        yield rotated, np.roll(labels, shift, axis=1)


def _random_videos(rng, shape):
    predictions = rng.random(shape, dtype=np.float32)
    np.power(predictions, 200, out=predictions)
    odds = _LABELS_PER_VIDEO / (shape[1] * predictions.mean())
    return predictions, rng.random(shape, dtype=np.float32) < predictions * odds
