"""The results in a terminal: one table of numbers, one of differences."""

from collections.abc import Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from boresight.measure.base import Metric
from boresight.report import wording
from boresight.report.results import ComparisonRow, MeasureRow, Results
from boresight.safe import visible

_STYLES: dict[wording.Verdict, str] = {
    "better": "green",
    "worse": "red",
    "higher": "cyan",
    "lower": "cyan",
    "untold": "dim",
    "none": "dim",
}
_ARROWS = {"higher": "↑ ", "lower": "↓ ", "none": ""}


def results_table(results: Results, metrics: Mapping[str, Metric]) -> Table:
    """Metrics as rows, subjects as columns: value and interval; grader and n under the metric.

    A sign (✓ better, ✗ worse, ↑ ↓ where no side is better) stands where the interval of the paired difference to the
    first subject leaves out zero, with a "?" if the adjusted p does not support it. n and dropped samples stand at each
    number where the subjects' differ.
    """
    known = wording.described(results, metrics)
    subjects = [s.name for s in results.subjects]
    levels = wording.levels(results.measures)
    caption = f"↑ higher ↓ lower is better; {levels} intervals"
    if len(subjects) > 1:
        caption += f"; ✓ better ✗ worse than {subjects[0]}, with ? not once p is adjusted"
    table = _table("Results", caption)
    table.add_column("Metric, grader, n", overflow="fold")
    for name in subjects:
        table.add_column(Text(visible(name)), justify="right", overflow="fold")
    method = ""
    for name, metric in known.items():
        rows = {s: wording.row_of(results, name, s) for s in subjects}
        measured = [r for r in rows.values() if r and r.value is not None]
        first = next((r for r in rows.values() if r), None)
        if first is None:
            continue
        if method and first.method != method:
            table.add_section()
        method = first.method
        alike = len({(r.n, r.dropped) for r in measured}) == 1 and not first.dropped
        graders = dict.fromkeys(r.grader for r in rows.values() if r)
        label = Text.assemble(
            (visible(_ARROWS[metric.better] + metric.title), "bold"),
            (visible(f"\n{', '.join(graders)}" + (f", n {measured[0].n}" if alike else "")), "dim"),
        )
        compared = (wording.comparison_of(results, name, subjects[0], s) for s in subjects)
        table.add_row(label, *(_cell(r, c, metric, alike) for r, c in zip(rows.values(), compared, strict=True)))
    return table


def comparison_table(results: Results, metrics: Mapping[str, Metric]) -> Table:
    """Every comparison: difference with its interval, adjusted p and n; the tests stand below."""
    known = wording.described(results, metrics)
    tests = "\n".join(dict.fromkeys(c.test for c in results.comparisons))
    levels = wording.levels(results.comparisons)
    table = _table(
        "Differences", visible(f"↑ higher ↓ lower is better; {levels} intervals; p adjusted; tests:\n{tests}")
    )
    table.add_column("Metric", overflow="fold")
    table.add_column("Compared", overflow="fold")
    table.add_column("Difference", justify="right", overflow="fold")
    table.add_column("Interval", justify="right", overflow="fold")
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    last = ""
    for row in results.comparisons:
        metric = known[row.metric]
        if last and row.metric != last:
            table.add_section()
        title = "" if row.metric == last else _ARROWS[metric.better] + metric.title
        last = row.metric
        verdict = wording.verdict(row, metric.better)
        sign = wording.sign(verdict, wording.is_significant(row))
        table.add_row(
            Text(visible(title), style="bold"),
            Text(visible(f"{row.a} → {row.b}")),
            Text(
                f"{sign} {wording.difference(row.difference, metric.unit).replace(' points', ' pts')}",
                style=_STYLES[verdict],
            ),
            Text(wording.difference_interval(row.ci, metric.unit), style="dim"),
            wording.p_value(row.p),
            str(row.n),
        )
    return table


def _table(title: str, caption: str) -> Table:
    return Table(
        title=title,
        caption=Text(caption, style="dim"),
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        header_style="dim",
        box=box.HORIZONTALS,
        padding=(0, 1),
        pad_edge=False,
    )


def _cell(row: MeasureRow | None, comparison: ComparisonRow | None, metric: Metric, alike: bool) -> Text:
    if row is None or row.value is None:
        dropped = f"\n{row.dropped} dropped" if row and row.dropped else ""
        return Text(wording.NOT_MEASURED + dropped, style="dim")
    number, style = wording.value(row.value, row.unit), ""
    if comparison and wording.is_told(verdict := wording.verdict(comparison, metric.better)):
        number = f"{wording.sign(verdict, wording.is_significant(comparison))} {number}"
        style = _STYLES[verdict]
    below = [wording.interval(row.ci, row.unit)]
    if not alike:
        below.append(f"n {row.n}" + (f", {row.dropped} dropped" if row.dropped else ""))
    return Text.assemble((number, f"bold {style}".strip()), ("\n" + "\n".join(below), "dim"))
