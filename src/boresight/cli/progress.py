"""What a terminal shows while models are at work; nothing where stderr is not a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from boresight.safe import visible


class Bars:
    """One bar per subject: answers done, and tokens so far as a sign of life."""

    def __init__(self, bars: Progress) -> None:
        self._bars, self._task, self._rows, self._lock = bars, None, 0, Lock()

    def begin(self, subject: str, answers: int) -> None:
        """Start a subject's bar."""
        with self._lock:
            self._rows = 0
            self._task = self._bars.add_task(subject, total=answers, steps="")

    def answered(self) -> None:
        """Move the bar by one answer."""
        if self._task is not None:
            self._bars.advance(self._task)

    def stepped(self, rows: int) -> None:
        """Show that the model moves, also while no answer is complete yet."""
        self._rows += rows
        if self._task is not None:
            self._bars.update(self._task, steps=f"{self._rows:,} steps")


@contextmanager
def bars() -> Iterator[Any]:
    """A Progress for audits: bars on a terminal, a line per subject otherwise."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[steps]}[/dim]"),
    )
    with Progress(*columns, console=console) as shown:
        yield Bars(shown)


class Lines:
    """For logs and pipes: one line when a subject's turn comes."""

    def begin(self, subject: str, answers: int) -> None:
        """Name the subject."""
        print(f"{visible(subject)}: {answers} prompts", file=sys.stderr, flush=True)

    def answered(self) -> None:
        """Quiet."""

    def stepped(self, rows: int) -> None:
        """Quiet."""


@contextmanager
def busy(what: str) -> Iterator[None]:
    """A spinner with a few words on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


@contextmanager
def said_if_interrupted(folder: Path) -> Iterator[None]:
    """After Ctrl-C: say how the run goes on, if it had begun."""
    from boresight.report.attempt import JOURNAL

    try:
        yield
    except KeyboardInterrupt:
        if (folder / JOURNAL).exists():
            kept = f"the answers so far are kept; boresight audit --resume {folder} goes on"
            print(f"boresight: {kept}", file=sys.stderr)
        raise
