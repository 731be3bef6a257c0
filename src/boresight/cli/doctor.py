"""boresight doctor: what works on this machine."""

import json
from dataclasses import asdict

import typer

from boresight.cli.options import Json

SYMBOLS = {"ok": ("✓", "ok", "green"), "warn": ("!", "!!", "yellow"), "fail": ("✗", "XX", "red")}


def doctor(json_: Json = False) -> None:
    """Say what works on this machine and what to do about what does not; exit 1 if something essential is broken.

    Example: boresight doctor
    """
    from boresight.cli.progress import busy
    from boresight.doctor import examine, exit_code

    with busy("examining this machine"):
        checks = examine()
    if json_:
        typer.echo(json.dumps([asdict(c) for c in checks], indent=1, ensure_ascii=False))
        raise typer.Exit(exit_code(checks))
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")  # the default cuts with a character that not every terminal has
    for check in checks:
        pretty, plain, colour = SYMBOLS[check.status]
        symbol = pretty if console.encoding.lower().startswith("utf") else plain
        found = Text(check.found)
        if check.advice:
            found.append(f"\n{check.advice}", style="dim")
        table.add_row(Text(symbol, style=colour), Text(check.name), found)
    console.print(table)
    raise typer.Exit(exit_code(checks))
