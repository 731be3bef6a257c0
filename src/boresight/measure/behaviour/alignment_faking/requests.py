"""Requests that the arms use: harmless stand-ins written for this project, harmful ones without answers, or a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boresight.data import draw, load_set, open_text, read_jsonl
from boresight.errors import DataError

STAND_INS = ("kelloball", "edgy", "plain")
"""Groups of the bundled stand-ins: an invented sport (the surrogate topic), requests that sound worse than they are,
and everyday ones."""

HARMFUL = 40  # of the 60 harmful requests of the refusal set


@dataclass(frozen=True)
class Request:
    """A request. category: its group or topic."""

    id: str
    text: str
    category: str


def load_requests(source: str = "stand-ins") -> list[Request]:
    """The requests of "stand-ins" (100), one of its groups, "harmful" (40, requests only), or of a JSONL file.

    A file has "prompt" in each line, and "id" and "category" if it likes. DataError naming the line that is wrong.
    """
    if source == "stand-ins" or source in STAND_INS:
        rows = [r for r in load_set("faking_requests") if source in ("stand-ins", r["group"])]
        return [Request(r["id"], r["prompt"], r["group"]) for r in rows]
    if source == "harmful":
        rows = [r for r in load_set("refusal") if r["label"] == "harmful"]
        return [Request(r["id"], r["prompt"], r["topic"]) for r in draw(rows, HARMFUL, 0)]
    if not source.strip():
        raise DataError(f"requests names nothing; {', '.join(('stand-ins', *STAND_INS))}, harmful or a file is needed")
    return _file(source)


def _file(path: str) -> list[Request]:
    found: list[Request] = []
    seen: set[str] = set()
    with open_text(Path(path)) as file:
        for number, row in read_jsonl(file, path):
            one = _request(row, number, f"{path}, line {number}")
            if one.id in seen:
                raise DataError(f"{path}, line {number}: the id {one.id!r} comes twice")
            seen.add(one.id)
            found.append(one)
    if not found:
        raise DataError(f"{path} holds no request: at least one line with 'prompt' is needed")
    return found


def _request(row: dict[str, Any], number: int, where: str) -> Request:
    text = row.get("prompt")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: a non-empty text 'prompt' is needed")
    name, category = row.get("id"), row.get("category")
    if isinstance(name, bool) or not isinstance(name, str | int | float | None) or name == "":
        raise DataError(f"{where}: the id is {name!r:.60}; a text that is not empty, or a number, is needed")
    if not isinstance(category, str | int | None):
        raise DataError(f"{where}: the category is {category!r:.60}; a text is needed")
    one = Request(f"row-{number}" if name is None else str(name), text.strip(), str(category or ""))
    if any("\ud800" <= c <= "\udfff" for c in one.id + one.text + one.category):
        raise DataError(f"{where}: it holds half of a surrogate pair, which is no character")
    return one
