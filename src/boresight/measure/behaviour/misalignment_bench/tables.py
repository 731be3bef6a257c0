"""Numbers, differences and tables over the conversations of a run (sheet, section 5)."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boresight.measure.base import Contrast, Metric, Number, Record
from boresight.measure.behaviour.misalignment_bench.rates import (
    collapse,
    kaplan_meier,
    median_time,
    two_way_bootstrap,
    vulnerability_rates,
)
from boresight.measure.behaviour.misalignment_bench.verdict import agreement
from boresight.measure.blocks import Heat, Table
from boresight.stats import bootstrap_mean, paired_bootstrap, sign_flip_test, wilson

if TYPE_CHECKING:
    from boresight.measure.blocks import Block


def numbers(grader: str) -> dict[str, Metric]:
    """The metrics that are no means of samples, by key."""
    found = (
        Metric(
            "vulnerability",
            "vulnerability rate",
            "fraction",
            "lower",
            grader,
            "Mean over scenarios of the share of their conversations in which the behaviour was elicited.",
        ),
        Metric(
            "median_turns",
            "turns to failure, median",
            "turns",
            "none",
            grader,
            "Median number of target turns until failure (Kaplan and Meier, stopped conversations censored).",
        ),
        Metric(
            "agreement",
            "agreement of the judges",
            "alpha",
            "none",
            grader,
            "Krippendorff's alpha of the panel's votes; it needs at least two judges.",
        ),
    )
    return {m.key: m for m in found}


def outcomes(records: Sequence[Record]) -> dict[str, list[float | None]]:
    """Scenario -> outcomes of its conversations (1 failed, 0 not, None invalid); samples with errors are left out."""
    found: dict[str, list[float | None]] = defaultdict(list)
    for r in records:
        if r.scores is not None:
            found[r.metadata["scenario"]].append(r.scores.get("vulnerable"))
    return dict(found)


def summary(own: Sequence[Record], seed: int, grader: str) -> list[Number]:
    """Vulnerability by scenario, turns to failure, agreement."""
    metrics = numbers(grader)
    cells = outcomes(own)
    shares = [x for x in collapse(list(cells.values()), "rate") if x is not None]
    invalid = sum(y is None for row in cells.values() for y in row) + sum(r.scores is None for r in own)
    found = [_vulnerability(metrics["vulnerability"], cells, shares, invalid, seed)]
    judged = [r for r in own if r.detail.get("success") is not None]
    failed = [bool(r.detail["success"]) for r in judged]
    times = [_turns(r) for r in judged]
    if judged:
        median, low, high = median_time(kaplan_meier(times, failed))
        note = f"{sum(failed)} of {len(failed)} failed" + ("" if median else "; the median was not reached")
        found.append(Number(metrics["median_turns"], median, (low, high), len(judged), invalid, note))
    votes = [r.detail["votes"] for r in judged]
    if any(len(v) > 1 for v in votes):
        found.append(Number(metrics["agreement"], agreement(votes), (None, None), len(votes), 0, "no interval"))
    return found


def _vulnerability(
    metric: Metric, cells: dict[str, list[float | None]], shares: Sequence[float], invalid: int, seed: int
) -> Number:
    n = sum(y is not None for row in cells.values() for y in row)
    if not shares:
        return Number(metric, None, (None, None), 0, invalid, "no valid conversation")
    value = sum(shares) / len(shares)
    # All scenarios alike, or one conversation each: a bootstrap would be without width, or no better than Wilson's.
    if all(len(row) == 1 for row in cells.values()) or len(set(shares)) == 1:
        ends = wilson(round(sum(shares)), len(shares)) or (None, None)
        return Number(metric, value, ends, n, invalid, f"interval: Wilson over {len(shares)} scenarios")
    found = bootstrap_mean(shares, seed=seed)
    return Number(metric, value, (found.low, found.high), n, invalid, f"interval: BCa over {len(shares)} scenarios")


def contrasts(own: Sequence[Record], first: Sequence[Record], seed: int, grader: str) -> list[Contrast]:
    """Another subject minus the first, over the scenarios valid for both: exact sign-flip test of their differences."""
    shares = []
    for records in (first, own):
        cells = outcomes(records)
        shares.append(dict(zip(cells, collapse(list(cells.values()), "rate"), strict=True)))
    a, b = shares
    both = [(x, y) for s, x in a.items() if x is not None and (y := b.get(s)) is not None]
    if not both:
        return []
    found = paired_bootstrap([x for x, _ in both], [y for _, y in both], seed=seed)
    p = sign_flip_test([y - x for x, y in both])
    ci = (found.low, found.high) if found.low < found.high else (None, None)
    metric = numbers(grader)["vulnerability"]
    return [Contrast(metric, found.value, ci, len(both), p, f"sign flips over {len(both)} scenarios")]


def _turns(record: Record) -> int:
    """Target turns until failure, or until the conversation stopped."""
    at = record.detail.get("turn_of_failure")
    return record.detail["target_turns"] if at is None else at // 2 + 1


def blocks(records: Sequence[Record]) -> "list[Block]":
    """Scenario by subject, the breakdowns with n, why conversations stopped, and the quotes that decided."""
    subjects = list(dict.fromkeys(r.subject for r in records))
    by_subject = {s: [r for r in records if r.subject == s and r.scores is not None] for s in subjects}
    names = sorted({r.metadata["scenario"] for r in records})
    grid = [[_rate(r for r in by_subject[s] if r.metadata["scenario"] == name)[0] for s in subjects] for name in names]
    found: list[Block] = [Heat("Failed conversations by scenario", names, subjects, grid, note=_overall(records))]
    rows: list[Sequence[Any]] = []
    for key in ("family", "behaviour", "vulnerability", "stakes"):
        for group in sorted({r.metadata[key] for r in records}):
            for s in subjects:
                rate, n = _rate(r for r in by_subject[s] if r.metadata[key] == group)
                rows.append([key, group.replace("_", " "), s, rate, n])
    found.append(Table("Breakdowns", ("by", "group", "subject", "failed", "n"), rows))
    stops = [[s, stop, n] for s in subjects for stop, n in Counter(r.detail["stop"] for r in by_subject[s]).items()]
    found.append(Table("Why conversations ended", ("subject", "end", "n"), stops))
    quotes = [
        [s, r.id, str(r.detail["turn_of_failure"]), (r.detail["quotes"] or [""])[0], r.detail["self_justification"]]
        for s in subjects
        for r in by_subject[s]
        if r.detail.get("success")
    ]
    if quotes:
        head = ("subject", "scenario/variant", "turn", "words that decided", "own reason")
        found.append(Table("Failures", head, quotes, "Turns count from 0, the user's included."))
    return found


def _rate(records: Any) -> tuple[float | None, int]:
    valid = [r.scores["vulnerable"] for r in records if "vulnerable" in r.scores]
    return (sum(valid) / len(valid) if valid else None), len(valid)


def _overall(records: Sequence[Record]) -> str:
    """Overall rate with the interval over models and scenarios; nothing for a single subject."""
    found = _cells(records)
    ends = two_way_bootstrap(found, draws=2000) if len(found) > 1 else None
    valid = [y for row in found.values() for y in row if y is not None]
    if ends is None or not valid:
        return "A cell is the share of a scenario's conversations in which the behaviour was elicited."
    return (
        f"All subjects and scenarios: {sum(valid) / len(valid):.0%} ({ends[0]:.0%} to {ends[1]:.0%}, both resampled)."
    )


def _cells(records: Sequence[Record]) -> dict[str, list[float | None]]:
    """Subject -> share of failures in each scenario, in one order."""
    names = sorted({r.metadata["scenario"] for r in records})
    cells: dict[str, list[float | None]] = {}
    for subject in dict.fromkeys(r.subject for r in records):
        found = outcomes([r for r in records if r.subject == subject])
        cells[subject] = collapse([found.get(name, []) for name in names], "rate")
    return cells


def vulnerability_table(logs: "Sequence[Path | str | Record]") -> Table:
    """Models x scenarios with intervals, from Inspect logs (paths) of this measure, or from records.

    A cell is the share of failures; the last columns are the model's rate and Wilson's interval (one conversation per
    scenario) or that of a bootstrap over scenarios.
    """
    records = [r for one in logs for r in ([one] if isinstance(one, Record) else _read(one))]
    names = sorted({r.metadata["scenario"] for r in records})
    rows: list[Sequence[str | float | int | None]] = []
    for subject, cells in _cells(records).items():
        own = [r for r in records if r.subject == subject]
        found = summary(own, 0, "")[0]
        rows.append([subject, *cells, found.value, *found.ci, found.n, found.dropped])
    note = "Failed share of each scenario."
    binary = {s: c for s, c in _cells(records).items() if all(y in (0, 1, None) for y in c)}
    if len(binary) > 1:
        pairs = vulnerability_rates(binary).pairs
        note += " " + "; ".join(f"{p.a} and {p.b}: McNemar p = {p.mcnemar_p:.3g}" for p in pairs)
    return Table("Vulnerability", ("model", *names, "rate", "low", "high", "n", "invalid"), rows, note)


def _read(path: "Path | str") -> list[Record]:
    """The records of one log file. The reader of runs lives above this room, so the few fields are read here."""
    from inspect_ai.log import read_eval_log

    from boresight.errors import DataError

    try:
        log = read_eval_log(str(path))
    except Exception as error:
        raise DataError(f"the log {path} cannot be read: {error}") from error
    subject = str((log.eval.metadata or {}).get("subject") or log.eval.model.split("/")[-1])
    found: list[Record] = []
    for sample in log.samples or ():
        score = next(iter((sample.scores or {}).values()), None)
        value: Any = score.value if score else None
        scores = (
            {k: float(v) for k, v in value.items() if v is not None and v == v} if isinstance(value, dict) else None
        )
        detail = dict(score.metadata or {}) if score else {}
        meta = dict(sample.metadata or {})
        found.append(
            Record(subject, "misalignment-bench", str(sample.id), "", "", None, scores, "", sample.epoch, meta, detail)
        )
    return found
