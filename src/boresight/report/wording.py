"""How the report puts numbers into words: shared by the headline, the terminal tables and the page."""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from boresight.measure.base import Metric
from boresight.report.results import ComparisonRow, MeasureRow, Results

NOT_MEASURED = "not measured"
NO_INTERVAL = "no interval"
NOT_TESTED = "not tested"
MINUS = "\u2212"

Interval = tuple[float | None, float | None]
Verdict = Literal["better", "worse", "higher", "lower", "untold", "none"]
SYMBOLS: dict[Verdict, str] = {"better": "✓", "worse": "✗", "higher": "↑", "lower": "↓", "untold": "≈", "none": "–"}
"""One sign per verdict, so that colour never stands alone. `untold`: the interval holds zero; `none`: no interval."""

DIRECTIONS = {"higher": "↑ higher is better", "lower": "↓ lower is better", "none": "neither side is better"}
FINISH = {
    "stop": "ended by itself",
    "stop_string": "cut at a stop string",
    "length": "cut at the length limit",
    "context": "context full",
    "repetition": "ended by the repetition guard",
    "rounds": "ended by the round limit",
}
"""`boresight.lm.base.FINISH_REASONS` in words."""

_WIDE = 0.10  # an interval this wide (10 points) does not deserve decimals at its ends


def is_rate(unit: str) -> bool:
    """Whether values of this unit lie in [0, 1] and are shown in per cent."""
    return unit in ("fraction", "share")


def value(x: float | None, unit: str) -> str:
    """A value with its unit: a rate in per cent with at most one decimal, anything else with three digits."""
    if x is None:
        return NOT_MEASURED
    return f"{_decimals(100 * x, 1)} %" if is_rate(unit) else _with_unit(_digits(x), unit)


def interval(ci: Interval, unit: str) -> str:
    """The ends of an interval, "46–76 %"; "to" in place of the dash where an end is negative."""
    low, high = ci
    if low is None or high is None:
        return NO_INTERVAL
    if is_rate(unit):
        places = 0 if high - low >= _WIDE else 1
        ends, unit = [_decimals(100 * low, places), _decimals(100 * high, places)], "%"
    else:
        ends = [_digits(low), _digits(high)]
    return _with_unit((" to " if low < 0 else "–").join(ends), unit)


def difference(d: float | None, unit: str) -> str:
    """A signed difference; that of two rates is in percentage points."""
    if d is None:
        return NOT_MEASURED
    sign = "+" if d > 0 else ""
    if is_rate(unit):
        return f"{sign}{_decimals(100 * d, 1)} points"
    return _with_unit(sign + _digits(d), unit)


def difference_interval(ci: Interval, unit: str) -> str:
    """The ends of a difference's interval, "−3 to 18", without the unit, which stands at the difference."""
    low, high = ci
    if low is None or high is None:
        return NO_INTERVAL
    if not is_rate(unit):
        return f"{_digits(low)} to {_digits(high)}"
    places = 0 if high - low >= _WIDE else 1
    return f"{_end(low, places)} to {_end(high, places)}"


def p_value(p: float | None) -> str:
    """A p-value with two digits, never 0."""
    if p is None:
        return NOT_TESTED
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def percent(level: float) -> str:
    """A confidence level: "95 %"."""
    return f"{_decimals(100 * level, 1)} %"


def duration(seconds: float) -> str:
    """Seconds as a person says them: "4 min 12 s"."""
    if seconds < 60:
        return f"{_digits(seconds)} s"
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes} min {s} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def verdict(row: ComparisonRow, better: str) -> Verdict:
    """What the interval of b minus a says about b; Holm's adjustment is in p, not in here."""
    low, high = row.ci
    if row.difference is None or low is None or high is None:
        return "none"
    if low <= 0 <= high:
        return "untold"
    rose = low > 0
    if better == "none":
        return "higher" if rose else "lower"
    return "better" if rose == (better == "higher") else "worse"


def is_significant(row: ComparisonRow) -> bool:
    """Whether the adjusted p is below one minus the level (0.05 at 95 %)."""
    return row.p is not None and row.p < round(1 - row.level, 12)


def known_metrics(results: Results, metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """The metrics that occur in the results, in order; one that is not in `metrics` is described by its own row."""
    found: dict[str, Metric] = {}
    for row in results.measures:
        if row.metric not in found:
            title = row.metric.split(".", 1)[-1].replace("_", " ").replace("-", " ")
            own = Metric(row.metric, title, "", row.unit, row.better, row.grader, "")
            found[row.metric] = metrics.get(row.metric, own)
    return found


def row_of(results: Results, metric: str, subject: str) -> MeasureRow | None:
    """The number of a subject, if there is one."""
    return next((r for r in results.measures if r.metric == metric and r.subject == subject), None)


def comparison_of(results: Results, metric: str, a: str, b: str) -> ComparisonRow | None:
    """The comparison of b with a, if there is one."""
    return next((c for c in results.comparisons if (c.metric, c.a, c.b) == (metric, a, b)), None)


def levels(rows: Iterable[MeasureRow | ComparisonRow]) -> str:
    """The confidence levels in use, "95 %" when there is one."""
    return ", ".join(percent(x) for x in sorted({r.level for r in rows})) or percent(0.95)


def _decimals(x: float, places: int) -> str:
    """x with at most `places` decimals, a true minus sign and no -0."""
    text = f"{x:.{places}f}"
    if places:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text.replace("-", MINUS)


def _end(x: float, places: int) -> str:
    """An end of a difference of rates; one that would round to zero keeps a decimal, so that its sign shows."""
    text = _decimals(100 * x, places)
    return _decimals(100 * x, 1) if text == "0" else text


def _digits(x: float) -> str:
    """Three significant digits, whole numbers as such, no exponents between 0.001 and a billion."""
    if not math.isfinite(x):
        return str(x)
    if abs(x) >= 100:
        return f"{x:,.0f}".replace("-", MINUS)
    return f"{x:.3g}".replace("-", MINUS)


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text
