"""What every function of this package asks of its arrays; each refusal is one sentence naming the row and column."""

import numpy as np
from numpy.typing import ArrayLike

from boresight.errors import DataError


class StatesError(DataError, ValueError):
    """States, labels or options that no index is defined for."""


def matrix(states: ArrayLike, name: str = "X") -> np.ndarray:
    """`states` as a finite float64 matrix (n, d) with n, d >= 1; StatesError names the row and column otherwise."""
    x = _numbers(states, name)
    if x.ndim != 2 or not x.size:
        raise StatesError(f"{name} has shape {x.shape}; points x dimensions, at least one of each, are needed")
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = bad[0]
        raise StatesError(f"{name} is {x[row, column]} in row {row}, column {column}; finite numbers are needed")
    return x


def layered(states: ArrayLike, name: str = "H", ids: list[str] | None = None) -> np.ndarray:
    """`states` as finite float64 (n, layers, d); StatesError names layer and row (or its id) of what is not finite."""
    h = _numbers(states, name)
    if h.ndim != 3 or not h.size:
        raise StatesError(f"{name} has shape {h.shape}; rows x layers x dimensions, at least one of each, are needed")
    bad = np.argwhere(~np.isfinite(h))
    if len(bad):
        row, layer, column = bad[0]
        who = f"row {row}" if ids is None else f"row {row} (id {ids[row]})"
        raise StatesError(
            f"{name} is {h[row, layer, column]} in {who}, layer {layer}, column {column}; pool in float32 or wider"
        )
    return h


def classes(labels: ArrayLike, n: int, *, exactly: int | None = None, where: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct labels and each row's index among them (n,); two classes at least, or `exactly` so many.

    StatesError names the row of a label that is missing, says how many lengths differ, or which class stands alone;
    `where` (an axiom) is put into the sentence.
    """
    y = np.asarray(labels)
    inside = f" in {where}" if where else ""
    if y.ndim != 1 or len(y) != n:
        raise StatesError(f"the labels{inside} have shape {y.shape}; one label for each of {n} rows is needed")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise StatesError(f"the label{inside} is {y[~np.isfinite(y)][0]} in row {np.argmin(np.isfinite(y))}")
    if y.dtype.kind == "O":
        missing = [i for i, value in enumerate(y) if value is None or value != value]
        if missing:
            raise StatesError(f"the label{inside} is {y[missing[0]]} in row {missing[0]}; every row needs one")
        y = np.array([str(value) for value in y]) if any(isinstance(v, str) for v in y) else y.astype(float)
    names, index = np.unique(y, return_inverse=True)
    if len(names) < 2:
        raise StatesError(f"all {n} rows{inside} have the label {names[0]}; two classes are needed")
    if exactly is not None and len(names) != exactly:
        raise StatesError(f"there are {len(names)} labels{inside}; exactly {exactly} are needed")
    return names, index.reshape(-1)


def fraction(value: float, name: str) -> float:
    """`value` if it lies in [0, 1], else StatesError."""
    if not 0 <= value <= 1:
        raise StatesError(f"{name} is {value}; a number from 0 to 1 is needed")
    return float(value)


def one_of(value: str | None, allowed: tuple[str | None, ...], name: str) -> None:
    """StatesError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise StatesError(f"{name} is {value!r}; {', '.join(map(str, allowed))} are known")


def per_row(values: ArrayLike, n: int, name: str) -> np.ndarray:
    """`values` as (n,) finite float64; StatesError names the row otherwise."""
    v = _numbers(values, name)
    if v.shape != (n,):
        raise StatesError(f"{name} has shape {v.shape}; one number for each of {n} rows is needed")
    if not np.isfinite(v).all():
        row = int(np.argmin(np.isfinite(v)))
        raise StatesError(f"{name} is {v[row]} in row {row}; finite numbers are needed")
    return v


def groups(values: ArrayLike | None, n: int, name: str) -> np.ndarray:
    """Index (n,) of each row's group among the distinct `values`; all zeros for None. StatesError for other lengths."""
    if values is None:
        return np.zeros(n, dtype=int)
    v = np.asarray(values)
    if v.ndim != 1 or len(v) != n:
        raise StatesError(f"{name} has shape {v.shape}; one value for each of {n} rows is needed")
    if v.dtype.kind == "O":
        empty = [i for i, value in enumerate(v) if value is None]
        if empty:
            raise StatesError(f"{name} is missing in row {empty[0]}; every row needs one")
        v = np.array([str(value) for value in v])
    return np.unique(v, return_inverse=True)[1].reshape(-1)


def _numbers(values: ArrayLike, name: str) -> np.ndarray:
    try:
        read = np.asarray(values)
        if read.dtype.kind == "c":
            raise TypeError("complex numbers")
        return read.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise StatesError(f"{name} is not an array of real numbers: {error}") from error
