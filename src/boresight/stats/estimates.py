"""Intervals, paired tests and sample sizes for the numbers that audits and comparisons report.

Every function is pure: it reads no global random state, and an argument out of range raises ValueError
saying what it was and what is needed. Intervals are two-sided; `level`, in (0, 1), is their confidence.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

_NAN = math.nan
_NORMAL = NormalDist()
_CHUNK = 1_000_000  # most draws held in memory at once
_ROUNDING = 1e-12  # differences below this share of the data's own size are rounding, not effects

Ids = Sequence[Hashable] | np.ndarray | None


@dataclass(frozen=True)
class Estimate:
    """A value and its interval by `method`, in the data's units, over n items; all nan when n is 0."""

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95
    method: str = ""


@dataclass(frozen=True)
class Difference:
    """Mean of b minus mean of a over `n` paired items, with its interval and a two-sided p in (0, 1]."""

    value: float
    low: float
    high: float
    p: float
    n: int
    level: float = 0.95
    test: str = "paired bootstrap"


def proportion(successes: int, n: int, level: float = 0.95) -> Estimate:
    """Return the proportion successes / n with its score interval (Wilson 1927, no continuity correction).

    The interval lies in [0, 1], exactly from 0 for no successes and to 1 for no failures; n = 0 gives nan.
    Raises ValueError unless successes <= n are whole numbers of at least 0 and 0 < level < 1.
    """
    z = _two_sided_z(level)
    n, k = _whole("n", n), _whole("successes", successes)
    if k > n:
        raise ValueError(f"successes is {k}, but it must not exceed n, which is {n}.")
    if n == 0:
        return Estimate(_NAN, _NAN, _NAN, 0, level, "wilson")
    p = k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # Rounding must not push an end past the estimate: that also makes 0 and 1 exact at k = 0 and k = n.
    low, high = max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))
    return Estimate(p, low, high, n, level, "wilson")


def bootstrap_mean(
    values: ArrayLike, level: float = 0.95, resamples: int = 2000, seed: int = 0, clusters: Ids = None
) -> Estimate:
    """Return the mean of `values`, shape (n,), with its BCa bootstrap interval (Efron 1987).

    BCa (bias-corrected and accelerated) always, never plain percentiles: a mean's acceleration is at most
    1/6 in size and the bias correction is smoothed to stay finite, so BCa always exists. Below about 20
    items (or clusters) it is too narrow, as bootstrap intervals are. The order of the items is irrelevant.

    `clusters`, shape (n,), holds hashable ids: items that share one are resampled together, as several
    samples of one prompt should be. With n = 0 all is nan; with one item or one cluster the ends are nan,
    since nothing shows how the value would vary; with constant values the interval has zero width.
    Raises ValueError for values not finite or not one-dimensional, clusters of another length, a level
    outside (0, 1), or resamples below 1.
    """
    x = _vector("values", values)
    value, low, high, _, _ = _bootstrap(x, level, resamples, seed, clusters)
    method = "BCa bootstrap" if clusters is None else "BCa bootstrap, clustered"
    return Estimate(value, low, high, len(x), level, method)


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    clusters: Ids = None,
) -> Difference:
    """Return mean(b) - mean(a) for paired values a and b, each of shape (n,), with its interval and p.

    The interval is that of bootstrap_mean over b - a, `clusters` included. Swapping a and b flips the
    signs of value and interval and leaves p as it was. With one item or one cluster all but value is nan.

    p is two-sided, by shifting the bootstrap distribution to the null (Efron and Tibshirani 1993, section
    16.4): the share of resampled differences at least as far from the observed one as that is from zero,
    as (1 + count) / (1 + resamples) so that it is never 0 (Davison and Hinkley 1997, section 4.2). It is
    at least 2 ** (1 - k) for k items (or clusters), the smallest p of a sign-flip test: two items that moved
    alike are no overwhelming evidence. Near the threshold p and the BCa interval may disagree.
    Raises ValueError when the lengths differ (naming both), and as bootstrap_mean does.
    """
    x, y = _vector("a", a), _vector("b", b)
    _same_length(len(x), len(y))
    value, low, high, offsets, k = _bootstrap(y - x, level, resamples, seed, clusters)
    p = _NAN
    if k > 1:
        # Ties count as "at least as far", and a difference within rounding of zero counts as none.
        slack = _ROUNDING * float(max(np.abs(x).max(), np.abs(y).max()))
        p = (1 + int(np.count_nonzero(np.abs(offsets) >= abs(value) - slack))) / (1 + len(offsets))
        p = max(p, 2.0 ** (1 - k))
    return Difference(value, low, high, p, len(x), level)


