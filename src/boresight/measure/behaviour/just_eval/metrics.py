"""From judgments to numbers (sheet, sections 3.3 to 3.5): means by aspect and tag, both-order wins, judge validity.

Aspect mean = mean of the scores whose judgment did not fail. N/A is left out unless `na_policy` says otherwise.
"""

import math
import numbers
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from boresight.errors import DataError
from boresight.measure.behaviour.just_eval.parse import read_score
from boresight.measure.behaviour.just_eval.prompts import ASPECTS

NaPolicy = Literal["exclude", "five", "three"]
Choice = Literal["A", "B", "tie"]
Item = Mapping[str, Any]
"""{"id", "scores": {aspect: score as judged, text or number}, "n_words"}; for tables by tag also "tags"."""

_NA_VALUE = {"exclude": None, "five": 5.0, "three": 3.0}
RESAMPLES = 2000
VALID_FROM = 0.3
"""Below this rank correlation with stored judgments a report warns that the judge is no judge."""


def aggregate(items: Sequence[Item], na_policy: NaPolicy = "exclude") -> dict[str, Any]:
    """Totals and aspect means of judged items.

    total; "<aspect>_mean" for each aspect that occurs, None if nothing of it could be scored; avg_lens: mean words of
    the answers; n_na and n_failed: aspect -> how many. An aspect that other items have and an item lacks has failed.
    An item whose scores are None or empty has failed in all of them. na_policy: "exclude", "five" (the reference's
    rule) or "three". DataError for a duplicate id and for an item that lacks a field, which it names.
    """
    _known(na_policy)
    items = _whole(items)
    names = aspects_of(items)
    report: dict[str, Any] = {"total": len(items)}
    for aspect in names:
        scores = values(items, aspect, na_policy)
        report[f"{aspect}_mean"] = math.fsum(scores.values()) / len(scores) if scores else None
    report["avg_lens"] = math.fsum(item["n_words"] for item in items) / len(items) if items else None
    report["n_na"] = {a: sum(_read(item, a) is None for item in items) for a in names}
    report["n_failed"] = {a: sum(isinstance(_read(item, a), str) for item in items) for a in names}
    return report


def aspects_of(items: Sequence[Item]) -> list[str]:
    """Aspects that occur, in the order of the paper, others after them in the order of appearance."""
    seen = dict.fromkeys(aspect for item in items for aspect in item["scores"] or ())
    return [a for a in ASPECTS if a in seen] + [a for a in seen if a not in ASPECTS]


def values(items: Sequence[Item], aspect: str, na_policy: NaPolicy = "exclude") -> dict[Any, float]:
    """Id -> score of one aspect, for the items whose judgment of it counts."""
    na = _NA_VALUE[_known(na_policy)]
    found = {item["id"]: _read(item, aspect) for item in items}
    read = {i: na if score is None else score for i, score in found.items()}
    return {i: score for i, score in read.items() if isinstance(score, float)}


def table_average(report: Mapping[str, Any], aspects: Sequence[str]) -> float | None:
    """Mean of the aspect means shown, not of items; None if one of them is not known."""
    means = [report.get(f"{a}_mean") for a in aspects]
    known = [m for m in means if m is not None]
    return sum(known) / len(known) if known and len(known) == len(means) else None


