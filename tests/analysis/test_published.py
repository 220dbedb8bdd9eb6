import pytest

from yt8m_distill.analysis.published import H_RNN, NETVLAD, NEXTVLAD, PUBLISHED_TABLES, WORKSHOP_RESULTS
from yt8m_distill.models import ZOO


@pytest.mark.parametrize(
    "table, training, name, k, gap, mean_ap",
    [
        (H_RNN, "baseline", "Uniform", 6, 0.715, 0.266),
        (H_RNN, "baseline", "Uniform", 30, 0.795, 0.378),
        (H_RNN, "baseline", "Random", 10, 0.681, 0.254),
        (H_RNN, "baseline", "First", 15, 0.595, 0.199),
        (H_RNN, "baseline", "Middle", 30, 0.665, 0.25),
        (H_RNN, "baseline", "Last", 20, 0.294, 0.083),
        (H_RNN, "baseline", "First-Middle-Last", 6, 0.640, 0.215),
        (H_RNN, "serial", "rep", 20, 0.795, 0.381),
        (H_RNN, "serial", "pred", 6, 0.722, 0.287),
        (H_RNN, "serial", "rep,ce", 30, 0.803, 0.399),
        (H_RNN, "serial", "pred,ce", 10, 0.763, 0.341),
        (H_RNN, "serial", "rep,pred,ce", 15, 0.789, 0.375),
        (H_RNN, "parallel", "rep", 10, 0.762, 0.331),
        (H_RNN, "parallel", "rep,ce", 20, 0.795, 0.381),
        (H_RNN, "parallel", "rep,pred,ce", 30, 0.806, 0.404),
        (NETVLAD, "baseline", "Uniform", 10, 0.773, 0.364),
        (NETVLAD, "student", "", 30, 0.812, 0.436),
        (NEXTVLAD, "student", "", 30, 0.818, 0.439),
    ],
)
def test_cells_are_as_printed(table, training, name, k, gap, mean_ap):
    assert table.score(training, name, k) == (gap, mean_ap)


def test_tables_are_complete():
    assert [(len(table.rows), len(table.num_sampled_frames)) for table in PUBLISHED_TABLES.values()] == [
        (14, 5),
        (2, 2),
        (2, 1),
    ]
    for model, table in PUBLISHED_TABLES.items():
        assert model in ZOO
        assert {len(scores) for scores in table.rows.values()} == {len(table.num_sampled_frames)}
    assert [table.teacher for table in PUBLISHED_TABLES.values()] == [(0.811, 0.414), (0.823, 0.462), (0.831, 0.464)]


@pytest.mark.parametrize("k, percent", [(6, 17), (10, 23), (30, 69)])
def test_share_of_the_gap_that_the_paper_closes(k, percent):
    assert round(100 * H_RNN.gap_closed("serial", "rep,pred,ce", k)) == percent


def test_what_was_not_published_is_none():
    assert H_RNN.score("serial", "rep", 7) is None
    assert H_RNN.score("parallel", "pred", 6) is None
    assert H_RNN.gap_closed("parallel", "pred", 6) is None


def test_workshop_paper():
    assert len(WORKSHOP_RESULTS) == 17
    by_model = {row.model: row for row in WORKSHOP_RESULTS}
    assert by_model["TEACHER-FULL"][1:] == (0.862, 0.736, 0.402, 0.809)
    assert by_model["TEACHER-RANDOM-25"][1:] == (0.832, 0.693, 0.297, 0.765)
    assert by_model["STUDENT-50-FINAL"][1:] == (0.860, 0.733, 0.360, 0.803)
    assert by_model["STUDENT-10-INTERMEDIATE"][1:] == (0.854, 0.725, 0.382, 0.799)
