import pytest

from tests.analysis.tiny_grid import tiny_grid
from yt8m_distill.analysis import published_selection as published
from yt8m_distill.analysis.study_grid import make_grid

TABLES = (
    published.SKIP_FRAME,
    published.SCSAMPLER_CLASSIFIERS,
    published.SCSAMPLER_KINETICS,
    published.SCSAMPLER_OBJECTIVES,
    published.SCSAMPLER_INPUTS,
    published.RESKD_LOSSES,
    published.RESKD_TEACHERS,
)


@pytest.mark.parametrize("table", TABLES)
def test_each_row_has_a_cell_for_each_column(table):
    assert {len(row) for row in table.rows} == {len(table.header)}
    for row in table.rows:
        for figure in row[table.num_text_columns :]:
            assert 0 < float(figure.split(" ")[0]) < 100


def test_skip_frame_gains_what_the_slides_say():
    """ "GAP + Exp beats Uniform by 0.6%": of Uniform's GAP."""
    rows = {row[:3]: [float(cell) for cell in row[3:]] for row in published.SKIP_FRAME.rows}
    best, uniform = rows["SkipFrame", "Delay: GAP", "5-25"], rows["Uniform-10", "–", "–"]
    assert f"{best[0] / uniform[0] - 1:.3f}" == "0.007" and f"{best[0] - uniform[0]:.3f}" == "0.005"
    assert best == [0.764, 0.341] and len(rows) == 11


def test_saliency_sampling_gains_what_the_poster_says():
    *_, best = published.SCSAMPLER_CLASSIFIERS.rows
    sampler, _, uniform, _, dense, oracle = (float(cell.split(" ")[0]) for cell in best[1:])
    assert (round(sampler - dense, 1), round(sampler - uniform, 1), oracle) == (7.0, 8.2, 92.6)


def grid_with(*methods):
    model = {"model": "LstmModel", "lstm_cells": 4, "feature_names": ["rgb"], "feature_sizes": [4]}
    grid = tiny_grid("records*", *methods, model={**model, "num_classes": 3, "max_frames": 8}, teacher={})
    return make_grid(grid).runs


def test_tables_stand_beside_what_they_are_about():
    assert published.published_beside(grid_with()) == []
    skip = {"name": "SkipFrame", "model": {"frame_sampling": "skip_frame"}}
    saliency = {
        "name": "Saliency",
        "model": {"frame_sampling": "saliency", "saliency_inputs": "rgb:2"},
        "starts_from": "Teacher",
    }
    assert published.published_beside(grid_with(skip)) == [published.SKIP_FRAME]
    assert published.published_beside(grid_with(saliency)) == list(TABLES[1:5])
    low = {"name": "Low", "model": {"frame_pooling": 2}}
    assert published.published_beside(grid_with(low)) == []
    distilled = {**low, "distillation": {"scheme": "serial"}}
    assert published.published_beside(grid_with(distilled)) == list(TABLES[5:])
