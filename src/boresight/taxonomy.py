"""The leaves of seven surveys and what boresight offers for each, read from taxonomy.toml, the only list there is.

A leaf is `ready` if its entry point can be imported, `needs EXTRA` if that takes an extra that is not installed,
`planned` or `not offered` for a stated reason; a leaf that calls itself ready and cannot be imported is `broken`.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any

from boresight.errors import DataError

READY, PLANNED, NOT_OFFERED = "ready", "planned", "not offered"
STATUSES = (READY, "needs", PLANNED, NOT_OFFERED, "broken")
"""What can be asked for; "needs" and "broken" come from importing, the file says one of the other three."""


@dataclass(frozen=True)
class Survey:
    """A survey: its short name here, title, authors, arXiv number and year."""

    slug: str
    title: str
    authors: str
    arxiv: str
    year: int


@dataclass(frozen=True)
class Leaf:
    """A leaf of a survey's taxonomy.

    feature: what boresight offers for it, in words. command: the command line that runs it, without "boresight", if
    there is one. entry: "module:attribute". status: READY, PLANNED or NOT_OFFERED, reason: why, unless it is ready.
    extra: the extra that its entry point needs. ours: the grouping is our reading, not the survey's own list. items:
    what the leaf counts one by one.
    """

    survey: str
    branch: str
    name: str
    feature: str
    status: str
    command: str = ""
    entry: str = ""
    reason: str = ""
    extra: str = ""
    ours: bool = False
    items: tuple[str, ...] = ()

    def problem(self) -> str:
        """Why the entry point of a ready leaf cannot be imported; "" if it can, or if the leaf is not ready."""
        if self.status != READY:
            return ""
        module, _, attribute = self.entry.partition(":")
        try:
            getattr(import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            return f"{self.entry or 'no entry point'}: {error}"
        return ""

    def now(self) -> tuple[str, str]:
        """(status, reason) on this machine: that of the file, "needs", or "broken"."""
        problem = self.problem()
        if not problem:
            return self.status, self.reason
        return ("needs", f"boresight[{self.extra}]") if self.extra else ("broken", problem)


@dataclass(frozen=True)
class Library:
    """A library that leaves build on.

    names: (heading, "module:attribute" of what it offers). gone: (name that tutorials still show, what to take here).
    extra: the extra of boresight that brings it, "" for one that is always there.
    """

    name: str
    pinned: str
    extra: str
    names: tuple[tuple[str, tuple[str, ...]], ...]
    gone: tuple[tuple[str, str], ...] = ()


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads((files("boresight") / "taxonomy.toml").read_text(encoding="utf-8"))


def surveys() -> list[Survey]:
    """All surveys, in the order of the file."""
    return [Survey(**{k: v for k, v in s.items() if k != "branch"}) for s in _file()["survey"]]


def leaves(survey: str | None = None, status: str | None = None) -> list[Leaf]:
    """All leaves, or those of a survey or with a status on this machine (one of STATUSES).

    Raises DataError with the closest name for a survey or a status that there is not.
    """
    if survey is not None:
        _require("survey", survey, [s.slug for s in surveys()])
    if status is not None:
        _require("status", status, STATUSES)
    found = [
        Leaf(survey=s["slug"], branch=branch["name"], **{**leaf, "items": tuple(leaf.get("items", ()))})
        for s in _file()["survey"]
        for branch in s["branch"]
        for leaf in branch["leaf"]
        if survey in (None, s["slug"])
    ]
    return [leaf for leaf in found if status in (None, leaf.now()[0])]


def libraries() -> list[Library]:
    """The libraries that leaves build on."""
    return [
        Library(
            name=one["name"],
            pinned=one["pinned"],
            extra=one.get("extra", ""),
            names=tuple((heading, tuple(names)) for heading, names in one["names"].items()),
            gone=tuple(one.get("gone", {}).items()),
        )
        for one in _file()["library"]
    ]


def _require(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = get_close_matches(name, known, 1, 0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise DataError(f"no {what} is called {name!r}; {hint}")
