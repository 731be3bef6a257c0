"""Running the claims of methods on small models, and the table of what was found. Nothing is left out of it."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boresight.catalog import METHODS, card
from boresight.claim import FAILS, HOLDS, OPEN, Claim, Comparison, Given, Measured, judged
from boresight.errors import DataError
from boresight.lm.base import OnStep
from boresight.report.environment import environment
from boresight.report.files import write_json, write_text
from boresight.report.results import number
from boresight.steer.policy import Loader

SCHEMA = "boresight.claims/1"
LIMIT = 30  # prompts for each check

OnBegin = Callable[[str, Claim], None]
"""Hears which claim of which method is checked next."""


@dataclass(frozen=True)
class Checked:
    """A claim of a method, what was measured, and how long that took. Claims that share answers pay for them once."""

    method: str
    claim: Claim
    measured: Measured
    seconds: float


@dataclass(frozen=True)
class ClaimsReport:
    """All claims that were checked. subjects: name -> what the model or policy says of itself; env: see env.json."""

    created: str
    seconds: float
    limit: int
    found: list[Checked]
    env: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """What claims.json holds; a value or an end of an interval that is not known is null."""
        rows = [
            {
                "method": c.method,
                "claim": c.claim.name,
                "statement": c.claim.statement,
                "published": c.claim.published,
                "expected": c.claim.expected,
                "value": number(c.measured.value),
                "ci": [number(end) for end in c.measured.ci],
                "level": 0.95,
                "n": c.measured.n,
                "unit": c.measured.unit,
                "verdict": c.measured.verdict,
                "note": c.measured.note,
                "seconds": c.seconds,
            }
            for c in self.found
        ]
        head = {"schema": SCHEMA, "created": self.created, "seconds": self.seconds, "limit": self.limit}
        return {**head, "claims": rows, "env": self.env}

    def to_markdown(self) -> str:
        """The page "Claims": each with its published figure, what was measured, and the verdict."""
        lines = [_HEAD.format(where=self._where(), tally=tally(self.found))]
        for method in dict.fromkeys(c.method for c in self.found):
            mine = [c for c in self.found if c.method == method]
            lines += [f"\n## {card(method).title}\n", "| claim | published | measured | verdict |", "|---|---|---|---|"]
            for c in mine:
                seen = f"{value_text(c.measured)}<br>{c.measured.unit}"
                cells = (f"{c.claim.statement}<br>*Here: {c.claim.expected}.*", c.claim.published, seen)
                lines.append(f"| {' | '.join(map(cell, cells))} | **{c.measured.verdict}** |")
            lines.append("\nHow each was measured:\n")
            lines += [f"* *{c.claim.name}* ({c.seconds:.0f} s): {cell(c.measured.note)}." for c in mine]
        return "\n".join(lines) + "\n"

    def _where(self) -> str:
        subjects = self.env["subjects"].values()
        models = sorted({f"{d['model']} ({d['dtype']})" for s in subjects for d in (s, s.get("nudger")) if d})
        cores = {1: "one CPU core", 2: "two CPU cores"}.get(self.env["cores"], f"{self.env['cores']} CPU cores")
        machine = ", ".join(self.env.get("gpus") or [f"{cores} ({self.env['processor']}), no GPU"])
        day = datetime.fromisoformat(self.created)
        return (
            f"{day:%d %B %Y}, {self.seconds / 60:.0f} minutes on {machine}; {', '.join(models)}; "
            f"at most {self.limit} prompts a check, greedy decoding"
        )

    def write(self, folder: Path) -> None:
        """Write claims.json and claims.md into a folder."""
        write_json(folder / "claims.json", self.to_dict())
        write_text(folder / "claims.md", self.to_markdown())


_HEAD = """# Claims

What the papers behind the methods say, and what models that fit a laptop can show of it. A claim **holds** when the
whole 95 % interval of what was measured lies on its side (or, for a claim without exceptions, when there is none), it
**does not hold** when all of it lies on the other, and otherwise it **cannot be told here**. Intervals are not adjusted
for the number of claims. The published figures come from far larger models and from other prompts, so only directions
are compared.

```bash
boresight claims --out runs/claims
```

wrote this page: {where}.

