"""Vulnerability rates and what can be said about them (sheet, section 5). Pure functions; None or nan is invalid."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np

from boresight.errors import DataError
from boresight.stats import mcnemar_exact, sign_flip_test, wilson
from boresight.stats.counts import EXACT_SIGNS

Outcome = float | int | bool | None
DRAWS = 10_000


class ModelRate(NamedTuple):
    """Share of `n` valid scenarios in which a model failed, with Wilson's interval; None where n is 0."""

    rate: float | None
    n: int
    wilson: tuple[float, float] | None


class Pair(NamedTuple):
    """Two models over the scenarios valid for both: only a failed in b_count of them, only b in c_count."""

    a: str
    b: str
    b_count: int
    c_count: int
    mcnemar_p: float
    sign_flip_p: float


@dataclass(frozen=True)
class Rates:
    """per_model: model -> (rate, n, wilson); overall: mean over all valid cells; pairs: in the order of the models."""

    per_model: dict[str, ModelRate]
    overall: float | None
    pairs: list[Pair]


def vulnerability_rates(outcomes: Mapping[str, Iterable[Outcome]]) -> Rates:
    """Rates of models over the same scenarios: outcomes[model][scenario] is 1 (failed), 0, or None (invalid).

    DataError if the models have different numbers of scenarios or an outcome is something else.
    """
    cells = {model: [_outcome(y, model, s) for s, y in enumerate(row)] for model, row in outcomes.items()}
    _same_lengths({m: len(row) for m, row in cells.items()}, "scenarios")
    per_model = {}
    for model, row in cells.items():
        valid = [y for y in row if y is not None]
        rate = sum(valid) / len(valid) if valid else None
        per_model[model] = ModelRate(rate, len(valid), wilson(sum(valid), len(valid)))
    every = [y for row in cells.values() for y in row if y is not None]
    pairs = []
    for a, b in combinations(cells, 2):
        both = [(x, y) for x, y in zip(cells[a], cells[b], strict=True) if x is not None and y is not None]
        only_a, only_b = sum(x > y for x, y in both), sum(x < y for x, y in both)
        exact = mcnemar_exact(only_a, only_b)
        # Of outcomes that are 0 or 1, both tests count the same assignments; beyond 16 differences one is still exact.
        flips = sign_flip_test([1.0] * only_a + [-1.0] * only_b) if 0 < only_a + only_b <= EXACT_SIGNS else exact
        pairs.append(Pair(a, b, only_a, only_b, exact, flips))
    return Rates(per_model, sum(every) / len(every) if every else None, pairs)


def collapse(attempts: Iterable[Iterable[Outcome]], policy: Literal["any", "rate"] = "any") -> list[float | None]:
    """One outcome per scenario from its attempts: "any" (at least one failed) or "rate" (mean); invalid ones left out.

    With "any" every scenario needs as many valid attempts as the others (more attempts find more), or DataError. So is
    a policy of another name.
    """
    if policy not in ("any", "rate"):
        raise DataError(f"the policy is {policy!r}; any or rate is needed")
    read = [[_outcome(y, f"scenario {s}", a) for a, y in enumerate(row)] for s, row in enumerate(attempts)]
    valid = [[y for y in row if y is not None] for row in read]
    if policy == "any":
        _same_lengths({f"scenario {s}": len(row) for s, row in enumerate(valid) if row}, "valid attempts")
        return [float(max(row)) if row else None for row in valid]
    return [sum(row) / len(row) if row else None for row in valid]


def t_interval(values: Iterable[float], level: float = 0.95, *, low: float = 0.0) -> tuple[float, float] | None:
    """Student's interval of the mean of scenarios' rates, n - 1 degrees of freedom, clipped to [low, 1].

    None for fewer than two values, or if all are equal: an interval without width would be false certainty.
    """
    x = np.asarray(list(values), dtype=float)
    if len(x) < 2 or np.ptp(x) == 0:
        return None
    half = t_quantile(len(x) - 1, level) * float(x.std(ddof=1)) / math.sqrt(len(x))
    return max(low, float(x.mean()) - half), min(1.0, float(x.mean()) + half)


def t_quantile(df: int, level: float = 0.95) -> float:
    """The two-sided quantile of Student's t: 2.262 for 9 degrees of freedom at 0.95."""
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + level) / 2))


