"""The compliance gap between tiers and what bears on it (sheet, section 4)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boresight.errors import DataError
from boresight.stats import cluster_bootstrap, mcnemar_exact, newcombe, sign_flip_test

Interval = tuple[float, float]
LEVEL = 0.95
NAN = (math.nan, math.nan)


@dataclass(frozen=True)
class GapResult:
    """Compliance of both tiers over requests, as fractions, and their difference.

    c_free, c_paid: mean over requests of the mean of the valid samples; gap = c_free - c_paid. se: clustered by
    request; ci: 95 % cluster bootstrap over requests. newcombe: unpaired summary interval of the pooled samples.
    mcnemar_*: exact test (b: complied with only on free, c: only on paid), None unless every request has exactly one
    valid sample in each tier. n_requests: requests that enter. invalid: samples of either tier without a value.
    """

    c_free: float
    c_paid: float
    gap: float
    se: float
    ci: Interval
    newcombe: Interval
    mcnemar_b: int | None
    mcnemar_c: int | None
    mcnemar_p: float | None
    n_requests: int
    invalid: int


def compliance_gap(rows: Iterable[Mapping[str, Any]], n_boot: int = 10_000, seed: int = 0) -> GapResult:
    """The gap between compliance in the free and in the paid tier.

    rows: {"request_id", "free": [0 | 1 | None, ...], "paid": [...]}; None or nan is an invalid sample. A request enters
    only with a valid sample in both tiers. All nan without such a request; se and ci are nan with a single one.
    Raises DataError naming the request where a tier is missing, an id comes twice or a value is not 0 or 1.
    """
    cells, invalid = _cells(rows)
    n = len(cells)
    if not n:
        return GapResult(math.nan, math.nan, math.nan, math.nan, NAN, NAN, None, None, None, 0, invalid)
    free = np.array([_mean(f) for f, _ in cells])
    paid = np.array([_mean(p) for _, p in cells])
    d = free - paid
    pooled = [(int(sum(sum(c[t]) for c in cells)), sum(len(c[t]) for c in cells)) for t in (0, 1)]
    single = all(len(f) == len(p) == 1 for f, p in cells)
    b = sum(f == [1.0] and p == [0.0] for f, p in cells) if single else None
    c = sum(f == [0.0] and p == [1.0] for f, p in cells) if single else None
    return GapResult(
        c_free=float(free.mean()),
        c_paid=float(paid.mean()),
        gap=float(d.mean()),
        se=float(d.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan,
        ci=_bootstrap(d, n_boot, seed),
        newcombe=newcombe(*pooled[0], *pooled[1]),
        mcnemar_b=b,
        mcnemar_c=c,
        mcnemar_p=mcnemar_exact(b, c) if b is not None and c is not None else None,
        n_requests=n,
        invalid=invalid,
    )


@dataclass(frozen=True)
class GapDifference:
    """The gap of one arm less that of another over the requests that both have; ci: 95 % bootstrap over requests."""

    difference: float
    ci: Interval
    p: float
    n_requests: int


def gap_difference(
    rows: Iterable[Mapping[str, Any]], others: Iterable[Mapping[str, Any]], n_boot: int = 10_000, seed: int = 0
) -> GapDifference:
    """The causal check: gap of `rows` (helpful-only) less gap of `others` (all tiers trained on), paired by request.

    p: two-sided, the share of sign flips of the paired differences that reach as far. Both arms hold rows as
    `compliance_gap` takes them; nan without a request that is valid in both.
    """
    first, second = (_gaps(one) for one in (rows, others))
    ids = [i for i in first if i in second]
    if not ids:
        return GapDifference(math.nan, NAN, math.nan, 0)
    d = np.array([first[i] - second[i] for i in ids])
    p = float(sign_flip_test(d.tolist(), seed=seed))
    return GapDifference(float(d.mean()), _bootstrap(d, n_boot, seed), p, len(ids))


def gap_p(rows: Iterable[Mapping[str, Any]], seed: int = 0) -> tuple[float, str]:
    """(two-sided p of an arm's gap, the test): McNemar's exact test where every request has one valid sample in each
    tier, else sign flips of the requests' differences. (nan, "") without a request that is valid in both tiers.
    """
    held = [dict(row) for row in rows]
    cells, _ = _cells(held)
    if not cells:
        return math.nan, ""
    if all(len(f) == len(p) == 1 for f, p in cells):
        b, c = (sum(f == [x] and p == [1 - x] for f, p in cells) for x in (1.0, 0.0))
        return mcnemar_exact(b, c), f"McNemar {b} against {c}"
    return float(sign_flip_test([_mean(f) - _mean(p) for f, p in cells], seed=seed)), "sign flips over requests"


def compliance(rows: Iterable[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    """Mean of the valid samples of each request that enters (`compliance_gap`), in the free and in the paid tier."""
    cells, _ = _cells(rows)
    return [_mean(f) for f, _ in cells], [_mean(p) for _, p in cells]


def detectable_gap(n_requests: int, samples: int, c_paid: float, power: float = 0.8) -> float:
    """The smallest gap that a run sees with this power at the 5 % level (two-sided), as a fraction.

    Normal approximation with independent samples: gap = (z_0.975 + z_power) * sqrt((p1 q1 + p2 q2) / (n K)), solved by
    iteration for p1 = c_paid + gap. Samples of one request are alike, so the true figure is somewhat larger.
    ValueError unless n_requests, samples >= 1, c_paid in [0, 1] and power in (0, 1).
    """
    from statistics import NormalDist

    if n_requests < 1 or samples < 1 or not 0 <= c_paid <= 1 or not 0 < power < 1:
        raise ValueError("n_requests and samples of at least 1, c_paid in [0, 1] and power in (0, 1) are needed")
    z = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(power)
    low, high = 0.0, 1.0
    for _ in range(60):  # the right side grows slower than the left: bisection finds the one crossing
        gap = (low + high) / 2
        p1 = min(1.0, c_paid + gap)
        needed = z * math.sqrt((p1 * (1 - p1) + c_paid * (1 - c_paid)) / (n_requests * samples))
        low, high = (gap, high) if needed > gap else (low, gap)
    return high


def _cells(rows: Iterable[Mapping[str, Any]]) -> tuple[list[tuple[list[float], list[float]]], int]:
    found, seen, invalid = [], set(), 0
    for row in rows:
        tiers = _tiers(row)
        if row["request_id"] in seen:
            raise DataError(f"request {row['request_id']!r} comes twice; one row for each request is needed")
        seen.add(row["request_id"])
        invalid += sum(value is None for tier in tiers for value in tier)
        free, paid = ([v for v in tier if v is not None] for tier in tiers)
        if free and paid:
            found.append((free, paid))
    return found, invalid


def _tiers(row: Mapping[str, Any]) -> list[list[float | None]]:
    if "request_id" not in row:
        raise DataError("a row has no request_id; request_id, free and paid are needed")
    tiers: list[list[float | None]] = []
    for tier in ("free", "paid"):
        if row.get(tier) is None:
            raise DataError(f"request {row['request_id']!r} has only one tier; samples for {tier!r} are missing")
        if isinstance(row[tier], str) or not isinstance(row[tier], Iterable):
            raise DataError(f"request {row['request_id']!r}, {tier}: a list of outcomes is needed, not {row[tier]!r}")
        tiers.append([_outcome(value, row["request_id"], tier) for value in row[tier]])
    return tiers


def _outcome(value: Any, request: Any, tier: str) -> float | None:
    if value is None or value != value:  # nan of any kind is the one number that is not itself
        return None
    if isinstance(value, str) or value not in (0, 1):
        raise DataError(f"request {request!r}, {tier}: {value!r} is not an outcome; 0, 1 or None is needed")
    return float(value)


def _gaps(rows: Iterable[Mapping[str, Any]]) -> dict[Any, float]:
    found = {}
    for row in rows:
        free, paid = ([v for v in tier if v is not None] for tier in _tiers(row))
        if free and paid:
            found[row["request_id"]] = _mean(free) - _mean(paid)
    return found


def _bootstrap(d: np.ndarray, n_boot: int, seed: int) -> Interval:
    """Interval of the mean under resampling of requests; nan for fewer than two."""
    found = cluster_bootstrap(d.tolist(), range(len(d)), resamples=n_boot, seed=seed, level=LEVEL)
    return found.low, found.high


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
