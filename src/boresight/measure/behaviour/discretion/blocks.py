"""What the report shows of the audit: priorities, who wins against whom, and how far annotators are from each other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from boresight.measure.base import Record
from boresight.measure.behaviour.discretion.metrics import wins
from boresight.measure.behaviour.discretion.priority import bradley_terry, discrepancy
from boresight.measure.behaviour.discretion.report import (
    DiscretionReport,
    audit,
    by_topic,
    oracle_sensitivity,
    what_if,
)
from boresight.measure.blocks import Heat, Table

if TYPE_CHECKING:
    from boresight.measure.blocks import Block


@dataclass(frozen=True)
class Shown:
    """What the blocks need besides records. oracle: "rules", "subject" or "grader"; reverse: asked in both orders."""

    names: Sequence[str]
    prior: float | None
    replicates: int
    oracle: str
    reverse: bool


def arrays(records: Sequence[Record], other: str = "reference") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P (n, k), the subject's choices and those of another annotator ("reference", "grader"), (n,), of the records
    that have them."""
    found = [r.detail for r in records if "a" in r.detail and other in r.detail]
    p = np.array([d["P"] for d in found], dtype=np.int8).reshape(len(found), -1)
    return p, np.array([d["a"] for d in found], dtype=int), np.array([d[other] for d in found], dtype=int)


def blocks(records: Sequence[Record], shown: Shown) -> "Sequence[Block]":
    """Per annotator (reference, grader, subjects): priorities and supremacy; between all of them: discrepancies."""
    made: list[Block] = []
    ranked: dict[str, np.ndarray] = {}
    topics: list[Sequence[str | float | int | None]] = []
    rules: list[Sequence[str | float | int | None]] = []
    subjects = list(dict.fromkeys(record.subject for record in records))
    for subject in subjects:
        own = [r for r in records if r.subject == subject and "a" in r.detail]
        if not own:
            continue
        p, a, reference = arrays(own)
        annotators = {"reference": reference}
        if "grader" in own[0].detail:
            annotators["grader"] = arrays(own, "grader")[2]
        # The reference and the grader are the same whoever the subject is, but P is not if the subject is the oracle.
        if shown.oracle == "subject" and len(subjects) > 1:
            annotators = {f"{name}, {subject} as oracle": b for name, b in annotators.items()}
        for name, b in [(subject, a), *((n, b) for n, b in annotators.items() if n not in ranked)]:
            ranked[name] = bradley_terry(wins(p, b), shown.prior).rank
            made += _annotator(name, audit(p, b, shown.names, shown.replicates, shown.prior))
            rules += [[name, rule, f"{w.right} of {w.n}", w.undecided] for rule, w in what_if(p, b).items() if w.n]
        topics += [
            [subject, topic, f"{k} of {n}"]
            for topic, (k, n) in by_topic(p, a, [str(r.detail.get("topic") or "") for r in own]).items()
            if topic and n
        ]
        if shown.oracle != "rules":
            made += _oracle(subject, own, p, a, shown)
    if sum(bool((rank >= 0).any()) for rank in ranked.values()) > 1:
        made.append(_discrepancies(ranked))
    if rules:
        note = "of the conflicts both decide; learnt on the other four fifths of the comparisons"
        made.append(
            Table(
                "Conflicts that a simple rule decides alike",
                ("annotator", "rule", "alike", "rule is undecided"),
                rules,
                note,
            )
        )
    if topics:
        note = "of the consensus rows that the annotator decided"
        made.append(Table("Against all principles, by topic", ("annotator", "topic", "against"), topics, note))
    return made


def _annotator(name: str, found: DiscretionReport) -> "list[Block]":
    """Priorities with intervals and the supremacy matrix; one sentence where it decided no conflict."""
    rank, w = found.priorities.rank, found.priorities.w
    order = sorted(range(len(found.names)), key=lambda c: (rank[c] < 0, rank[c]))
    ranked = [c for c in order if rank[c] >= 0]
    head = ("rank", "principle", "priority (log-odds)", "low", "high", "conflicts won", "of")
    games = found.W + found.W.T
    rows = [
        [
            int(rank[c]),
            found.names[c],
            *map(_shown, (w[c], found.low[c], found.high[c])),
            int(found.W[c].sum()),
            int(games[c].sum()),
        ]
        for c in ranked
    ]
    if not rows:
        numbers = [[found.n, found.counts["conflict"], found.abstained]]
        note = "It decided no conflict between principles, so it has no priorities."
        return [Table(f"Priorities: {name}", ("comparisons", "conflicts", "abstained"), numbers, note)]
    note, left = f"{100 * found.level:.0f} % bootstrap intervals", len(order) - len(ranked)
    if left:
        note += f"; {left} more were in no conflict that it decided"
    cells = [[None if math.isnan(x) else float(x) for x in found.PS[c][ranked]] for c in ranked]
    shown = [found.names[c] for c in ranked]
    return [
        Table(f"Priorities: {name}", head, rows, note),
        Heat(f"Row wins against column: {name}", shown, shown, cells, note="share of the conflicts of the two"),
    ]


def _discrepancies(ranked: dict[str, np.ndarray]) -> "Block":
    names = list(ranked)
    cells = [[_number(discrepancy(ranked[a], ranked[b])) if a != b else None for b in names] for a in names]
    note = "(1 - Kendall's tau) / 2 of two rankings: 0 the same, 50 unrelated, 100 reversed"
    return Heat("Discrepancy between annotators", names, names, cells, unit="share", note=note)


def _oracle(subject: str, own: Sequence[Record], p: np.ndarray, a: np.ndarray, shown: Shown) -> "list[Block]":
    """Per principle: how often the oracle prefers an answer or says NA, the order decides, and the rule agrees."""
    asked = [r.detail for r in own if "na" in r.detail]
    if not asked:
        return []
    columns = {"prefers either": (p != 0).astype(float), "says NA": np.array([d["na"] for d in asked])}
    if shown.reverse:
        columns["order decided"] = np.array([d["order_decided"] for d in asked])
    if asked[0]["right"]:
        columns["as the rule"] = np.array([d["right"] for d in asked])
    rows = [[name, *(float(x[:, c].mean()) for x in columns.values())] for c, name in enumerate(shown.names)]
    note = "shares of the comparisons"
    if shown.reverse:
        first, second = (np.array([d["by_order"][j] for d in asked]) for j in (0, 1))
        moved = oracle_sensitivity(first, second, a)
        note += f"; each order alone gives the same preference in {100 * moved.agreement:.0f} % of all cells"
        if not math.isnan(sum(moved.DA)):
            note += f", and {100 * moved.DA[0]:.0f} or {100 * moved.DA[1]:.0f} % against all principles"
    who = f"the grader, for {subject}" if shown.oracle == "grader" else subject
    return [Table(f"The oracle: {who}", ["principle", *columns], rows, note)]


def _number(x: float) -> float | None:
    return None if math.isnan(x) else x


def _shown(x: float) -> float | str | None:
    return None if math.isnan(x) else float(x) if math.isfinite(x) else "wins all" if x > 0 else "loses all"
