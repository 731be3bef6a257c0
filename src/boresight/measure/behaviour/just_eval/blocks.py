"""What the report shows of scored answers: counts by aspect, a map by tag, one subject against another, the judge's
agreement with known scores, and the mean of aspects."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from boresight.measure.base import Metric, Number, Record
from boresight.measure.behaviour.just_eval.metrics import (
    NaPolicy,
    aggregate,
    average_interval,
    by_tag,
    judge_validity,
    paired,
    spearman_interval,
    values,
)
from boresight.measure.behaviour.just_eval.prompts import MODES
from boresight.measure.blocks import Heat, Table

if TYPE_CHECKING:
    from boresight.measure.blocks import Block

Row = Sequence[str | float | int | None]
Known = Mapping[str, Mapping[str, Any]]
"""Id (as text) -> aspect -> the score that others gave."""


def blocks(records: Sequence[Record], na_policy: NaPolicy = "exclude", known: Known | None = None) -> "list[Block]":
    """Counts of N/A and failed judgments per aspect, a heat map of aspect by task type and topic, each other subject
    against the first by score, and the judge against `known` scores."""
    found: list[Block] = []
    subjects = list(dict.fromkeys(r.subject for r in records))
    for subject in subjects:
        own = [r for r in records if r.subject == subject and r.detail.get("scores")]
        rows: list[Row] = []
        heat: dict[str, dict[str, tuple[float, int]]] = {}
        for mode, aspects in MODES.items():
            items = rows_of(own, mode)
            if not items:
                continue
            totals = aggregate(items, na_policy)
            for a in aspects:
                n = len(values(items, a, na_policy))
                rows.append([a, totals[f"{a}_mean"], n, totals["n_na"][a], totals["n_failed"][a], totals["avg_lens"]])
            if mode == "multi":
                heat = {t: m for t, m in by_tag(items, na_policy).items() if m and t.startswith(("task: ", "topic: "))}
        head = ("aspect", "mean (1 to 5)", "n", "N/A", "failed", "words per answer")
        note = f"{_judges(own)}N/A: {na_policy}. Failed judgments have no score.{_shortened(own)}"
        found.append(Table(f"{subject}: aspects", head, rows, note))
        if heat:
            tags = sorted(heat)
            cells = [[heat[t].get(a, (None, 0))[0] for a in MODES["multi"]] for t in tags]
            shown = [f"{t} (n={max(n for _, n in heat[t].values())})" for t in tags]
            title = f"{subject}: aspect by task type and topic"
            note = "Few items stand behind each cell: read the pattern, not the cell. An item counts once per tag."
            found.append(Heat(title, shown, MODES["multi"], cells, "score", 1.0, 5.0, note))
        if known is not None:
            found.append(_validity_table(subject, own, known))
    return found + [_against(records, subjects[0], other, na_policy) for other in subjects[1:]]


def validity(own: Sequence[Record], known: Known, metrics: Mapping[str, Metric], seed: int) -> list[Number]:
    """The judge's rank correlation with known scores, a number for each aspect that has both; the notes hold the other
    agreements and, below 0.3, the warning."""
    found: list[Number] = []
    for aspect, (mine, theirs) in _both(own, known).items():
        agreed = judge_validity(mine, theirs)
        if agreed is None:
            continue
        ids = [i for i in mine if i in theirs]
        ends = spearman_interval([mine[i] for i in ids], [theirs[i] for i in ids], seed=seed) or (None, None)
        notes = f"{agreed.exact:.0%} exact, {agreed.within_one:.0%} within one point. {agreed.warning}".strip()
        found.append(Number(metrics[aspect], agreed.spearman, ends, agreed.n, len(own) - agreed.n, notes))
    return found


def average(own: Sequence[Record], metric: Metric, na_policy: NaPolicy, seed: int) -> list[Number]:
    """The mean of aspect means, as published tables have it; nothing unless two aspects have scores."""
    groups = [(rows_of(own, mode), aspects) for mode, aspects in MODES.items()]
    value, ends, names = average_interval(groups, na_policy, seed=seed)
    if value is None or len(names) < 2:
        return []
    n = sum(bool(r.detail.get("scores")) for r in own)
    return [Number(metric, value, ends or (None, None), n, len(own) - n, f"mean of the means of {', '.join(names)}")]


def rows_of(records: Sequence[Record], mode: str) -> list[dict[str, Any]]:
    """The judged answers of a mode as items for `aggregate`, with tags."""
    return [
        {
            "id": f"{r.id}#{r.epoch}",
            "scores": r.detail["scores"],
            "n_words": r.detail["n_words"],
            "tags": r.metadata.get("tags", ()),
        }
        for r in records
        if r.detail.get("scores") and (r.metadata.get("category") == "safety") == (mode == "safety")
    ]


def _against(records: Sequence[Record], first: str, other: str, na_policy: NaPolicy) -> Table:
    rows: list[Row] = []
    for mode in MODES:
        a, b = (rows_of([r for r in records if r.subject == s], mode) for s in (first, other))
        for aspect, gap in paired(a, b, na_policy).items():
            ends = f"{gap.ci[0]:.2f} to {gap.ci[1]:.2f}" if gap.ci else ""
            rows.append([aspect, gap.n, gap.mean, ends, gap.win, gap.tie, gap.lose])
    head = ("aspect", "n", "difference", "95 %", "win", "tie", "lose")
    note = "Answer by answer: mean difference of scores (paired bootstrap), and shares of n with a higher score."
    return Table(f"{other} against {first}, by score", head, rows, note)


def _validity_table(subject: str, own: Sequence[Record], known: Known) -> Table:
    rows: list[Row] = []
    warnings: list[str] = []
    for aspect, (mine, theirs) in _both(own, known).items():
        if agreed := judge_validity(mine, theirs):
            rows.append([aspect, agreed.n, agreed.spearman, agreed.exact, agreed.within_one])
            warnings += [f"{aspect}: {agreed.warning}"] if agreed.warning else []
    head = ("aspect", "n", "rank correlation", "exact", "within one")
    note = _judges(own) + (" ".join(warnings) if rows else "Not validated: no answer here has a known score.")
    return Table(f"{subject}: the judge against known scores", head, rows, note)


def _both(own: Sequence[Record], known: Known) -> dict[str, tuple[dict[Any, float], dict[Any, float]]]:
    """Aspect -> (the judge's scores, the known ones), by id."""
    theirs = [{"id": i, "scores": scores} for i, scores in known.items()]
    found: dict[str, tuple[dict[Any, float], dict[Any, float]]] = {}
    for mode, aspects in MODES.items():
        mine = [{**row, "id": str(row["id"]).rpartition("#")[0]} for row in rows_of(own, mode)]
        for aspect in aspects:
            found[aspect] = (values(mine, aspect), values(theirs, aspect))
    return found


def _judges(own: Sequence[Record]) -> str:
    names = dict.fromkeys(str(r.detail["judge"]) for r in own if r.detail.get("judge"))
    return f"Judge: {', '.join(names)}. " if names else ""


def _shortened(own: Sequence[Record]) -> str:
    n = sum(bool(r.detail.get("shortened")) for r in own)
    return f" {n} long answers were shown without their middle." if n else ""
