"""The tables of a study's report, in the layout of the published ones, as Markdown that is aligned in its source."""

from __future__ import annotations

from collections.abc import Callable

from yt8m_distill.analysis.published import PUBLISHED_TABLES, WORKSHOP_RESULTS, Score
from yt8m_distill.analysis.published_selection import PrintedTable
from yt8m_distill.analysis.study_results import (
    BASELINE,
    FAIR_BASELINE,
    PUBLISHED,
    Method,
    StudyResults,
    Summary,
    summary,
)

NO_VALUE = "–"
_AGREEMENT = ("top_1_agreement", "top_20_agreement", "kl")


def markdown_table(header: list[str], rows: list[list[str]], num_text_columns: int = 2) -> str:
    """Lays out a table with columns of equal width; text to the left, the cells after it to the right."""
    widths = [max(3, *(len(row[column]) for row in [header, *rows])) for column in range(len(header))]
    is_text = [column < num_text_columns for column in range(len(header))]

    def line(cells):
        aligned = [
            cell.ljust(width) if text else cell.rjust(width) for cell, width, text in zip(cells, widths, is_text)
        ]
        return f"| {' | '.join(aligned)} |"

    rule = ["-" * width if text else "-" * (width - 1) + ":" for width, text in zip(widths, is_text)]
    return "\n".join(map(line, [header, rule, *rows])) + "\n"


def score_table(results: StudyResults) -> str:
    """GAP / mAP of every method, the published ones beside them; published methods without runs follow below."""
    published = PUBLISHED_TABLES.get(results.model)
    of_methods = [_published_key(method) for method in results.methods]
    without_runs = [_method_of(key) for key in published.rows if key not in of_methods] if published else []

    def ours(method, k):
        gap, mean_ap = (summary(results.values(name, method, k)) for name in ("gap", "map"))
        return score_text(gap, mean_ap, len(results.rows(method, k)))

    def theirs(method, k):
        score = published.score(*_published_key(method), k)
        return published_text(score) if score else NO_VALUE

    return _method_table(results, results.methods + without_runs, ours, theirs)


def gap_closed_table(results: StudyResults) -> str:
    """Share of the gap between uniform selection and the teacher that each method closes, and the published share."""
    published = PUBLISHED_TABLES.get(results.model)

    def ours(method, k):
        return _text(summary(results.gap_closed(method, k)), _percent, len(results.rows(method, k)))

    def theirs(method, k):
        share = published.gap_closed(*_published_key(method), k)
        return NO_VALUE if share is None else _percent(share)

    return _method_table(results, [m for m in results.methods if m.group != BASELINE], ours, theirs)


def fair_comparison_table(results: StudyResults) -> str:
    """Gain in GAP of every distilled student over the strongest fair baseline at its k."""

    def ours(method, k):
        return _text(summary(results.gain(method, k)), _signed, len(results.rows(method, k)))

    return _method_table(results, [m for m in results.methods if m.group not in (BASELINE, FAIR_BASELINE)], ours)


def agreement_table(results: StudyResults) -> str | None:
    """Overlap with the teacher's best class and 20 best classes, and KL from it; None if no run has recorded any."""
    methods = [m for m in results.methods if results.has_any(_AGREEMENT, m)]

    def ours(method, k):
        return _mean_texts(results, method, k, _AGREEMENT, (_percent, _percent, "{:.3g}".format))

    return _method_table(results, methods, ours) if methods else None


def cost_table(results: StudyResults) -> str:
    """Parameters, MACs a video, seconds a pass over the training records and per 1000 videos: means over seeds."""

    def ours(method, k):
        return _mean_texts(results, method, k, _COSTS, _COST_FORMATS)

    return _method_table(results, results.methods, ours)


def teacher_cost_text(results: StudyResults) -> str:
    """As a cell of `cost_table`."""
    return _mean_texts(results, None, None, _COSTS, _COST_FORMATS)


def workshop_table() -> str:
    """Table 1 of "I Have Seen Enough"."""
    rows = [[row.model, *(f"{value:.3f}" for value in row[1:])] for row in WORKSHOP_RESULTS]
    return markdown_table(["Model", "Hit@1", "PERR", "mAP", "GAP"], rows, num_text_columns=1)


