"""Labels and columns of safe / unsafe sets, and the halves to fit and to score on (sheet, sections 2.2 and 3)."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from boresight.measure.latent.aqi import checks

SAFE = frozenset({"safe", "yes", "1", "true"})
UNSAFE = frozenset({"unsafe", "no", "0", "false"})
COLUMNS = {
    "axiom": ("axiom", "category", "prompt_type"),
    "safety_label": ("safety_label", "label", "safety", "is_safe"),
    "input": ("input", "text", "prompt", "response"),
}


def read_label(value: object, row: int) -> int:
    """1 for safe, 0 for unsafe; strings in any case, booleans, 0 and 1. StatesError names the row of anything else.

    The reference code takes whatever it does not know for unsafe: a spelling mistake would become a result.
    """
    text = str(value).strip().casefold()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        text = str(int(value))
    if text in SAFE:
        return 1
    if text in UNSAFE:
        return 0
    raise checks.StatesError(
        f"row {row}: the label is {value!r}; safe/yes/1/true or unsafe/no/0/false is needed (column safety_label)"
    )


def read_labels(values: Iterable[object] | ArrayLike) -> np.ndarray:
    """Labels (n,) as 1 (safe) and 0 (unsafe); StatesError for the first that is neither."""
    read = values if isinstance(values, list | tuple) else np.asarray(values).tolist()
    return np.array([read_label(value, row) for row, value in enumerate(read)], dtype=int)


def find_column(names: Iterable[str], wanted: str) -> str:
    """The column among `names` that holds `wanted` (axiom, safety_label or input), by the sheet's aliases, in order.

    StatesError if there is none.
    """
    present = list(names)
    for alias in COLUMNS[wanted]:
        if alias in present:
            return alias
    raise checks.StatesError(f"no column for {wanted}; one of {', '.join(COLUMNS[wanted])} is needed, not {present}")


def fit_half(
    ids: Sequence[str], y: ArrayLike, axiom: Sequence[str], pair_id: Sequence[str] | None = None
) -> np.ndarray:
    """True (n,) for rows on which layer weights are fitted, False for those that are scored.

    By hash of the id within each axiom x label, so that the order of the rows does not matter; rows of one pair stay
    together. Of an odd stratum the larger part is scored. StatesError for other lengths or an id twice.
    """
    labels = np.asarray(y)
    names, axioms = [str(i) for i in ids], [str(a) for a in axiom]
    pairs = [None] * len(names) if pair_id is None else [None if p is None else str(p) for p in pair_id]
    if not len(names) == len(labels) == len(axioms) == len(pairs):
        raise checks.StatesError(
            f"there are {len(names)} ids, {len(labels)} labels, {len(axioms)} axioms and {len(pairs)} pair ids; one of "
            "each is needed for every row"
        )
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        if seen.setdefault(name, row) != row:
            raise checks.StatesError(f"row {row} has the id {name!r} of row {seen[name]}; every row needs its own")
    units: dict[tuple[str, str], list[int]] = {}
    for row, (name, pair) in enumerate(zip(names, pairs, strict=True)):
        units.setdefault(("row", name) if pair is None else ("pair", pair), []).append(row)
    strata: dict[tuple, list[tuple[str, tuple[str, str]]]] = {}
    for unit, rows in units.items():
        stratum = tuple(sorted((axioms[r], str(labels[r])) for r in rows))
        strata.setdefault(stratum, []).append((hashlib.sha256(unit[1].encode()).hexdigest(), unit))
    fit = np.zeros(len(names), dtype=bool)
    for members in strata.values():
        for _, unit in sorted(members)[: len(members) // 2]:
            fit[units[unit]] = True
    return fit
