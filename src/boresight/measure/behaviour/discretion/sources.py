"""Rows of comparisons or labels: a file, or a data set of the model hub where it is asked for by name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boresight.data.tables import read_table
from boresight.errors import DataError

HUB = "hub:"
_ID = re.compile(r"[\w.-]+/[\w.-]+(?::[\w.\[\]%-]+)?")


def read_rows(source: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where the row stands, the row) of every row of a file (`boresight.data.tables`) or of hub:OWNER/NAME[:SPLIT].

    A hub id is the one case in which the network is used: the package `datasets` fetches it (split "test" if none is
    named) and keeps it. DataError for a name that is no id, without `datasets`, and for what it cannot load.
    """
    name = str(source)
    return _hub(name.removeprefix(HUB)) if name.startswith(HUB) else read_table(source)


def _hub(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if not _ID.fullmatch(name):
        raise DataError(f"{HUB}{name} is no data set: {HUB}OWNER/NAME or {HUB}OWNER/NAME:SPLIT is needed")
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DataError(f"{HUB}{name}: reading from the hub needs datasets (pip install 'boresight[hub]')") from None
    known, _, split = name.partition(":")
    try:
        rows: Any = load_dataset(known, split=split or "test")
        yield from ((f"{HUB}{name}, row {number}", dict(row)) for number, row in enumerate(rows, 1))
    except Exception as error:  # network, an unknown name, a gated set, a form it does not know: all of them its own
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{HUB}{name} cannot be loaded: {first}") from error
