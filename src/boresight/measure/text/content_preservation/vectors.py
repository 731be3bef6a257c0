"""Similarity of texts from vectors given: cosine of averages, greedy token matching (sheet, section 2.7)."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from boresight.errors import DataError


class Match(NamedTuple):
    """Greedy matching of one pair: precision (over the rewrite), recall (over the source), their harmonic mean."""

    precision: float
    recall: float
    f1: float


def cosine(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Cosine of every row of a with the same row of b, both (n, d), in [-1, 1]; nan for a vector of length 0.

    DataError for other shapes or a component that is not finite.
    """
    x, y = matrix(a, "a"), matrix(b, "b")
    if x.shape != y.shape:
        raise DataError(f"a has the shape {x.shape} and b {y.shape}; equal shapes are needed")
    x, y = _unit(x), _unit(y)
    return np.clip((x * y).sum(1), -1, 1)


def mean_vector(tokens: ArrayLike) -> np.ndarray:
    """Mean (d,) of token vectors (m, d); nan for none, so that the pair counts as missing."""
    x = matrix(tokens, "tokens")
    return x.mean(0) if len(x) else np.full(x.shape[1], math.nan)


def idf(documents: Iterable[Iterable[Hashable]]) -> dict[Hashable, float]:
    """Token -> log((N + 1) / (df + 1)) over N documents (tokens of one: any number of times, counted once).

    Zhang et al. (2020), BERTScore, section 3. A token never seen has log(N + 1).
    """
    found: Counter[Hashable] = Counter()
    n = 0
    for tokens in documents:
        n += 1
        found.update(set(tokens))
    return {token: math.log((n + 1) / (df + 1)) for token, df in found.items()}


def token_weights(tokens: Iterable[Hashable], table: Mapping[Hashable, float], documents: int) -> np.ndarray:
    """Weights (m,) of tokens by a table of idf over so many documents."""
    return np.array([table.get(t, math.log(documents + 1)) for t in tokens], dtype=float)


def greedy_match(
    source: ArrayLike,
    target: ArrayLike,
    source_weights: ArrayLike | None = None,
    target_weights: ArrayLike | None = None,
) -> Match:
    """Each token with its most similar of the other text: recall over the source (m, d), precision over the rewrite.

    Zhang et al. (2020), equation 1: R = sum_i w_i max_j cos(s_i, t_j) / sum_i w_i, P with both exchanged, F1 = 2 P R /
    (P + R), 0 where P + R is 0. Weights (m,) and (k,), not negative, all 1 if None; if they sum to 0, all 1 again. All
    nan if a text has no token; a vector of length 0 is like nothing (cosine 0). DataError for other shapes.
    """
    x, y = matrix(source, "source"), matrix(target, "target")
    if x.shape[1] != y.shape[1]:
        raise DataError(f"source vectors have {x.shape[1]} components and target's {y.shape[1]}; one number is needed")
    w, v = _weights(source_weights, len(x), "source"), _weights(target_weights, len(y), "target")
    if not len(x) or not len(y):
        return Match(math.nan, math.nan, math.nan)
    alike = np.clip(np.nan_to_num(_unit(x)) @ np.nan_to_num(_unit(y)).T, -1, 1)
    recall, precision = float(w @ alike.max(1)), float(v @ alike.max(0))
    both = precision + recall
    return Match(precision, recall, 2 * precision * recall / both if both else 0.0)


def matrix(values: ArrayLike, name: str) -> np.ndarray:
    """Float64 (n, d). DataError for other dimensions or a component that is not finite, naming the row."""
    x = np.asarray(values, dtype=float)
    if x.ndim != 2:
        raise DataError(f"{name} has the shape {x.shape}; vectors in rows are needed")
    bad = np.flatnonzero(~np.isfinite(x).all(1))
    if bad.size:
        raise DataError(f"row {bad[0]} of {name} has a component that is not finite")
    return x


def _unit(x: np.ndarray) -> np.ndarray:
    # Divided by the largest component first: the squares of very small or large ones would vanish or overflow.
    largest = np.abs(x).max(1, keepdims=True, initial=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = x / largest
        return x / np.sqrt((x * x).sum(1, keepdims=True))


def _weights(values: ArrayLike | None, n: int, name: str) -> np.ndarray:
    w = np.ones(n) if values is None else np.asarray(values, dtype=float)
    if w.shape != (n,):
        raise DataError(f"{name} has {n} tokens and weights of the shape {w.shape}; one each is needed")
    if not np.isfinite(w).all() or (w < 0).any():
        raise DataError(f"a weight of {name} is negative or not finite")
    total = w.sum()
    return w / total if total > 0 else np.full(n, 1 / max(n, 1))
