"""Which principles an annotator ranks first: Bradley-Terry scores over conflicting principles, and how two rankings
differ.

The maximum likelihood exists only where the graph of wins is strongly connected (Ford 1957). Principles that won or
lost everything are peeled off first and get plus or minus infinity; what is left is fitted within its strongly
connected components (discretion sheet, section 2.5).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from boresight.measure.behaviour.discretion.metrics import floats

_STEP = 2.0  # longest Newton step in a coordinate
_ROUNDS = 200
_HALVINGS = 40


@dataclass(frozen=True)
class Priorities:
    """Scores of k principles.

    w: natural log-odds, mean 0 within each component; +-inf if peeled, NaN for a principle without games. rank: 1 is
    the first; equal ones share the average rank, truncated; -1 without games. level: groups that no finite score
    compares, higher is better (0 for a principle without games). separated: something was peeled, or there is more
    than one component.
    """

    w: np.ndarray
    rank: np.ndarray
    level: np.ndarray
    separated: bool


def bradley_terry(wins: ArrayLike, prior: float | None = None) -> Priorities:
    """Priorities from wins[c, d], the (weighted) conflicts of c and d that c won; (k, k), the diagonal is ignored.

    prior: standard deviation of a Gaussian prior; all scores are finite then and nothing is peeled or split.
    Raises ValueError for wins that are no square matrix of finite numbers of at least 0, or a prior not above 0.
    """
    w = floats("wins", wins)
    if w.ndim != 2 or w.shape[0] != w.shape[1]:
        raise ValueError(f"wins has shape {w.shape}, but a square matrix is needed")
    if not np.isfinite(w).all() or (w < 0).any():
        raise ValueError("wins holds a number that is negative or not finite; counts of at least 0 are needed")
    if prior is not None and not 0 < prior < math.inf:
        raise ValueError(f"prior is {prior}, but a standard deviation above 0 is needed")
    np.fill_diagonal(w, 0.0)
    level, group, fixed = structure(w, prior is not None)
    scores = solve(w[None], group[None], fixed[None], prior)[0]
    separated = bool(np.isinf(scores).any() or len(set(group[group >= 0].tolist())) > 1)
    return Priorities(scores, ranks(scores, level), level, separated)


def structure(w: np.ndarray, whole: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(level, component, fixed score) of each principle, from its wins (k, k) with a zero diagonal.

    component is -1 where a score is fixed: NaN without games, +-inf for peeled ones. whole: no peeling, one component.
    """
    k = len(w)
    level, fixed = np.zeros(k, dtype=int), np.full(k, np.nan)
    left = (w + w.T).sum(1) > 0
    if whole:
        return level, np.where(left, 0, -1), fixed
    rounds: list[tuple[np.ndarray, np.ndarray]] = []
    beaten = w > 0
    while True:
        won = (beaten & left).any(1) & left
        lost = (beaten.T & left).any(1) & left
        top, bottom = won & ~lost, lost & ~won
        if not (top | bottom).any():
            break
        rounds.append((top, bottom))
        left = left & ~top & ~bottom
    group = _components(beaten, left, level)
    highest = int(level[left].max()) if left.any() else -1
    for r, (top, bottom) in enumerate(rounds):
        fixed[top], fixed[bottom] = np.inf, -np.inf
        level[top], level[bottom] = highest + len(rounds) - r, r - len(rounds)
    return level, group, fixed


