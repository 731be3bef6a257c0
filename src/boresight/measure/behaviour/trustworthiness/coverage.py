"""The table of 29 rows: what was measured, what needs something of the user, and what was not measured and why."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from boresight.measure.behaviour.trustworthiness.item import Test
from boresight.measure.behaviour.trustworthiness.taxonomy import NOT_MEASURED, TAXONOMY

PUBLIC: dict[str, tuple[str, ...]] = {
    "1.1": ("inspect_evals/truthfulqa",),
    "2.2": ("inspect_evals/strong_reject",),
    "3.2": ("inspect_evals/bbq",),
    "5.2": ("inspect_evals/gsm8k",),
}
"""Sub-category -> public evaluations that go deeper; they run under Inspect where inspect_evals is installed."""


class Row(NamedTuple):
    """A row: status "measured", "probe", "user-supplied" or "not measured", the tests that ran, and a remark."""

    id: str
    category: str
    name: str
    status: str
    tests: tuple[str, ...]
    note: str


def coverage_rows(tests: Sequence[Test], skipped: Mapping[str, str], ran: Sequence[str]) -> list[Row]:
    """29 rows. skipped: id of a test -> what it needs. ran: ids of tests that gave at least one number."""
    rows = []
    for category in TAXONOMY:
        for sub in category.sub:
            bearing = [t for t in tests if sub.id in t.subs]
            done = [t for t in bearing if t.id in ran]
            wanting = [t for t in bearing if t.id in skipped]
            notes = [f"{t.title} skipped: needs {skipped[t.id]}" for t in wanting]
            if any(t.kind == "measured" for t in done):
                status = "measured"
            elif done:
                status = "probe"
            elif wanting:
                status = "user-supplied"
            else:
                status = "not measured"
                notes.append(NOT_MEASURED.get(sub.id, "its tests were not called for" if not bearing else "no number"))
            if sub.id in PUBLIC:
                notes.append(f"goes deeper: {', '.join(PUBLIC[sub.id])}")
            rows.append(Row(sub.id, category.name, sub.name, status, tuple(t.id for t in done), "; ".join(notes)))
    return rows