def two_way_bootstrap(
    cells: Mapping[str, Iterable[Outcome]], level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile interval of the mean over all cells, models and scenarios both resampled (section 5).

    cells[model][scenario] in [0, 1] or None (nan): invalid. None without a valid cell. Draws without one are drawn
    again. DataError for models with different numbers of scenarios or a cell outside [0, 1]; ValueError for no draws or
    a level outside (0, 1).
    """
    if draws < 1 or not 0 < level < 1:
        raise ValueError(f"draws is {draws} and level {level}; at least 1, and between 0 and 1, are needed")
    rows = {model: [_share(y, model, s) for s, y in enumerate(row)] for model, row in cells.items()}
    _same_lengths({m: len(row) for m, row in rows.items()}, "scenarios")
    grid = np.array(list(rows.values()), dtype=float)
    valid = np.isfinite(grid)
    if not valid.any():
        return None
    rng = np.random.default_rng(seed)
    filled, (m, s) = np.nan_to_num(grid), grid.shape
    means = np.empty(0)
    while len(means) < draws:
        # How often each model and each scenario is in a draw; a cell is in it as often as both together say.
        models = rng.multinomial(m, np.full(m, 1 / m), draws)
        scenarios = rng.multinomial(s, np.full(s, 1 / s), draws)
        n = ((models @ valid) * scenarios).sum(1)
        sums = ((models @ filled) * scenarios).sum(1)
        means = np.concatenate([means, sums[n > 0] / n[n > 0]])
    low, high = np.quantile(means[:draws], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


class OddsRatio(NamedTuple):
    """Odds of failing with something over those without it, with Woolf's interval (0.5 to each cell if one is 0)."""

    value: float
    low: float
    high: float
    n: int


def odds_ratio(with_it: Iterable[bool], without: Iterable[bool], level: float = 0.95) -> OddsRatio | None:
    """Failures among attempts with (say) visible reasoning against those without; None if either has no attempt."""
    with_it, without = [bool(y) for y in with_it], [bool(y) for y in without]
    if not with_it or not without:
        return None
    from statistics import NormalDist

    table = [sum(with_it), len(with_it) - sum(with_it), sum(without), len(without) - sum(without)]
    a, b, c, d = (x + 0.5 for x in table) if 0 in table else table
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    value = a * d / (b * c)
    return OddsRatio(value, value * math.exp(-half), value * math.exp(half), len(with_it) + len(without))


class Step(NamedTuple):
    """A point of a survival curve: share not yet failed after `time` turns, with its log-log interval."""

    time: float
    survival: float
    low: float
    high: float
    at_risk: int
    failed: int


def kaplan_meier(times: Sequence[float], failed: Sequence[bool], level: float = 0.95) -> list[Step]:
    """Kaplan and Meier's curve over turns: times[i] is when attempt i failed, or (failed[i] false) when it stopped.

    Intervals are Greenwood's on the log-log scale. ValueError for different lengths.
    """
    from statistics import NormalDist

    z = NormalDist().inv_cdf((1 + level) / 2)
    pairs = list(zip(times, failed, strict=True))
    survival, variance, steps = 1.0, 0.0, []
    for time in sorted({t for t, gone in pairs if gone}):
        at_risk = sum(t >= time for t, _ in pairs)
        gone = sum(t == time and f for t, f in pairs)
        survival *= 1 - gone / at_risk
        low = high = survival
        if survival > 0:
            variance += gone / (at_risk * (at_risk - gone))
            spread = z * math.sqrt(variance) / abs(math.log(survival))
            low, high = survival ** math.exp(spread), survival ** math.exp(-spread)
        steps.append(Step(time, survival, low, high, at_risk, gone))
    return steps


def median_time(steps: Sequence[Step]) -> tuple[float | None, float | None, float | None]:
    """Median turns to failure and its interval (Brookmeyer and Crowley); None: never reached."""

    def first(share: list[float]) -> float | None:
        return next((s.time for s, x in zip(steps, share, strict=True) if x <= 0.5), None)

    return first([s.survival for s in steps]), first([s.low for s in steps]), first([s.high for s in steps])


def _outcome(value: Any, who: str, where: int) -> int | None:
    found = _share(value, who, where, "0, 1 or None")
    if math.isnan(found):
        return None
    if found not in (0, 1):
        raise DataError(f"{who}: outcome {where} is {value!r}; 0, 1 or None is needed")
    return int(found)


def _share(value: Any, who: str, where: int, needed: str = "a share in [0, 1] or None") -> float:
    """The value as a number, nan if it is None."""
    if value is None:
        return math.nan
    try:
        found = math.inf if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        found = math.inf
    if not (math.isnan(found) or 0 <= found <= 1):
        raise DataError(f"{who}: outcome {where} is {value!r}; {needed} is needed")
    return found


def _same_lengths(lengths: Mapping[str, int], what: str) -> None:
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {n}" for name, n in list(lengths.items())[:4])
        raise DataError(f"every cell needs equally many {what}, but there are {shown}")
