"""Where dots, intervals and ticks of the report's pictures go; the page's template draws them as SVG.

Lengths are in the units of the picture's own coordinate system (its viewBox), x to the right and y down.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from boresight.report import wording
from boresight.report.results import ComparisonRow

WIDTH, MARGIN = 380.0, 10.0
ROW, TOP, FOOT = 40.0, 6.0, 24.0
FOREST_WIDTH = 132.0
BASELINE = 0  # the first subject's slot: its colour, and the line at its value
_NAME_CHARS = 28  # what fits beside the value at the picture's font size


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high` over `left`..`right`, with its ticks as (position, label)."""

    low: float
    high: float
    left: float
    right: float
    ticks: tuple[tuple[float, str], ...] = ()

    def __call__(self, x: float) -> float:
        """The position of a value, kept inside the axis; a tenth of a unit is finer than a pixel."""
        share = min(1.0, max(0.0, (x - self.low) / (self.high - self.low)))
        return round(self.left + share * (self.right - self.left), 1)


@dataclass(frozen=True)
class Dot:
    """One subject's row of a picture: what is written above the track, and the positions on it (None: nothing)."""

    name: str
    label: str
    slot: int
    verdict: wording.Verdict
    sign: str
    y: float
    x: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Chart:
    """A dot-and-interval picture; `baseline`: position of the first subject's value, drawn as a line."""

    width: float
    height: float
    axis: Axis
    dots: tuple[Dot, ...]
    baseline: float | None


@dataclass(frozen=True)
class Point:
    """What a picture shows of one subject. slot: picks its colour; sign: stands before the value, may be empty."""

    name: str
    slot: int
    value: float | None
    ci: wording.Interval
    verdict: wording.Verdict = "none"
    sign: str = ""


def chart(points: Sequence[Point], unit: str) -> Chart:
    """Lay out one metric: a row for each subject, rates on an axis from 0 to 100 %, other units on a fitted one."""
    axis = rate_axis() if wording.is_rate(unit) else fitted_axis(_values(points))
    dots = []
    for i, p in enumerate(points):
        low, high = p.ci
        whole = low is not None and high is not None
        label = wording.value(p.value, unit)
        if p.value is not None and whole:
            label += f" ({wording.interval(p.ci, unit).removesuffix(' %')})"
        dots.append(
            Dot(
                shorten(p.name),
                label,
                p.slot,
                p.verdict,
                p.sign,
                TOP + i * ROW,
                None if p.value is None else axis(p.value),
                axis(low) if low is not None and whole else None,
                axis(high) if high is not None and whole else None,
            )
        )
    baseline = next((d.x for d in dots if d.slot == BASELINE), None) if len(dots) > 1 else None
    return Chart(WIDTH, TOP + len(dots) * ROW + FOOT, axis, tuple(dots), baseline)


def rate_axis() -> Axis:
    """0 to 100 % with a tick at every quarter."""
    bare = Axis(0, 1, MARGIN, WIDTH - MARGIN)
    labels = ("0", "25", "50", "75", "100 %")
    return Axis(0, 1, bare.left, bare.right, tuple((bare(i / 4), label) for i, label in enumerate(labels)))


def fitted_axis(values: Sequence[float]) -> Axis:
    """Round ends around the values, with three to seven ticks; from 0 when 0 is not far off."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if 0 < low < (high - low) * 2:
        low = 0.0
    if low == high:
        low, high = (low - 1, high + 1) if low else (0.0, 1.0)
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    bare = Axis(first * step, last * step, MARGIN, WIDTH - MARGIN)
    ticks = tuple((bare(i * step), wording.value(i * step, "")) for i in range(first, last + 1))
    return Axis(bare.low, bare.high, bare.left, bare.right, ticks)


def forest(row: ComparisonRow, reach: float) -> tuple[float, float, float, float] | None:
    """Positions of (zero, low, dot, high) on a strip from -reach to reach; None without an interval."""
    low, high = row.ci
    if row.difference is None or low is None or high is None or reach <= 0:
        return None
    axis = Axis(-reach, reach, 4, FOREST_WIDTH - 4)
    return axis(0), axis(low), axis(row.difference), axis(high)


def reach_of(rows: Sequence[ComparisonRow]) -> float:
    """How far from zero the intervals of rows in one unit go."""
    ends = (end for row in rows for end in (*row.ci, row.difference) if end is not None)
    return max(map(abs, ends), default=0.0)


def shorten(name: str, chars: int = _NAME_CHARS) -> str:
    """A long name without its middle."""
    if len(name) <= chars:
        return name
    half = (chars - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _values(points: Sequence[Point]) -> list[float]:
    return [x for p in points for x in (p.value, *p.ci) if x is not None]


def _round_step(x: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least x > 0."""
    power = 10.0 ** math.floor(math.log10(x))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= x * (1 - 1e-9))
