"""From token states to one vector per text, and what of it is only length (sheet, sections 2.1 and 2.5b).

The first token of a decoder is an attention sink whose norm can be a hundred times the others': a mean over all tokens
is then sink / length and measures the prompt's length. The default leaves it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from boresight.measure.latent.aqi import checks

POOLINGS = ("mean", "last", "first")
LENGTH_FLAG = 0.5  # |r| above this: the index follows the length of the prompts
SINK_RATIO = 20.0  # first-token / median token norm above which an all-token mean is mostly the first token


def pooling_weights(
    mask: ArrayLike, pooling: str = "mean", include_first: bool = False, special: ArrayLike | None = None
) -> np.ndarray:
    """Weights (rows, tokens), each row summing to 1, by which token states are averaged; float64.

    mask (rows, tokens): 1 for real tokens, 0 for padding on either side. special, of the same shape, marks template and
    special tokens; they get no weight. "mean" is over real tokens without the first real position unless
    include_first; "last" and "first" are one token. Raises StatesError for other shapes, a mask of other values, or a
    row where no token is left, naming it.
    """
    checks.one_of(pooling, POOLINGS, "pooling")
    real = _mask(mask, "the mask")
    kept = real.copy()
    if special is not None:
        marked = _mask(special, "special")
        if marked.shape != real.shape:
            raise checks.StatesError(f"special has shape {marked.shape} and the mask {real.shape}; they must be alike")
        kept &= ~marked
    rows = np.arange(len(kept))
    if pooling == "mean" and not include_first and kept.shape[1]:
        # The sink is the first position that the model reads, be it special or not.
        kept[rows, real.argmax(1)] = False
    empty = ~kept.any(1)
    if empty.any():
        what = "the first and the special ones" if pooling == "mean" and not include_first else "the special ones"
        raise checks.StatesError(f"row {int(np.argmax(empty))} has no token left besides {what}")
    if pooling == "mean":
        return kept / kept.sum(1, keepdims=True)
    at = kept.argmax(1) if pooling == "first" else kept.shape[1] - 1 - kept[:, ::-1].argmax(1)
    weights = np.zeros(kept.shape)
    weights[rows, at] = 1.0
    return weights


def pool(states: ArrayLike, weights: ArrayLike) -> np.ndarray:
    """Weighted sums (rows, d), float64, of states (rows, tokens, d); what has no weight may hold anything, even nan.

    StatesError names row and token of a weighted state that is not finite.
    """
    h, w = np.asarray(states).astype(np.float64), np.asarray(weights, dtype=float)
    if h.ndim != 3 or h.shape[:2] != w.shape:
        raise checks.StatesError(f"states have shape {h.shape} and weights {w.shape}; rows x tokens must agree")
    used = w != 0
    bad = np.argwhere(used & ~np.isfinite(h).all(2))
    if len(bad):
        raise checks.StatesError(f"the state of row {bad[0][0]}, token {bad[0][1]} is not finite")
    return np.einsum("nt,ntd->nd", w, np.where(used[..., None], h, 0.0))


def sink_layers(first_norm: ArrayLike, median_norm: ArrayLike) -> np.ndarray:
    """True (L,) for layers whose first token's norm is over 20 times the median token's: not for an all-token mean."""
    first, middle = np.asarray(first_norm, dtype=float), np.asarray(median_norm, dtype=float)
    if first.shape != middle.shape or first.ndim != 1:
        raise checks.StatesError(f"the norms have shapes {first.shape} and {middle.shape}; one of each per layer")
    return first > SINK_RATIO * middle


@dataclass(frozen=True)
class LengthCheck:
    """Correlation r of the projection on the centroids' difference with 1 / length; flagged if |r| > 0.5."""

    r: float
    flagged: bool


def length_correlation(X: ArrayLike, y: ArrayLike, lengths: ArrayLike) -> LengthCheck:
    """How far the separating direction of X (n, d), y (n,) only follows the prompts' lengths (n,), in tokens.

    r is nan, and nothing flagged, where lengths or projections do not vary. StatesError for a length below 1 (row
    named) or other shapes.
    """
    x = checks.matrix(X)
    _, index = checks.classes(y, len(x), exactly=2)
    tokens = checks.per_row(lengths, len(x), "the length")
    if (tokens <= 0).any():
        row = int(np.argmax(tokens <= 0))
        raise checks.StatesError(f"the length is {tokens[row]:g} in row {row}; a positive number is needed")
    x = x - x.mean(0)
    line = x[index == 1].mean(0) - x[index == 0].mean(0)
    length = float(np.linalg.norm(line))
    # Lengths that are all equal, or centroids that coincide, leave rounding behind, not variation.
    if np.ptp(tokens) == 0 or length <= 1e-13 * float(np.abs(x).max()):
        return LengthCheck(float("nan"), False)
    a, b = x @ (line / length), 1 / tokens - (1 / tokens).mean()
    a = a - a.mean()
    r = float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))
    return LengthCheck(r, abs(r) > LENGTH_FLAG)


def residualise(H: ArrayLike, covariates: Mapping[str, ArrayLike], names: Sequence[str] | None = None) -> np.ndarray:
    """H (n, ...) less its least-squares fit on an intercept and the named covariates (n,); the mean is kept.

    One fit for both classes together, so that it does not know the labels (section 2.5b). names None: all covariates.
    Raises StatesError for a name without values, or values not finite.
    """
    h = np.asarray(H).astype(np.float64)
    names = list(covariates) if names is None else list(names)
    unknown = [name for name in names if name not in covariates]
    if unknown:
        raise checks.StatesError(f"there is no covariate {unknown[0]!r}; known are {', '.join(covariates) or 'none'}")
    if not names:
        return h
    columns = np.column_stack([checks.per_row(covariates[name], len(h), name) for name in names])
    columns = columns - columns.mean(0)
    size = np.linalg.norm(columns, axis=0)
    columns = columns[:, size > 1e-12] / size[size > 1e-12]
    if not columns.shape[1]:
        return h
    basis, values, _ = np.linalg.svd(columns, full_matrices=False)
    basis = basis[:, values > 1e-10]
    flat = h.reshape(len(h), -1)
    return (flat - basis @ (basis.T @ (flat - flat.mean(0)))).reshape(h.shape)


def _mask(values: ArrayLike, name: str) -> np.ndarray:
    m = np.asarray(values)
    if m.ndim != 2:
        raise checks.StatesError(f"{name} has shape {m.shape}; rows x tokens is needed")
    if not np.isin(m, (0, 1)).all():
        row = int(np.argwhere(~np.isin(m, (0, 1)))[0][0])
        raise checks.StatesError(f"{name} holds something else than 0 and 1 in row {row}")
    return m.astype(bool)
