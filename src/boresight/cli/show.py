"""What verbs print at the end of a run."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from boresight.report.run import Run


def show_run(run: "Run", *, as_json: bool = False) -> None:
    """Table, headline, sample errors and where the files are; or results.json as it stands."""
    from rich.console import Console

    from boresight.report.headline import headline
    from boresight.report.metrics import metrics_of
    from boresight.report.table import results_table

    if as_json:
        typer.echo(run.results.to_json(), nl=False)
    else:
        metrics = metrics_of(run.results)
        console = Console()
        console.print(results_table(run.results, metrics))
        console.print(headline(run.results, metrics), markup=False, highlight=False)
        console.print(f"\nreport: {run.directory / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    for line in run.errors[:5]:
        typer.echo(f"sample failed: {line}", err=True)
    if len(run.errors) > 5:
        typer.echo(f"... and {len(run.errors) - 5} more failed samples; see the logs", err=True)
