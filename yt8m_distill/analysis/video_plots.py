"""The figures of `video_pictures`, drawn by matplotlib, which comes with the extra `report`."""

from __future__ import annotations

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from yt8m_distill.analysis.plots import COLORS, STYLE, WIDTH, draw_frames
from yt8m_distill.analysis.video_pictures import VideoReading


def video_figure(reading: VideoReading, names: list[str] | None = None) -> Figure:
    """Scores of a video's classes along time, and below them the frames that each selector and the model read.

    Args:
      reading: the video; labels are drawn as lines, other predictions dashed.
      names: of all classes; None for their numbers.
    """
    with rc_context(STYLE):
        height = 3.2 + 0.3 * len(reading.chosen)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        ratios = [2.6, 0.6 + 0.3 * len(reading.chosen)]
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": ratios})
        for column, (number, color) in enumerate(zip(reading.classes, _colors())):
            is_label = number in reading.labels
            style = {"color": color, "linestyle": "-" if is_label else "--", "marker": "o" if is_label else "s"}
            label = f"{_name(number, names)}{'' if is_label else ' (predicted)'}: {reading.predictions[number]:.2f}"
            above.plot(reading.centers, reading.scores[:, column], markersize=2.5, linewidth=1.4, label=label, **style)
        above.set_ylabel("probability (of a window alone)")
        above.set_ylim(-0.02, 1.02)
        above.set_title(f"video {reading.video_id}, {reading.num_frames} frames", fontsize=10)
        above.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="class: of the whole video", fontsize=8)
        colors = [COLORS[0]] * (len(reading.chosen) - 1) + [COLORS[1]]
        draw_frames(below, reading.chosen, colors, reading.num_frames)
        return figure


def chosen_figure(chosen: list[np.ndarray], uniform: list[np.ndarray]) -> Figure:
    """The frame that the model reads i-th, against the i-th of as many spread evenly: mean and range over videos.

    Source: the plot of chosen indices in the talk on "Efficient Video Classification Using Fewer Frames" (SkipFrame).

    Args:
      chosen, uniform: frame indices of each video, as many in one as in the other.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
        axes = figure.add_subplot()
        for title, of_videos, color, marker in (
            ("spread evenly", uniform, COLORS[6], "s"),
            ("this model", chosen, COLORS[1], "o"),
        ):
            ranks = range(max(map(len, of_videos)))
            values = [[indices[rank] for indices in of_videos if rank < len(indices)] for rank in ranks]
            axes.fill_between(ranks, [min(v) for v in values], [max(v) for v in values], color=color, alpha=0.12, lw=0)
            axes.plot(ranks, [np.mean(v) for v in values], color=color, marker=marker, markersize=4, label=title)
        axes.set_xlabel("number of the frame read (counted from 0)")
        axes.set_ylabel("its place in the video")
        axes.set_title(f"mean and range over {len(chosen)} videos", fontsize=10)
        axes.legend(loc="upper left")
        return figure


def _colors():
    while True:
        yield from COLORS


def _name(number, names):
    name = names[number] if names else ""
    return name or f"class {number}"
