"""The audit of one annotator, its bootstrap, and what two annotators or two oracles make of the same comparisons
(discretion sheet, sections 2.5 to 2.7 and 5)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from boresight.measure.behaviour.discretion.metrics import (
    both,
    categorise,
    decided_consensus,
    floats,
    preferences,
    supremacy,
    wins,
)
from boresight.measure.behaviour.discretion.priority import (
    Priorities,
    bradley_terry,
    discrepancy,
    ranks,
    solve,
    structure,
)

CATEGORIES = ("indifference", "conflict", "consensus")
_CHUNK = 4_000_000  # numbers held at once for the bootstrap's weights


@dataclass(frozen=True)
class DiscretionReport:
    """What one annotator did over n comparisons under k principles.

    counts: comparisons per category. arbitrary of decided consensus rows went against every principle. abstained: rows
    without a choice. W, PS: wins and supremacy, (k, k). low, high: (k,) bootstrap interval of the priorities (ends may
    be infinite; NaN for a principle without games in every replicate). ranked: (k,) share of the replicates in which a
    principle had games.
    """

    names: tuple[str, ...]
    n: int
    counts: dict[str, int]
    decided: int
    arbitrary: int
    abstained: int
    W: np.ndarray
    PS: np.ndarray
    priorities: Priorities
    low: np.ndarray
    high: np.ndarray
    ranked: np.ndarray
    n_boot: int
    level: float = 0.95

    @property
    def DA(self) -> float:
        """Discretion arbitrariness, NaN if no consensus row was decided."""
        return self.arbitrary / self.decided if self.decided else float("nan")

    @property
    def shares(self) -> dict[str, float]:
        """Share of each category, NaN for no comparisons."""
        return {name: count / self.n if self.n else float("nan") for name, count in self.counts.items()}


def audit(
    P: ArrayLike,
    a: ArrayLike,
    names: Sequence[str] | None = None,
    n_boot: int = 1000,
    prior: float | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> DiscretionReport:
    """Audit an annotator. P: (n, k) and a: (n,) as in `metrics`; names: of the k principles ("1", "2", ... if None).

    n_boot: bootstrap replicates over comparisons (0: no intervals). prior: see `bradley_terry`. ValueError for other
    values than -1, 0, 1 or NaN, or shapes that do not fit.
    """
    p, chosen = both(P, a)
    named = tuple(names) if names is not None else tuple(str(c + 1) for c in range(p.shape[1]))
    if len(named) != p.shape[1]:
        raise ValueError(f"there are {len(named)} names for {p.shape[1]} principles")
    kinds = categorise(p)
    asked, against = decided_consensus(p, chosen)
    W = wins(p, chosen)
    drawn = [w for part, _ in replicates(p, [chosen], n_boot, prior, seed) for w in part[0]]
    low, high, ranked = _interval(np.array(drawn).reshape(len(drawn), p.shape[1]), level)
    return DiscretionReport(
        names=named,
        n=len(p),
        counts={name: kinds.count(name) for name in CATEGORIES},
        decided=int(asked.sum()),
        arbitrary=int(against.sum()),
        abstained=int((chosen == 0).sum()),
        W=W,
        PS=supremacy(W),
        priorities=bradley_terry(W, prior),
        low=low,
        high=high,
        ranked=ranked,
        n_boot=n_boot,
        level=level,
    )


def replicates(
    p: np.ndarray, annotators: Sequence[np.ndarray], n_boot: int, prior: float | None, seed: int
) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Bootstrap replicates in chunks: per annotator, priorities (b, k) and levels (b, k).

    Each comparison counts Poisson(1) times, the same for every annotator. The wins of all replicates of a chunk are one
    matrix product: weights (b, conflicts) times the games of each conflict (conflicts, k * k).
    """
    rng, k = np.random.default_rng(seed), p.shape[1]
    rows = np.flatnonzero((p > 0).any(1) & (p < 0).any(1))
    step = max(1, min(_CHUNK // max(1, len(rows)), _CHUNK // max(1, k * k)))
    for start in range(0, n_boot, step):
        u = rng.poisson(1.0, (min(step, n_boot - start), len(rows))).astype(np.float32)
        scores, levels = [], []
        for a in annotators:
            w = _weighted_wins(p[rows] * a[rows, None], u)
            found = [structure(one, prior is not None) for one in w]
            level = np.array([f[0] for f in found]).reshape(len(w), k)
            group = np.array([f[1] for f in found]).reshape(len(w), k)
            fixed = np.array([f[2] for f in found]).reshape(len(w), k)
            scores.append(solve(w, group, fixed, prior))
            levels.append(level)
        yield scores, levels


def _weighted_wins(sided: np.ndarray, u: np.ndarray) -> np.ndarray:
    """(b, k, k) wins under the weights u (b, conflicts). Counts are small whole numbers: float32 holds them exactly."""
    k = sided.shape[1]
    w = np.zeros((len(u), k * k), dtype=np.float32)
    block = max(1, _CHUNK // max(1, k * k))
    for at in range(0, len(sided), block):
        part = sided[at : at + block]
        games = (part[:, :, None] > 0) & (part[:, None, :] < 0)
        w += u[:, at : at + block] @ games.reshape(len(part), k * k).astype(np.float32)
    return w.reshape(len(u), k, k).astype(float)


def _interval(drawn: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Percentile ends of each column without interpolation (infinities have no middle), and its share of numbers."""
    low, high = np.full(drawn.shape[1], np.nan), np.full(drawn.shape[1], np.nan)
    known = ~np.isnan(drawn)
    for c in range(drawn.shape[1]):
        values = np.sort(drawn[known[:, c], c])
        if len(values):
            last = len(values) - 1
            low[c] = values[int(np.floor((1 - level) / 2 * last))]
            high[c] = values[int(np.ceil((1 + level) / 2 * last))]
    return low, high, known.mean(0) if len(drawn) else np.full(drawn.shape[1], np.nan)


@dataclass(frozen=True)
class Distance:
    """Discretion discrepancy of two annotators with its bootstrap interval; n: replicates in which it was defined."""

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95


def distance(
    P: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    n_boot: int = 1000,
    prior: float | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> Distance:
    """DD of annotators a and b over the same comparisons; both are resampled together."""
    p, first = both(P, a)
    _, second = both(P, b)
    value = discrepancy(bradley_terry(wins(p, first), prior).rank, bradley_terry(wins(p, second), prior).rank)
    drawn = [
        discrepancy(ranks(x, i), ranks(y, j))
        for (xs, ys), (levels, others) in replicates(p, [first, second], n_boot, prior, seed)
        for x, y, i, j in zip(xs, ys, levels, others, strict=True)
    ]
    values = np.array([d for d in drawn if not np.isnan(d)])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]) if len(values) else (np.nan, np.nan)
    return Distance(value, float(low), float(high), len(values), level)


@dataclass(frozen=True)
class WhatIf:
    """How well a rule reproduces an annotator: right of n conflicts that both decided; undecided: it could not."""

    right: int
    n: int
    undecided: int


def lexicographic(P: ArrayLike, ranking: ArrayLike) -> np.ndarray:
    """The choice of the first principle in the ranking (1 is first, below 0: left out) that has a preference, (n,)."""
    p, rank = preferences("P", P, 2), floats("ranking", ranking)
    chosen = np.zeros(len(p), dtype=np.int8)
    for c in np.argsort(rank, kind="stable"):
        if rank[c] >= 0:
            chosen = np.where(chosen == 0, p[:, c], chosen)
    return chosen.astype(np.int8)


def weighted_sum(P: ArrayLike, weights: ArrayLike) -> np.ndarray:
    """sign(P w) with finite weights (k,), NaN as 0; sums within rounding of 0 give no choice, (n,)."""
    total = preferences("P", P, 2) @ np.nan_to_num(floats("weights", weights))
    return (np.sign(total) * (np.abs(total) > 1e-9)).astype(np.int8)


def what_if(
    P: ArrayLike, a: ArrayLike, ranking: ArrayLike | None = None, folds: int = 5, seed: int = 0
) -> dict[str, WhatIf]:
    """How many conflicts a rule would decide as the annotator did (section 5): "lexicographic" and "weighted sum".

    Without a ranking both rules are learnt (Bradley-Terry, prior 1) on the other folds of comparisons; with one, it is
    applied as it is (lexicographic only).
    """
    if folds < 2:
        raise ValueError(f"folds is {folds}; at least 2 are needed")
    p, chosen = both(P, a)
    rows = np.flatnonzero((p > 0).any(1) & (p < 0).any(1) & (chosen != 0))
    if ranking is not None:
        return {"lexicographic": _agreement(lexicographic(p[rows], ranking), chosen[rows])}
    if len(rows) < 2:
        return {name: WhatIf(0, 0, 0) for name in ("lexicographic", "weighted sum")}
    fold = np.random.default_rng(seed).permutation(len(rows)) % min(folds, len(rows))
    by_rank, by_sum = np.zeros(len(rows), dtype=np.int8), np.zeros(len(rows), dtype=np.int8)
    for f in range(int(fold.max()) + 1):
        held, train = rows[fold == f], rows[fold != f]
        learnt = bradley_terry(wins(p[train], chosen[train]), prior=1.0)
        by_rank[fold == f] = lexicographic(p[held], learnt.rank)
        by_sum[fold == f] = weighted_sum(p[held], learnt.w)
    return {
        "lexicographic": _agreement(by_rank, chosen[rows]),
        "weighted sum": _agreement(by_sum, chosen[rows]),
    }


def _agreement(rule: np.ndarray, chosen: np.ndarray) -> WhatIf:
    decided = rule != 0
    return WhatIf(int((rule == chosen)[decided].sum()), int(decided.sum()), int((~decided).sum()))


def by_topic(P: ArrayLike, a: ArrayLike, topics: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Topic -> (arbitrary, decided consensus rows), in the order in which topics first come."""
    p, chosen = both(P, a)
    if len(topics) != len(p):
        raise ValueError(f"there are {len(topics)} topics for {len(p)} comparisons")
    asked, against = decided_consensus(p, chosen)
    found: dict[str, tuple[int, int]] = dict.fromkeys(topics, (0, 0))
    for topic, is_asked, is_against in zip(topics, asked, against, strict=True):
        k, n = found[topic]
        found[topic] = (k + int(is_against), n + int(is_asked))
    return found


@dataclass(frozen=True)
class Sensitivity:
    """What a second oracle (or the flipped order) changes: agreement of the cells of P, and the range of DA."""

    agreement: float
    DA: tuple[float, float]


def oracle_sensitivity(P: ArrayLike, other: ArrayLike, a: ArrayLike) -> Sensitivity:
    """Compare two oracles' preferences over the same comparisons and principles."""
    p, chosen = both(P, a)
    q, _ = both(other, a)
    if p.shape != q.shape:
        raise ValueError(f"the oracles' preferences have shapes {p.shape} and {q.shape}; the same is needed")
    DA = []
    for one in (p, q):
        asked, against = decided_consensus(one, chosen)
        DA.append(float(against.sum() / asked.sum()) if asked.any() else float("nan"))
    return Sensitivity(float((p == q).mean()) if p.size else float("nan"), (min(DA), max(DA)))


def planted(P: ArrayLike, w: ArrayLike, seed: int = 0) -> np.ndarray:
    """An annotator with known priorities w (k,): it takes answer 1 with the softmax of the sums of w behind each.

    Where one principle stands on each side that is Bradley-Terry with w, so w is recovered in the limit.
    """
    p, weights = preferences("P", P, 2), floats("w", w)
    chance = 1.0 / (1.0 + np.exp(-(p @ weights)))
    return np.where(np.random.default_rng(seed).random(len(p)) < chance, 1, -1).astype(np.int8)