def paired_proportions(a: Iterable[bool], b: Iterable[bool], level: float = 0.95) -> Difference:
    """Return the proportion of b minus that of a over paired yes/no outcomes, each of length n.

    The interval is Newcombe's (1998, Statistics in Medicine 17, method 10 for paired data): Wilson intervals of both
    proportions joined through their correlation, which is corrected for continuity when positive. Unlike a bootstrap
    it stays honest where all pairs agree or all change alike: its width is then not zero. p is McNemar's exact one.
    Swapping a and b flips the signs. n = 0 gives nan. Raises ValueError as mcnemar does, or for a level outside (0, 1).
    """
    x, y = _booleans("a", a), _booleans("b", b)
    p = mcnemar(x, y)
    n, pairs = len(x), Counter(zip(x, y, strict=True))
    if n == 0:
        return Difference(_NAN, _NAN, _NAN, _NAN, 0, level, "McNemar exact")
    first, second = proportion(sum(x), n, level), proportion(sum(y), n, level)
    both, neither, lost, gained = pairs[True, True], pairs[False, False], pairs[True, False], pairs[False, True]
    product = both * neither - lost * gained
    if product > 0:
        product = max(product - n / 2, 0.0)
    margins = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    phi = product / math.sqrt(margins) if margins else 0.0
    value = (gained - lost) / n

    def reach(down: float, up: float) -> float:
        return math.sqrt(max(0.0, down * down - 2 * phi * down * up + up * up))

    low = value - reach(second.value - second.low, first.high - first.value)
    high = value + reach(second.high - second.value, first.value - first.low)
    return Difference(value, max(-1.0, low), min(1.0, high), p, n, level, "McNemar exact")


def mcnemar(a: Iterable[bool], b: Iterable[bool]) -> float:
    """Return the exact two-sided p of McNemar's test for paired yes/no outcomes a and b, each of length n.

    A fair coin splits the pairs that disagree under the null (McNemar 1947, in the exact binomial form):
    p is twice the smaller binomial tail, at most 1, and 1 when no pair disagrees.
    Raises ValueError when the lengths differ (naming both) or a value is not true or false (1 or 0).
    """
    x, y = _booleans("a", a), _booleans("b", b)
    _same_length(len(x), len(y))
    pairs = Counter(zip(x, y, strict=True))
    gained, lost = pairs[False, True], pairs[True, False]
    from scipy.special import bdtr

    return min(1.0, 2.0 * float(bdtr(float(min(gained, lost)), gained + lost, 0.5)))


def holm(p_values: Iterable[float]) -> list[float]:
    """Return step-down adjusted p-values (Holm 1979), in the order given, each in [0, 1].

    They bound the chance of any false positive in the family, under any dependence. nan, for a test that
    could not be run, stays nan and does not count. Raises ValueError for a p outside [0, 1].
    """
    ps = [float(p) for p in p_values]
    ranked = sorted((p, i) for i, p in enumerate(ps) if not math.isnan(p))
    adjusted, running = [_NAN] * len(ps), 0.0
    for rank, (p, i) in enumerate(ranked):
        running = max(running, min(1.0, (len(ranked) - rank) * _probability("p_values", p)))
        adjusted[i] = running
    return adjusted


