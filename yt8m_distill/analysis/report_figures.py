"""Which figures a study's report has: what of the results each one shows, and the caption that says so."""

from __future__ import annotations

import os
from typing import NamedTuple

from yt8m_distill.analysis import encodings, plots
from yt8m_distill.analysis.report_tables import method_title
from yt8m_distill.analysis.study_results import BASELINE, FAIR_BASELINE, PUBLISHED, Method, StudyResults, summary
from yt8m_distill.analysis.study_run import train_dir_of
from yt8m_distill.analysis.video_pictures import frames_of, frames_of_selectors
from yt8m_distill.data import list_record_files
from yt8m_distill.models import checkpoint_path, load_model_at, load_model_config

_NUM_VIDEOS = 600


class FigureFile(NamedTuple):
    """A PNG beside the report."""

    name: str
    title: str
    caption: str


def write_gap_figures(study_dir: str, results: StudyResults) -> list[FigureFile]:
    """GAP against frames and against MACs; ValueError if no method has finished a run."""
    methods = shown_methods(results)
    caption = (
        "Shown: uniform selection, the best other selector, the best published serial and parallel distillation, the "
        "strongest fair baseline and the best other method, each by its GAP averaged over k and where the study has "
        "one. Bars and the band: ± one sample standard deviation over seeds."
    )
    by_frames = FigureFile(f"gap_by_frames_{results.model}.png", "GAP against frames", caption)
    by_macs = FigureFile(f"gap_by_macs_{results.model}.png", "GAP against cost", "The same methods.")
    _write_gap_figure(study_dir, by_frames, results, methods, None, "frames read of a video (k)")
    _write_gap_figure(study_dir, by_macs, results, methods, "macs", "multiply-accumulates a video (millions)")
    return [by_frames, by_macs]


def write_encodings_figure(study_dir: str, results: StudyResults, eval_data_pattern: str) -> FigureFile:
    """Encodings of evaluation videos by the teacher and by the best distilled student, by t-SNE.

    Raises:
      OSError, ValueError: no teacher or no student has finished, or their files or the records cannot be read.
    """
    teacher = results.rows(None).dropna(subset=["gap"])
    # A teacher fine-tuned on k frames has a scheme, too, and is no student.
    is_student = (results.runs["scheme"] != "") & (results.runs["group"] != FAIR_BASELINE)
    students = results.runs[is_student & results.runs["gap"].notna()]
    if teacher.empty or students.empty:
        raise ValueError("there is no finished teacher and student yet.")
    student_run = students.loc[students["gap"].idxmax()]
    teacher_run = teacher.loc[(teacher["seed"] != student_run["seed"]).idxmin()]  # of the same seed if there is one
    runs = (teacher_run, student_run)
    models = [_trained_model(study_dir, run) for run in runs]
    files = list_record_files(eval_data_pattern, "evaluation")
    labels = encodings.read_labels(files, models[0].schema)
    classes = encodings.choose_classes(labels)
    positions, class_of_video = encodings.choose_videos(labels, classes, _NUM_VIDEOS)
    of_models = [encodings.encode_videos(model, files, positions) for model in models]
    points = encodings.embed_in_plane(of_models)
    is_joint = of_models[0].shape == of_models[1].shape
    teacher_title = f"Teacher, all frames (seed {teacher_run['seed']})"
    k = int(student_run["num_sampled_frames"])
    student_title = f"{_method_of(results, student_run)}, k={k} (seed {student_run['seed']})"
    figure = FigureFile(
        f"encodings_{results.model}.png",
        "Encodings of teacher and student",
        f"t-SNE (seeded) of the encodings of {len(positions)} evaluation videos, "
        + ("embedded together: the same place is the same encoding. " if is_joint else "each by itself. ")
        + f"The student is the one of the highest GAP. Classes: of the {encodings.NUM_FREQUENT} most frequent, "
        f"{len(classes)} that occur together least (one by one, that whose highest correlation of label columns with "
        "those chosen is lowest); of each the first videos that have none of the others.",
    )
    drawn = plots.encodings_figure({teacher_title: points[0], student_title: points[1]}, class_of_video)
    plots.save_figure(drawn, os.path.join(study_dir, figure.name))
    return figure


