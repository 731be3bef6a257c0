"""What a measure may show in a report beside its numbers: plain data; the report draws it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of text or numbers under a head; a number is shown with at most three decimals, None as a dash."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]
    note: str = ""


@dataclass(frozen=True)
class Heat:
    """A matrix of values in [low, high], rows x columns (a category by subject, a principle by principle).

    values: one row each; None: not measured. unit: "fraction" and "share" are shown in per cent, others as numbers.
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    unit: str = "fraction"
    low: float = 0.0
    high: float = 1.0
    note: str = ""


@dataclass(frozen=True)
class Dumbbell:
    """Two values for each label, joined by a line: before and after, free and paid. ends: what the two are called."""

    title: str
    ends: tuple[str, str]
    labels: Sequence[str]
    values: Sequence[tuple[float | None, float | None]]
    unit: str = "fraction"
    low: float = 0.0
    high: float = 1.0
    note: str = ""


@dataclass(frozen=True)
class Reliability:
    """Stated confidence against what came true: points (mean stated, mean observed, how many), all in [0, 1]."""

    title: str
    points: Sequence[tuple[float, float, int]]
    note: str = ""


Block = Table | Heat | Dumbbell | Reliability