def _components(beaten: np.ndarray, left: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Strongly connected components of the principles that are left; writes the longest chain below each to `level`."""
    from scipy.sparse.csgraph import connected_components

    group, index = np.full(len(left), -1), np.flatnonzero(left)
    if not len(index):
        return group
    inner = beaten[np.ix_(index, index)]
    n, labels = connected_components(inner, directed=True, connection="strong")
    group[index] = labels
    if n > 1:
        above = np.zeros((n, n), dtype=bool)
        over, under = np.nonzero(inner)
        above[labels[over], labels[under]] = True
        np.fill_diagonal(above, False)
        height = np.zeros(n, dtype=int)
        for _ in range(n):  # the longest chain has fewer than n links
            height = np.where(above, height + 1, 0).max(1)
        level[index] = height[labels]
    return group


def solve(w: np.ndarray, group: np.ndarray, fixed: np.ndarray, prior: float | None = None) -> np.ndarray:
    """Scores of many sets of wins at once by Newton's method: w (b, k, k), group and fixed (b, k) as in `structure`.

    Games between components, or with a peeled principle, are left out: they hold no information about finite scores.
    """
    if not w.size:
        return fixed.copy()
    inside = (group[:, :, None] == group[:, None, :]) & (group >= 0)[:, :, None]
    w = np.where(inside, w, 0.0)
    games = w + w.transpose(0, 2, 1)
    total = w.sum(2)
    precision = 0.0 if prior is None else prior**-2
    free = group >= 0
    # A Laplacian is singular along the constant of each component: that direction is pinned to a mean of 0.
    pin = inside / np.maximum(inside.sum(2, keepdims=True), 1)
    eye = np.eye(w.shape[1])
    x = np.zeros(w.shape[:2])

    def loss(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        gaps = x[:, :, None] - x[:, None, :]
        return (w[rows] * np.logaddexp(0.0, -gaps)).sum((1, 2)) + 0.5 * precision * (x * x * free[rows]).sum(1)

    active = np.arange(len(w))
    now = loss(x, active)
    for _ in range(_ROUNDS):
        if not len(active):
            break
        at = x[active]
        p = 1.0 / (1.0 + np.exp(-(at[:, :, None] - at[:, None, :])))
        gradient = total[active] - (games[active] * p).sum(2) - precision * at * free[active]
        weight = games[active] * p * (1 - p)
        scale = np.maximum(weight.sum(2).max(1), 1e-300)[:, None, None]  # so that the pin is neither lost nor rules
        hessian = eye * (weight.sum(2) + precision * free[active])[:, :, None] - weight
        hessian = hessian + scale * (pin[active] + eye * ~free[active][:, :, None])
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        longest = np.abs(step).max(1, initial=0.0)
        step *= np.minimum(1.0, _STEP / np.maximum(longest, 1e-300))[:, None]
        x[active], now[active] = _improved(at, step, now[active], lambda y, rows, a=active: loss(y, a[rows]))
        active = active[longest > 1e-11]
    return np.where(free, x, fixed)


def _improved(x: np.ndarray, step: np.ndarray, before: np.ndarray, loss) -> tuple[np.ndarray, np.ndarray]:
    """x + step, each row's step halved until its loss is not above what it was (up to rounding)."""
    rows = np.arange(len(x))
    found, after = x + step, loss(x + step, rows)
    for _ in range(_HALVINGS):
        worse = np.flatnonzero(after > before + 1e-12 * np.abs(before))
        if not len(worse):
            break
        step[worse] /= 2
        found[worse] = x[worse] + step[worse]
        after[worse] = loss(found[worse], worse)
    return found, after


def ranks(w: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Rank of each principle, 1 for the best: by level, then by w, both descending (section 2.6).

    w is compared after rounding to 9 decimals; equal ones share their average rank, truncated; NaN gives -1.
    """
    rank = np.full(len(w), -1)
    index = np.flatnonzero(~np.isnan(w))
    keys = [(int(level[c]), float(np.round(w[c], 9))) for c in index]
    for c, key in zip(index, keys, strict=True):
        better, equal = sum(other > key for other in keys), keys.count(key)
        rank[c] = int(better + (1 + equal) / 2)
    return rank


def discrepancy(rank_a: ArrayLike, rank_b: ArrayLike) -> float:
    """(1 - Kendall's tau-b) / 2 of two rankings, in [0, 1]: 0 same order, 0.5 unrelated, 1 reversed (section 2.6).

    Principles that are unranked (below 0 or NaN) in either are left out of both. NaN if fewer than two are left or one
    ranking is constant. Raises ValueError if the lengths differ.
    """
    a, b = floats("rank_a", rank_a), floats("rank_b", rank_b)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"the rankings have shapes {a.shape} and {b.shape}, but two of the same length are needed")
    kept = (a >= 0) & (b >= 0)
    a, b = a[kept], b[kept]
    first, second = np.sign(a[:, None] - a), np.sign(b[:, None] - b)
    untied = float((first * first).sum()) * float((second * second).sum())
    if not untied:
        return math.nan
    return float((1.0 - (first * second).sum() / math.sqrt(untied)) / 2)
