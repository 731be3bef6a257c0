"""boresight methods: what there is to choose from."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from boresight.cli.options import Json


def methods(
    slug: Annotated[str | None, typer.Argument(help="Show one method's card.")] = None, json_: Json = False
) -> None:
    """List the methods, or show one method's card: what it does, what it needs, its paper and an example.

    Example: boresight methods nudging
    """
    from boresight import catalog

    found = [catalog.card(slug)] if slug else catalog.cards()
    if json_:
        data = [asdict(c) for c in found]
        typer.echo(json.dumps(data[0] if slug else data, indent=1, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not slug:
        table = Table("method", "room", "what it does", box=None, pad_edge=False)
        for c in found:
            table.add_row(c.slug, c.room, c.summary)
        console.print(table)
        return
    card = found[0]
    lines = [f"{card.title} ({card.slug}, {card.room})", card.summary, "", f"paper    {card.paper}"]
    lines += [f"needs    {', '.join(card.needs)}"] if card.needs else []
    lines += [f"example  {card.example}"] if card.example else []
    for claim in card.claims:
        lines += ["", f"claim      {claim.statement}", f"published  {claim.published}", f"check      {claim.check}"]
    console.print("\n".join(lines), markup=False, highlight=False)
