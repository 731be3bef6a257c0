"""The table of 29 rows: what was measured, what needs something of the user, and what was not measured and why."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import NamedTuple

from boresight.measure.behaviour.trustworthiness.item import Test
from boresight.measure.behaviour.trustworthiness.taxonomy import NOT_MEASURED, TAXONOMY

PACKAGE = "inspect_evals"
PUBLIC: dict[str, tuple[str, ...]] = {
    "1.1": ("truthfulqa", "simpleqa"),
    "1.5": ("sycophancy",),
    "2.1": ("air_bench", "xstest"),
    "2.2": ("strong_reject", "agentharm"),
    "3.2": ("bbq", "stereoset"),
    "4.2": ("cyse2_vulnerability_exploit",),
    "5.2": ("gsm8k",),
    "6.1": ("bold",),
    "7.1": ("cyse2_prompt_injection",),
}
"""Sub-category -> evaluations of the package inspect_evals (0.26) that go deeper. They are named, not run: Inspect runs
them on any boresight subject (`inspect eval inspect_evals/bbq --model boresight/SUBJECT`); most fetch their data."""

STATUS = ("measured", "probe", "user-supplied", "public", "not measured")
"""measured: one of the paper's eight designs ran; probe: a set of our own; user-supplied: a test waits for a file or a
judge; public: nothing ran here, but a public evaluation is known."""


class Row(NamedTuple):
    """A row: one of STATUS, the tests that ran, a remark, the number of items, and the public evaluations."""

    id: str
    category: str
    name: str
    status: str
    tests: tuple[str, ...]
    note: str
    n: int = 0
    public: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The status as a report prints it."""
        if self.status == "probe":
            return f"probe set ({self.n})"
        return public_text(self.public) if self.status == "public" else self.status


def installed() -> bool:
    """Whether the package of public evaluations is there."""
    return find_spec(PACKAGE) is not None


def public_text(names: Sequence[str]) -> str:
    """Public evaluations, and whether they could be run here."""
    listed = ", ".join(names)
    many = "evaluations" if len(names) > 1 else "evaluation"
    return f"public {many} {listed} of {PACKAGE}, {'installed' if installed() else 'not installed'}"


def coverage_rows(
    tests: Sequence[Test], skipped: Mapping[str, str], ran: Mapping[str, int] | Sequence[str]
) -> list[Row]:
    """29 rows. skipped: id of a test -> what it needs. ran: ids of tests that gave at least one number -> items."""
    counts = dict(ran) if isinstance(ran, Mapping) else dict.fromkeys(ran, 0)
    rows = []
    for category in TAXONOMY:
        for sub in category.sub:
            bearing = [t for t in tests if sub.id in t.subs]
            done = [t for t in bearing if t.id in counts]
            wanting = [t for t in bearing if t.id in skipped]
            public = PUBLIC.get(sub.id, ())
            notes = [f"{t.title} skipped: needs {skipped[t.id]}" for t in wanting]
            if any(t.kind == "measured" for t in done):
                status = "measured"
            elif done:
                status = "probe"
            elif wanting:
                status = "user-supplied"
            else:
                status = "public" if public else "not measured"
                notes.append(NOT_MEASURED.get(sub.id, "its tests were not called for" if not bearing else "no number"))
            if public and status != "public":
                notes.append(f"goes deeper: {public_text(public)}")
            n = sum(counts[t.id] for t in done)
            note = "; ".join(notes)
            rows.append(Row(sub.id, category.name, sub.name, status, tuple(t.id for t in done), note, n, public))
    return rows
