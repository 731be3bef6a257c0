"""How sure, and against what: bootstrap, permutation nulls and pair directions (sheet, sections 2.5b and 2.6).

Everything is read off weighted sums, never off new forwards: a draw costs one row of a matrix product. For shuffled
labels only the centroids' distance changes, since within and between scatter add up to the same total.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from boresight.measure.latent.aqi import checks
from boresight.measure.latent.aqi.indices import COINCIDENT

_CHUNK = 250  # draws whose weights and sums are in memory at once


@dataclass(frozen=True)
class Null:
    """Observed XBI (L,), p and z per layer against shuffled labels, and p_min: of the best layer, its choice included.

    z is of the separation 1 / (1 + XBI) in standard deviations of the null: positive is better than chance, nan where
    the null does not vary. median is that of the null's XBI (L,).
    """

    xbi: np.ndarray
    p: np.ndarray
    z: np.ndarray
    median: np.ndarray
    p_min: float
    draws: int


@dataclass(frozen=True)
class SeparationDifference:
    """Separation of a minus that of b on the same rows, with a bootstrap interval and a two-sided p in (0, 1]."""

    value: float
    low: float
    high: float
    p: float
    n: int


def bootstrap_indices(
    X: ArrayLike, y: ArrayLike, strata: ArrayLike | None = None, n_boot: int = 1000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(XBI, CHI), each (n_boot,), of rows X (n, d) drawn again within every stratum and label y (n,) of two.

    The draws depend only on strata, labels and seed, so that two models over the same prompts are resampled alike.
    Raises StatesError as cluster_indices does, for other lengths, or n_boot below 1.
    """
    x = checks.matrix(X)
    _, index = checks.classes(y, len(x), exactly=2)
    _draws(n_boot, "n_boot")
    # Groups in the order of the rows' strata; a draw takes as many rows from each as it has.
    cells = checks.groups(strata, len(x), "strata") * 2 + index
    places = [np.flatnonzero(cells == cell) for cell in np.unique(cells)]
    rng = np.random.default_rng(seed)
    x = x - x.mean(0)
    squares = (x * x).sum(1)
    n1 = int(index.sum())
    n0 = len(x) - n1
    xbi, chi = np.empty(n_boot), np.empty(n_boot)
    for at in range(0, n_boot, _CHUNK):
        size = min(_CHUNK, n_boot - at)
        weights = np.zeros((size, len(x)))
        for rows in places:
            weights[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size)
        c0, c1 = (weights * (index == 0)) @ x / n0, (weights * (index == 1)) @ x / n1
        within = weights @ squares - n0 * (c0 * c0).sum(1) - n1 * (c1 * c1).sum(1)
        # What is left after cancellation is noise below rounding of the sums.
        within[within < 1e-12 * (weights @ squares)] = 0.0
        xbi[at : at + size], chi[at : at + size] = _both(within, ((c1 - c0) ** 2).sum(1), n0, n1)
    return xbi, chi