def sample_size_two_proportions(p1: float, p2: float, power: float = 0.8, level: float = 0.95) -> int:
    """Return the items needed in each of two independent groups to tell proportion p1 from p2.

    Normal approximation with the pooled variance under the null and no continuity correction (Fleiss,
    Levin and Paik 2003, section 4.2), for a two-sided test of size 1 - level and m = (p1 + p2) / 2:
    n = (z_level sqrt(2 m (1 - m)) + z_power sqrt(p1 (1 - p1) + p2 (1 - p2)))^2 / (p1 - p2)^2, rounded up.
    Raises ValueError for equal proportions, or unless they lie in [0, 1] and 0 < 1 - level < power < 1.
    """
    m = (_probability("p1", p1) + _probability("p2", p2)) / 2
    return _sample_size(2 * m * (1 - m), p1 * (1 - p1) + p2 * (1 - p2), p1 - p2, power, level)


def sample_size_paired(p01: float, p10: float, power: float = 0.8, level: float = 0.95) -> int:
    """Return the pairs needed for McNemar's test to see that p01 and p10 differ (Connor 1987).

    p01 is the proportion of all pairs that go from no to yes, p10 of those that go from yes to no. With
    s = p01 + p10 and d = p01 - p10: n = (z_level sqrt(s) + z_power sqrt(s - d^2))^2 / d^2, rounded up, for
    a two-sided test of size 1 - level. The exact test needs a few pairs more when n is small.
    Raises ValueError for equal p01 and p10, or unless they and s lie in [0, 1] and 0 < 1 - level < power < 1.
    """
    s, d = _probability("p01", p01) + _probability("p10", p10), p01 - p10
    if s > 1 + _ROUNDING:
        raise ValueError(f"p01 + p10 is {s}, but shares of the same pairs must add up to at most 1.")
    return _sample_size(s, max(0.0, s - d * d), d, power, level)


def cohens_kappa(a: Iterable[Hashable], b: Iterable[Hashable]) -> float:
    """Return the agreement of two label sequences of length n beyond chance, in [-1, 1] (Cohen 1960).

    0 is what the label frequencies alone would give. It is nan with no items, and when both use one and
    the same label throughout: chance is then complete. Raises ValueError when the lengths differ.
    """
    x, y = list(a), list(b)
    _same_length(len(x), len(y))
    # Whole numbers up to the last division: full agreement is then exactly 1.
    n, agree = len(x), sum(i == j for i, j in zip(x, y, strict=True))
    count_x, count_y = Counter(x), Counter(y)
    chance = sum(count_x[label] * count_y[label] for label in count_x)
    return (n * agree - chance) / (n * n - chance) if n * n > chance else _NAN


def _bootstrap(
    x: np.ndarray, level: float, resamples: int, seed: int, clusters: Ids
) -> tuple[float, float, float, np.ndarray, int]:
    """Return mean, low, high, the resampled means less the mean, and the number of units resampled."""
    z, none = _two_sided_z(level), np.empty(0)
    resamples = _whole("resamples", resamples, least=1)
    if clusters is not None and len(clusters) != len(x):
        raise ValueError(f"clusters has {len(clusters)} ids for {len(x)} items, but each item needs one.")
    if len(x) == 0:
        return _NAN, _NAN, _NAN, none, 0
    # Sums are exactly rounded (fsum), so that neither the order nor the sign of the items changes a digit.
    value = float(x[0]) if x.min() == x.max() else math.fsum(x) / len(x)
    groups: dict[Hashable, list[float]] = {}
    offsets = (x - value + 0.0).tolist()  # means of offsets keep small effects on large values; no -0.0
    for key, offset in zip(range(len(x)) if clusters is None else clusters, offsets, strict=True):
        groups.setdefault(key, []).append(offset)
    k = len(groups)
    if k == 1:
        return value, _NAN, _NAN, none, k
    # Sorted units make the draws depend on the data, not on their order; and of the data and their mirror
    # image one is always the one resampled, so that swapping a and b flips the result exactly.
    units = sorted((math.fsum(group), len(group)) for group in groups.values())
    mirror = sorted((-total + 0.0, size) for total, size in units)
    sign = 1.0 if units >= mirror else -1.0
    totals, sizes = np.array(max(units, mirror), dtype=float).T
    means = _resampled_means(totals, sizes, resamples, seed)
    # Bias correction, ties counted half as for any discrete statistic and smoothed to stay finite.
    tie = _ROUNDING * float(np.abs(totals / sizes).max())
    below = (np.count_nonzero(means < -tie) + np.count_nonzero(means <= tie)) / 2
    z0 = _NORMAL.inv_cdf((below + 0.5) / (resamples + 1))
    # Acceleration from the means that leave one unit out, rescaled so that no cube vanishes.
    left_out = -totals / (len(x) - sizes)
    influence = left_out.mean() - left_out
    influence /= np.abs(influence).max() or 1.0
    a = float((influence**3).sum() / (6 * (influence**2).sum() ** 1.5 or 1.0))
    # At tiny levels the corrected interval can lie beside its own estimate: it is widened to hold it.
    low = min(0.0, float(np.quantile(means, _bca_share(z0, a, -z))))
    high = max(0.0, float(np.quantile(means, _bca_share(z0, a, z))))
    if units == mirror:  # symmetric data get the symmetric interval that swapping a and b asks for
        low, high = (low - high) / 2, (high - low) / 2
    low, high = sorted((value + sign * low, value + sign * high))
    return value, low, high, means, k


