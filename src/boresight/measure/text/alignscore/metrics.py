"""How well scores agree with labels and with people (sheet, section 2.6)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from boresight.errors import DataError
from boresight.measure.text.alignscore.checks import floats, is_finite
from boresight.stats import auc

FROM_LABEL = ("auc", "ap", "balanced_accuracy", "f1", "mcc")
FROM_HUMAN = ("kendall", "spearman", "pearson")
THRESHOLD = 0.5

BINARY: dict[str, tuple[str, float]] = {"summeval": ("==", 5.0), "qags-cnndm": ("==", 1.0), "newsroom": (">=", 4.0)}
"""Benchmark -> how a rating (consistency; for newsroom informativeness) compares with which number where consistent."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics by name over n rows; dropped rows had no score (an empty claim)."""

    metrics: dict[str, float]
    n: int
    dropped: int


def consistency_metrics(
    pred: ArrayLike, label: ArrayLike | None = None, human: ArrayLike | None = None, threshold: float = THRESHOLD
) -> dict[str, float]:
    """Metrics of scores: auc, ap, balanced_accuracy, f1, mcc from label; kendall, spearman, pearson from human.

    pred (n,) are scores, label (n,) is 0 or 1, human (n,) are ratings. Predicted 1 iff pred > threshold. auc counts
    ties half, ap steps through different scores without interpolation, kendall is tau-b, spearman uses mean ranks; mcc
    is 0 where all rows are predicted alike. Without label and human the result is empty. DataError, naming the row,
    for a value that is not finite or not 0 or 1; for lengths that differ; and where nothing can be said: labels of one
    class only, or scores or ratings that are all the same.
    """
    p = _column("pred", pred)
    if math.isnan(threshold):
        raise ValueError("threshold is nan; a number is needed")
    found: dict[str, float] = {}
    if label is not None:
        y = _binary(label, len(p))
        found |= {"auc": auc(p, y), "ap": _average_precision(p, y), **_at_threshold(p > threshold, y)}
    if human is not None:
        found |= _correlations(p, _column("human", human, len(p)))
    return found


def tune_threshold(pred: ArrayLike, label: ArrayLike) -> float:
    """The threshold of best balanced accuracy on validation rows, where pred > threshold means 1; of equals the lowest.

    Thresholds tried are halfway between neighbouring scores, and the highest score. Errors as `consistency_metrics`.
    """
    p = _column("pred", pred)
    y = _binary(label, len(p))
    values, where = np.unique(p, return_inverse=True)
    ones = np.bincount(where, weights=y, minlength=len(values))
    zeros = np.bincount(where, minlength=len(values)) - ones
    below_ones, below_zeros = np.cumsum(ones), np.cumsum(zeros)
    accuracy = ((1 - below_ones / ones.sum()) + below_zeros / zeros.sum()) / 2
    best = int(np.argmax(accuracy >= accuracy.max() - 1e-12))
    if best == len(values) - 1:
        return float(values[best])
    halfway = values[best] / 2 + values[best + 1] / 2
    # Between neighbouring floats there is no halfway; the lower one itself separates them.
    return float(halfway) if values[best] <= halfway < values[best + 1] else float(values[best])


def binary_labels(human: ArrayLike, benchmark: str) -> np.ndarray:
    """1 where people found the claim consistent, by a benchmark's rule (`BINARY`); DataError for another name."""
    rule = BINARY.get(benchmark)
    if rule is None:
        raise DataError(f"the benchmark is {benchmark!r}; one of {', '.join(BINARY)} is needed")
    ratings = _column("human", human)
    found = ratings == rule[1] if rule[0] == "==" else ratings >= rule[1]
    return found.astype(np.int64)


