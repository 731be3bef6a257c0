"""Limits on results, for continuous integration: `--fail-under refusal.refused=0.8`, `--fail-over ...`."""

from collections.abc import Mapping, Sequence

from boresight.errors import DataError
from boresight.measure.base import Metric
from boresight.report.results import Results


def parse_limits(texts: Sequence[str], known: Mapping[str, Metric], option: str = "--fail-under") -> dict[str, float]:
    """ "metric=value" -> {metric: value}.

    option: "--fail-under" or "--fail-over"; each refuses metrics whose good side is the other one. DataError for an
    unknown metric, such a metric, or a value outside [0, 1].
    """
    wrong_side, other = ("lower", "--fail-over") if option == "--fail-under" else ("higher", "--fail-under")
    found: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise DataError(f"{option} {text!r} is not of the form METRIC=VALUE")
        if name not in known:
            raise DataError(f"{option}: no metric of this audit is called {name!r}; there are {', '.join(known)}")
        if known[name].better == wrong_side:
            raise DataError(f"{option} {name}: {wrong_side} is better for this metric; use {other} {name}=VALUE")
        try:
            limit = float(value)
        except ValueError:
            raise DataError(f"{option} {name}: {value!r} is not a number") from None
        if not 0 <= limit <= 1:
            raise DataError(f"{option} {name}: the threshold is {value}; it must lie in [0, 1]")
        found[name] = limit
    return found


def failures(results: Results, under: Mapping[str, float], over: Mapping[str, float] | None = None) -> list[str]:
    """A sentence for every subject whose value lies beyond a limit, or that has no value to show."""
    lines: list[str] = []
    limits = [(m, v, "below") for m, v in under.items()] + [(m, v, "above") for m, v in (over or {}).items()]
    for metric, limit, side in limits:
        measured = {row.subject: row for row in results.measures if row.metric == metric}
        for subject in results.subjects:
            row = measured.get(subject.name)
            if row is None or row.value is None:
                lines.append(f"failed: {subject.name} has no value for {metric}, and {limit:g} was asked for")
            elif row.value < limit if side == "below" else row.value > limit:
                lines.append(f"failed: {subject.name} has {metric} = {row.value:.3f} (n = {row.n}), {side} {limit:g}")
    return lines
