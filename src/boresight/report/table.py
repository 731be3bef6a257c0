"""The results in a terminal: one table of numbers, one of differences."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from boresight.measure.base import Metric
from boresight.report import wording
from boresight.report.results import ComparisonRow, MeasureRow, Results
from boresight.report.safe import visible

_STYLES: dict[wording.Verdict, str] = {
    "better": "green",
    "worse": "red",
    "higher": "cyan",
    "lower": "cyan",
    "untold": "dim",
    "none": "dim",
}
_ARROWS = {"higher": "↑", "lower": "↓", "none": " "}


def results_table(results: Results, metrics: Mapping[str, Metric]) -> Table:
    """Metrics as rows, subjects as columns: value, interval and n; the grader under the metric.

    A sign (✓ better, ✗ worse, ↑ ↓ where no side is better) stands where the interval of the paired difference to the
    first subject leaves out zero.
    """
    known = wording.known_metrics(results, metrics)
    subjects = [s.name for s in results.subjects]
    marks = "" if len(subjects) < 2 else f"; ✓ better ✗ worse than {subjects[0]}, where told apart"
    table = Table(
        title="Results",
        caption=f"{wording.levels(results.measures)} intervals{marks}",
        caption_justify="left",
        title_justify="left",
        header_style="bold",
        padding=(0, 1),
    )
    table.add_column("Metric, grader", ratio=2, min_width=16, overflow="fold")
    for name in subjects:
        table.add_column(Text(visible(name)), justify="right", overflow="fold")
    method = ""
    for name, metric in known.items():
        rows = {s: wording.row_of(results, name, s) for s in subjects}
        first = next(r for r in rows.values() if r) if any(rows.values()) else None
        if first is None:
            continue
        if method and first.method != method:
            table.add_section()
        method = first.method
        cells = [_cell(row, wording.comparison_of(results, name, subjects[0], s), metric) for s, row in rows.items()]
        table.add_row(_label(metric, [r for r in rows.values() if r]), *cells)
    return table


def comparison_table(results: Results, metrics: Mapping[str, Metric]) -> Table:
    """Every comparison: difference with its interval, adjusted p, n and test."""
    known = wording.known_metrics(results, metrics)
    table = Table(
        title="Differences",
        caption=f"from the first to the second subject, {wording.levels(results.comparisons)} intervals; p is adjusted (Holm)",
        caption_justify="left",
        title_justify="left",
        header_style="bold",
        padding=(0, 1),
    )
    table.add_column("Metric", ratio=2, min_width=14, overflow="fold")
    table.add_column("Compared", ratio=1, min_width=10, overflow="fold")
    table.add_column("Difference", justify="right", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("Test", ratio=1, overflow="fold", style="dim")
    last = ""
    for row in results.comparisons:
        metric = known.get(row.metric) or Metric(row.metric, row.metric, "", "", "none", "", "")
        if last and row.metric != last:
            table.add_section()
        title = "" if row.metric == last else f"{_ARROWS[metric.better]} {metric.title}".strip()
        last = row.metric
        table.add_row(
            Text(visible(title)),
            Text(visible(f"{row.a} → {row.b}")),
            _difference(row, metric),
            wording.p_value(row.p),
            str(row.n),
            Text(visible(row.test)),
        )
    return table


def _label(metric: Metric, rows: list[MeasureRow]) -> Text:
    graders = ", ".join(dict.fromkeys(r.grader for r in rows))
    return Text.assemble(visible(f"{_ARROWS[metric.better]} {metric.title}".strip()), "\n", (visible(graders), "dim"))


def _cell(row: MeasureRow | None, comparison: ComparisonRow | None, metric: Metric) -> Text:
    if row is None or row.value is None:
        dropped = f"\n{row.dropped} dropped" if row and row.dropped else ""
        return Text(wording.NOT_MEASURED + dropped, style="dim")
    verdict = wording.verdict(comparison, metric.better) if comparison else "untold"
    number = wording.value(row.value, row.unit)
    told = verdict not in ("untold", "none")
    head = (f"{wording.SYMBOLS[verdict]} {number}", _STYLES[verdict]) if told else (number, "")
    interval = "\n" + wording.interval(row.ci, row.unit)
    n = f"\nn {row.n}" + (f", {row.dropped} dropped" if row.dropped else "")
    return Text.assemble(head, (interval, "dim"), (n, "dim"))


def _difference(row: ComparisonRow, metric: Metric) -> Text:
    verdict = wording.verdict(row, metric.better)
    number = wording.difference(row.difference, metric.unit)
    if row.difference is None:
        return Text(number, style="dim")
    interval = "\n" + wording.difference_interval(row.ci, metric.unit)
    return Text.assemble((f"{wording.SYMBOLS[verdict]} {number}", _STYLES[verdict]), (interval, "dim"))
