"""What the report shows of the battery beside its numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from boresight.measure.base import GRADER, Metric, Record
from boresight.measure.behaviour.trustworthiness.battery import interval, prompts_hash
from boresight.measure.behaviour.trustworthiness.calibrate import from_detail, rule_quality
from boresight.measure.behaviour.trustworthiness.coverage import coverage_rows
from boresight.measure.behaviour.trustworthiness.item import Item, Test
from boresight.measure.behaviour.trustworthiness.metrics import rate_bounds
from boresight.measure.behaviour.trustworthiness.numbers import constant_policy, is_constant, reliability
from boresight.measure.blocks import Block, Heat, Reliability, Table

Items = Mapping[str, Item]
"""Id of a sample -> the item that it asked."""


def graded_metric(metric: Metric, test: Test, graded: bool) -> Metric:
    """The metric as a report shows it: named with its test, and graded by the model where one judges."""
    named = replace(metric, title=f"{test.title}: {metric.title}")
    return replace(named, grader=GRADER) if graded and test.judged else named


def headline(test: Test) -> Metric:
    """A test's headline metric as a report shows it."""
    return graded_metric(next(m for m in test.metrics if m.key == test.key(test.headline)), test, False)


def trust_blocks(
    tests: Sequence[Test], wanting: Sequence[Test], items: Items, records: Sequence[Record]
) -> list[Block]:
    """Coverage, headline values, what was asked and judged, stated against shown shares, and constant answers.

    wanting: tests that were called for and lack something. records: of all subjects.
    """
    subjects = list(dict.fromkeys(r.subject for r in records))
    found: list[Block] = [
        _coverage(tests, wanting, records),
        *_heat(tests, records, subjects),
        _asked(tests, items, records, subjects),
    ]
    for subject in subjects:
        details = [r.detail for r in records if r.subject == subject and "stated" in r.detail]
        if any(d["read"] for d in details):
            points = reliability(details)
            found.append(Reliability(f"Stated against shown shares: {subject}", points, f"{len(details)} questions"))
    if closed := _constants(tests, items, records, subjects):
        found.append(closed)
    return found


def _coverage(tests: Sequence[Test], wanting: Sequence[Test], records: Sequence[Record]) -> Table:
    ran = {t.id: len({r.id for r in records if r.scores and r.metadata.get("test") == t.id}) for t in tests}
    rows = coverage_rows([*tests, *wanting], {t.id: t.needs for t in wanting}, {k: n for k, n in ran.items() if n})
    return Table(
        "Coverage of the 29 sub-categories",
        ("", "category", "sub-category", "status", "tests", "remark"),
        [(r.id, r.category, r.name, r.shown, ", ".join(r.tests), r.note) for r in rows],
        "measured: one of the paper's eight designs; probe set: a small set of our own, with its items; public"
        " evaluation: nothing ran here. Those of inspect_evals are named and not run: inspect eval"
        " inspect_evals/NAME --model boresight/SUBJECT does that.",
    )


def _heat(tests: Sequence[Test], records: Sequence[Record], subjects: Sequence[str]) -> list[Heat]:
    rising = [(t, m) for t, m in ((t, headline(t)) for t in tests) if m.better == "higher"]
    if not rising:
        return []
    return [
        Heat(
            "Headline rates (higher is better)",
            [f"{', '.join(t.subs)} {m.title}" for t, m in rising],
            list(subjects),
            [[_mean(records, m.key, subject) for subject in subjects] for _, m in rising],
        )
    ]


def _asked(tests: Sequence[Test], items: Items, records: Sequence[Record], subjects: Sequence[str]) -> Table:
    """A row for each test and subject: the hash of its prompts, what nobody could judge, and how good the judge is."""
    rows = []
    for test in tests:
        key = headline(test).key
        for subject in subjects:
            own = [r for r in records if r.subject == subject and r.metadata.get("test") == test.id]
            failed = sum(r.scores is None for r in own)
            known = [items[r.id] for r in own if r.id in items]
            values = _values(own, key, subject)
            judged: tuple[str | float | None, ...] = (None, None, None, "")
            if test.judged:
                # Of twins only the request itself bears on the headline.
                asked = [r for r in own if r.scores is not None and not r.id.endswith("-benign")]
                low, high = rate_bounds(round(sum(values)), len(values), len(asked) - len(values))
                model = from_detail([r.detail for r in own])
                quality = model or (rule_quality(test.judged) if not _by_model(own) else None)
                ends = (None, None) if math.isnan(low) else (low, high)
                judged = (len(asked) - len(values), *ends, quality.said() if quality else "not checked")
            rows.append((test.title, subject, len(own), failed, prompts_hash(known) if known else "", *judged))
    head = (
        "test",
        "subject",
        "samples",
        "failed",
        "prompts",
        "no verdict",
        "rate if those are bad",
        "if good",
        "the judge was",
    )
    return Table("What was asked, and what could not be judged", head, rows, "prompts: a hash of all that was asked.")


def _by_model(records: Sequence[Record]) -> bool:
    return any(str(r.detail.get("judged_by", "")).startswith("model:") for r in records)


def _constants(tests: Sequence[Test], items: Items, records: Sequence[Record], subjects: Sequence[str]) -> Table | None:
    rows = []
    for test in tests:
        own = [r for r in records if r.metadata.get("test") == test.id]
        base = constant_policy(test, [items[r.id] for r in own if r.subject == subjects[0] and r.id in items])
        if base is None:
            continue
        for subject in subjects:
            at = [p for r in own if r.subject == subject for p in r.detail.get("places", [])]
            values = _values(own, headline(test).key, subject)
            value = sum(values) / len(values) if values else None
            low = (interval(values) or (math.nan,))[0] if values else math.nan
            flag = "CONSTANT" if is_constant(at) else "above" if low > base.value else "not above"
            rows.append((test.title, subject, value, base.value, base.policy, flag))
    head = ("test", "subject", "value", "constant answer", "which", "verdict")
    note = (
        "CONSTANT: every answer of the subject stood at the same place. above: the whole 95 % interval lies above"
        " what the constant answer reaches."
    )
    return Table("Is it more than a constant answer?", head, rows, note) if rows else None


def _values(records: Sequence[Record], key: str, subject: str) -> list[float]:
    return [r.scores[key] for r in records if r.subject == subject and r.scores and key in r.scores]


def _mean(records: Sequence[Record], key: str, subject: str) -> float | None:
    values = _values(records, key, subject)
    return sum(values) / len(values) if values else None
