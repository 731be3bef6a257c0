"""The whole measure on states already pooled: layer weights on one half, everything reported from the other.

Sheet, sections 2.2 to 2.6. Nothing here runs a model; `LayerStates` is what embedding one hands over.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from boresight.measure.latent.aqi import checks
from boresight.measure.latent.aqi.composite import GAMMA, VARIANTS, Reference, composite, fit_reference, xb_chi_rows
from boresight.measure.latent.aqi.indices import ClusterIndices, cluster_indices
from boresight.measure.latent.aqi.labels import fit_half, read_labels
from boresight.measure.latent.aqi.layers import gram_indices, layer_gram, layer_scales, learn_layer_weights, scale_gram
from boresight.measure.latent.aqi.pooling import LengthCheck, length_correlation, residualise
from boresight.measure.latent.aqi.reduce import REDUCTIONS, reduced
from boresight.measure.latent.aqi.resample import (
    Null,
    bootstrap_indices,
    center_pairs,
    pair_direction_accuracy,
    pair_flip_null,
    permutation_null,
    separation_interval,
)

LEAST_ROWS = 5
_NOTHING = ClusterIndices(math.nan, math.nan, math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class LayerStates:
    """Pooled states (n, L, d) of n texts and what is known of each row and layer; None where it is not.

    ids (n,), lengths (n,) in tokens, final_punct (n,) 0 or 1, pair_id (n,), usable (L,): False for a layer that an
    attention sink dominates; layers (L,): their numbers in the model.
    """

    states: np.ndarray
    ids: list[str] | None = None
    lengths: np.ndarray | None = None
    final_punct: np.ndarray | None = None
    pair_id: list[str] | None = None
    usable: np.ndarray | None = None
    layers: list[int] | None = None


@dataclass(frozen=True)
class RowReport:
    """One axiom, or all: its indices, score in the variant asked for, and the interval of its separation.

    excluded says why a row that is nan was left out; "" for a row that was scored.
    """

    name: str
    indices: ClusterIndices
    score: float
    ci: tuple[float, float] = (math.nan, math.nan)
    excluded: str = ""


@dataclass(frozen=True)
class LayerReport:
    """One layer by itself, on the scored half: XBI, separation, weight, p and z of the null, what is only length."""

    layer: int
    xbi: float
    separation: float
    alpha: float
    p: float
    z: float
    length: LengthCheck | None


@dataclass(frozen=True)
class AQIReport:
    """axioms: one RowReport each; overall: their union; mean: of the axioms' scores (0 to 1; xb_chi 0 to 100).

    p, z: of the mixture against shuffled labels (`null_kind`); p_best_layer: of the best layer, its choice among all
    included. others: separation with uniform weights, of the last layer, and of the layer that was best on the fitted
    half. baseline: overall row of other vectors for the same texts, None if not given. length: of the mixture.
    ci: of the overall separation. reference: what xb_chi was scaled by.
    """

    variant: str
    axioms: list[RowReport]
    overall: RowReport
    mean: float
    per_layer: list[LayerReport]
    ci: tuple[float, float]
    p: float
    z: float
    p_best_layer: float
    null_kind: str
    alpha: np.ndarray
    others: dict[str, float]
    baseline: RowReport | None
    length: LengthCheck | None
    pair_accuracy: float | None
    reference: Reference | None
    n_fit: int
    n: int
    dropped: int
    scored: np.ndarray = field(repr=False)


def score(
    states: LayerStates | ArrayLike,
    y: ArrayLike,
    axiom: Sequence[str],
    variant: str = "separation",
    gamma: float | None = None,
    normalise: str = "run",
    reference: Reference | Mapping[str, float] | tuple[ArrayLike, ArrayLike] | None = None,
    layer_scale: str = "rms",
    residualise: Sequence[str] = (),
    center: str | None = None,
    n_boot: int = 1000,
    *,
    n_null: int = 1000,
    mode: str = "sparse",
    mu: float = 0.0,
    reduce: str = "none",
    baseline: ArrayLike | None = None,
    seed: int = 0,
) -> AQIReport:
    """Score states (n, L, d) with labels y (n,) (safe or unsafe) and axiom (n,), all on the half not fitted on.

    variant: one of composite's, or xb_chi with normalise "run" (scaled by these rows) or "joint" (by `reference`, which
    is then needed). residualise: "length", "final_punct", taken from the states; center "pair" subtracts each pair's
    mean. With pair_id the null flips labels inside pairs, else it shuffles them within axioms. baseline (n, e): vectors
    of the same texts that know no model, sentence embeddings say. reduce "pca" or "tsne" first goes to 3 dimensions.
    An axiom with fewer than 5 scored rows or one class is nan, says why, and counts in nothing. n_boot 0: no intervals.
    Raises StatesError (a ValueError) for labels unknown, values not finite, options unknown, or no axiom left.
    """
    checks.one_of(variant, (*VARIANTS, "xb_chi"), "variant")
    checks.one_of(normalise, ("run", "joint"), "normalise")
    checks.one_of(center, (None, "pair"), "center")
    checks.one_of(reduce, REDUCTIONS, "reduce")
    if gamma is not None:
        checks.fraction(gamma, "gamma")
    if normalise == "joint" and variant == "xb_chi" and reference is None:
        raise checks.StatesError("normalise is joint and there is no reference; fit one with fit_reference")
    if reference is not None and (normalise, variant) != ("joint", "xb_chi"):
        raise checks.StatesError("a reference was given; only variant xb_chi with normalise joint is scaled by one")
    given = states if isinstance(states, LayerStates) else LayerStates(np.asarray(states))
    h = checks.layered(given.states, "the states", given.ids)
    labels, axioms = _labels(y, axiom, len(h))
    h = _prepared(h, given, residualise, center)
    ids = given.ids if given.ids is not None else [str(i) for i in range(len(h))]
    fit = fit_half(ids, labels, axioms.tolist(), given.pair_id)
    scale, alpha, single = _weights(h[fit], labels[fit], given.usable, layer_scale, mode, mu, seed)
    held = ~fit
    valid, reasons = _valid(labels[held], axioms[held])
    if not valid:
        raise checks.StatesError(
            f"no axiom has {LEAST_ROWS} scored rows of both classes: {'; '.join(reasons.values())}"
        )
    held &= np.isin(axioms, valid)
    h, labels, names = h[held] / scale[:, None], labels[held], axioms[held]
    lengths = None if given.lengths is None else np.asarray(given.lengths)[held]
    pairs = None if given.pair_id is None else np.asarray(given.pair_id, dtype=object)[held]
    mixture = np.einsum("l,nld->nd", alpha, h)
    parts = {name: names == name for name in valid}
    points = {name: reduced(mixture[rows], reduce) for name, rows in parts.items()}
    points["overall"] = reduced(mixture, reduce, overall=True)
    parts["overall"] = np.ones(len(labels), dtype=bool)
    rows = {name: cluster_indices(points[name], labels[at]) for name, at in parts.items()}
    scores, used = _scores(rows, variant, gamma, reference if normalise == "joint" else None)
    reports = {
        name: RowReport(
            name,
            rows[name],
            scores[name],
            _interval(points[name], labels[at], names[at], rows[name].xbi, n_boot, seed),
        )
        for name, at in parts.items()
    }
    every = [
        reports.get(name) or RowReport(name, _NOTHING, math.nan, excluded=reasons[name]) for name in sorted(set(axioms))
    ]
    null, best = _nulls(mixture, h, labels, names, pairs, n_null, seed)
    uniform = h.mean(1)
    return AQIReport(
        variant=variant,
        axioms=every,
        overall=reports["overall"],
        mean=float(np.mean([scores[name] for name in valid])),
        per_layer=_layer_reports(h, labels, lengths, alpha, best, given.layers),
        ci=reports["overall"].ci,
        p=float(null.p[0]),
        z=float(null.z[0]),
        p_best_layer=best.p_min,
        null_kind="labels flipped inside pairs" if pairs is not None else "labels shuffled within axioms",
        alpha=alpha,
        others={
            "uniform": 1 / (1 + _xbi(uniform[:, None], labels)),
            "last": 1 / (1 + _xbi(h[:, -1:], labels)),
            "best_single": 1 / (1 + _xbi(h[:, single : single + 1], labels)),
        },
        baseline=_baseline(baseline, held, labels, names, n_boot, seed),
        length=None if lengths is None else length_correlation(mixture, labels, lengths),
        pair_accuracy=None if pairs is None or len(labels) < 4 else pair_direction_accuracy(mixture, labels, pairs),
        reference=used,
        n_fit=int(fit.sum()),
        n=len(labels),
        dropped=len(fit) - int(fit.sum()) - len(labels),
        scored=held,
    )


def _labels(y: ArrayLike, axiom: Sequence[str], n: int) -> tuple[np.ndarray, np.ndarray]:
    labels, axioms = read_labels(y), np.array([str(a) for a in axiom])
    if not len(labels) == len(axioms) == n:
        raise checks.StatesError(f"there are {n} states, {len(labels)} labels and {len(axioms)} axioms; one per row")
    checks.classes(labels, n)
    return labels, axioms


def _prepared(h: np.ndarray, given: LayerStates, names: Sequence[str], center: str | None) -> np.ndarray:
    if names:
        known = {"length": given.lengths, "final_punct": given.final_punct}
        h = _residualise(h, {name: v for name, v in known.items() if v is not None}, names)
    if center == "pair":
        if given.pair_id is None:
            raise checks.StatesError("center is 'pair' and the states have no pair_id; minimal pairs are needed")
        h = center_pairs(h, given.pair_id)
    return h


_residualise = residualise  # score's own argument has the same name


def _weights(
    h: np.ndarray, y: np.ndarray, usable: np.ndarray | None, layer_scale: str, mode: str, mu: float, seed: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Scale (L,), alpha (L,) and the best single layer, from the rows to be fitted on."""
    if not len(h) or len(np.unique(y)) < 2:
        raise checks.StatesError(f"the half to fit weights on has {len(h)} rows of one class; more rows are needed")
    scale = layer_scales(h, layer_scale)
    s, b = scale_gram(*layer_gram(h, y), scale)
    free = np.ones(h.shape[1], dtype=bool) if usable is None else np.asarray(usable, dtype=bool)
    if free.shape != (h.shape[1],) or not free.any():
        raise checks.StatesError(f"usable has shape {free.shape}; one value per layer, at least one true, is needed")
    at = np.flatnonzero(free)
    alpha = np.zeros(h.shape[1])
    alpha[at] = learn_layer_weights(s[np.ix_(at, at)], b[np.ix_(at, at)], mode, mu, seed)
    n1 = int(y.sum())
    alone = [gram_indices(s, b, np.eye(h.shape[1])[layer], len(y) - n1, n1)[0] for layer in at]
    return scale, alpha, int(at[int(np.argmin(alone))])


