"""The report of a study: one page of tables in the published layout, and figures."""

from __future__ import annotations

import importlib.util
import logging
import os

from yt8m_distill.analysis import report_tables as tables
from yt8m_distill.analysis.published import H_RNN, PUBLISHED_TABLES, WORKSHOP_PAPER, PublishedTable
from yt8m_distill.analysis.published_selection import published_beside
from yt8m_distill.analysis.study_results import FAIR_BASELINE, StudyResults, StudyState, read_study, summary
from yt8m_distill.data.atomic_file import open_atomic

_logger = logging.getLogger(__name__)

REPORT_NAME = "report.md"
_NEEDED_FOR_FIGURES = {"matplotlib": "matplotlib", "sklearn": "scikit-learn"}
_MOST_NAMES = 8


def write_report(study_dir: str) -> str:
    """Writes the report of a study, finished or not, from its `grid.json` and `results.csv`.

    Tables of GAP and mAP in the layout of the published ones, with the published figures beside; how much of the gap
    between uniform selection and the teacher each method closes; gains over the strongest fair baseline (methods of
    group "fair baseline"); agreement with the teacher; costs. Figures need the extra `report`; t-SNE also needs the
    train_dirs and the evaluation records. What cannot be drawn is named in the report, with the reason, and on the log.

    Args:
      study_dir: directory of the study. Writes `report.md` and PNGs into it; the same results make the same files.

    Returns:
      The path of `report.md`.

    Raises:
      OSError: a file of the study is missing, or the report cannot be written.
      ValueError: a file of the study is damaged; the message names it.
    """
    study = read_study(study_dir)
    parts = [_head(study), *(_of_network(study_dir, study, results) for results in study.results), _sources(study)]
    path = os.path.join(study_dir, REPORT_NAME)
    with open_atomic(path) as file:
        file.write("\n".join(parts))
    return path


def _head(study: StudyState) -> str:
    finished = study.num_runs - len(study.unfinished)
    source = study.grid.source
    lines = [
        f"# {source['title']}\n",
        f"{finished} of {study.num_runs} runs. Evaluated on `{source['eval_data_pattern']}`. "
        f"Seeds: {', '.join(map(str, source['seeds']))}. Cells are means over seeds"
        + (", with ± one sample standard deviation." if len(source["seeds"]) > 1 else " (one: no spread)."),
    ]
    if study.unfinished:
        names = [f"`{name}`" for name in study.unfinished[:_MOST_NAMES]]
        more = len(study.unfinished) - len(names)
        lines.append(f"Not finished: {', '.join(names)}" + (f" and {more} more." if more else "."))
    if study.num_left_out:
        lines.append(f"Left out: {study.num_left_out} rows of results.csv whose runs are not in the grid.")
    return "\n".join(lines) + "\n"


def _of_network(study_dir: str, study: StudyState, results: StudyResults) -> str:
    published = PUBLISHED_TABLES.get(results.model)
    sections = [
        f"## {published.title if published else results.model}\n",
        _scores(results, published),
        _gap_closed(results, published),
        _fair_comparison(results),
        _figures(study_dir, study, results),
        _agreement(results),
        _costs(results),
    ]
    return "\n".join(section for section in sections if section)


def _scores(results: StudyResults, published: PublishedTable | None) -> str:
    gap, mean_ap = (summary(results.values(name, None)) for name in ("gap", "map"))
    teacher = tables.score_text(gap, mean_ap, len(results.rows(None)))
    lines = ["### GAP / mAP\n", f"Teacher (all frames): {teacher}."]
    chosen = results.runs.loc[results.runs["checkpoint"] == "best", "method"].unique()
    if len(chosen):
        lines.append(f"Best pass by GAP on these same records, all others after their last pass: {', '.join(chosen)}.")
    if published is None:
        lines.append("Nothing was published for this network.")
    else:
        lines.append(f"Published teacher: {tables.published_text(published.teacher)}. {_comparability(results)}")
    return "\n".join(lines) + "\n\n" + tables.score_table(results)


def _comparability(results: StudyResults) -> str:
    datasets = (
        "**The published columns were measured on YouTube-8M (up to 300 frames of rgb and audio), not on this study's "
        "records**: compare the order of the methods and the share of the gap that they close, not the values."
    )
    if tables.shares_published_k(results):
        return datasets
    return f"{datasets} No k is the same either: the published columns stand to the right of ours."


