"""Does time follow the MACs? Teachers and few-frame students from TFRecord to submission CSV."""

from __future__ import annotations

import functools
import os

import numpy as np

from benchmarks.records import real_lengths, write_records
from benchmarks.timing import Case, report_progress, time_passes
from yt8m_distill.analysis import model_cost
from yt8m_distill.data import evaluation_dataset
from yt8m_distill.models import ModelConfig, predict_batches
from yt8m_distill.serving import write_submission

TEACHER = "all"


def measure(settings) -> list[dict]:
    """Rows by model, length of the videos and frames read, timed as `inference.py` works, in process.

    Left out is what takes as long for one video as for millions: starting, loading, tracing the model, building the
    input pipeline. `lengths` says whether every video has all `max_frames`, as counts of MACs assume, or as many as in
    YouTube-8M. Ratios are to the teacher that reads all frames: `time_ratio` of the wall-clock, `cpu_ratio` of the CPU
    time, `macs_ratio` of what the network must compute for these very videos. Weights are random.
    """
    rows = []
    lengths_of = {
        f"{settings.max_frames}": np.full(settings.videos_per_file, settings.max_frames),
        "real": real_lengths(settings.videos_per_file, settings.max_frames),
    }
    if settings.smoke:
        del lengths_of["real"]
    files_of = {}
    for kind, lengths in lengths_of.items():
        report_progress(f"inference: writing records of {kind} length")
        files_of[kind] = write_records(settings, f"inference-{kind}", lengths, settings.num_files)
    warm_up_files = write_records(settings, "warm-up", real_lengths(2, settings.max_frames))
    for name in settings.models:
        models = _models(settings, name)
        for kind, files in files_of.items():
            label = f"inference: {name}, {kind} frames:"
            cases = {frames: case_of(model, settings) for frames, model in models.items()}
            timings = time_passes(cases, files, warm_up_files, settings, label)
            rows += rows_of(name, kind, models, timings, lengths_of[kind])
    return rows


def _models(settings, name):
    """The teacher and students of every budget, by frames read. They share the teacher's classifier, to save memory."""
    config = functools.partial(
        ModelConfig,
        name,
        settings.feature_names,
        settings.feature_sizes,
        settings.num_classes,
        settings.max_frames,
        hyperparameters=settings.models[name],
    )
    teacher = config().build()
    students = {str(k): config(num_sampled_frames=k).build(teacher.classifier) for k in settings.budgets}
    return {TEACHER: teacher, **students}


def case_of(model, settings) -> Case:
    """From TFRecords to a submission."""
    path = os.path.join(settings.work_dir, "submission.csv")

    def make_dataset(files):
        return evaluation_dataset(files, model.schema, settings.inference_batch_size, model.sampler)

    def consume(iterator):
        batches = ((batch["video_ids"], batch["predictions"]) for batch in predict_batches(model, iterator))
        write_submission(path, batches)

    return Case(make_dataset, consume)


def rows_of(name, kind, models, timings, lengths) -> list[dict]:
    """One row a model of `models`, by frames read; `TEACHER` is what the others are compared with."""
    macs = {frames: np.mean([model_cost(model, int(n))["macs"] for n in lengths]) for frames, model in models.items()}
    return [
        {
            "model": name,
            "lengths": kind,
            "frames": frames,
            "videos": timing.num_videos,
            "videos_per_s": 1 / timing.seconds,
            "ms_per_video": timing.seconds * 1e3,
            "time_ratio": timing.seconds / timings[TEACHER].seconds,
            "cpu_ratio": timing.cpu_seconds / timings[TEACHER].cpu_seconds,
            "macs_ratio": macs[frames] / macs[TEACHER],
            "gmacs_per_video": macs[frames] / 1e9,
        }
        for frames, timing in timings.items()
    ]