def by_tag(items: Sequence[Item], na_policy: NaPolicy = "exclude") -> dict[str, dict[str, tuple[float, int]]]:
    """Tag -> aspect -> (mean, n). An item counts once for each of its tags, `item["tags"]`."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        for tag in dict.fromkeys(item.get("tags", ())):
            groups[tag].append(item)
    table: dict[str, dict[str, tuple[float, int]]] = {}
    for tag, some in groups.items():
        scored = {a: list(values(some, a, na_policy).values()) for a in aspects_of(some)}
        table[tag] = {a: (math.fsum(v) / len(v), len(v)) for a, v in scored.items() if v}
    return table


def percentile_interval(
    sample: Sequence[float], level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of a mean over items; None for fewer than two, which show no spread."""
    x = np.asarray(list(sample), dtype=float)
    if len(x) < 2:
        return None
    rng = np.random.default_rng(seed)
    means = np.array([x[rng.integers(0, len(x), len(x))].mean() for _ in range(resamples)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class AspectDifference:
    """System b minus system a in one aspect over `n` shared items: mean, interval, and shares of items by score."""

    mean: float
    ci: tuple[float, float] | None
    n: int
    win: float
    tie: float
    lose: float


def paired(
    a: Sequence[Item], b: Sequence[Item], na_policy: NaPolicy = "exclude", level: float = 0.95, seed: int = 0
) -> dict[str, AspectDifference]:
    """Per aspect, b minus a over the items that both have a score for; aspects without any are left out."""
    a, b, found = list(a), list(b), {}
    for aspect in (x for x in aspects_of(a) if x in aspects_of(b)):
        x, y = values(a, aspect, na_policy), values(b, aspect, na_policy)
        gaps = [y[i] - x[i] for i in x if i in y]
        if gaps:
            n = len(gaps)
            win, lose = sum(g > 0 for g in gaps) / n, sum(g < 0 for g in gaps) / n
            ties = sum(g == 0 for g in gaps) / n
            ci = percentile_interval(gaps, level, seed=seed)
            found[aspect] = AspectDifference(math.fsum(gaps) / n, ci, n, win, ties, lose)
    return found


def combine_orders(first: Choice, swapped: Choice) -> Literal["win", "tie", "lose"]:
    """The outcome for the system that was A in the first order and B in the second.

    A win or a loss only if both orders name the same answer. ValueError for anything but "A", "B" and "tie".
    """
    for choice in (first, swapped):
        if choice not in ("A", "B", "tie"):
            raise ValueError(f"a choice is {choice!r}; 'A', 'B' or 'tie' is needed")
    if first == "A" and swapped == "B":
        return "win"
    return "lose" if first == "B" and swapped == "A" else "tie"


@dataclass(frozen=True)
class PairwiseShares:
    """Shares of `n` items, and the share whose two orders name different answers."""

    win: float
    tie: float
    lose: float
    flipped: float
    n: int


def pairwise_shares(verdicts: Sequence[tuple[Choice, Choice]]) -> PairwiseShares | None:
    """Shares over items judged in both orders, (first, swapped) each; None without any.

    An item is flipped when the same letter is named in both orders: position decided.
    """
    if not verdicts:
        return None
    n, outcomes = len(verdicts), Counter(combine_orders(*pair) for pair in verdicts)
    flips = sum(first == swapped != "tie" for first, swapped in verdicts)
    return PairwiseShares(outcomes["win"] / n, outcomes["tie"] / n, outcomes["lose"] / n, flips / n, n)


def expected_score(digit_logits: Sequence[float]) -> float:
    """E = sum_s s p(s), p the softmax over the five logits of the tokens "1".."5" (section 3.5); in [1, 5].

    -inf is a digit that cannot be said. ValueError unless there are five numbers, none nan or +inf, one finite.
    """
    try:
        logits = [float(x) for x in digit_logits]
    except (TypeError, ValueError):
        raise ValueError(f"digit_logits is {digit_logits!r}; five numbers for the digits 1 to 5 are needed") from None
    if len(logits) != 5 or any(math.isnan(x) or x == math.inf for x in logits) or max(logits) == -math.inf:
        raise ValueError(f"digit_logits is {logits}; five numbers for the digits 1 to 5 are needed")
    top = max(logits)
    weights = [math.exp(x - top) for x in logits]
    mean = sum(s * w for s, w in enumerate(weights, 1)) / sum(weights)
    return min(5.0, max(1.0, mean))


@dataclass(frozen=True)
class Validity:
    """How a judge agrees with stored judgments of one aspect.

    spearman: rank correlation in [-1, 1], None where one side never varies. exact, within_one: shares of `n` pairs.
    """

    spearman: float | None
    exact: float
    within_one: float
    n: int

    @property
    def warning(self) -> str:
        """A sentence for the report if the judge is not to be relied on, else ""."""
        if self.spearman is None:
            return "The judge cannot be validated here: one side gives every answer the same score."
        if self.spearman < VALID_FROM:
            return f"This is not a valid judge: its rank correlation with stored judgments is {self.spearman:.2f}."
        return ""


def judge_validity(mine: Mapping[Any, float], stored: Mapping[Any, float]) -> Validity | None:
    """Agreement over the ids that both have; None ("not validated") without any. Exact: within a tenth of a point."""
    ids = [i for i in mine if i in stored and math.isfinite(mine[i]) and math.isfinite(stored[i])]
    if not ids:
        return None
    x, y = np.array([mine[i] for i in ids]), np.array([stored[i] for i in ids])
    gaps = np.abs(x - y)
    return Validity(spearman(x, y), float((gaps <= 0.1).mean()), float((gaps <= 1 + 1e-9).mean()), len(ids))


def spearman(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float | None:
    """Rank correlation with mean ranks for ties; None where one side never varies."""
    from scipy.stats import rankdata

    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def spearman_interval(
    x: Sequence[float], y: Sequence[float], level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the rank correlation, pairs resampled; None unless nine draws in ten have it."""
    if spearman(x, y) is None:
        return None
    a, b, rng = np.asarray(x, dtype=float), np.asarray(y, dtype=float), np.random.default_rng(seed)
    draws = [spearman(a[i], b[i]) for i in (rng.integers(0, len(a), len(a)) for _ in range(resamples))]
    known = [d for d in draws if d is not None]
    if len(known) < 0.9 * resamples:
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def average_interval(
    groups: Sequence[tuple[Sequence[Item], Sequence[str]]],
    na_policy: NaPolicy = "exclude",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float | None, tuple[float, float] | None, list[str]]:
    """Mean of aspect means over (items, aspects) groups, its bootstrap interval, and the aspects that it is made of.

    Items are resampled whole within their group; an aspect in which nothing is scored is left out and not named.
    """
    columns: list[np.ndarray] = []
    names: list[str] = []
    for items, aspects in groups:
        scored = {a: values(items, a, na_policy) for a in aspects}
        shown = [a for a in aspects if scored[a]]
        if shown:
            rows = [[scored[a].get(item["id"], math.nan) for a in shown] for item in items]
            columns.append(np.array(rows, dtype=float))
            names += shown
    if not names:
        return None, None, []
    mean = float(np.concatenate([np.nanmean(c, axis=0) for c in columns]).mean())
    if any(len(c) < 2 for c in columns):
        return mean, None, names
    rng = np.random.default_rng(seed)
    draws: list[float] = []
    for _ in range(resamples):
        some = [c[rng.integers(0, len(c), len(c))] for c in columns]
        if all((~np.isnan(c)).any(axis=0).all() for c in some):
            draws.append(float(np.concatenate([np.nanmean(c, axis=0) for c in some]).mean()))
    if len(draws) < 0.9 * resamples:
        return mean, None, names
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return mean, (float(low), float(high)), names


def _read(item: Item, aspect: str) -> float | str | None:
    scores = item["scores"] or {}
    return read_score(scores[aspect]) if aspect in scores else f"{aspect} is missing"


def _whole(items: Iterable[Item]) -> list[Item]:
    """The items; DataError naming the one that lacks a field, or whose id was there before."""
    found = list(items)
    for number, item in enumerate(found, 1):
        for name in ("id", "scores", "n_words"):
            if name not in item:
                raise DataError(f"item {number} has no field {name!r}; id, scores and n_words are needed")
        if item["scores"] is not None and not isinstance(item["scores"], Mapping):
            raise DataError(f"item {number}: scores is {item['scores']!r}; aspect -> score is needed")
        words = item["n_words"]
        if isinstance(words, bool) or not isinstance(words, numbers.Real) or not math.isfinite(words):
            raise DataError(f"item {number}: n_words is {words!r}; a number is needed")
    _unique([item["id"] for item in found])
    return found


def _known(na_policy: str) -> str:
    if na_policy not in _NA_VALUE:
        raise DataError(f"na_policy is {na_policy!r}; one of {', '.join(_NA_VALUE)} is needed")
    return na_policy


def _unique(ids: Sequence[Any]) -> None:
    for i, n in Counter(ids).items():
        if n > 1:
            raise DataError(f"id {i!r} occurs {n} times; each item must stand once")
