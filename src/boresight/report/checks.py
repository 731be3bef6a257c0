"""Thresholds on results, for continuous integration: `--fail-under refusal.refused=0.8`."""

from collections.abc import Collection, Sequence

from boresight.errors import DataError
from boresight.report.results import Results


def parse_thresholds(texts: Sequence[str], known: Collection[str]) -> dict[str, float]:
    """ "metric=value" -> {metric: value}; DataError for an unknown metric or a value outside [0, 1]."""
    found: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise DataError(f"--fail-under {text!r} is not of the form METRIC=VALUE")
        if name not in known:
            raise DataError(f"--fail-under: no metric of this audit is called {name!r}; there are {', '.join(known)}")
        try:
            threshold = float(value)
        except ValueError:
            raise DataError(f"--fail-under {name}: {value!r} is not a number") from None
        if not 0 <= threshold <= 1:
            raise DataError(f"--fail-under {name}: the threshold is {value}; it must lie in [0, 1]")
        found[name] = threshold
    return found


def failures(results: Results, thresholds: dict[str, float]) -> list[str]:
    """A sentence for every subject whose value lies below a threshold, or that has no value to show."""
    lines: list[str] = []
    for metric, least in thresholds.items():
        measured = {row.subject: row for row in results.measures if row.metric == metric}
        for subject in results.subjects:
            row = measured.get(subject.name)
            if row is None or row.value is None:
                lines.append(f"failed: {subject.name} has no value for {metric}, and {least:g} was asked for")
            elif row.value < least:
                lines.append(f"failed: {subject.name} has {metric} = {row.value:.3f} (n = {row.n}), below {least:g}")
    return lines
