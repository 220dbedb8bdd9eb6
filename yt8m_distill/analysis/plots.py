"""The figures of a study's report, drawn by matplotlib without a display. It comes with the extra `report`."""

from __future__ import annotations

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from yt8m_distill.analysis.study_results import Summary
from yt8m_distill.data.atomic_file import open_atomic

# Okabe and Ito's palette, which people with any colour vision tell apart; markers tell the same in grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_TEACHER_COLOR, _TEACHER_MARKER = "#000000", "*"
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 160,
}
WIDTH = 8.0  # inches: 1280 pixels
_LABEL_HEIGHT = 0.055  # of the axes

Point = tuple[float, Summary]
TimelineRow = tuple[str, np.ndarray]


def gap_figure(curves: dict[str, list[Point]], teacher: Point | None, x_label: str, log_x: bool = False) -> Figure:
    """GAP against what it takes: a curve a method with its spread over seeds, named at its right end.

    Args:
      curves: title -> (x, GAP) in the order of x; at most as many as `COLORS`.
      teacher: its x and GAP: a line across the figure, and a star at its x if the axis is logarithmic.
      x_label: what x is, and its unit.
      log_x: whether x is logarithmic; otherwise every x of a curve has a tick.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = figure.add_subplot()
        if teacher is not None:
            _draw_teacher(axes, teacher[1])
        ends = []
        for (title, points), color, marker in zip(curves.items(), COLORS, MARKERS):
            xs, gaps = [x for x, _ in points], [gap.mean for _, gap in points]
            spreads = [gap.spread or 0.0 for _, gap in points]
            bars = spreads if any(spreads) else None
            axes.errorbar(xs, gaps, bars, color=color, marker=marker, markersize=5, capsize=3, linewidth=1.6)
            ends.append((gaps[-1], xs[-1], title, color, marker))
        if log_x:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_xticks(sorted({x for points in curves.values() for x, _ in points}))
        if teacher is not None:
            x = teacher[0] if log_x else None
            ends.append((teacher[1].mean, x, "Teacher (all frames)", _TEACHER_COLOR, _TEACHER_MARKER))
        axes.set_xlabel(x_label)
        axes.set_ylabel("GAP of the 20 best classes (0 to 1)")
        _name_ends(axes, ends)
        return figure


def encodings_figure(panels: dict[str, np.ndarray], classes: np.ndarray) -> Figure:
    """Encodings of the same videos by several models, coloured by class.

    Args:
      panels: title -> points, float [N, 2].
      classes: class of each video, int [N].
    """
    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
        all_axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (title, points) in zip(all_axes, panels.items()):
            for number, color, marker in zip(np.unique(classes), COLORS, MARKERS):
                style = {"s": 16, "color": color, "marker": marker, "alpha": 0.75, "linewidths": 0}
                axes.scatter(*points[classes == number].T, label=f"class {number}", **style)
            axes.set_title(title, fontsize=10)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel("t-SNE 1 (no unit)")
        all_axes[0].set_ylabel("t-SNE 2 (no unit)")
        handles, labels = all_axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), markerscale=1.6)
        return figure


def frames_figure(selectors: list[TimelineRow], model: list[TimelineRow], num_frames: int) -> Figure:
    """Which frames of one video are read: a timeline a row of (title, frame indices), from the top.

    Args:
      selectors: rows in one colour.
      model: rows below, in another.
      num_frames: of the video.
    """
    rows, colors = [*selectors, *model], [COLORS[0]] * len(selectors) + [COLORS[1]] * len(model)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.8 + 0.3 * len(rows)), layout="constrained")
        draw_frames(figure.add_subplot(), rows, colors, num_frames)
        return figure


def draw_frames(axes, rows: list[TimelineRow], colors: list[str], num_frames: int) -> None:
    """Draws the timelines of `frames_figure` into axes, each row in its colour."""
    for height, ((_, indices), color) in enumerate(zip(rows, colors)):
        axes.plot([-0.5, num_frames - 0.5], [height, height], color="#CCCCCC", linewidth=1, zorder=1)
        width = max(0.7, num_frames / 250)  # of a frame, but wide enough to be seen
        axes.bar(indices, 0.7, width, height - 0.35, color=color, linewidth=0, zorder=2)
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.set_yticks(range(len(rows)), [title for title, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-0.5, num_frames - 0.5)
    axes.set_xlabel(f"frame of a video of {num_frames} frames (counted from 0)")


def save_figure(figure: Figure, path: str) -> None:
    """Writes a PNG, whole or not at all; the same figure makes the same bytes."""
    with open_atomic(path, "wb") as file:
        figure.savefig(file, format="png", metadata={"Software": None})


def spread_apart(heights: list[float], distance: float) -> list[float]:
    """Moves ascending heights as little as needed to be `distance` apart; groups that touch stay around their mean."""
    groups = []  # of (sum of the heights, how many)
    for height in heights:
        groups.append((height, 1))
        while len(groups) > 1 and _top(groups[-2], distance) + distance > _bottom(groups[-1], distance):
            (total, count), (last_total, last_count) = groups[-2:]
            groups[-2:] = [(total + last_total, count + last_count)]
    return [_bottom(group, distance) + number * distance for group in groups for number in range(group[1])]


def _draw_teacher(axes, gap):
    axes.axhline(gap.mean, color=_TEACHER_COLOR, linewidth=1.2, linestyle=(0, (5, 3)))
    if gap.spread:
        band = gap.mean - gap.spread, gap.mean + gap.spread
        axes.axhspan(*band, color=_TEACHER_COLOR, alpha=0.08, linewidth=0)


def _name_ends(axes, ends):
    """Writes names to the right of the axes at the heights that they belong to, moved apart where they would touch."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)  # a teacher's star must not move the heights
    ends = sorted(ends, key=lambda end: end[0])
    heights = spread_apart([(gap - low) / (high - low) for gap, *_ in ends], _LABEL_HEIGHT)
    beside = {"transform": axes.transAxes, "clip_on": False}
    for height, (gap, x, title, color, marker) in zip(heights, ends):
        if x is not None:
            line = {"arrowstyle": "-", "color": color, "alpha": 0.5, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4}
            axes.annotate("", (x, gap), (1.025, height), textcoords="axes fraction", arrowprops=line)
        if marker == _TEACHER_MARKER and x is not None:  # a curve has its markers already
            axes.plot([x], [gap], color=color, marker=marker, markersize=11)
        axes.plot([1.035], [height], color=color, marker=marker, markersize=6, **beside)
        axes.text(1.055, height, title, va="center", color="#222222", **beside)


def _bottom(group, distance):
    total, count = group
    return total / count - (count - 1) / 2 * distance


def _top(group, distance):
    return _bottom(group, distance) + (group[1] - 1) * distance
