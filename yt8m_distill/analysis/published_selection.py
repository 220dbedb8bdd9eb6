"""The published results of choosing frames and of distilling across resolutions, as they were printed."""

from __future__ import annotations

import dataclasses

from yt8m_distill.analysis.published import SLIDES

SCSAMPLER = "poster of “SCSampler: Sampling Salient Clips from Video for Efficient Action Recognition” (ICCV 2019)"
RESKD = "slides of “Rethinking Resolution in the Context of Efficient Video Recognition” (ResKD, NeurIPS 2022)"


@dataclasses.dataclass(frozen=True)
class PrintedTable:
    """A table as text.

    Attributes:
      title: what was measured, and on what.
      source: where it was printed.
      header: of its columns; the first `num_text_columns` are names, the others hold figures.
      rows: the cells.
    """

    title: str
    source: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_text_columns: int = 1


def _rows(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(cell.strip() for cell in line.split("|")) for line in text.strip().splitlines())


SKIP_FRAME = PrintedTable(
    title="SkipFrame, 10 frames, YouTube-8M (all frames: 5.058 billion FLOPs; 10 of them: .167 billion, and 81,920 of "
    "the policy)",
    source=SLIDES,
    header=("Model", "Reward", "Actions", "GAP", "mAP"),
    rows=_rows("""
        Skyline    | –          | –        | .812 | .414
        Uniform-10 | –          | –        | .759 | .324
        Random-10  | –          | –        | .675 | .251
        First-10   | –          | –        | .539 | .163
        Middle-10  | –          | –        | .600 | .198
        Last-10    | –          | –        | .267 | .067
        SkipFrame  | Delay      | 5-25     | .755 | .322
        SkipFrame  | Imm        | 5-25     | .738 | .286
        SkipFrame  | Delay      | alt-5-25 | .742 | .291
        SkipFrame  | Imm        | alt-5-25 | .739 | .288
        SkipFrame  | Delay: GAP | 5-25     | .764 | .341
    """),
    num_text_columns=3,
)

SCSAMPLER_CLASSIFIERS = PrintedTable(
    title="SCSampler, 10 clips, Sports1M: accuracy in percent (days of run time)",
    source=SCSAMPLER,
    header=("Classifier", "SCSampler", "Random", "Uniform", "Empirical", "Dense", "Oracle"),
    rows=_rows("""
        MC3-18      | 72.8 (0.8) | 64.5 (0.4) | 64.8 (0.4) | 65.3 (0.4) | 66.6 (12.9) | 85.1
        R(2+1)D-18  | 73.9 (0.8) | 63.0 (0.4) | 63.2 (0.4) | 63.9 (0.4) | 68.7 (13.1) | 87.0
        R3D-18      | 70.2 (0.8) | 59.8 (0.4) | 59.9 (0.4) | 60.3 (0.4) | 65.6 (13.3) | 85.0
        R(2+1)D-34  | 78.0 (0.9) | 71.2 (0.6) | 71.5 (0.6) | 72.0 (0.6) | 70.9 (14.2) | 88.4
        ir-CSN-152  | 84.0 (0.9) | 75.3 (0.5) | 75.8 (0.5) | 76.2 (0.5) | 77.0 (14.0) | 92.6
    """),
)

SCSAMPLER_KINETICS = PrintedTable(
    title="SCSampler, 10 clips, Kinetics: accuracy in percent",
    source=SCSAMPLER,
    header=("Classifier", "SCSampler", "Random", "Uniform", "Empirical"),
    rows=_rows("""
        R(2+1)D-34 | 76.7 | 73.8 | 74.0 | 74.1
        I3D-RGB    | 75.1 | 71.9 | 71.8 | 71.9
        ir-CSN-152 | 80.2 | 77.8 | 78.5 | 79.2
    """),
)

SCSAMPLER_INPUTS = PrintedTable(
    title="SCSampler, miniSports: what the sampler sees of the compressed video (MD motion displacements, RGB-R "
    "residuals, IF I-frames), or of video and audio (8 clips by the visual sampler in the union)",
    source=SCSAMPLER,
    header=("Sampler", "Accuracy (%)", "Minutes"),
    rows=_rows("""
        MD, ResNet-18                   | 63.5  | 19.8
        RGB-R, ResNet-18                | 68.0  | 20.4
        MD + RGB-R, ResNet-18           | 73.1  | 20.9
        IF + MD + RGB-R, ResNet-18      | 74.9  | 27.3
        MD + RGB-R, ShuffleNet-26       | 67.9  | 19.1
        IF + MD + RGB-R, ShuffleNet-26  | 69.9  | 23.8
        video only                      | 73.05 | 20.9
        audio only                      | 67.82 | 22.0
        video and audio, union of lists | 75.98 | 23.4
        video and audio, trained as one | 75.53 | 23.4
    """),
)

SCSAMPLER_OBJECTIVES = PrintedTable(
    title="SCSampler, miniSports: accuracy in percent by what the sampler sees and learns by",
    source=SCSAMPLER,
    header=("Sampler", "AC", "SAL-CL", "SAL-RANK"),
    rows=_rows("""
        visual | 73.05 | 63.17 | 64.77
        audio  | 66.37 | 58.73 | 67.82
    """),
)

RESKD_LOSSES = PrintedTable(
    title="ResKD, ActivityNet, what is distilled: mAP in percent",
    source=RESKD,
    header=("Low resolution alone", "Clip-level KL", "Frame-level KL", "Pixel-level MSE"),
    rows=(("71.8", "73.4", "76.6", "78.5"),),
    num_text_columns=0,
)

RESKD_TEACHERS = PrintedTable(
    title="ResKD, ActivityNet, which teacher: mAP in percent",
    source=RESKD,
    header=("Low resolution alone", "Larger teacher, low", "Same network, high", "Larger teacher, high"),
    rows=(("71.8", "73.3", "76.2", "78.5"),),
    num_text_columns=0,
)


def published_beside(runs) -> list[PrintedTable]:
    """What belongs beside the results of `StudyRun`s: SkipFrame, saliency sampling, students of lower resolution."""
    ways = {run.model.frame_sampling for run in runs}
    tables = [SKIP_FRAME] if "skip_frame" in ways else []
    if "saliency" in ways:
        tables += [SCSAMPLER_CLASSIFIERS, SCSAMPLER_KINETICS, SCSAMPLER_OBJECTIVES, SCSAMPLER_INPUTS]
    if any(run.distillation and run.model.has_low_resolution for run in runs):
        tables += [RESKD_LOSSES, RESKD_TEACHERS]
    return tables
