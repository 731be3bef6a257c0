"""Intervals and tests from counts and clusters, as plain numbers (emergent-misalignment sheet, sections 3 and 8)."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from boresight.stats.estimates import Estimate, bootstrap_mean, proportion

EXACT_SIGNS = 16  # differences up to which all sign assignments are counted
DRAWS = 100_000  # sign assignments drawn beyond
_SLACK = 1e-12


def wilson(k: int, n: int, level: float = 0.95) -> tuple[float, float] | None:
    """Score interval of the proportion k / n (Wilson 1927); None for n = 0. ValueError unless 0 <= k <= n."""
    found = proportion(k, n, level)
    return (found.low, found.high) if n else None


def newcombe(k1: int, n1: int, k2: int, n2: int, level: float = 0.95) -> tuple[float, float]:
    """Hybrid score interval of k1 / n1 - k2 / n2, two independent proportions (Newcombe 1998, method 10).

    ValueError unless both n are positive and each k lies in [0, n].
    """
    if n1 < 1 or n2 < 1:
        raise ValueError(f"n1 is {n1} and n2 is {n2}; both must be at least 1")
    a, b = proportion(k1, n1, level), proportion(k2, n2, level)
    d = a.value - b.value
    low = d - math.hypot(a.value - a.low, b.high - b.value)
    return low, d + math.hypot(a.high - a.value, b.value - b.low)


def mcnemar_exact(b: int, c: int) -> float:
    """Exact two-sided p of McNemar's test from the two counts of pairs that disagree; 1 when there is none."""
    if b < 0 or c < 0:
        raise ValueError(f"b is {b} and c is {c}; counts must not be negative")
    from scipy.special import bdtr

    return min(1.0, 2.0 * float(bdtr(float(min(b, c)), b + c, 0.5))) if b + c else 1.0


def sign_flip_test(differences: Iterable[float], *, draws: int = DRAWS, seed: int = 0) -> float:
    """Two-sided p of the mean of paired differences: the share of sign assignments whose |mean| is at least as large.

    All 2 ** n assignments, the identity among them, up to 16 differences; beyond that `draws` seeded ones, and the
    identity. nan (a pair that is not there) is left out; no difference at all gives nan, all zero 1. ValueError for
    infinite differences.
    """
    x = np.asarray([d for d in map(float, differences) if not math.isnan(d)])
    n = len(x)
    if n == 0:
        return math.nan
    if not np.all(np.isfinite(x)):
        raise ValueError("a difference is infinite; finite numbers are needed")
    rounding = n * np.finfo(float).eps * np.abs(x).sum()  # of sums of large values, more than the slack of small ones
    observed = abs(x.sum()) - _SLACK * n - rounding
    if n <= EXACT_SIGNS:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float(np.mean(np.abs(signs @ x) >= observed))
    rng, hits, left = np.random.default_rng(seed), 1, draws
    while left:
        some = min(left, 1_000_000 // n + 1)
        hits += int(np.count_nonzero(np.abs(rng.choice((-1.0, 1.0), (some, n)) @ x) >= observed))
        left -= some
    return hits / (draws + 1)


def clustered_stderr(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Standard error of the mean of values that come in clusters: sqrt(C/(C-1) sum_c (sum_i (y_i - mean))^2) / n.

    The values of a cluster may depend on one another in any way. nan for fewer than two clusters. ValueError if the
    lengths differ.
    """
    if len(values) != len(clusters):
        raise ValueError(f"there are {len(values)} values and {len(clusters)} clusters; one cluster each is needed")
    x = np.asarray(values, dtype=float)
    sums: dict[Hashable, float] = defaultdict(float)
    for gap, cluster in zip(x - x.mean() if len(x) else x, clusters, strict=True):
        sums[cluster] += float(gap)
    c = len(sums)
    return math.sqrt(c / (c - 1) * sum(s * s for s in sums.values())) / len(x) if c > 1 else math.nan


def cluster_bootstrap(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Mean of values that come in clusters with its BCa bootstrap interval over whole clusters (`bootstrap_mean`)."""
    return bootstrap_mean(values, level, resamples, seed, clusters)
