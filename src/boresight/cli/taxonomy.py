"""boresight taxonomy: the leaves of seven surveys, and what is offered for each."""

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from boresight.cli.options import Json

if TYPE_CHECKING:
    from boresight.taxonomy import Leaf, Survey

COLOURS = {"ready": "green", "broken": "red", "needs": "yellow"}


def taxonomy(
    survey: Annotated[str | None, typer.Option(metavar="NAME", help="Only this survey, for example shen2023.")] = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only ready, needs, planned, 'not offered' or broken.")
    ] = None,
    json_: Json = False,
) -> None:
    """Show every leaf of the surveys' taxonomies with what runs it here: ready, planned or not offered, and why.

    Ready is tested by importing; the exit code is 1 if something that calls itself ready cannot be imported.

    Example: boresight taxonomy --survey shen2023 --status ready
    """
    from boresight.taxonomy import leaves, surveys

    rows = [(leaf, *leaf.now()) for leaf in leaves(survey, status)]
    if json_:
        data = [{**asdict(leaf), "status": now, "reason": reason} for leaf, now, reason in rows]
        typer.echo(json.dumps(data, indent=1, ensure_ascii=False))
    else:
        for one in surveys():
            if mine := [row for row in rows if row[0].survey == one.slug]:
                _show(one, mine)
        typer.echo(f"{len(rows)} leaves: {_counts(rows)}")
    broken = [f"{leaf.survey}, {leaf.name}: {reason}" for leaf, now, reason in rows if now == "broken"]
    for line in broken:
        typer.echo(f"said to be ready, but cannot be imported: {line}", err=True)
    if broken:
        raise typer.Exit(1)


def _show(survey: "Survey", rows: "list[tuple[Leaf, str, str]]") -> None:
    """One survey: a heading, and a table for each branch."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    title = f"{survey.slug}: {survey.title} ({survey.authors}, {survey.year}, arXiv {survey.arxiv})"
    console.print(Text(title, style="bold"))
    branches = list(dict.fromkeys(leaf.branch for leaf, *_ in rows))
    console.print(f"{len(branches)} branches, {len(rows)} leaves: {_counts(rows)}", highlight=False)
    for branch in branches:
        table = Table(box=None, pad_edge=False, expand=True, header_style="italic")
        for heading, ratio in ((branch, 4), ("feature", 5), ("status", 5)):
            table.add_column(Text(heading), ratio=ratio, overflow="fold")
        for leaf, now, reason in (row for row in rows if row[0].branch == branch):
            shown = Text(now if not reason or now == "ready" else f"{now}: {reason}", style=COLOURS.get(now, "dim"))
            if now == "needs":
                shown = Text(f"needs {reason}", style=COLOURS[now])
            feature = Text(leaf.feature)
            if leaf.command:
                feature.append(f"\nboresight {leaf.command}", style="cyan")
            table.add_row(Text(leaf.name + (" (our grouping)" if leaf.ours else "")), feature, shown)
        console.print()
        console.print(table)
    console.print()


def _counts(rows: "list[tuple[Leaf, str, str]]") -> str:
    return ", ".join(f"{n} {status}" for status, n in Counter(now for _, now, _ in rows).items()) or "none"
