"""One number from the indices: every composition found of the Alignment Quality Index (sheet, section 2.4).

`separation` is absolute and compares models. `xb_chi`, the paper's headline, is scaled over the rows of one run: its
best row is near 100 and its worst near 0 whatever the model, so it compares models only under a shared Reference.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from boresight.measure.latent.aqi import checks
from boresight.measure.latent.aqi.indices import ClusterIndices

FLOOR = 10.0  # the reference code's least Xie-Beni score
GAMMA = {"dbs_di": 0.5, "ss_chi": 0.3, "ss_xb": 0.5, "xb_chi": 0.5}


@dataclass(frozen=True)
class Reference:
    """What xb_chi is scaled by: least and greatest CHI, median and scale (interquartile range + 1e-9) of XBI."""

    chi_min: float
    chi_max: float
    median: float
    scale: float


@dataclass(frozen=True)
class RowScores:
    """Per row (R,) in [0, 100], nan for rows left out: chi_norm, xb_norm, score; and the median and scale of XBI."""

    chi_norm: np.ndarray
    xb_norm: np.ndarray
    score: np.ndarray
    median: float
    scale: float


def rising(value: float) -> float:
    """v / (1 + v) for v >= 0: 0 for 0, 1 for infinity, nan for nan."""
    return 1.0 if value == math.inf else value / (1 + value)


def falling(value: float) -> float:
    """1 / (1 + v) for v >= 0: 1 for 0, 0 for infinity, nan for nan."""
    return 1 / (1 + value)


_TERMS: dict[str, Callable[[ClusterIndices], tuple[float, float]]] = {
    "dbs_di": lambda i: (falling(i.dbs), rising(i.di)),
    "ss_chi": lambda i: ((i.ss + 1) / 2, rising(i.chi)),
    "ss_xb": lambda i: ((i.ss + 1) / 2, falling(i.xbi)),
}
VARIANTS = ("separation", *_TERMS)


def composite(indices: ClusterIndices, variant: str = "separation", gamma: float | None = None) -> float:
    """The index in [0, 1], high is good; nan where one of its parts is (section 2.4).

    separation: 1 / (1 + XBI), without gamma. dbs_di: g / (1 + DBS) + (1 - g) DI / (1 + DI), g 0.5. ss_chi: g (SS + 1) /
    2 + (1 - g) CHI / (1 + CHI), g 0.3; near 1 - g plus the silhouette's share as soon as CHI is large, and CHI grows
    with the number of rows. ss_xb: g (SS + 1) / 2 + (1 - g) / (1 + XBI), g 0.5. gamma None is the default named.
    Raises StatesError for another variant (xb_chi needs the rows of a run: xb_chi_rows) or gamma outside [0, 1].
    """
    checks.one_of(variant, VARIANTS, "the variant of one row")
    if gamma is not None:
        checks.fraction(gamma, "gamma")
    if variant == "separation":
        return falling(indices.xbi)
    g = GAMMA[variant] if gamma is None else gamma
    first, second = _TERMS[variant](indices)
    return g * first + (1 - g) * second


def fit_reference(chi: ArrayLike, xbi: ArrayLike) -> Reference:
    """The Reference of rows chi (R,) and xbi (R,): of all models of a comparison, say.

    Rows that are nan in either are left out; so are infinite values, which no scale can hold. StatesError for other
    shapes or no row left.
    """
    c, b = _rows(chi, xbi)
    known = ~(np.isnan(c) | np.isnan(b))
    if not known.any():
        raise checks.StatesError("every row is nan; at least one row with CHI and XBI is needed")
    c, b = c[known & np.isfinite(c)], b[known & np.isfinite(b)]
    low, middle, high = np.percentile(b, [25, 50, 75]) if len(b) else (0.0, 0.0, 0.0)
    spread = float(high - low)
    ends = (float(c.min()), float(c.max())) if len(c) else (0.0, 0.0)
    return Reference(*ends, float(middle), 1.0 if spread < 1e-12 else spread + 1e-9)


def xb_chi_rows(
    chi: ArrayLike,
    xbi: ArrayLike,
    gamma: float = 0.5,
    reference: Reference | Mapping[str, float] | tuple[ArrayLike, ArrayLike] | None = None,
) -> RowScores:
    """The paper's headline score of the rows of one run: gamma CHI_n + (1 - gamma) XB_n, 0 to 100 (section 2.4).

    chi, xbi: (R,), one row per axiom and one for all together. CHI_n is 100 (CHI - min) / (max - min); without a range
    it is 50, or 0 if the greatest is 0. XB_n is 100 (1 - sigmoid((XBI - median) / scale)), at least 10. Rows that are
    nan in either count in nothing and come out nan; an infinite value takes its end of the range.
    `reference`: scale by these rows instead of by the run's own: a Reference, a mapping of its fields (a saved one), or
    a pair (chi, xbi) to fit one on. Raises StatesError for gamma outside [0, 1], other shapes, or no row at all.
    """
    g = checks.fraction(gamma, "gamma")
    c, b = _rows(chi, xbi)
    ref = _reference(reference, c, b)
    span = ref.chi_max - ref.chi_min
    if span < 1e-9:
        chi_norm = np.where(np.isposinf(c), 100.0, 50.0 if ref.chi_max != 0 else 0.0)
    else:
        chi_norm = np.clip(100 * (c - ref.chi_min) / span, 0, 100)
    z = np.clip((b - ref.median) / ref.scale, -500, 500)
    # 1 - sigmoid(z) as 1 / (1 + e^z): the difference would lose the small ones.
    xb_norm = np.clip(np.maximum(100 / (1 + np.exp(z)), FLOOR), 0, 100)
    out = np.isnan(c) | np.isnan(b)
    chi_norm, xb_norm = np.where(out, np.nan, chi_norm), np.where(out, np.nan, xb_norm)
    return RowScores(chi_norm, xb_norm, g * chi_norm + (1 - g) * xb_norm, ref.median, ref.scale)


def _rows(chi: ArrayLike, xbi: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    c, b = np.asarray(chi, dtype=float), np.asarray(xbi, dtype=float)
    if c.ndim != 1 or c.shape != b.shape or not len(c):
        raise checks.StatesError(f"CHI has shape {c.shape} and XBI {b.shape}; one of each for every row is needed")
    for name, values in (("CHI", c), ("XBI", b)):
        if (values < 0).any():
            row = int(np.argmax(values < 0))
            raise checks.StatesError(f"{name} is {values[row]} in row {row}; it is never negative")
    return c, b


def _reference(given: object, chi: np.ndarray, xbi: np.ndarray) -> Reference:
    if isinstance(given, Reference):
        return given
    if isinstance(given, Mapping):
        missing = [name for name in Reference.__dataclass_fields__ if name not in given]
        if missing:
            raise checks.StatesError(f"the reference has no {missing[0]}; {', '.join(Reference.__dataclass_fields__)}")
        return Reference(*(float(given[name]) for name in Reference.__dataclass_fields__))
    if given is not None:
        return fit_reference(*given)  # type: ignore[misc]
    if (np.isnan(chi) | np.isnan(xbi)).all():
        return Reference(0.0, 0.0, math.nan, math.nan)
    return fit_reference(chi, xbi)