def evaluate(
    rows: Iterable[Mapping[str, Any]], metrics: Sequence[str] | None = None, threshold: float = THRESHOLD
) -> Evaluation:
    """Metrics over scored rows: each has `pred`, and `label` or `human` or both, as its metrics need.

    metrics: names of `consistency_metrics`; by default all that the columns of the first row allow. A row whose pred is
    nan or None (an empty claim) is dropped and counted. DataError for another metric or a missing column.
    """
    every = list(rows)
    if not every:
        raise DataError("there are no rows; at least two are needed")
    groups = {"label": FROM_LABEL, "human": FROM_HUMAN}
    if metrics is None:
        metrics = [m for column, names in groups.items() if column in every[0] for m in names]
    unknown = [m for m in metrics if m not in FROM_LABEL + FROM_HUMAN]
    if unknown or not metrics:
        named = f"the metric {unknown[0]!r} is unknown" if unknown else "no metric can be taken"
        raise DataError(f"{named}; label gives {', '.join(FROM_LABEL)}, human gives {', '.join(FROM_HUMAN)}")
    kept = [(i, r) for i, r in enumerate(every) if not _missing(r.get("pred", ""))]
    pred = [_cell(r, "pred", i) for i, r in kept]
    columns = {
        column: [_cell(r, column, i) for i, r in kept]
        for column, names in groups.items()
        if any(m in names for m in metrics)
    }
    found = consistency_metrics(pred, columns.get("label"), columns.get("human"), threshold)
    return Evaluation({m: found[m] for m in metrics}, len(kept), len(every) - len(kept))


def _average_precision(p: np.ndarray, y: np.ndarray) -> float:
    """sum_k (R_k - R_(k-1)) P_k over the different scores from the highest down."""
    _, where = np.unique(-p, return_inverse=True)
    hits = np.bincount(where, weights=y)
    return float(np.sum(hits * np.cumsum(hits) / np.cumsum(np.bincount(where))) / y.sum())


def _at_threshold(predicted: np.ndarray, y: np.ndarray) -> dict[str, float]:
    tp, fp = int(np.sum(predicted & y)), int(np.sum(predicted & ~y))
    fn, tn = int(np.sum(~predicted & y)), int(np.sum(~predicted & ~y))
    spread = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "balanced_accuracy": (tp / (tp + fn) + tn / (tn + fp)) / 2,
        "f1": 2 * tp / (2 * tp + fp + fn),
        "mcc": (tp * tn - fp * fn) / spread if spread else 0.0,
    }


def _correlations(p: np.ndarray, human: np.ndarray) -> dict[str, float]:
    from scipy.stats import kendalltau, pearsonr, spearmanr

    for name, x in (("pred", p), ("human", human)):
        if len(np.unique(x)) < 2:
            held = f"{x[0]:g} in all {len(x)} rows" if len(x) else "empty"
            raise DataError(f"{name} is {held}; a correlation needs two different values")
    tests = {"kendall": kendalltau, "spearman": spearmanr, "pearson": pearsonr}
    return {name: float(test(p, human).statistic) for name, test in tests.items()}


def _binary(label: ArrayLike, n: int) -> np.ndarray:
    y = _column("label", label, n)
    bad = np.flatnonzero((y != 0) & (y != 1))
    if len(bad):
        raise DataError(f"label in row {bad[0]} is {y[bad[0]]:g}; 0 or 1 is needed")
    if len(np.unique(y)) < 2:
        raise DataError(f"label is {f'{y[0]:g} in all {n} rows' if n else 'empty'}; both 0 and 1 are needed")
    return y == 1


def _column(name: str, values: ArrayLike, n: int | None = None) -> np.ndarray:
    x = floats(name, values)
    if x.ndim != 1:
        raise DataError(f"{name} has shape {x.shape}; one column is needed")
    if n is not None and len(x) != n:
        raise DataError(f"{name} has {len(x)} rows and pred has {n}; equally many are needed")
    bad = np.flatnonzero(~np.isfinite(x))
    if len(bad):
        raise DataError(f"{name} in row {bad[0]} is {x[bad[0]]}; a finite number is needed")
    return x


def _cell(row: Mapping[str, Any], column: str, where: int) -> float:
    """The number in a column, named by its row among all, dropped ones included."""
    if column not in row:
        raise DataError(f"row {where} has no {column}; the metrics asked for need it")
    value = row[column]
    if not is_finite(value):
        raise DataError(f"{column} in row {where} is {value!r}; a finite number is needed")
    return float(value)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value))
