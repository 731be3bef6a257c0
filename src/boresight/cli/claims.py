"""boresight claims: what the papers say, and what the small models show of it."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from boresight.cli.options import Device, Dtype, Json, Out

if TYPE_CHECKING:
    from boresight.claim import Claim
    from boresight.lm.base import OnStep
    from boresight.report.claims import ClaimsReport, OnBegin


def claims(
    slugs: Annotated[
        list[str] | None, typer.Argument(metavar="[METHOD]...", help="Only the claims of these methods.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=2, help="Prompts for each check; below about 20 intervals are too narrow.")
    ] = 30,
    out: Out = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Check what the papers claim on the small models: published figure, measured figure, verdict.

    A claim holds, does not hold, or cannot be told here. The exit code is 0 whatever the verdicts are: a claim that
    does not hold is a finding, not an error. --out writes claims.json and claims.md.

    Example: boresight claims token-shift --limit 20
    """
    from boresight.report.claims import claims_of, run_claims
    from boresight.report.files import new_directory, unless_it_fails

    chosen = claims_of(slugs or [])
    folder = new_directory(out) if out else None
    with _progress(len(chosen)) as (begin, stepped), unless_it_fails(folder) if folder else nullcontext():
        report = run_claims(chosen, limit=limit, dtype=dtype, device=device, on_begin=begin, on_step=stepped)
        if folder:
            report.write(folder)
    if json_:
        typer.echo(json.dumps(report.to_dict(), indent=1, ensure_ascii=False))
        return
    _show(report)
    if folder:
        typer.echo(f"\npage: {folder / 'claims.md'}")


@contextmanager
def _progress(claims: int) -> "Iterator[tuple[OnBegin, OnStep]]":
    """What hears of the next claim and of every pass: a line that moves on a terminal, a line per claim elsewhere."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console, told = Console(stderr=True), [0, 0]  # claims begun, rows of passes since

    def words(method: str, claim: "Claim") -> str:
        told[:] = told[0] + 1, 0
        return f"claim {told[0]} of {claims}, {method}: {claim.name}"

    if not console.is_terminal:
        yield lambda method, claim: print(words(method, claim), file=sys.stderr, flush=True), lambda rows: None
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TextColumn("{task.fields[steps]}")
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("loading models", total=None, steps="")

        def stepped(rows: int) -> None:
            told[1] += rows
            shown.update(task, steps=f"{told[1]:,} steps")

        yield lambda method, claim: shown.update(task, description=words(method, claim), steps=""), stepped


def _show(report: "ClaimsReport") -> None:
    """The claims as blocks of lines, which any width can show."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from boresight.claim import FAILS, HOLDS
    from boresight.report.claims import tally, value_text

    console = Console()
    colours = {HOLDS: "green", FAILS: "red"}
    for c in report.found:
        m = c.measured
        console.print(Text(f"{c.method}: {c.claim.statement}", style="bold"))
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(width=9)
        table.add_column(overflow="fold")
        for name, text in (
            ("published", Text(c.claim.published)),
            ("expected", Text(c.claim.expected)),
            ("measured", Text(f"{value_text(m)} ({m.unit})")),
            ("verdict", Text(m.verdict, style=colours.get(m.verdict, "yellow"))),
            ("how", Text(m.note, style="dim")),
        ):
            table.add_row(name, text)
        console.print(Padding(table, (0, 0, 1, 2)))
    console.print(tally(report.found), highlight=False)
