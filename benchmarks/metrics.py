"""Time and memory of `EvaluationMetrics` on 1.1 million random videos, and its gain on plain Python.

Command, from the repository root: `python benchmarks/metrics.py`. It takes two minutes of one core.

Result on a Xeon of 2.5 GHz with AVX-512, busy with other work (CPU seconds of one core; peak memory above
what the process held before; gain is the time of plain Python over that of `EvaluationMetrics`):

| numpy  | accumulate | result | peak memory | gain, accumulate alone | gain, accumulate and result |
|--------|------------|--------|-------------|------------------------|-----------------------------|
| 1.26.4 | 77 s       | 7.6 s  | 0.69 GB     | 55                     | 18                          |
| 2.5.5  | 39 s       | 6.6 s  | 0.69 GB     | 80                     | 15                          |

The gains are for a single batch of 1024 videos, timed once, so they vary from run to run (43 and 55 were
seen with numpy 1.26.4). After one batch `result` spends its time on 3862 classes of few entries; over all
videos it adds only a tenth to a sixth to `accumulate`.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the plain Python metrics live among the tests, which are not installed

from tests.metrics import plain_python_metrics  # noqa: E402
from yt8m_distill.metrics import EvaluationMetrics  # noqa: E402

NUM_TEMPLATES = 4
LABELS_PER_VIDEO = 3


def main():
    args = parse_args()
    rng = np.random.default_rng(args.seed)
    templates = [random_videos(rng, args.batch_size, args.num_classes) for _ in range(NUM_TEMPLATES)]
    print(f"numpy {np.__version__}: {args.num_videos:,} videos, {args.num_classes} classes, top {args.top_k}")
    measure_evaluation(args, rng, templates)
    measure_gain(args, *templates[0])


def measure_evaluation(args, rng, templates):
    """Prints the CPU seconds of `accumulate` and `result`, and by how much they raise the peak memory."""
    metrics = EvaluationMetrics(args.num_classes, args.top_k)
    memory_before = peak_memory_mb()
    accumulate_seconds = 0.0
    for predictions, labels in random_batches(rng, templates, args.num_videos):
        start = time.process_time()
        metrics.accumulate(predictions, labels)
        accumulate_seconds += time.process_time() - start
    accumulate_memory = peak_memory_mb() - memory_before
    start = time.process_time()
    result = metrics.result()
    result_seconds = time.process_time() - start
    result_memory = peak_memory_mb() - memory_before

    videos_per_second = args.num_videos / accumulate_seconds
    print(f"accumulate: {accumulate_seconds:.1f} CPU s ({videos_per_second:,.0f} videos/s)")
    print(f"result: {result_seconds:.1f} CPU s")
    print(f"peak memory growth: {accumulate_memory:.0f} MB in accumulate, {result_memory:.0f} MB in result")
    print(", ".join(f"{name} {value:.6g}" for name, value in result.items()))


def measure_gain(args, predictions, labels):
    """Prints the CPU time of the plain Python metrics over that of `EvaluationMetrics` for one batch."""
    lists = predictions.tolist(), labels.tolist()
    start = time.process_time()
    expected = plain_python_metrics.evaluate(*lists, args.top_k)
    plain_seconds = time.process_time() - start
    start = time.process_time()
    metrics = EvaluationMetrics(args.num_classes, args.top_k)
    metrics.accumulate(predictions, labels)
    accumulate_seconds = time.process_time() - start
    result = metrics.result()
    seconds = time.process_time() - start
    assert all(abs(result[name] - value) < 1e-9 for name, value in expected.items()), (result, expected)
    print(
        f"plain Python, one batch of {len(predictions)}: {plain_seconds:.2f} CPU s, "
        f"{plain_seconds / seconds:.0f} times accumulate and result, "
        f"{plain_seconds / accumulate_seconds:.0f} times accumulate alone"
    )


def random_videos(rng, num_videos, num_classes):
    """Predictions that are high for about ten classes a video, most of whose labels are among these."""
    predictions = rng.random((num_videos, num_classes), dtype=np.float32)
    np.power(predictions, 200, out=predictions)
    odds = LABELS_PER_VIDEO / (num_classes * predictions.mean())
    return predictions, rng.random(predictions.shape, dtype=np.float32) < predictions * odds


def random_batches(rng, templates, num_videos):
    """Batches that differ from the templates by a rotation of the classes and a factor on the predictions."""
    batch_size, num_classes = templates[0][0].shape
    for step, first in enumerate(range(0, num_videos, batch_size)):
        predictions, labels = templates[step % len(templates)]
        shift = int(rng.integers(num_classes))
        rotated = np.roll(predictions, shift, axis=1)
        rotated *= np.float32(rng.uniform(0.5, 1))
        size = min(batch_size, num_videos - first)
        yield rotated[:size], np.roll(labels, shift, axis=1)[:size]


def peak_memory_mb():
    """Largest resident memory of this process so far (Linux counts it in KiB, macOS in bytes)."""
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit / 1e6


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--num_videos", type=int, default=1_100_000)
    parser.add_argument("--num_classes", type=int, default=3862)
    parser.add_argument("--top_k", type=int, default=20)
    parser.add_argument("--batch_size", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