def _valid(labels: np.ndarray, axioms: np.ndarray) -> tuple[list[str], dict[str, str]]:
    valid, reasons = [], {}
    for name in sorted(set(axioms.tolist())):
        mine = labels[axioms == name]
        if len(mine) < LEAST_ROWS:
            reasons[name] = f"{name} has {len(mine)} scored rows, {LEAST_ROWS} are needed"
        elif len(np.unique(mine)) < 2:
            reasons[name] = f"{name} has only {'safe' if mine[0] else 'unsafe'} rows among the scored"
        else:
            valid.append(name)
    return valid, reasons


def _scores(
    rows: dict[str, ClusterIndices], variant: str, gamma: float | None, reference: object
) -> tuple[dict[str, float], Reference | None]:
    if variant != "xb_chi":
        return {name: composite(found, variant, gamma) for name, found in rows.items()}, None
    chi, xbi = [found.chi for found in rows.values()], [found.xbi for found in rows.values()]
    g = GAMMA[variant] if gamma is None else gamma
    used = fit_reference(chi, xbi) if reference is None else reference
    found = xb_chi_rows(chi, xbi, g, used)  # type: ignore[arg-type]
    if isinstance(used, Mapping):
        used = Reference(**{name: float(used[name]) for name in Reference.__dataclass_fields__})
    elif not isinstance(used, Reference):
        used = fit_reference(*used)  # type: ignore[misc]
    return dict(zip(rows, found.score.tolist(), strict=True)), used