**{tally}.**"""


def claims_of(slugs: Sequence[str] = ()) -> list[tuple[str, Claim]]:
    """(method, claim) of these methods, or of all; DataError for a method that there is not."""
    return [(slug, claim) for slug in dict.fromkeys(slugs or METHODS) for claim in card(slug).claims]


def run_claims(
    claims: Sequence[tuple[str, Claim]],
    *,
    limit: int = LIMIT,
    dtype: str = "auto",
    device: str = "auto",
    on_begin: OnBegin | None = None,
    on_step: OnStep | None = None,
) -> ClaimsReport:
    """Check claims on the models of this machine, each model loaded once.

    limit: prompts for each check. Raises ModelError for a model that is not here: a check that could not be made is
    never a row of the table.
    """
    began, created = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    loader, subjects = Loader(dtype, device), {}

    def load(spec: str, *steps: str) -> Any:
        model = loader.subject(spec, steps)
        subjects[" + ".join((spec, *steps))] = model.describe()
        return model

    found = check(claims, Given(load, limit, on_step), on_begin)
    seconds = round(time.perf_counter() - began, 1)
    return ClaimsReport(created, seconds, limit, found, environment(subjects, 0))


def check(claims: Sequence[tuple[str, Claim]], given: Given, on_begin: OnBegin | None = None) -> list[Checked]:
    """Check claims one after the other."""
    found = []
    for method, claim in claims:
        if on_begin:
            on_begin(method, claim)
        began = time.perf_counter()
        measured = compare(claim.check, given) if isinstance(claim.check, Comparison) else claim.check(given)
        found.append(Checked(method, claim, measured, round(time.perf_counter() - began, 1)))
    return found


def compare(asked: Comparison, given: Given) -> Measured:
    """Answer the prompts of a measure with both subjects and compare its metric, b minus a, paired over prompts."""
    from boresight.chat import user
    from boresight.data import draw
    from boresight.lm.base import Sampling
    from boresight.measure.battery import measure
    from boresight.stats import paired_bootstrap, paired_proportions

    slug, _, key = asked.metric.partition(".")
    wanted = measure(slug)
    metric = next(m for m in wanted.metrics if m.key == key)
    grade = wanted.grade
    if grade is None:
        raise DataError(f"{slug} is not graded answer by answer, so no claim can rest on its {key}")
    asked_only = asked.only.items()
    rows = draw([s for s in wanted.samples(None, 0) if asked_only <= (s.metadata or {}).items()], given.limit, 0)
    how = Sampling(max_new_tokens=wanted.max_new_tokens)
    values: list[list[float]] = []
    for subject in (asked.a, asked.b):
        done = given.load(*subject).generate([user(str(s.input)) for s in rows], how, on_step=given.on_step)
        values.append([grade(c, _metadata(s)).scores[key] for c, s in zip(done, rows, strict=True)])
    pairs = [pair for pair in zip(*values, strict=True) if not any(map(math.isnan, pair))]
    a, b = ([pair[i] for pair in pairs] for i in (0, 1))
    if metric.unit == "fraction":
        found = paired_proportions([x == 1 for x in a], [x == 1 for x in b])
    else:
        found = paired_bootstrap(a, b)
    shown = [f"{sum(xs) / max(1, len(xs)):.2f} for {' + '.join(s)}" for xs, s in ((b, asked.b), (a, asked.a))]
    dropped = f"; {len(rows) - len(pairs)} prompts not graded" if len(pairs) < len(rows) else ""
    note = f"`{asked.metric}` is {', '.join(shown)}; graded by {metric.grader}{dropped}"
    return judged(found, "difference of shares" if metric.unit == "fraction" else f"difference, {metric.title}", note)


def _metadata(sample: Any) -> dict[str, Any]:
    return dict(sample.metadata or {})


# -- words ----------------------------------------------------------------------------------------------------------


def value_text(m: Measured) -> str:
    """ "0.35 (0.12 to 0.55), n 30"; an interval that there is not is left out."""
    if math.isnan(m.value):
        return f"nothing measured, n {m.n:,}"
    ends = "" if any(map(math.isnan, m.ci)) else f" ({m.ci[0]:.3g} to {m.ci[1]:.3g})"
    return f"{m.value:.3g}{ends}, n {m.n:,}"


def tally(found: Sequence[Checked]) -> str:
    """How many claims hold, do not hold and cannot be told."""
    verdicts = [c.measured.verdict for c in found]
    counts = [f"{verdicts.count(v)} {words}" for v, words in ((HOLDS, "hold"), (FAILS, "do not hold"), (OPEN, OPEN))]
    return f"{len(found)} claims: {', '.join(counts)}"


def cell(text: str) -> str:
    """Text inside a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
