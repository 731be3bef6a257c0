"""What an annotator decided alone: categories, arbitrariness and the wins of one principle over another.

P[i, c] in {-1, 0, +1}: principle c prefers answer 1 (+1), answer 0 (-1) or neither (0) in comparison i. a[i] is the
annotator's own choice in the same code, 0 for a tie, an abstention or a missing label (discretion sheet, section 2).
"""

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

Category = Literal["indifference", "conflict", "consensus"]


def discretise(scores: ArrayLike) -> np.ndarray:
    """Preferences for answer 1 (+1), answer 0 (-1) or none (0) from scores of the labels (section 2.1).

    scores: (..., orders, labels), 1 or 2 orders, labels A, B and perhaps NA as they were presented: order 0 shows
    answer 1 as A, order 1 shows answer 0 as A. Any scale will do; -inf or NaN where a label was not asked for. Returns
    int8 of shape (...). A tie, a NaN or an NA above both leaves an order without preference; two orders that
    contradict each other, or of which one has none, give 0. Raises ValueError for another shape.
    """
    s = floats("scores", scores)
    if s.ndim < 2 or s.shape[-2] not in (1, 2) or s.shape[-1] not in (2, 3):
        raise ValueError(f"scores have shape {s.shape}, but (..., 1 or 2 orders, 2 or 3 labels) is needed")
    a, b = s[..., 0], s[..., 1]
    with np.errstate(invalid="ignore"):
        v = (a > b).astype(np.int8) - (a < b).astype(np.int8)
        if s.shape[-1] == 3:
            v[(s[..., 2] > a) & (s[..., 2] > b)] = 0
    if v.shape[-1] == 1:
        return v[..., 0]
    return np.where(v[..., 0] == -v[..., 1], v[..., 0], 0).astype(np.int8)


def floats(name: str, values: Any) -> np.ndarray:
    """Values as float64, whatever holds them (lists, generators, tensors; None is NaN); ValueError if they are ragged
    or no numbers."""
    if isinstance(values, Iterable) and not isinstance(values, Sequence) and not hasattr(values, "__array__"):
        values = list(values)
    try:
        return np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers in rows of equal length ({error})") from error


def preferences(name: str, values: ArrayLike, ndim: int) -> np.ndarray:
    """Values in {-1, 0, +1} as int8, NaN as 0; ValueError for anything else or another number of dimensions."""
    x = floats(name, values)
    if x.size == 0 and x.ndim < ndim:
        x = x.reshape((0,) * ndim)
    if x.ndim != ndim:
        raise ValueError(f"{name} has shape {x.shape}, but {ndim} dimension{'s are' if ndim > 1 else ' is'} needed")
    x = np.where(np.isnan(x), 0.0, x)
    wrong = x[(x != 0) & (np.abs(x) != 1)]
    if wrong.size:
        raise ValueError(f"{name} holds {wrong[0]:g}, but every value must be -1, 0 or 1")
    return x.astype(np.int8)


def both(P: ArrayLike, a: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """P and a checked against each other."""
    p, chosen = preferences("P", P, 2), preferences("a", a, 1)
    if len(p) != len(chosen):
        raise ValueError(f"P has {len(p)} comparisons and a has {len(chosen)}, but both need the same ones")
    return p, chosen


def categorise(P: ArrayLike) -> list[Category]:
    """The category of each of the n comparisons in P, (n, k) (section 2.2)."""
    return [_category(set(row)) for row in preferences("P", P, 2).tolist()]


def _category(found: set[int]) -> Category:
    if {1, -1} <= found:
        return "conflict"
    return "consensus" if found - {0} else "indifference"


def decided_consensus(p: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(consensus rows that the annotator decided, those of them that it decided against all principles), bool (n,)."""
    up, down = (p > 0).any(1), (p < 0).any(1)
    asked = (up != down) & (a != 0)
    return asked, asked & np.where(up, a < 0, a > 0)


def arbitrariness(P: ArrayLike, a: ArrayLike) -> float:
    """Share of decided consensus rows in which the annotator went against every principle, in [0, 1] (section 2.3).

    NaN, with a warning, if the annotator decided no consensus row.
    """
    asked, against = decided_consensus(*both(P, a))
    if not asked.any():
        warnings.warn("no consensus row was decided: the arbitrariness is not defined", RuntimeWarning, stacklevel=2)
        return math.nan
    return float(against.sum() / asked.sum())


def wins(P: ArrayLike, a: ArrayLike, weights: ArrayLike | None = None) -> np.ndarray:
    """W[c, d]: in how many conflicts of c and d the annotator sided with c, float (k, k) (section 2.4).

    weights: (n,), how often each comparison counts (1 each by default).
    """
    p, chosen = both(P, a)
    sided = p * chosen[:, None]
    won, lost = (sided > 0).astype(float), (sided < 0).astype(float)
    if weights is not None:
        u = floats("weights", weights)
        if u.shape != (len(p),):
            raise ValueError(f"weights has shape {u.shape}, but one weight for each of {len(p)} comparisons is needed")
        if not np.isfinite(u).all() or (u < 0).any():
            raise ValueError("weights holds a number that is negative or not finite; at least 0 is needed")
        won *= u[:, None]
    return won.T @ lost


def supremacy(W: ArrayLike) -> np.ndarray:
    """PS[c, d]: share of the conflicts of c and d that c won, (k, k); NaN where there was none (section 2.4)."""
    w = floats("W", W)
    if w.ndim != 2 or w.shape[0] != w.shape[1]:
        raise ValueError(f"W has shape {w.shape}, but a square matrix is needed")
    np.fill_diagonal(w, 0.0)
    games = w + w.T
    return np.divide(w, games, out=np.full_like(w, np.nan), where=games > 0)