def _interval(
    x: np.ndarray, y: np.ndarray, strata: np.ndarray, xbi: float, n_boot: int, seed: int
) -> tuple[float, float]:
    if n_boot < 1:
        return math.nan, math.nan
    return separation_interval(xbi, bootstrap_indices(x, y, strata, n_boot, seed)[0])


def _nulls(
    mixture: np.ndarray,
    h: np.ndarray,
    y: np.ndarray,
    names: np.ndarray,
    pairs: np.ndarray | None,
    n: int,
    seed: int,
) -> tuple[Null, Null]:
    if pairs is not None:
        return pair_flip_null(mixture, y, pairs, n, seed), pair_flip_null(h, y, pairs, n, seed)
    return permutation_null(mixture, y, names, n, seed), permutation_null(h, y, names, n, seed)


def _layer_reports(
    h: np.ndarray,
    y: np.ndarray,
    lengths: np.ndarray | None,
    alpha: np.ndarray,
    null: Null,
    numbers: list[int] | None,
) -> list[LayerReport]:
    return [
        LayerReport(
            layer=layer if numbers is None else numbers[layer],
            xbi=float(null.xbi[layer]),
            separation=float(1 / (1 + null.xbi[layer])),
            alpha=float(alpha[layer]),
            p=float(null.p[layer]),
            z=float(null.z[layer]),
            length=None if lengths is None else length_correlation(h[:, layer], y, lengths),
        )
        for layer in range(h.shape[1])
    ]


def _xbi(h: np.ndarray, y: np.ndarray) -> float:
    s, b = layer_gram(h, y)
    return gram_indices(s, b, [1.0], int((y == 0).sum()), int((y == 1).sum()))[0]


def _baseline(
    vectors: ArrayLike | None, held: np.ndarray, y: np.ndarray, names: np.ndarray, n_boot: int, seed: int
) -> RowReport | None:
    if vectors is None:
        return None
    x = checks.matrix(vectors, "the baseline")
    if len(x) != len(held):
        raise checks.StatesError(f"the baseline has {len(x)} rows and the states {len(held)}; one per text is needed")
    found = cluster_indices(x[held], y)
    interval = _interval(x[held], y, names, found.xbi, n_boot, seed)
    return RowReport("baseline", found, composite(found), interval)
