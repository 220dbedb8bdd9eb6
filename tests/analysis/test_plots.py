import numpy as np
import pytest

from yt8m_distill.analysis import plots
from yt8m_distill.analysis.study_results import Summary


def test_touching_names_move_apart_around_their_mean():
    assert plots.spread_apart([0.1, 0.5, 0.52, 0.9], 0.1) == pytest.approx([0.1, 0.46, 0.56, 0.9])


def test_names_pushed_against_others_move_together():
    # The two at .5 need .45 and .55, which touches the one at .6.
    assert plots.spread_apart([0.5, 0.5, 0.6], 0.1) == pytest.approx([0.5333 - 0.1, 0.5333, 0.5333 + 0.1], abs=1e-4)
    assert plots.spread_apart([], 0.1) == []


@pytest.mark.parametrize("log_x", [False, True])
def test_curves_show_every_point_the_teacher_and_names(log_x):
    uniform = [(6, Summary(0.7, 0.01, 3)), (30, Summary(0.8, 0.02, 3))]
    curves = {"Uniform": uniform, "Student": [(6, Summary(0.75, None, 1))]}
    figure = plots.gap_figure(curves, (300, Summary(0.85, 0.01, 3)), "frames", log_x)
    (axes,) = figure.axes
    drawn = [line.get_xydata().tolist() for line in axes.lines]
    assert [[6, 0.7], [30, 0.8]] in drawn
    assert [[6, 0.75]] in drawn
    assert ([[300, 0.85]] in drawn) == log_x
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["Student", "Uniform", "Teacher (all frames)"]
    assert axes.get_xlabel() == "frames"


def test_timeline_shows_the_frames():
    figure = plots.frames_figure([("first", np.array([0, 1]))], [("model", np.array([4]))], 10)
    (axes,) = figure.axes
    centers = [round(bar.get_x() + bar.get_width() / 2, 6) for bar in axes.patches]
    assert centers == [0, 1, 4]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "model"]


def test_same_figure_makes_the_same_png(tmp_path):
    points = np.arange(8.0).reshape(4, 2)
    for name in ("one", "two"):
        figure = plots.encodings_figure({"Teacher": points, "Student": points + 1}, np.array([0, 0, 7, 7]))
        plots.save_figure(figure, str(tmp_path / f"{name}.png"))
    content = (tmp_path / "one.png").read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) > 5000
    assert content == (tmp_path / "two.png").read_bytes()
