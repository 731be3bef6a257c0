"""The joint loss of the three heads in numpy: the reference for the one that trains (sheet, section 2.2)."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from boresight.errors import DataError
from boresight.measure.text.alignscore.checks import floats

IGNORE = -100
MLM_FACTOR = 0.5


class Counts(NamedTuple):
    """Labelled examples per head."""

    bin: int
    tri: int
    reg: int


@dataclass(frozen=True)
class JointLoss:
    """The total (mean per head) and each head's sum; bin_sum and tri_sum are in units of ln 2 and ln 3 nats."""

    total: float
    bin_sum: float
    tri_sum: float
    reg_sum: float
    counts: Counts


def joint_loss(
    bin_logits: ArrayLike,
    bin_labels: ArrayLike,
    tri_logits: ArrayLike,
    tri_labels: ArrayLike,
    reg_pred: ArrayLike,
    reg_labels: ArrayLike,
    mlm_loss: float = 0.0,
    mlm_factor: float = MLM_FACTOR,
    ignore_index: int = IGNORE,
) -> JointLoss:
    """L = mlm_factor L_mlm + L_bin + L_tri + L_reg over one batch, in float64.

    Every head gets all n examples: bin_logits (n, 2) and tri_logits (n, 3) with labels (n,), reg_pred (n,) or (n, 1)
    with real labels (n,); a label of ignore_index is not counted, whatever the output beside it. Divided by ln 2 and
    ln 3, both cross-entropies are 1 at chance level. mlm_loss is a mean in nats. A head without labels adds 0.
    DataError for lengths that differ, a label out of range, or an output or label that is not finite, naming the row.
    """
    first = _array("bin_logits", bin_logits, 2)
    second = _array("tri_logits", tri_logits, 3)
    third = _array("reg_pred", reg_pred, 1)
    n = len(first)
    for name, length in (("tri_logits", len(second)), ("reg_pred", len(third))):
        if length != n:
            raise DataError(f"{name} have {length} rows and bin_logits {n}; every head needs the whole batch")
    bins = _cross_entropy("bin", first, bin_labels, ignore_index)
    tris = _cross_entropy("tri", second, tri_labels, ignore_index)
    labels, used = _labels("reg_labels", reg_labels, n, ignore_index)
    _finite("reg_pred", third, used)
    gaps = third[used, 0] - labels[used]
    return total_loss(
        math.fsum(bins) / math.log(2),
        math.fsum(tris) / math.log(3),
        math.fsum(gaps * gaps),
        (len(bins), len(tris), len(gaps)),
        mlm_loss,
        mlm_factor,
    )


def total_loss(
    bin_sum: float,
    tri_sum: float,
    reg_sum: float,
    counts: tuple[int, int, int],
    mlm_loss: float = 0.0,
    mlm_factor: float = MLM_FACTOR,
) -> JointLoss:
    """The joint loss from sums and counts (bin, tri, reg), added up over devices first and divided only then.

    A mean of the devices' means would weigh examples by how few of their kind a device has. ValueError for a negative
    count or factor, or an mlm_loss that is not finite.
    """
    if min(counts) < 0:
        raise ValueError(f"counts are {tuple(counts)}; numbers of at least 0 are needed")
    for name, value in (("mlm_loss", mlm_loss), ("mlm_factor", mlm_factor)):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}; a finite number is needed")
    means = [s / n if n else 0.0 for s, n in zip((bin_sum, tri_sum, reg_sum), counts, strict=True)]
    total = mlm_factor * float(mlm_loss) + math.fsum(means)
    return JointLoss(total, float(bin_sum), float(tri_sum), float(reg_sum), Counts(*map(int, counts)))


def _cross_entropy(head: str, logits: np.ndarray, labels: ArrayLike, ignore: int) -> np.ndarray:
    """Cross-entropies in nats of the rows that carry a label."""
    found, used = _labels(f"{head}_labels", labels, len(logits), ignore)
    classes = logits.shape[1]
    bad = np.flatnonzero(used & ~np.isin(found, range(classes)))
    if len(bad):
        needed = f"a class from 0 to {classes - 1}, or {ignore}, is needed"
        raise DataError(f"{head}_labels in row {bad[0]} is {found[bad[0]]:g}; {needed}")
    _finite(f"{head}_logits", logits, used)
    rows, chosen = logits[used], found[used].astype(np.int64)
    if not len(rows):
        return np.zeros(0)
    below = rows - rows.max(axis=1, keepdims=True)  # so that large logits do not overflow
    return np.log(np.exp(below).sum(axis=1)) - below[np.arange(len(rows)), chosen]


def _array(name: str, values: ArrayLike, width: int) -> np.ndarray:
    """(n, width) in float64."""
    x = floats(name, values)
    if not x.size:
        return np.zeros((0, width))
    if width == 1 and x.ndim == 1:
        x = x[:, None]
    if x.ndim != 2 or x.shape[1] != width:
        raise DataError(f"{name} have shape {x.shape}; examples times {width} is needed")
    return x


def _labels(name: str, values: ArrayLike, n: int, ignore: int) -> tuple[np.ndarray, np.ndarray]:
    """The labels in float64, and which of them count."""
    x = floats(name, values)
    if x.ndim == 2 and x.shape[1] == 1:
        x = x[:, 0]
    if x.shape != (n,):
        raise DataError(f"{name} have shape {x.shape}; one label for each of {n} examples is needed")
    used = x != ignore
    _finite(name, x[:, None], used)
    return x, used


def _finite(name: str, x: np.ndarray, used: np.ndarray) -> None:
    bad = np.flatnonzero(used & ~np.isfinite(x).all(axis=1))
    if len(bad):
        raise DataError(f"{name} in row {bad[0]} is not finite; finite numbers are needed where there is a label")
