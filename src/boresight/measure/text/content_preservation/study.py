"""Whether the entity correction helps a metric: correlations with people, Williams' test, bootstrap (section 2.5)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from boresight.errors import DataError
from boresight.measure.text.content_preservation.score import column, merge

_SLACK = 1e-9
"""How far below 0 rounding may take the determinant of a correlation matrix."""


@dataclass(frozen=True)
class Row:
    """One metric before and after the merge, over the n rows where nothing is missing; nan: cannot be told.

    pure, merged: Spearman with people. r_metric_merged: Spearman of the metric with its merged version. t, p: Williams'
    one-sided test of the higher of both against the other. ci: percentile bootstrap of merged - pure. tau_pure,
    tau_merged: Kendall's tau-b with people. dropped: rows with something missing.
    """

    n: int
    pure: float
    merged: float
    r_metric_merged: float
    t: float
    p: float
    ci: tuple[float, float]
    tau_pure: float
    tau_merged: float
    dropped: int


def williams(r12: float, r13: float, r23: float, n: int) -> tuple[float, float]:
    """Williams' t of two dependent correlations that share a variable, and its one-sided p (n - 3 degrees of freedom).

    r12: the stronger metric with people, r13: the weaker with people, r23: the metrics with each other, over n rows.
    (nan, nan) for n <= 3 or a nan correlation; (0, 0.5) where two equal metrics leave nothing to test. ValueError if
    r12 < r13, a correlation lies outside [-1, 1], or no data can have all three. Williams (1959); Steiger (1980).
    """
    r12, r13, r23 = float(r12), float(r13), float(r23)
    if math.isnan(r12 + r13 + r23):
        return math.nan, math.nan
    for name, r in (("r12", r12), ("r13", r13), ("r23", r23)):
        if abs(r) > 1 + _SLACK:
            raise ValueError(f"{name} is {r:g}; a correlation in [-1, 1] is needed")
    if r12 < r13:
        raise ValueError(f"r12 is {r12:g}, below r13, which is {r13:g}; the stronger correlation comes first")
    if n <= 3:
        return math.nan, math.nan
    k = 1 - r12**2 - r13**2 - r23**2 + 2 * r12 * r13 * r23
    if k < -_SLACK:
        raise ValueError(f"no data have the correlations {r12:g}, {r13:g} and {r23:g} at once")
    if r12 == r13:
        return 0.0, 0.5
    spread = 2 * max(k, 0.0) * (n - 1) / (n - 3) + (r12 + r13) ** 2 / 4 * max(1 - r23, 0.0) ** 3
    top = (r12 - r13) * math.sqrt((n - 1) * max(1 + r23, 0.0))
    if spread <= 0:
        return (math.inf, 0.0) if top > _SLACK else (0.0, 0.5)
    t = top / math.sqrt(spread)
    from scipy.special import stdtr

    return t, float(stdtr(n - 3, -t))


def compare(
    human: ArrayLike,
    metrics: Mapping[str, ArrayLike],
    ne: ArrayLike,
    p: ArrayLike,
    decimals: int | None = 7,
    n_boot: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Row]:
    """Each metric's correlation with people before and after merging it with the entity score, and whether it gained.

    human, ne, p and every metric: (n,), nan or None where missing; a metric's own missing rows are dropped for it
    alone. Metric and merged score are rounded to `decimals` before ranking, since rounding noise breaks ties of overlap
    metrics (None: raw values, as published). No bootstrap (nan) for n_boot 0. The same seed gives the same rows,
    whatever the order of the metrics. DataError for unequal lengths, a constant human column, or what `merge` refuses;
    ValueError for n_boot below 0 or a level outside (0, 1).
    """
    if n_boot < 0 or not 0 < level < 1:
        raise ValueError(f"n_boot is {n_boot} and level {level}; at least 0, and between 0 and 1, are needed")
    columns = {"human": column(human, "human"), "ne": column(ne, "ne"), "p": column(p, "p")}
    columns |= {f"metric {name}": column(values, f"metric {name}") for name, values in metrics.items()}
    lengths = {name: x.size if x.ndim else -1 for name, x in columns.items()}
    if len(set(lengths.values())) > 1 or -1 in lengths.values():
        shown = ", ".join(f"{k} {'a number' if n < 0 else n}" for k, n in list(lengths.items())[:6])
        raise DataError(f"columns need one length, but there are {shown}")
    y, e, share = columns["human"], columns["ne"], columns["p"]
    known = y[~np.isnan(y)]
    if known.size == 0 or np.ptp(known) == 0:
        raise DataError("column human is constant or empty; judgements that differ are needed")
    found = {}
    for name in metrics:
        m = columns[f"metric {name}"]
        whole = merge(m, e, share)
        use = ~np.isnan(m) & ~np.isnan(y) & ~np.isnan(whole) & ~np.isnan(share)
        a, b = m[use], whole[use]
        if decimals is not None:
            a, b = a.round(decimals), b.round(decimals)
        found[name] = _row(y[use], a, b, len(y) - int(use.sum()), n_boot, seed, level)
    return found


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rho with average ranks of two columns (n,) without nan; nan where one is constant or n < 2.

    DataError for different lengths.
    """
    a, b = column(x, "x").reshape(-1), column(y, "y").reshape(-1)
    if len(a) != len(b):
        raise DataError(f"x has {len(a)} rows and y {len(b)}; equal lengths are needed")
    if np.isnan(a).any() or np.isnan(b).any():
        return math.nan
    ones = np.ones(len(a))
    return _correlation(_ranks(_Codes(a), ones), _ranks(_Codes(b), ones), ones)


