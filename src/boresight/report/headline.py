"""What a run found, in a few plain sentences: one for each subject against the baseline, and one that counts."""

import re
from collections.abc import Mapping, Sequence

from boresight.errors import DataError
from boresight.measure.base import Metric
from boresight.report import wording
from boresight.report.results import ComparisonRow, MeasureRow, Results, SubjectRow

MAIN_METRIC = "text-health.ends"
"""What the headline is about when it was compared; otherwise the first metric that was."""

_PHRASES = {MAIN_METRIC: ("ended its answers by itself", "more often", "less often")}
_MAIN_NUMBERS = 4  # how many numbers a sentence about one subject can carry


def headline(results: Results, metrics: Mapping[str, Metric], baseline: str | None = None) -> str:
    """Say what changed against `baseline` (default: the first subject), with intervals and n.

    Where an interval holds zero it says so. Without comparisons the main numbers are stated. DataError if there is no
    subject of the baseline's name.
    """
    return " ".join(text for _, text in sentences(results, metrics, baseline))


def sentences(results: Results, metrics: Mapping[str, Metric], baseline: str | None = None) -> list[tuple[str, str]]:
    """The headline in parts: (name of the subject that it is about, or "", sentence)."""
    if not results.subjects or not results.measures:
        return [("", "Nothing was measured in this run.")]
    names = [s.name for s in results.subjects]
    if baseline is not None and baseline not in names:
        raise DataError(f"no subject is called {baseline!r}; the run has {', '.join(names)}")
    base = results.subjects[names.index(baseline) if baseline is not None else 0]
    others = [s for s in results.subjects if s.name != base.name]
    known = wording.described(results, metrics)
    compared = [c for c in results.comparisons if c.a == base.name]
    if not compared:
        return [(s.name, _alone(results, known, s)) for s in results.subjects]
    found = [(s.name, _against(results, known, compared, base, s)) for s in others]
    return [*found, ("", _counts(known, compared, base))]


def axes(results: Results, metrics: Mapping[str, Metric]) -> list[str]:
    """For each subject a sentence on which axes it is better and worse than the first one (see `_pareto`)."""
    if not results.subjects:
        return []
    known, base = wording.described(results, metrics), results.subjects[0]
    compared = [c for c in results.comparisons if c.a == base.name]
    return [text for s in results.subjects[1:] if (text := _pareto(known, compared, base, s))]


def _against(
    results: Results, known: Mapping[str, Metric], compared: list[ComparisonRow], base: SubjectRow, subject: SubjectRow
) -> str:
    rows = [c for c in compared if c.b == subject.name]
    row = next((c for c in rows if c.metric == MAIN_METRIC), rows[0] if rows else None)
    who = _who(results, subject)
    if row is None or row.difference is None:
        return f"{who} could not be compared with {base.name}."
    metric = known[row.metric]
    interval = wording.difference_interval(row.ci, metric.unit)
    evidence = f"{wording.percent(row.level)} interval {interval}"
    verdict, d = wording.verdict(row, metric.better), wording.difference(row.difference, metric.unit)
    if verdict == "none":
        return f"{who} lies {d} from {base.name} on “{metric.title}”, but without an interval (n = {row.n})."
    if verdict == "untold":
        return f"{who} cannot be told apart from {base.name} on “{metric.title}” at n = {row.n} ({d}, {evidence})."
    evidence += f", n = {row.n}"
    size, up = d.lstrip("+" + wording.MINUS), row.difference > 0
    if row.metric in _PHRASES:
        did, more, less = _PHRASES[row.metric]
        return f"{who} {did} {size} {more if up else less} than {base.name} ({evidence})."
    side = "; lower is better" if metric.better == "lower" else ""
    return f"{who} scored {size} {'higher' if up else 'lower'} than {base.name} on “{metric.title}” ({evidence}{side})."


