"""How well a score tells two kinds of items apart."""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from boresight.stats.estimates import Estimate


def auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Share of pairs of a positive and a negative item in which the positive scores higher, ties half.

    scores, positive: (n,); Mann and Whitney's U over the number of pairs. nan if either kind is empty.
    """
    from scipy.stats import rankdata

    labels = np.asarray(positive, dtype=bool)
    n, m = int(labels.sum()), int((~labels).sum())
    if not n or not m:
        return math.nan
    return float((rankdata(np.asarray(scores, float))[labels].sum() - n * (n + 1) / 2) / (n * m))


def auroc(
    high: Sequence[float],
    low: Sequence[float],
    high_clusters: Sequence[Hashable] | None = None,
    low_clusters: Sequence[Hashable] | None = None,
    *,
    level: float = 0.95,
    resamples: int = 4000,
    seed: int = 0,
) -> Estimate:
    """Share of pairs in which the first kind scores higher (ties half), with a percentile bootstrap over clusters.

    high, low: scores of the kind that should score high and of the other; the clusters (their questions) may be shared
    between the two. Without clusters each text is one. The value is nan if either kind is empty, the interval too if
    there is one cluster only. After perfect separation the interval has no width, however few texts there were.
    Raises ValueError for scores that are not finite and for clusters of another length.
    """
    a, b = np.asarray(high, float), np.asarray(low, float)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("the scores must be finite")
    first = [("high", i) for i in range(len(a))] if high_clusters is None else list(high_clusters)
    second = [("low", i) for i in range(len(b))] if low_clusters is None else list(low_clusters)
    if (len(first), len(second)) != (len(a), len(b)):
        raise ValueError(f"there are {len(a)} and {len(b)} scores, but {len(first)} and {len(second)} clusters")
    n, method = len(a) + len(b), "percentile bootstrap, clustered"
    if not len(a) or not len(b):
        return Estimate(math.nan, math.nan, math.nan, n, level, method)
    wins = (a[:, None] > b) + 0.5 * (a[:, None] == b)
    value = float(wins.mean())
    names = {name: i for i, name in enumerate(dict.fromkeys([*first, *second]))}
    if len(names) < 2:
        return Estimate(value, math.nan, math.nan, n, level, method)
    mine, theirs = np.zeros((len(names), len(a))), np.zeros((len(names), len(b)))
    mine[[names[c] for c in first], range(len(a))] = 1
    theirs[[names[c] for c in second], range(len(b))] = 1
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
    pairs = (draws @ mine.sum(1)) * (draws @ theirs.sum(1))
    won = np.einsum("ri,ij,rj->r", draws, mine @ wins @ theirs.T, draws, optimize=True)
    shares = won[pairs > 0] / pairs[pairs > 0]
    down, up = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Estimate(value, min(down, value), max(up, value), n, level, method)