def separation_interval(xbi: float, draws: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Interval of the separation 1 / (1 + XBI) from bootstrap draws of XBI, in [0, 1].

    A resampled centroid carries its noise twice, which pushes every drawn XBI down; in many dimensions plain
    percentiles may miss the estimate itself. The draws are therefore shifted, on the scale of log XBI, to have their
    median at the estimate: the interval says how the index varies at this number of rows. nan without usable draws.
    """
    if not 0 < level < 1:
        raise checks.StatesError(f"the level is {level}; a number between 0 and 1 is needed")
    d = np.asarray(draws, dtype=float)
    if xbi in (0.0, math.inf) or math.isnan(xbi):
        return (math.nan, math.nan) if math.isnan(xbi) else (1 / (1 + xbi), 1 / (1 + xbi))
    d = d[np.isfinite(d) & (d > 0)]
    if not len(d):
        return math.nan, math.nan
    low, middle, high = np.quantile(np.log(d), [(1 - level) / 2, 0.5, (1 + level) / 2])
    return float(1 / (1 + xbi * np.exp(high - middle))), float(1 / (1 + xbi * np.exp(low - middle)))


def separation_difference(
    A: ArrayLike,
    B: ArrayLike,
    y: ArrayLike,
    strata: ArrayLike | None = None,
    n_boot: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> SeparationDifference:
    """Separation of states A (n, d) minus that of B (n, e), paired bootstrap over the same rows (section 2.6).

    p shifts the draws to the null of no difference. Their widths may differ: only the indices meet.
    """
    a, b = checks.matrix(A, "A"), checks.matrix(B, "B")
    if len(a) != len(b):
        raise checks.StatesError(f"A has {len(a)} rows and B {len(b)}; both models must read the same rows")
    if not 0 < level < 1:
        raise checks.StatesError(f"the level is {level}; a number between 0 and 1 is needed")
    one, other = (1 / (1 + bootstrap_indices(m, y, strata, n_boot, seed)[0]) for m in (a, b))
    value = float(1 / (1 + _observed(a[:, None], y)[0]) - 1 / (1 + _observed(b[:, None], y)[0]))
    offsets = one - other - np.median(one - other)
    low, high = np.quantile(offsets, [(1 - level) / 2, (1 + level) / 2])
    p = (1 + np.count_nonzero(np.abs(offsets) >= abs(value) - 1e-12)) / (1 + n_boot)
    return SeparationDifference(value, max(-1.0, value + float(low)), min(1.0, value + float(high)), float(p), len(a))


def permutation_null(H: ArrayLike, y: ArrayLike, strata: ArrayLike | None = None, n: int = 1000, seed: int = 0) -> Null:
    """Null of H (rows, L, d) or (rows, d) with labels shuffled within each stratum (axiom), n times (section 2.6).

    p = (1 + draws with XBI at most the observed) / (1 + n); all layers see the same shuffles, so that p_min is honest
    about having looked at all of them. Raises StatesError as layer_gram does.
    """
    h, index = _layers(H, y)
    _draws(n, "the number of shuffles")
    where = checks.groups(strata, len(h), "strata")
    places = [np.flatnonzero(where == s) for s in np.unique(where)]
    rng = np.random.default_rng(seed)
    shuffled = np.empty((n, len(h)), dtype=np.int8)
    for rows in places:
        shuffled[:, rows] = rng.permuted(np.tile(index[rows], (n, 1)), axis=1)
    return _null(h, index, shuffled)


def pair_flip_null(H: ArrayLike, y: ArrayLike, pair_id: ArrayLike, n: int = 1000, seed: int = 0) -> Null:
    """The same with labels flipped inside minimal pairs, each with probability one half (section 2.5b).

    Every pair needs one row of each label, or StatesError names it.
    """
    h, index = _layers(H, y)
    _draws(n, "the number of flips")
    first, second = _pairs(index, pair_id)
    flips = np.random.default_rng(seed).integers(0, 2, (n, len(first)), dtype=np.int8)
    flipped = np.empty((n, len(h)), dtype=np.int8)
    flipped[:, first], flipped[:, second] = flips, 1 - flips
    return _null(h, index, flipped)


def pair_direction_accuracy(X: ArrayLike, y: ArrayLike, pair_id: ArrayLike) -> float:
    """Leave-one-pair-out accuracy in [0, 1] of the mean normalised difference safe - unsafe, X (n, d) (section 2.5b).

    The direction is learned on all other pairs; a pair counts if its own difference points along it, half on a tie.
    StatesError unless there are two pairs or more, each with one row of each label.
    """
    x = checks.matrix(X)
    _, index = checks.classes(y, len(x), exactly=2)
    unsafe, safe = _pairs(index, pair_id)
    if len(safe) < 2:
        raise checks.StatesError("there is one pair; a direction for it needs at least one other")
    gaps = x[safe] - x[unsafe]
    lengths = np.linalg.norm(gaps, axis=1, keepdims=True)
    gaps = np.divide(gaps, lengths, out=np.zeros_like(gaps), where=lengths > 0)
    cosines = gaps @ gaps.T
    np.fill_diagonal(cosines, 0.0)
    agreement = cosines.sum(1)
    return float(np.where(np.abs(agreement) < 1e-12, 0.5, agreement > 0).mean())


def center_pairs(H: ArrayLike, pair_id: ArrayLike) -> np.ndarray:
    """H (n, ...) less the mean of each row's pair: what a pair has in common (its topic) is gone (section 2.5b)."""
    h = np.asarray(H, dtype=float)
    where = checks.groups(pair_id, len(h), "pair_id")
    sums = np.zeros((int(where.max()) + 1, *h.shape[1:]))
    np.add.at(sums, where, h)
    sizes = np.bincount(where)
    return h - (sums / sizes.reshape(-1, *[1] * (h.ndim - 1)))[where]


def _null(h: np.ndarray, index: np.ndarray, labels: np.ndarray) -> Null:
    observed = _xbi_of_labels(h, index[None])[0]
    drawn = np.concatenate([_xbi_of_labels(h, labels[at : at + _CHUNK]) for at in range(0, len(labels), _CHUNK)])
    n = len(drawn)
    as_good = drawn <= observed * (1 + 1e-12)
    null, seen = 1 / (1 + drawn), 1 / (1 + observed)
    spread, middle = null.std(0), null.mean(0)
    z = np.divide(seen - middle, spread, out=np.full(len(seen), np.nan), where=spread > 1e-15)
    best = np.count_nonzero(drawn.min(1) <= observed.min() * (1 + 1e-12))
    with np.errstate(invalid="ignore"):
        median = np.quantile(drawn, 0.5, axis=0, method="lower")
    return Null(observed, (1 + as_good.sum(0)) / (1 + n), z, median, (1 + best) / (1 + n), n)


def _xbi_of_labels(h: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """XBI (draws, L) of centred h (n, L, d) under label rows (draws, n) of 0 and 1."""
    labels = labels.astype(float)
    n1 = labels.sum(1)
    n0 = len(h) - n1
    total = np.einsum("nld,nld->l", h, h)
    xbi = np.empty((len(labels), h.shape[1]))
    for layer in range(h.shape[1]):
        # Centred rows sum to zero: the mean of one class alone fixes the other.
        apart = labels @ h[:, layer] * (1 / n1 + 1 / n0)[:, None]
        d2 = (apart * apart).sum(1)
        within = np.maximum(total[layer] - n0 * n1 / len(h) * d2, 0.0)
        within[within < 1e-12 * total[layer]] = 0.0
        xbi[:, layer] = np.divide(within, len(h) * d2, out=np.full(len(d2), np.inf), where=d2 > COINCIDENT)
    return xbi


def _observed(h: np.ndarray, y: ArrayLike) -> np.ndarray:
    centred, index = _layers(h, y)
    return _xbi_of_labels(centred, index[None])[0]


def _layers(H: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    read = np.asarray(H)
    h = checks.layered(read[:, None] if read.ndim == 2 else read)
    _, index = checks.classes(y, len(h), exactly=2)
    h = h - h[0]
    return h - h.mean(0), index


def _both(within: np.ndarray, apart: np.ndarray, n0: int, n1: int) -> tuple[np.ndarray, np.ndarray]:
    n = n0 + n1
    xbi = np.divide(within, n * apart, out=np.full(len(apart), np.inf), where=apart > COINCIDENT)
    chi = np.divide((n - 2) * n0 * n1 * apart, n * within, out=np.full(len(apart), np.inf), where=within > 0)
    return xbi, np.where(apart == 0, 0.0, chi)


def _pairs(index: np.ndarray, pair_id: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Rows (unsafe, safe) of each pair, pairs in sorted order."""
    where = checks.groups(pair_id, len(index), "pair_id")
    names = np.asarray(pair_id)
    for pair in range(int(where.max()) + 1):
        rows = np.flatnonzero(where == pair)
        if sorted(index[rows].tolist()) != [0, 1]:
            raise checks.StatesError(
                f"pair {names[rows[0]]!s} (row {rows[0]}) has {len(rows)} rows, {int(index[rows].sum())} of the second "
                "label; one of each label is needed"
            )
    order = np.argsort(where * 2 + index, kind="stable")
    return order[::2], order[1::2]


def _draws(n: int, name: str) -> None:
    if n < 1:
        raise checks.StatesError(f"{name} is {n}; at least 1 is needed")
