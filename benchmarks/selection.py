"""What choosing frames costs: SkipFrame and saliency sampling beside evenly spread frames, from TFRecord to CSV."""

from __future__ import annotations

import functools

import numpy as np

from benchmarks.inference import TEACHER, case_of, rows_of
from benchmarks.records import real_lengths, write_records
from benchmarks.timing import report_progress, time_passes
from yt8m_distill.models import ModelConfig


def measure(settings) -> list[dict]:
    """Rows by way of choosing, as those of `benchmarks/inference.py`; weights are random, so is what is chosen.

    SkipFrame and saliency sampling need the bytes of all frames where evenly spread ones are picked while the record is
    read: that is what they take longer. The network itself reads the chosen frames only, whoever chose them.
    """
    report_progress("selection: writing records")
    lengths = np.full(settings.videos_per_file, settings.max_frames)
    files = write_records(settings, "selection", lengths, settings.num_files)
    warm_up_files = write_records(settings, "selection-warm-up", real_lengths(2, settings.max_frames))
    models = _models(settings)
    cases = {name: case_of(model, settings) for name, model in models.items()}
    timings = time_passes(cases, files, warm_up_files, settings, f"selection: {settings.selection_model}:")
    return rows_of(settings.selection_model, f"{settings.max_frames}", models, timings, lengths)


def _models(settings):
    k = settings.selection_frames
    config = functools.partial(
        ModelConfig,
        settings.selection_model,
        settings.feature_names,
        settings.feature_sizes,
        settings.num_classes,
        settings.max_frames,
    )
    hyperparameters = settings.selection_hyperparameters
    models = {TEACHER: config(hyperparameters=hyperparameters).build()}
    saliency_inputs = f"{settings.feature_names[0]}:{min(64, settings.feature_sizes[0])}"
    for sampling, own in (
        ("uniform", {}),
        ("skip_frame", {}),
        ("saliency", {"saliency_inputs": saliency_inputs}),
    ):
        student = config(frame_sampling=sampling, num_sampled_frames=k, hyperparameters={**hyperparameters, **own})
        models[f"{sampling} {k}"] = student.build(models[TEACHER].classifier)
    return models
