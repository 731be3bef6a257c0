"""What verbs print at the end of a run."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from boresight.report.run import Run
    from boresight.report.shift import ShiftRun


def show_run(run: "Run", *, as_json: bool = False) -> None:
    """Table, headline, sample errors and where the files are; or results.json as it stands."""
    from rich.console import Console

    from boresight.lm.remote.usage import described
    from boresight.report.headline import axes, headline
    from boresight.report.metrics import metrics_of
    from boresight.report.table import results_table
    from boresight.safe import visible

    if as_json:
        typer.echo(run.results.to_json(), nl=False)
    else:
        metrics = metrics_of(run.results) | run.metrics
        console = Console()
        console.print(results_table(run.results, metrics))
        for line in (headline(run.results, metrics), *axes(run.results, metrics)):
            console.print(line, markup=False, highlight=False)
        for line in dict.fromkeys(run.judges.values()):
            console.print(visible(line), markup=False, highlight=False)
        for subject in run.results.subjects:
            for remote, used in (subject.usage or {}).items():
                line = f"{remote} for {subject.name}: {described(used.model_dump())}"
                console.print(visible(line), markup=False, highlight=False)
        console.print(f"\nreport: {run.directory / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    for line in run.errors[:5]:
        typer.echo(f"sample failed: {line}", err=True)
    if len(run.errors) > 5:
        typer.echo(f"... and {len(run.errors) - 5} more failed samples; see the logs", err=True)


def show_shift(run: "ShiftRun", *, as_json: bool = False) -> None:
    """The numbers of a pair, the headline and where the report is; or results.json as it stands."""
    from rich.console import Console

    from boresight.report.shift import measured_only, metrics
    from boresight.report.table import results_table
    from boresight.safe import visible

    if as_json:
        typer.echo(run.results.to_json(), nl=False)
        return
    console = Console()
    console.print(results_table(measured_only(run.results), metrics()))
    for line in (run.report.headline(), *run.report.summary()["warnings"]):
        console.print(visible(line), markup=False, highlight=False)
    console.print(f"\nreport: {run.directory / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