def printed_table(table: PrintedTable) -> str:
    """A published table as it was printed."""
    return markdown_table(list(table.header), [list(row) for row in table.rows], table.num_text_columns)


def score_text(gap: Summary | None, mean_ap: Summary | None, num_seeds: int) -> str:
    """GAP / mAP with their spreads over seeds, and how many runs there are if some are missing."""
    if gap is None or mean_ap is None:
        return NO_VALUE
    cell = " / ".join(_text(value, _score, value.count) for value in (gap, mean_ap))
    return cell + _how_many(gap, num_seeds)


def gap_text(gap: Summary) -> str:
    """GAP with its spread over seeds."""
    return _text(gap, _score, gap.count)


def published_text(score: Score) -> str:
    return f"{_score(score.gap)} / {_score(score.map)}"


def row_title(method: Method) -> list[str]:
    """Training and losses of published methods, as their tables say it; group and name of all others."""
    if method.group != PUBLISHED:
        return [method.group, method.name]
    training = method.scheme.capitalize() + (" intermediate" if method.match == "intermediate" else "")
    return [training, method.losses.replace(",", ", ").replace("ce", "CE") or "not stated"]


def method_title(method: Method) -> str:
    """As `row_title`, in one."""
    return " ".join(row_title(method)) if method.group == PUBLISHED else method.name


def shares_published_k(results: StudyResults) -> bool:
    """Whether any k of the study was published for this network."""
    published = PUBLISHED_TABLES.get(results.model)
    return published is not None and bool(set(published.num_sampled_frames) & set(results.num_sampled_frames))


def _method_table(
    results: StudyResults,
    methods: list[Method],
    our_cell: Callable[[Method, int], str],
    published_cell: Callable[[Method, int], str] | None = None,
) -> str:
    """A row a method, a column a k; published ones beside ours of the same k, or to the right if none is the same."""
    our_ks, published = results.num_sampled_frames, PUBLISHED_TABLES.get(results.model)
    columns = [(f"k={k}", k, our_cell) for k in our_ks]
    if published_cell is not None and published is not None:
        shown = [k for k in published.num_sampled_frames if k in our_ks] or published.num_sampled_frames
        columns += [(f"published k={k}", k, published_cell) for k in shown]
        if shares_published_k(results):
            columns.sort(key=lambda column: column[1])  # stable: ours comes first
    header = ["Training", "Losses or selector", *(title for title, _, _ in columns)]
    rows = [[*row_title(m), *(cell(m, k) for _, k, cell in columns)] for m in methods]
    order = list(dict.fromkeys(training for training, *_ in rows))
    return markdown_table(header, sorted(rows, key=lambda row: order.index(row[0])))  # stable


def _published_key(method):
    """The row of the published tables that a method repeats, if any."""
    if method.group == BASELINE:
        return "baseline", "-".join(word.capitalize() for word in method.name.replace("_", "-").split("-"))
    if method.group == PUBLISHED and method.match != "intermediate":
        return method.scheme, method.losses
    return "", method.name


def _method_of(published_key):
    training, name = published_key
    if training == "baseline":
        return Method(name, BASELINE, "", "", "")
    return Method("", PUBLISHED, training, name, "final")


def _mean_texts(results, method, k, columns, formats):
    means = [results.mean(column, method, k) for column in columns]
    return " / ".join(NO_VALUE if mean is None else text(mean) for mean, text in zip(means, formats))


def _text(value, form, num_seeds):
    if value is None:
        return NO_VALUE
    spread = "" if value.spread is None else f" ±{form(value.spread).lstrip('+')}"
    return form(value.mean) + spread + _how_many(value, num_seeds)


def _how_many(value, num_seeds):
    return f" ({value.count} of {num_seeds})" if value.count < num_seeds else ""


def _score(value):
    return f"{value:.3f}".replace("0.", ".", 1)


def _signed(value):
    return f"{value:+.3f}".replace("0.", ".", 1)


def _percent(value):
    return f"{100 * value:.0f} %"


def _millions(value):
    return f"{value / 1e6:.3g} M"


_COSTS = ("params", "macs", "seconds_per_epoch", "seconds_per_1000_videos")
_COST_FORMATS = (_millions, _millions, "{:.1f} s".format, "{:.2f} s".format)
