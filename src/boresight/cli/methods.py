"""boresight methods: what there is to choose from."""

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boresight.cli.options import Json

if TYPE_CHECKING:
    from boresight.catalog import Card
    from boresight.claim import Claim


def methods(
    slug: Annotated[str | None, typer.Argument(help="Show one method's card.")] = None, json_: Json = False
) -> None:
    """List the methods, or show one method's card: what it does, what it needs, its paper and an example.

    Example: boresight methods nudging
    """
    from boresight import catalog

    found = [catalog.card(slug)] if slug else catalog.cards()
    if json_:
        data = [_as_data(c) for c in found]
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
    lines += [f"module   {catalog.METHODS[card.slug]}"]
    console.print("\n".join(lines), markup=False, highlight=False)
    # to be copied in one piece
    console.print(f"example  {card.example}", markup=False, highlight=False, soft_wrap=True)
    claims = []
    for claim in card.claims:
        claims += ["", f"claim      {claim.name}: {claim.statement}", f"published  {claim.published}"]
        claims += [f"expected   {claim.expected}"]
    claims += ["", f"check them with boresight claims {card.slug}"] if card.claims else []
    if claims:
        console.print("\n".join(claims), markup=False, highlight=False)


def _as_data(card: "Card") -> dict[str, Any]:
    """The card without the functions that check its claims."""
    return {**asdict(replace(card, claims=())), "claims": [_claim(claim) for claim in card.claims]}


def _claim(claim: "Claim") -> dict[str, str]:
    words = ("name", "statement", "published", "expected")
    return {name: getattr(claim, name) for name in words}