def write_frames_figure(study_dir: str, results: StudyResults) -> FigureFile:
    """Frames of one video that the selectors and a trained student read; raises as `write_encodings_figure`."""
    is_trained = results.runs["choice"] == ""  # a choice has no train_dir of its own
    finished = results.runs[is_trained & results.runs["num_sampled_frames"].notna() & results.runs["gap"].notna()]
    for _, run in finished.sort_values("gap", ascending=False).iterrows():
        trained = _model_config(study_dir, run)
        if trained.sampler is not None:  # what a network chooses differs from video to video: see frames.py
            break
    else:
        raise ValueError("no run of a selector has finished yet.")
    k = int(run["num_sampled_frames"])
    num_frames = trained.max_frames
    selectors = frames_of_selectors(num_frames, k, num_frames)
    model = [("model, evaluation", frames_of(trained.sampler, num_frames))]
    if trained.sampler.jitter or trained.sampler.method == "random":
        model += [(f"model, training {n + 1}", frames_of(trained.sampler, num_frames, n)) for n in range(3)]
    figure = FigureFile(
        f"frames_{results.model}.png",
        "Frames read",
        f"Frames that each selector reads of a video of {num_frames} frames at k={k}, and those of the model of the "
        f"highest GAP ({_method_of(results, run)}), in training as it draws them.",
    )
    plots.save_figure(plots.frames_figure(selectors, model, num_frames), os.path.join(study_dir, figure.name))
    return figure


def shown_methods(results: StudyResults) -> list[Method]:
    """The methods of the curves: few enough to tell apart, the best of each kind."""
    methods, uniform = results.methods, results.uniform
    kinds = [
        [m for m in methods if m == uniform],
        [m for m in methods if m.group == BASELINE and m != uniform],
        [m for m in methods if m.group == PUBLISHED and m.scheme == "serial"],
        [m for m in methods if m.group == PUBLISHED and m.scheme == "parallel"],
        [m for m in methods if m.group == FAIR_BASELINE],
        [m for m in methods if m.group not in (BASELINE, PUBLISHED, FAIR_BASELINE)],
    ]
    best = [results.best_method(kind) for kind in kinds]
    return [m for m in best if m is not None]


def _write_gap_figure(study_dir, figure, results, methods, cost_column, x_label):
    """`cost_column` counts something in ones, which is shown in millions; None for k."""

    def millions(method, k):
        cost = results.mean(cost_column, method, k)
        return None if cost is None else cost / 1e6

    curves = {}
    for method in methods:
        points = [(k, summary(results.values("gap", method, k))) for k in results.num_sampled_frames]
        points = [(k, gap) for k, gap in points if gap is not None]
        if cost_column:
            points = [(millions(method, k), gap) for k, gap in points]
        points = [(x, gap) for x, gap in points if x is not None]
        if points:
            curves[method_title(method)] = points
    if not curves:
        raise ValueError("no method has finished a run yet, or none has recorded its MACs.")
    gap = summary(results.values("gap", None))
    teacher = None if gap is None else (millions(None, None) if cost_column else None, gap)
    drawn = plots.gap_figure(curves, teacher, x_label, log_x=cost_column is not None)
    plots.save_figure(drawn, os.path.join(study_dir, figure.name))


def _trained_model(study_dir, run):
    config = _model_config(study_dir, run)  # names a missing train_dir better than the checkpoint does
    return load_model_at(config, checkpoint_path(train_dir_of(study_dir, run["run"]), run["checkpoint"]))


def _model_config(study_dir, run):
    """The model of a row; that of a student of several budgets reads the row's number of frames."""
    config = load_model_config(train_dir_of(study_dir, run["run"]))
    return config.with_num_sampled_frames(int(run["num_sampled_frames"])) if config.frame_budgets else config


def _method_of(results, run):
    return next(method_title(m) for m in results.methods if m.name == run["method"])
