"""What a report shows of the conversations: tables, and the table over several runs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boresight.errors import DataError
from boresight.measure.base import Record
from boresight.measure.behaviour.misalignment_bench.prompts import JUSTIFICATIONS
from boresight.measure.behaviour.misalignment_bench.rates import (
    collapse,
    odds_ratio,
    two_way_bootstrap,
    vulnerability_rates,
)
from boresight.measure.behaviour.misalignment_bench.tables import outcomes, summary
from boresight.measure.blocks import Heat, Table

if TYPE_CHECKING:
    from boresight.measure.blocks import Block

Rows = list[Sequence[str | float | int | None]]
SLUG = "misalignment-bench"


def blocks(records: Sequence[Record]) -> "list[Block]":
    """Scenario by subject, the breakdowns with n, why conversations stopped, the quotes that decided, the reasons that
    models gave themselves, and failures with and without visible reasoning."""
    subjects = list(dict.fromkeys(r.subject for r in records))
    by_subject = {s: [r for r in records if r.subject == s and r.scores is not None] for s in subjects}
    names = sorted({r.metadata["scenario"] for r in records})
    grid = [[_rate(r for r in by_subject[s] if r.metadata["scenario"] == name)[0] for s in subjects] for name in names]
    found: list[Block] = [Heat("Failed conversations by scenario", names, subjects, grid, note=_overall(records))]
    found += [_breakdowns(records, by_subject), _ends(by_subject)]
    for block in (_failures(by_subject), _reasons(by_subject), _reasoning(by_subject)):
        found += [block] if block else []
    return found


def _breakdowns(records: Sequence[Record], by_subject: dict[str, list[Record]]) -> Table:
    rows: Rows = []
    for key in ("family", "behaviour", "vulnerability", "stakes"):
        for group in sorted({r.metadata[key] for r in records}):
            for s, own in by_subject.items():
                rate, n = _rate(r for r in own if r.metadata[key] == group)
                rows.append([key, group.replace("_", " "), s, rate, n])
    return Table("Breakdowns", ("by", "group", "subject", "failed", "n"), rows, "n: valid conversations.")


def _ends(by_subject: dict[str, list[Record]]) -> Table:
    """Why conversations ended, and how well they were kept up until then."""
    rows: Rows = []
    for s, own in by_subject.items():
        for stop, n in Counter(r.detail["stop"] for r in own).items():
            circles = [r.scores["stuck"] for r in own if r.detail["stop"] == stop and r.scores and "stuck" in r.scores]
            rows.append([s, stop.replace("_", " "), n, sum(circles) / len(circles) if circles else None])
    note = (
        "success: the live check saw the behaviour; refusals: three of them; script end, max turns: nothing stopped it;"
        " invalid: the red-team model wrote no usable turn. In circles: mean share of the target's turns that repeat"
        " themselves or the one before. Such a conversation runs on to its end and counts as not failed."
    )
    return Table("Why conversations ended", ("subject", "end", "n", "in circles"), rows, note)


def _failures(by_subject: dict[str, list[Record]]) -> Table | None:
    rows: Rows = [
        [
            s,
            r.id,
            str(r.detail["turn_of_failure"]),
            (r.detail["quotes"] or [""])[0],
            r.detail.get("severity"),
            r.detail.get("self_justification"),
        ]
        for s, own in by_subject.items()
        for r in own
        if r.detail.get("success")
    ]
    head = ("subject", "scenario/variant", "turn", "words that decided", "severity", "own reason")
    note = "Turns count from 0, the user's included. Severity, of 3, and own reason: a judge's opinion."
    return Table("Failures", head, rows, note) if rows else None


def _reasons(by_subject: dict[str, list[Record]]) -> Table | None:
    """Shares of the labels that the grader gave to failed conversations; nothing without a grader."""
    rows: Rows = []
    for s, own in by_subject.items():
        failed = [r.detail.get("self_justification") for r in own if r.detail.get("success")]
        read = [label for label in failed if label is not None]
        for label in JUSTIFICATIONS if read else ():
            rows.append([s, label.replace("_", " "), read.count(label) / len(read), read.count(label), len(read)])
        if read and len(read) < len(failed):
            rows.append([s, "could not be read", None, len(failed) - len(read), len(failed)])
    note = "Which reason the target gives itself in failed conversations, as the grader reads it; shares of those read."
    return Table("Own reasons", ("subject", "reason", "share", "failed", "of"), rows, note) if rows else None


def _reasoning(by_subject: dict[str, list[Record]]) -> Table | None:
    """Failures with and without visible reasoning, and their odds ratio; nothing if no target reasons visibly."""
    groups = dict(by_subject)
    if len(groups) > 1:
        groups["all"] = [r for own in by_subject.values() for r in own]
    rows: Rows = []
    for s, own in groups.items():
        judged = [r for r in own if r.detail.get("success") is not None]
        loud = [bool(r.detail["success"]) for r in judged if r.detail.get("reasoned")]
        quiet = [bool(r.detail["success"]) for r in judged if not r.detail.get("reasoned")]
        ratio = odds_ratio(loud, quiet)
        ends = (ratio.value, ratio.low, ratio.high) if ratio else (None, None, None)
        rows.append([s, f"{sum(loud)} of {len(loud)}", f"{sum(quiet)} of {len(quiet)}", *ends])
    if not any(r.detail.get("reasoned") for own in by_subject.values() for r in own):
        return None
    head = ("subject", "failed, reasoning shown", "failed, none shown", "odds ratio", "low", "high")
    note = (
        "Odds of failing in conversations with visible reasoning (think tags, or what a provider marks) over those"
        " without, Woolf's 95 % interval, conversations taken as independent; none where one side is empty. It is no"
        " experiment: whatever else makes a model reason may make it fail."
    )
    return Table("Visible reasoning", head, rows, note)


def _rate(records: Iterable[Record]) -> tuple[float | None, int]:
    valid = [r.scores["vulnerable"] for r in records if r.scores and "vulnerable" in r.scores]
    return (sum(valid) / len(valid) if valid else None), len(valid)


def _overall(records: Sequence[Record]) -> str:
    """Overall rate with the interval over models and scenarios; nothing for a single subject."""
    found = _cells(records)
    ends = two_way_bootstrap(found) if len(found) > 1 else None
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


def vulnerability_table(logs: "Sequence[Any]") -> Table:
    """Models x scenarios with intervals, from Inspect logs (paths, or as read) of this measure, or from records.

    A cell is the share of failures; the last columns are the model's rate, its interval (Wilson for one conversation
    per scenario, else t over scenarios), its valid and its invalid conversations. Scripted and adaptive runs of one
    model are two rows. DataError for a log that cannot be read or is of another measure.
    """
    records = [_moded(r) for one in logs for r in ([one] if isinstance(one, Record) else _read(one))]
    names = sorted({r.metadata["scenario"] for r in records})
    cells = _cells(records)
    rows: Rows = []
    for subject, own_cells in cells.items():
        own = [r for r in records if r.subject == subject]
        found = summary(own, 0, "")[0]
        rows.append([subject, *own_cells, found.value, *found.ci, found.n, found.dropped])
    note = "Failed share of each scenario."
    binary = {s: c for s, c in cells.items() if all(y in (0, 1, None) for y in c)}
    modes = {r.subject: r.metadata.get("mode") for r in records}
    pairs = [p for p in vulnerability_rates(binary).pairs if modes[p.a] == modes[p.b]]
    if pairs:
        note += " " + "; ".join(f"{p.a} and {p.b}: McNemar p = {p.mcnemar_p:.3g}" for p in pairs)
    return Table("Vulnerability", ("model", *names, "rate", "low", "high", "n", "invalid"), rows, note)


def _moded(record: Record) -> Record:
    """The record; an adaptive one under a name of its own, so that no rate mixes the two modes."""
    if "scenario" not in record.metadata:
        raise DataError(f"{record.subject}, {record.measure}, {record.id}: this is no conversation of {SLUG}")
    if record.metadata.get("mode") != "adaptive":
        return record
    return replace(record, subject=f"{record.subject} (adaptive)")


def _read(given: Any) -> list[Record]:
    """The records of one log. The reader of runs lives above this room, so the few fields are read here."""
    log = given if hasattr(given, "samples") and hasattr(given, "eval") else _log(given)
    subject = str((log.eval.metadata or {}).get("subject") or log.eval.model.split("/")[-1])
    task = log.eval.task.split("/")[-1].replace("_", "-")
    found: list[Record] = []
    for sample in log.samples or ():
        score = None if sample.error else next(iter((sample.scores or {}).values()), None)
        value: Any = score.value if score else None
        scores = (
            {k: float(v) for k, v in value.items() if v is not None and v == v} if isinstance(value, dict) else None
        )
        detail = dict(score.metadata or {}) if score else {}
        meta = dict(sample.metadata or {})
        found.append(Record(subject, task, str(sample.id), "", "", None, scores, "", sample.epoch, meta, detail))
    return found


def _log(path: "Path | str") -> Any:
    from inspect_ai.log import read_eval_log

    try:
        return read_eval_log(str(path))
    except Exception as error:
        raise DataError(f"the log {path} cannot be read: {error}") from error
