"""boresight compare: what changed between two runs, or within one."""

from pathlib import Path
from typing import Annotated

import typer

from boresight.cli.options import Json


def compare(
    a: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory (the baseline).")],
    b: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="A second one; without it, subjects of the first.")
    ] = None,
    subject_a: Annotated[str | None, typer.Option("--a", help="Subject of the baseline (default: the first).")] = None,
    subject_b: Annotated[
        str | None, typer.Option("--b", help="Subject to compare with it (default: the last).")
    ] = None,
    json_: Json = False,
) -> None:
    """Compare two subjects on the prompts that both answered: paired differences, intervals, adjusted p.

    Example: boresight compare runs/before runs/after
    """
    from boresight.report.compare import compare as run_compare

    found = run_compare(a, b, subject_a=subject_a, subject_b=subject_b)
    if json_:
        typer.echo(found.to_json(), nl=False)
        return
    from rich.console import Console

    from boresight.report.headline import axes, headline
    from boresight.report.metrics import metrics_of
    from boresight.report.table import comparison_table

    console = Console()
    metrics = metrics_of(found)
    console.print(comparison_table(found, metrics))
    for line in (headline(found, metrics), *axes(found, metrics)):
        console.print(line, markup=False, highlight=False)
