"""Records and where they come from: JSON lines, and the small prompt sets written for this project (`sets/`)."""

import json
import random
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, TypeVar

from boresight.errors import DataError

T = TypeVar("T")


def load_set(name: str) -> list[dict[str, Any]]:
    """All rows of a built-in set ("open", "instructions", "refusal", "refusal_replies", "facts")."""
    file = files("boresight.data") / "sets" / f"{name}.jsonl"
    if not file.is_file():
        raise DataError(f"no built-in prompt set is called {name!r}")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def read_jsonl(lines: IO[str] | Sequence[str], where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line that is not blank; DataError naming the line that is not a JSON object."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{where}, line {number}: not valid JSON ({error})") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}, line {number}: a JSON object is needed, not {type(row).__name__}")
        yield number, row


def open_text(path: str | Path) -> IO[str]:
    """Open a UTF-8 file for reading; DataError if that is impossible."""
    try:
        file = open(path, encoding="utf-8-sig")  # noqa: SIM115 - the caller closes it
        file.read(1)
        file.seek(0)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return file


def draw(rows: Sequence[T], limit: int | None, seed: int) -> list[T]:
    """`limit` rows chosen by `seed`, in their own order; all of them if limit is None or larger.

    The rows drawn for a smaller limit are among those drawn for a larger one.
    """
    if limit is None or limit >= len(rows):
        return list(rows)
    if limit < 1:
        raise ValueError(f"limit is {limit}; at least 1 is needed")
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    return [rows[i] for i in sorted(order[:limit])]