def _resampled_means(totals: np.ndarray, sizes: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    rng, k = np.random.default_rng(seed), len(totals)
    means, step = np.empty(resamples), max(1, _CHUNK // k)
    for start in range(0, resamples, step):
        index = rng.integers(0, k, size=(min(step, resamples - start), k), dtype=np.int32)
        means[start : start + step] = totals[index].sum(axis=1) / sizes[index].sum(axis=1)
    return means


def _bca_share(z0: float, a: float, z: float) -> float:
    """Return the share of resampled means below the end at z (Efron 1987, equation 1.9)."""
    t = z0 + z
    # Past the pole (levels a hair below 1) the end is the extreme resample, the limit on this side.
    return _NORMAL.cdf(z0 + t / (1 - a * t)) if a * t < 1 else float(t > 0)


def _sample_size(null_variance: float, variance: float, d: float, power: float, level: float) -> int:
    z = _two_sided_z(level)
    if d == 0:
        raise ValueError("both proportions are the same, but no sample can show a difference of 0.")
    if not 1 - level < power < 1:
        raise ValueError(f"power is {power}, but it must be above {1 - level:.6g} (1 - level) and below 1.")
    return math.ceil(((z * math.sqrt(null_variance) + _NORMAL.inv_cdf(power) * math.sqrt(variance)) / d) ** 2)


def _two_sided_z(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}, but it must lie strictly between 0 and 1, as 0.95 does.")
    return -_NORMAL.inv_cdf((1 - level) / 2)  # from the lower tail, which keeps its digits near level 1


def _whole(name: str, count: float, least: int = 0) -> int:
    if not (count >= least and float(count).is_integer()):
        raise ValueError(f"{name} is {count}, but it must be a whole number of at least {least}.")
    return int(count)


def _probability(name: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{name} holds {p}, but a proportion or probability must lie between 0 and 1.")
    return p


def _vector(name: str, values: ArrayLike) -> np.ndarray:
    x = np.asarray(values, dtype=float)
    if x.ndim != 1:
        raise ValueError(f"{name} has shape {x.shape}, but a one-dimensional sequence is needed.")
    for at in np.flatnonzero(~np.isfinite(x))[:1]:
        raise ValueError(f"{name}[{at}] is {x[at]}, but every value must be a finite number.")
    return x


def _booleans(name: str, values: Iterable[bool]) -> list[bool]:
    items = list(values)
    for item in (item for item in items if item not in (0, 1)):
        raise ValueError(f"{name} holds {item!r}, but every outcome must be true or false (1 or 0).")
    return [bool(item) for item in items]


def _same_length(a: int, b: int) -> None:
    if a != b:
        raise ValueError(f"a has {a} items and b has {b}, but pairs need the same number in both.")
