"""One video at a time on one CPU thread with LiteRT: the H-RNN teacher and students, by precision of the weights."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import numpy as np

from benchmarks.processes import in_fresh_process, peak_memory_mb
from benchmarks.timing import report_progress

MODEL = "HierarchicalLstmModel"
PRECISIONS = ("float32", "float16", "int8")
STUDENT_BUDGETS = (30, 10)
# A video of the teacher takes 0.1 to 1 s.
_ROUNDS, _SECONDS = 30, 120.0


@dataclasses.dataclass(frozen=True)
class Case:
    """One exported model; `num_frames` is the frame budget, None for the teacher, which reads all frames."""

    num_frames: int | None
    precision: str


def measure(settings) -> list[dict]:
    """Rows by model and precision. Weights are random: they change neither time nor memory.

    `ms` is the best of the rounds and `median_ms` their median; all models take turns in one process, a video each.
    `time_ratio` and `memory_ratio` are to the teacher of the same precision, `time_to_float32` to the same model in
    float32. `peak_mb` is what loading the model and predicting one video add to the peak memory of a process of their
    own: the file's pages, which the operating system may drop, included.
    """
    budgets = settings.budgets[:1] if settings.smoke else STUDENT_BUDGETS
    precisions = PRECISIONS[:1] if settings.smoke else PRECISIONS
    cases = [Case(budget, precision) for precision in precisions for budget in (None, *budgets)]
    report_progress("weak_device: exporting")
    in_fresh_process(_export, settings, cases)
    report_progress("weak_device: measuring memory")
    peaks = {case: in_fresh_process(_measure_peak, settings, case) for case in cases}
    report_progress("weak_device: timing")
    times = in_fresh_process(_time_in_turn, settings, cases)
    rows = []
    for case in cases:
        best, median = min(times[case]), float(np.median(times[case]))
        teacher = Case(None, case.precision)
        rows.append(
            {
                "model": _name(case.num_frames),
                "precision": case.precision,
                "file_mb": os.path.getsize(_directory(settings, case) / "model.tflite") / 1e6,
                "ms": best * 1e3,
                "median_ms": median * 1e3,
                "time_ratio": best / min(times[teacher]),
                "time_to_float32": best / min(times[Case(case.num_frames, "float32")]),
                "peak_mb": peaks[case],
                "memory_ratio": peaks[case] / peaks[teacher],
                "rounds": len(times[case]),
            }
        )
    return rows


def _name(num_frames):
    return "teacher" if num_frames is None else f"student k={num_frames}"


def _directory(settings, case):
    return Path(settings.work_dir) / f"litert_{case.num_frames or 'all'}_{case.precision}"


def _export(settings, cases):
    from yt8m_distill.models import create_model
    from yt8m_distill.serving import export_litert

    for case in cases:
        model = create_model(
            MODEL,
            settings.feature_names,
            settings.feature_sizes,
            num_classes=settings.num_classes,
            max_frames=settings.max_frames,
            num_sampled_frames=case.num_frames,
            **settings.models[MODEL],
        )
        export_litert(model, str(_directory(settings, case)), case.precision)


def _measure_peak(settings, case):
    from yt8m_distill.serving import LiteRtModel

    before = peak_memory_mb()
    model = LiteRtModel(str(_directory(settings, case)), num_threads=1)
    model.predict(_video(settings, case))
    return peak_memory_mb() - before


def _time_in_turn(settings, cases):
    """Seconds of each round by case; at most so many rounds, and no further one after so much time."""
    from yt8m_distill.serving import LiteRtModel

    models = {case: LiteRtModel(str(_directory(settings, case)), num_threads=1) for case in cases}
    videos = {case: _video(settings, case) for case in cases}
    times = {case: [] for case in cases}
    for case, model in models.items():
        model.predict(videos[case])  # the first time, memory is touched for the first time
    end = time.perf_counter() + _SECONDS
    for _ in range(1 if settings.smoke else _ROUNDS):
        for case, model in models.items():
            start = time.perf_counter()
            model.predict(videos[case])
            times[case].append(time.perf_counter() - start)
        if time.perf_counter() > end:
            break
    return times


def _video(settings, case):
    """Frames of a video as long as they come, as many as the model reads."""
    num_frames = case.num_frames or settings.max_frames
    return np.random.default_rng(0).integers(0, 256, (num_frames, sum(settings.feature_sizes)), dtype=np.uint8)