def _gap_closed(results: StudyResults, published: PublishedTable | None) -> str:
    title = "### Share of the gap between uniform selection and the teacher that is closed\n\n"
    if results.uniform is None or results.values("gap", None).empty:
        return title + "Not known: it needs a teacher, and the method Uniform of group baseline.\n"
    text = (
        "(GAP − GAP of Uniform) / (GAP of the teacher − GAP of Uniform), each seed with the Uniform and the teacher of "
        "the same seed; seeds whose teacher is no better than Uniform are left out."
    )
    if published is not None:
        text += " Published shares are computed from the printed three decimals."
    if results.model != H_RNN.model:
        shares = [(k, H_RNN.gap_closed("serial", "rep,pred,ce", k)) for k in H_RNN.num_sampled_frames]
        closed = ", ".join(f"{share:.0%} at k={k}" for k, share in shares)
        text += f" For the {H_RNN.title}, serial rep + pred + CE, they are {closed}."
    return f"{title}{text}\n\n{tables.gap_closed_table(results)}"


def _fair_comparison(results: StudyResults) -> str:
    if not any(method.group == FAIR_BASELINE for method in results.methods):
        return ""
    named = []
    for k in results.num_sampled_frames:
        baseline = results.fair_baseline(k)
        if baseline is not None:
            gap = summary(results.values("gap", baseline, k))
            named.append(f"{baseline.name} at k={k} ({tables.gap_text(gap)})")
    strongest = f"The strongest, by GAP: {'; '.join(named)}." if named else "None has finished yet."
    return (
        "### Gain in GAP over the strongest fair baseline\n\n"
        "Fair baselines learn from labels alone, with as many updates and as much augmentation as the students. "
        f"{strongest} Differences are taken seed by seed.\n\n{tables.fair_comparison_table(results)}"
    )


def _figures(study_dir: str, study: StudyState, results: StudyResults) -> str:
    missing = [name for module, name in _NEEDED_FOR_FIGURES.items() if importlib.util.find_spec(module) is None]
    if missing:
        return "### Figures\n\n" + _not_drawn(
            "The figures", f"they need {' and '.join(missing)}: pip install 'yt8m_distill[report]'"
        )
    from yt8m_distill.analysis import report_figures  # imports matplotlib

    writers = {
        "GAP against frames and cost": lambda: report_figures.write_gap_figures(study_dir, results),
        "Encodings of teacher and student": lambda: [
            report_figures.write_encodings_figure(study_dir, results, study.grid.source["eval_data_pattern"])
        ],
        "Frames read": lambda: [report_figures.write_frames_figure(study_dir, results)],
    }
    parts = []
    for title, write in writers.items():
        try:
            figures = write()
        except (OSError, ValueError) as error:  # hours of training must not end without tables
            parts.append(f"### {title}\n\n" + _not_drawn("This figure", str(error)))
            continue
        parts += [f"### {f.title}\n\n![{f.title}]({f.name})\n\n{f.caption}\n" for f in figures]
    return "\n".join(parts)


def _not_drawn(what: str, reason: str) -> str:
    sentence = f"{what} could not be drawn: {reason}" + ("" if reason.endswith((".", "?", "'")) else ".")
    _logger.warning("%s", sentence)
    return sentence + "\n"


def _agreement(results: StudyResults) -> str:
    table = tables.agreement_table(results)
    if table is None:
        return ""
    return (
        "### Agreement with the teacher\n\nShare of videos with the same best class / share of the teacher's 20 best "
        f"classes that are among the student's / KL(teacher || student), class by class, summed.\n\n{table}"
    )


def _costs(results: StudyResults) -> str:
    return (
        "### Costs\n\n"
        "Parameters / multiply-accumulates (MACs) a video of full length / seconds a pass over the training records, "
        "other runs beside it / seconds per 1000 evaluation videos from records to predictions, nothing beside it. "
        f"Teacher: {tables.teacher_cost_text(results)}.\n\n{tables.cost_table(results)}"
    )


def _sources(study: StudyState) -> str:
    published = [PUBLISHED_TABLES[r.model] for r in study.results if r.model in PUBLISHED_TABLES]
    lines = []
    if any(table.title == "H-RNN" for table in published):
        lines += [
            f"## Published with k in percent of the frames\n\nH-RNN: {WORKSHOP_PAPER}; YouTube-8M.\n",
            tables.workshop_table(),
        ]
    beside = published_beside(study.grid.runs)
    for table in beside:
        lines += [f"## Published: {table.title}\n", tables.printed_table(table)]
    sources = sorted({table.source for table in (*published, *beside)})
    lines.append("## Sources\n")
    lines += [f"Published figures: {source}." for source in sources]
    lines.append("The features of YouTube-8M and AudioSet are published by Google under CC BY 4.0.")
    return "\n".join(lines) + "\n"