def _counts(known: Mapping[str, Metric], compared: list[ComparisonRow], base: SubjectRow) -> str:
    """How many comparisons show a change after Holm's adjustment."""
    tested = [c for c in compared if c.p is not None and c.difference is not None]
    if not tested:
        return f"None of the {len(compared)} comparisons with {base.name} could be tested."
    significant = [c for c in tested if wording.is_significant(c)]
    sided = [c for c in significant if known[c.metric].better != "none"]
    better = sum(((c.difference or 0) > 0) == (known[c.metric].better == "higher") for c in sided)
    parts = [f"{better} better", f"{len(sided) - better} worse"]
    if changed := len(significant) - len(sided):
        parts.append(f"{changed} changed with no better side")
    parts.append(f"{len(tested) - len(significant)} cannot be told apart")
    if untested := len(compared) - len(tested):
        parts.append(f"{untested} could not be tested")
    comparisons = "1 comparison" if len(compared) == 1 else f"all {len(compared)} comparisons"
    return f"Over {comparisons} with {base.name}, after Holm adjustment: {', '.join(parts)}."


def _pareto(known: Mapping[str, Metric], compared: list[ComparisonRow], base: SubjectRow, subject: SubjectRow) -> str:
    """Whether a subject dominates the baseline, is dominated, or trades one axis for another; "" with fewer than two.

    An axis is a metric with a better side; it is better or worse only if that holds after Holm's adjustment.
    """
    rows = [c for c in compared if c.b == subject.name and c.difference is not None and c.p is not None]
    rows = [c for c in rows if known[c.metric].better != "none"]
    if len(rows) < 2:
        return ""
    sides: dict[bool, list[str]] = {True: [], False: []}
    for c in rows:
        if wording.is_significant(c):
            up = (c.difference or 0) > 0
            sides[up == (known[c.metric].better == "higher")].append(f"“{known[c.metric].title}”")
    better, worse = sides[True], sides[False]
    left = len(rows) - len(better) - len(worse)
    rest = f"; {left} of {len(rows)} axes cannot be told" if left else ""
    if better and worse:
        return f"{subject.name} is a trade: better on {', '.join(better)}, worse on {', '.join(worse)}{rest}."
    if better:
        return f"{subject.name} is better on {', '.join(better)} and worse on none{rest}."
    if worse:
        return f"{subject.name} is worse on {', '.join(worse)} and better on none{rest}."
    return f"{subject.name} cannot be told apart from {base.name} on any of {len(rows)} axes."


def _alone(results: Results, known: Mapping[str, Metric], subject: SubjectRow) -> str:
    """The main numbers of one subject: one of each measure."""
    rows = [r for r in results.measures if r.subject == subject.name and r.value is not None]
    rows.sort(key=lambda r: r.metric != MAIN_METRIC)  # stable: the main metric first, then as they come
    of: dict[str, list[MeasureRow]] = {}
    for row in rows:
        of.setdefault(row.method, []).append(row)
    firsts = [_main(own, known) for own in of.values()][:_MAIN_NUMBERS]
    if not firsts:
        return f"{_who(results, subject)}: nothing could be measured."
    numbers = (
        f"“{known[r.metric].title}” {wording.value(r.value, r.unit)} "
        f"({wording.percent(r.level)} interval {wording.interval(r.ci, r.unit)}, n = {r.n})"
        for r in firsts
    )
    return f"{_who(results, subject)}: {'; '.join(numbers)}."


def _main(rows: Sequence[MeasureRow], known: Mapping[str, Metric]) -> MeasureRow:
    """A method's first number that has a better side, or the main metric, which has none."""
    return min(rows, key=lambda r: r.metric != MAIN_METRIC and known[r.metric].better == "none")


def _who(results: Results, subject: SubjectRow) -> str:
    """A subject in words: "Steered with nudging, gemma-3-270m", or its name where that would fit two of them."""
    same = [s for s in results.subjects if (s.model, _kind(s.policy)) == (subject.model, _kind(subject.policy))]
    if subject.policy and len(same) == 1:
        return f"Steered with {_kind(subject.policy)}, {subject.model}"
    return subject.name if subject.name == subject.model else f"{subject.name} ({subject.model})"


def _kind(policy: str | None) -> str:
    """The methods of a policy without their settings: "nudging(gamma=0.3)" is "nudging"."""
    return re.sub(r"\([^()]*\)", "", policy or "").strip()
