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
"""The ends of an interval; None where there is none."""
Verdict = Literal["better", "worse", "higher", "lower", "untold", "none"]
SYMBOLS: dict[Verdict, str] = {"better": "✓", "worse": "✗", "higher": "↑", "lower": "↓", "untold": "≈", "none": "–"}
"""One sign per verdict, so that colour never stands alone. `untold`: the interval holds zero; `none`: no interval."""

DIRECTIONS = {"higher": "↑ higher is better", "lower": "↓ lower is better", "none": "no better side"}
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
    """The ends of an interval, "46–76 %"; "to" in place of the dash where an end is negative.

    Units other than rates stand at the value alone.
    """
    low, high = ci
    if low is None or high is None:
        return NO_INTERVAL
    ends = (" to " if low < 0 else "–").join(_ends(low, high, unit))
    return f"{ends} %" if is_rate(unit) else ends


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
    return NO_INTERVAL if low is None or high is None else " to ".join(_ends(low, high, unit))


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


def is_told(verdict: Verdict) -> bool:
    """Whether the interval leaves out zero."""
    return verdict not in ("untold", "none")


def sign(verdict: Verdict, significant: bool) -> str:
    """The verdict's sign, with a "?" where the difference would not survive the adjusted p."""
    return SYMBOLS[verdict] + ("" if significant or not is_told(verdict) else "?")


def is_significant(row: ComparisonRow) -> bool:
    """Whether the adjusted p is below one minus the level (0.05 at 95 %)."""
    return row.p is not None and row.p < round(1 - row.level, 12)


def described(results: Results, metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Name -> metric of all that occur in the results, in order; what is not in `metrics` is described by its rows."""
    found: dict[str, Metric] = {}
    for row in results.measures:
        if row.metric not in found:
            key = row.metric.partition(".")[2] or row.metric
            own = Metric(key, key.replace("_", " "), row.unit, row.better, row.grader, "")
            found[row.metric] = metrics.get(row.metric, own)
    for row in results.comparisons:
        if row.metric not in found:
            found[row.metric] = metrics.get(row.metric, Metric(row.metric, row.metric, "", "none", "", ""))
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


def _ends(low: float, high: float, unit: str) -> tuple[str, str]:
    if not is_rate(unit):
        return _digits(low), _digits(high)
    places = 0 if high - low >= _WIDE else 1
    return _end(100 * low, places), _end(100 * high, places)


def _end(x: float, places: int) -> str:
    """An end in per cent. Rounded to 0 or 100 it would hide that it is not there: it then keeps a decimal."""
    text = f"{x:.{places}f}"
    return _decimals(x, 1) if float(text) in (0, 100, -100) else text.replace("-", MINUS)


def _digits(x: float) -> str:
    """Three significant digits, whole numbers as such, no exponents between 0.001 and a billion."""
    if not math.isfinite(x):
        return str(x)
    if abs(x) >= 100:
        return f"{x:,.0f}".replace("-", MINUS)
    return f"{x:.3g}".replace("-", MINUS)


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text
