"""From records to numbers: every mean with its interval, every difference with its test."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from boresight.measure.base import GRADER, Contrast, Measure, Metric, Number, Record
from boresight.report.results import ComparisonRow, MeasureRow, number
from boresight.stats import (
    Difference,
    Estimate,
    bootstrap_mean,
    holm,
    paired_bootstrap,
    paired_proportions,
    proportion,
)

PROBABILITY_DIGITS = 4
"""Decimals of means of a model's own probabilities: from about the seventh on, float32 sums differ between batches."""

Values = dict[str, list[float]]
"""Sample id -> the values of one metric in its epochs."""


def tally(
    records: Sequence[Record],
    measures: Sequence[Measure],
    subjects: Sequence[str],
    seed: int,
    roles: Mapping[str, str] | None = None,
) -> tuple[list[MeasureRow], list[ComparisonRow]]:
    """Measure rows of all subjects, and comparisons of each with the first one (Holm-adjusted over all of them).

    A metric that applies to no sample of a subject (nudged tokens of a model that is not nudged) has no row. Only
    metrics with a better direction are compared: for the others a p-value would say nothing. roles: name of the model
    in each role, for the grader column.
    """
    rows: list[MeasureRow] = []
    pairs: list[ComparisonRow] = []
    for measure in measures:
        by_subject = {s: [r for r in records if r.measure == measure.slug and r.subject == s] for s in subjects}
        first = by_subject[subjects[0]]
        for metric in measure.metrics:
            for subject, own in by_subject.items():
                if found := values(own, metric.key):
                    rows.append(_row(measure, _mean(metric, found, own, seed), subject, roles))
            if metric.better != "none":
                for other in subjects[1:]:
                    pairs += _compare(measure, metric, first, by_subject[other], seed)
        for subject, own in by_subject.items():
            rows += [_row(measure, one, subject, roles) for one in measure.summary(own, first, seed)]
            if subject != subjects[0]:
                found = measure.contrasts(own, first, seed)
                pairs += [_pair(measure, one, subjects[0], subject) for one in found]
    return rows, adjusted(pairs)


def values(records: Sequence[Record], key: str) -> Values:
    """Sample id -> values of one metric, for the samples that it applies to."""
    found: Values = defaultdict(list)
    for r in records:
        if r.scores and key in r.scores:
            found[r.id].append(r.scores[key])
    return dict(found)


def clusters(metric: Metric, records: Sequence[Record], found: Values) -> list[str] | None:
    """The cluster of each sample in `found`, None where every sample is one answer that stands for itself."""
    if metric.cluster:
        at = {r.id: str(r.metadata.get(metric.cluster, r.id)) for r in records}
        return [at[i] for i in found]
    return list(found) if any(len(v) > 1 for v in found.values()) else None


def _mean(metric: Metric, found: Values, records: Sequence[Record], seed: int) -> Number:
    """The mean of a metric: Wilson for rates, BCa bootstrap for other means, and over clusters a bootstrap of those."""
    numbers = [v for epochs in found.values() for v in epochs]
    of_samples = clusters(metric, records, found)
    estimate: Estimate
    if of_samples:
        of_values = [c for c, epochs in zip(of_samples, found.values(), strict=True) for _ in epochs]
        k = len(set(of_values))
        estimate, note = _clustered(metric, numbers, of_values, k, seed)
    else:
        rate = metric.unit == "fraction"
        estimate = proportion(round(sum(numbers)), len(numbers)) if rate else bootstrap_mean(numbers, seed=seed)
        note = f"interval: {estimate.method}"
    low, high, note = _ends(estimate, note)
    value = number(estimate.value)
    if metric.grader.startswith("model:"):
        value, low, high = (None if x is None else round(x, PROBABILITY_DIGITS) for x in (value, low, high))
    dropped = sum(r.scores is None for r in records)
    return Number(metric, value, (low, high), estimate.n, dropped, note, estimate.level)


def _clustered(
    metric: Metric, numbers: Sequence[float], of_values: Sequence[str], k: int, seed: int
) -> tuple[Estimate, str]:
    """Where all answers are alike a bootstrap has no width: a rate then gets Wilson's interval of so many clusters."""
    if metric.unit == "fraction" and len(set(numbers)) == 1 and numbers[0] in (0.0, 1.0):
        found = proportion(round(numbers[0] * k), k)
        alike = Estimate(found.value, found.low, found.high, len(numbers), found.level, found.method)
        return alike, f"interval: {found.method} over {k} clusters"
    found = bootstrap_mean(numbers, seed=seed, clusters=of_values)
    return found, f"interval: {found.method} over {k} clusters"


def _row(measure: Measure, found: Number, subject: str, roles: Mapping[str, str] | None) -> MeasureRow:
    metric = found.metric
    return MeasureRow(
        method=measure.slug,
        metric=measure.name(metric),
        subject=subject,
        value=found.value,
        ci=found.ci,
        level=found.level,
        n=found.n,
        unit=metric.unit,
        better=metric.better,
        grader=grader_of(metric, roles),
        dropped=found.dropped,
        notes=found.notes,
    )


def grader_of(metric: Metric, roles: Mapping[str, str] | None) -> str:
    """Who decided: the metric's own grader, or the model in the role of the grader."""
    if metric.grader != GRADER:
        return metric.grader
    return f"model:{(roles or {}).get('grader', 'grader')}"


def _compare(
    measure: Measure, metric: Metric, first: Sequence[Record], second: Sequence[Record], seed: int
) -> list[ComparisonRow]:
    """Second minus first over the samples that both have; nothing if they share none. p is not adjusted yet."""
    a, b = values(first, metric.key), values(second, metric.key)
    ids = [i for i in a if i in b]
    if not ids:
        return []
    x, y = ([sum(v[i]) / len(v[i]) for i in ids] for v in (a, b))
    of_samples = clusters(metric, first, {i: a[i] for i in ids})
    of_samples = of_samples or clusters(metric, second, {i: b[i] for i in ids})
    found: Difference
    if of_samples:
        found = paired_bootstrap(x, y, seed=seed, clusters=of_samples)
        test = f"paired bootstrap over {len(set(of_samples))} clusters"
    elif metric.unit == "fraction":
        found = paired_proportions([bool(v) for v in x], [bool(v) for v in y])
        test = "McNemar exact, Newcombe interval"
    else:
        found, test = paired_bootstrap(x, y, seed=seed), "paired bootstrap"
    low, high, test = _ends(found, test)
    one = Contrast(metric, number(found.value), (low, high), found.n, number(found.p), test, found.level)
    return [_pair(measure, one, first[0].subject, second[0].subject)]


def _pair(measure: Measure, found: Contrast, a: str, b: str) -> ComparisonRow:
    return ComparisonRow(
        metric=measure.name(found.metric),
        a=a,
        b=b,
        difference=found.difference,
        ci=found.ci,
        level=found.level,
        n=found.n,
        p=found.p,
        test=found.test,
    )


def _ends(found: Estimate | Difference, how: str) -> tuple[float | None, float | None, str]:
    """The interval, or none where a bootstrap saw only equal values: its zero width would be false certainty."""
    if found.low == found.high and found.n:
        return None, None, f"{how}: no interval, all {found.n} values are equal"
    return number(found.low), number(found.high), how


def adjusted(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """The rows with p adjusted for their number (Holm)."""
    ps = holm([math.nan if row.p is None else row.p for row in rows])
    return [
        row.model_copy(update={"p": number(p), "test": f"{row.test}, Holm over {len(rows)}"})
        for row, p in zip(rows, ps, strict=True)
    ]
