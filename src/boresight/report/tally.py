"""From records to numbers: every mean with its interval, every difference with its test."""

import math
from collections.abc import Sequence

from boresight.measure.base import Measure, Metric
from boresight.report.records import Record
from boresight.report.results import ComparisonRow, MeasureRow, number
from boresight.stats import Difference, Estimate, bootstrap_mean, holm, paired_bootstrap, paired_proportions, wilson

PROBABILITY_DIGITS = 4
"""Decimals of means of a model's own probabilities: from about the seventh on, float32 sums differ between batches."""


def tally(
    records: Sequence[Record], measures: Sequence[Measure], subjects: Sequence[str], seed: int
) -> tuple[list[MeasureRow], list[ComparisonRow]]:
    """Measure rows of all subjects, and comparisons of each with the first one (Holm-adjusted over all of them).

    A metric that applies to no sample of a subject (nudged tokens of a model that is not nudged) has no row. Only
    metrics with a better direction are compared: for the others a p-value would say nothing.
    """
    rows: list[MeasureRow] = []
    pairs: list[ComparisonRow] = []
    for measure in measures:
        own = [r for r in records if r.measure == measure.slug]
        for metric in measure.metrics:
            by_subject = {s: values(own, s, metric.key) for s in subjects}
            dropped = {s: sum(r.scores is None for r in own if r.subject == s) for s in subjects}
            for subject in subjects:
                if by_subject[subject]:
                    rows.append(measure_row(measure, metric, subject, by_subject[subject], dropped[subject], seed))
            if metric.better != "none":
                for other in subjects[1:]:
                    pairs += compare_values(
                        measure.name(metric),
                        metric.unit,
                        subjects[0],
                        other,
                        by_subject[subjects[0]],
                        by_subject[other],
                        seed,
                    )
    return rows, adjusted(pairs)


def values(records: Sequence[Record], subject: str, key: str) -> dict[str, float]:
    """Sample id -> value of one metric, for the samples of a subject that it applies to."""
    return {r.id: r.scores[key] for r in records if r.subject == subject and r.scores and key in r.scores}


def measure_row(
    measure: Measure, metric: Metric, subject: str, found: dict[str, float], dropped: int, seed: int
) -> MeasureRow:
    """The mean of a metric with its interval: Wilson for rates, BCa bootstrap for other means."""
    numbers = list(found.values())
    estimate: Estimate
    if metric.unit == "fraction":
        estimate = wilson(round(sum(numbers)), len(numbers))
    else:
        estimate = bootstrap_mean(numbers, seed=seed)
    low, high, note = _ends(estimate, f"interval: {estimate.method}")
    value = number(estimate.value)
    if metric.grader.startswith("model:"):
        value, low, high = (None if x is None else round(x, PROBABILITY_DIGITS) for x in (value, low, high))
    return MeasureRow(
        method=measure.slug,
        metric=measure.name(metric),
        subject=subject,
        value=value,
        ci=(low, high),
        level=estimate.level,
        n=estimate.n,
        unit=metric.unit,
        better=metric.better,
        grader=metric.grader,
        dropped=dropped,
        notes=note,
    )


def compare_values(
    metric: str, unit: str, a: str, b: str, first: dict[str, float], second: dict[str, float], seed: int
) -> list[ComparisonRow]:
    """b minus a over the samples that both have; nothing if they share none. p is not adjusted yet."""
    ids = [i for i in first if i in second]
    if not ids:
        return []
    x, y = [first[i] for i in ids], [second[i] for i in ids]
    found: Difference
    if unit == "fraction":
        found = paired_proportions([bool(v) for v in x], [bool(v) for v in y])
        test = "McNemar exact, Newcombe interval"
    else:
        found = paired_bootstrap(x, y, seed=seed)
        test = "paired bootstrap"
    low, high, test = _ends(found, test)
    return [
        ComparisonRow(
            metric=metric,
            a=a,
            b=b,
            difference=number(found.value),
            ci=(low, high),
            level=found.level,
            n=found.n,
            p=number(found.p),
            test=test,
        )
    ]


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