def _row(y: np.ndarray, a: np.ndarray, b: np.ndarray, dropped: int, n_boot: int, seed: int, level: float) -> Row:
    n = len(y)
    coded = [_Codes(x) for x in (y, a, b)]
    ones = np.ones(n)
    ranks = [_ranks(c, ones) for c in coded]
    pure, merged = (_correlation(ranks[0], ranks[i], ones) for i in (1, 2))
    both = _correlation(ranks[1], ranks[2], ones)
    t, p = williams(max(pure, merged), min(pure, merged), both, n)
    gaps = np.full(n_boot, math.nan)
    if n >= 3:
        rng = np.random.default_rng(seed)
        for i in range(n_boot):
            weights = np.bincount(rng.integers(n, size=n), minlength=n).astype(float)
            ry, ra, rb = (_ranks(c, weights) for c in coded)
            gaps[i] = _correlation(ry, rb, weights) - _correlation(ry, ra, weights)
    gaps = gaps[~np.isnan(gaps)]
    ends = (math.nan, math.nan)
    if gaps.size and not math.isnan(merged - pure):
        low, high = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2])
        ends = (float(low), float(high))
    return Row(n, pure, merged, both, t, p, ends, _tau(y, a), _tau(y, b), dropped)


class _Codes:
    """Every value's place among the distinct ones, so that a resample is ranked by counting and never sorted."""

    def __init__(self, x: np.ndarray) -> None:
        values, self.index = np.unique(x, return_inverse=True)
        self.size = len(values)


def _ranks(coded: _Codes, weights: np.ndarray) -> np.ndarray:
    """Average ranks (n,) of values of which weights[i] copies are drawn."""
    counts = np.bincount(coded.index, weights, minlength=coded.size)
    return (np.cumsum(counts) - (counts - 1) / 2)[coded.index]


def _correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    """Pearson's correlation with whole weights; nan where a column does not vary."""
    total = weights.sum()
    if total < 2:
        return math.nan
    # Ranks have the mean (n + 1) / 2 exactly, ties or not.
    x, y = a - (total + 1) / 2, b - (total + 1) / 2
    wx = weights * x
    # Sums of whole quarters, exact, so that a constant column has exactly no spread. Plain sums, since a threaded dot
    # product waits longer for its threads than it works.
    spread = math.sqrt(float((wx * x).sum())) * math.sqrt(float((weights * y * y).sum()))
    return min(1.0, max(-1.0, float((wx * y).sum()) / spread)) if spread else math.nan


def _tau(x: np.ndarray, y: np.ndarray) -> float:
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    from scipy.stats import kendalltau

    # The asymptotic p is not used: it only spares the exact one, which is slow.
    found: Any = kendalltau(x, y, method="asymptotic")
    return float(found.statistic)
