"""Bringing a metric to the entity score's scale before the merge (sheet, section 2.4)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from boresight.errors import DataError
from boresight.measure.text.content_preservation.score import column


@dataclass(frozen=True)
class Affine:
    """M -> (M - low) / (high - low): low becomes 0 and high 1. Values beyond them are not clipped."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise DataError(
                f"the scale runs from {self.low} to {self.high}; a finite low below a finite high is needed"
            )

    def __call__(self, base: ArrayLike) -> np.ndarray:
        """Rescaled values of the shape given; nan stays nan."""
        return (column(base, "base") - self.low) / (self.high - self.low)


def fit_affine(base: ArrayLike, quantiles: tuple[float, float] = (0.05, 0.95)) -> Affine:
    """The scale of a calibration set (n,): its quantiles, (0, 1) for minimum and maximum; nan left out.

    DataError if they coincide or nothing is left; ValueError for quantiles not in order within [0, 1].
    """
    if not 0 <= quantiles[0] < quantiles[1] <= 1:
        raise ValueError(f"quantiles are {quantiles}; two in order within [0, 1] are needed")
    x = column(base, "base").reshape(-1)
    x = x[~np.isnan(x)]
    if not x.size:
        raise DataError("the calibration set has no value; at least two that differ are needed")
    low, high = np.quantile(x, quantiles)
    return Affine(float(low), float(high))


@dataclass(frozen=True)
class Stack:
    """Logistic stacking: P(content kept) of the features [M, NE, p, p (NE - 1)], standardised by mean and spread."""

    weights: tuple[float, ...]
    intercept: float
    mean: tuple[float, ...]
    spread: tuple[float, ...]

    def __call__(self, base: ArrayLike, ne: ArrayLike, p: ArrayLike) -> np.ndarray:
        """Probabilities (n,) in [0, 1]; nan where a feature is missing."""
        from scipy.special import expit

        z = (_features(base, ne, p) - np.array(self.mean)) / np.array(self.spread)
        return expit(z @ np.array(self.weights) + self.intercept)


def fit_stack(
    base: ArrayLike, ne: ArrayLike, p: ArrayLike, kept: ArrayLike, folds: int = 5, seed: int = 0
) -> tuple[Stack, np.ndarray]:
    """A Stack fitted to judgements kept (n,) of 0 or 1, and its out-of-fold probabilities (n,), nan where M is missing.

    Only the latter may be compared with people on the same rows. DataError for unequal lengths, judgements other than
    0 and 1, or fewer than `folds` rows of a kind.
    """
    x, y = _features(base, ne, p), column(kept, "kept").reshape(-1)
    if len(x) != len(y):
        raise DataError(f"there are {len(x)} rows of features and {len(y)} judgements; equal lengths are needed")
    use = ~np.isnan(x).any(axis=1) & ~np.isnan(y)
    bad = np.flatnonzero(use & (y != 0) & (y != 1))
    if bad.size:
        raise DataError(f"column kept, row {bad[0]} is {y[bad[0]]:g}; 0 or 1 is needed")
    rarer = int(min((y[use] == 0).sum(), (y[use] == 1).sum()))
    if folds < 2 or rarer < folds:
        raise DataError(f"{folds} folds need as many rows of each judgement and at least 2; the rarer one has {rarer}")
    from sklearn.model_selection import StratifiedKFold

    rows, held_out = np.flatnonzero(use), np.full(len(y), np.nan)
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(x[rows], y[rows]):
        part = _fit(x[rows[train]], y[rows[train]])
        held_out[rows[test]] = part(*x[rows[test], :3].T)
    return _fit(x[rows], y[rows]), held_out


def _fit(x: np.ndarray, y: np.ndarray) -> Stack:
    from sklearn.linear_model import LogisticRegression

    mean, spread = x.mean(0), x.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    model: Any = LogisticRegression().fit((x - mean) / spread, y)
    weights = tuple(float(w) for w in model.coef_[0])
    return Stack(weights, float(model.intercept_[0]), tuple(map(float, mean)), tuple(map(float, spread)))


def _features(base: ArrayLike, ne: ArrayLike, p: ArrayLike) -> np.ndarray:
    columns = [column(x, name).reshape(-1) for x, name in ((base, "base"), (ne, "ne"), (p, "p"))]
    if len({len(c) for c in columns}) > 1:
        raise DataError(f"base, ne and p have {', '.join(str(len(c)) for c in columns)} rows; equal lengths are needed")
    m, e, share = columns
    return np.stack([m, e, share, share * (e - 1)], axis=1)
