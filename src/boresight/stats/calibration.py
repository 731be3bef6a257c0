"""How well stated confidence fits how often it is right (Guo et al. 2017, arXiv 1706.04599)."""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

BINS = 10
RESAMPLES = 1000


@dataclass(frozen=True)
class Calibration:
    """Stated confidence against correctness.

    ece: expected calibration error in [0, 1], the mean distance of the two over equally wide bins, weighted by their
    counts; nan for no answers. points: (mean stated, share correct, count) of each bin that is not empty. ci: 95 %
    bootstrap interval of ece over the n answers, None for fewer than two. The interval lies high where bins hold few:
    a resample of a well calibrated model looks less calibrated than the model is.
    """

    ece: float
    points: list[tuple[float, float, int]]
    n: int
    ci: tuple[float, float] | None = None


def calibration(
    stated: Iterable[float], correct: Iterable[bool], *, bins: int = BINS, resamples: int = RESAMPLES, seed: int = 0
) -> Calibration:
    """The calibration of n answers. stated: in [0, 1]; a bin holds its upper end (and the first one 0).

    Raises ValueError for unequal lengths, confidences outside [0, 1] and fewer than one bin.
    """
    said, right = _checked(stated, correct, bins)
    n = len(said)
    at = _bins(said, bins)
    count = np.bincount(at, minlength=bins)
    sums = [np.bincount(at, weights=x, minlength=bins) for x in (said, right)]
    full = np.flatnonzero(count)
    points = [(float(sums[0][b] / count[b]), float(sums[1][b] / count[b]), int(count[b])) for b in full]
    rng = np.random.default_rng(seed)
    spread = [_error(at, said, right, bins, rng.integers(0, n, n)) for _ in range(resamples if n > 1 else 0)]
    ci = (float(np.quantile(spread, 0.025)), float(np.quantile(spread, 0.975))) if spread else None
    return Calibration(_error(at, said, right, bins) if n else math.nan, points, n, ci)


def expected_calibration_error(stated: Iterable[float], correct: Iterable[bool], bins: int = BINS) -> float:
    """The ece of `calibration` alone."""
    return calibration(stated, correct, bins=bins, resamples=0).ece


def _checked(stated: Iterable[float], correct: Iterable[bool], bins: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        said, right = (np.asarray(list(x), dtype=float) for x in (stated, correct))
    except (TypeError, ValueError):
        raise ValueError("confidences must be numbers and correctness true or false") from None
    if len(said) != len(right):
        raise ValueError(f"there are {len(said)} confidences and {len(right)} marks of correctness; as many are needed")
    if not bool(np.all((said >= 0) & (said <= 1))):
        raise ValueError("a confidence lies outside [0, 1]")
    if not bool(np.all((right == 0) | (right == 1))):
        raise ValueError("a mark of correctness is neither true nor false")
    if bins < 1:
        raise ValueError(f"bins is {bins}; at least 1 is needed")
    return said, right


def _bins(said: np.ndarray, bins: int) -> np.ndarray:
    # Rounded first: 0.7 * 10 is a little more than 7 and would fall into the next bin.
    return np.clip(np.ceil(np.round(said * bins, 9)).astype(int) - 1, 0, bins - 1)


def _error(at: np.ndarray, said: np.ndarray, right: np.ndarray, bins: int, drawn: np.ndarray | None = None) -> float:
    if drawn is not None:
        at, said, right = at[drawn], said[drawn], right[drawn]
    return float(np.abs(np.bincount(at, weights=said - right, minlength=bins)).sum() / len(at))


Stated = Mapping[Hashable, tuple[float, bool]]
"""Question -> (stated confidence, whether the answer was right), for the answers that state one."""


def calibration_difference(
    first: Stated, other: Stated, *, bins: int = BINS, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float, float, float] | None:
    """(other minus first in ece, low, high, p), questions of both drawn together; None if one of them states nothing.

    p is two-sided: the share of resampled differences at least as far from the observed one as that is from zero.
    """
    if not first or not other:
        return None
    asked = list(dict.fromkeys([*first, *other]))
    sides = []
    for side in (first, other):
        rows = [side.get(q, (0.0, False)) for q in asked]
        said, right = _checked([c for c, _ in rows], [true for _, true in rows], bins)
        there = np.array([q in side for q in asked])
        sides.append((_bins(said, bins), said, right, there))

    def gap(drawn: np.ndarray) -> float:
        kept = [(s, drawn[s[3][drawn]]) for s in sides]
        if not all(len(d) for _, d in kept):
            return math.nan
        a, b = (_error(at, said, right, bins, d) for (at, said, right, _), d in kept)
        return b - a

    n = len(asked)
    value = gap(np.arange(n))
    rng = np.random.default_rng(seed)
    spread = np.array([gap(rng.integers(0, n, n)) for _ in range(resamples)])
    spread = spread[~np.isnan(spread)]
    low, high = (float(x) for x in np.quantile(spread, [0.025, 0.975])) if len(spread) else (value, value)
    p = (1 + int(np.count_nonzero(np.abs(spread - value) >= abs(value) - 1e-12))) / (1 + len(spread))
    return value, low, high, p
