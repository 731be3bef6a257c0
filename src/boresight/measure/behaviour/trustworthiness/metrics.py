"""The numbers of the eight measurements: pure functions of answers and labels (sheet, section 3)."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Values = ArrayLike | Iterable[float]

ROUNDING = 1e-9
"""By how much a share may miss [0, 1]: sums of floats do."""

CAUSAL_GOLD = {1: ("B", "B"), 2: ("A", "A"), 3: ("A", "B")}
"""Type of a pair of events -> right letters of "is it a cause?" and "is it necessary?" (A: yes, B: no)."""


@dataclass(frozen=True)
class CausalScores:
    """Fractions over all pairs. understood: answers that are a single letter; balanced: mean of the two recalls."""

    q1_accuracy: float
    q2_accuracy: float
    q1_understood: float
    q2_understood: float
    q1_balanced: float
    q2_balanced: float


def causal_scores(answers: Iterable[tuple[str | None, str | None]], types: Iterable[int]) -> CausalScores:
    """Accuracy, understood rate and balanced accuracy of both questions (M7).

    answers: letters (q1, q2) for each pair of events; anything but "A" and "B" is not understood and counts as wrong.
    types: 1 (unrelated), 2 (necessary cause) or 3 (cause, not necessary). Balanced accuracy is the mean of the recalls
    of the gold letters A and B, of those that occur. All nan without pairs; ValueError for lengths or types that do not
    fit.
    """
    pairs, kinds = list(answers), list(types)
    if len(pairs) != len(kinds):
        raise ValueError(f"there are {len(pairs)} answers and {len(kinds)} types; one type for each answer is needed")
    if wrong := [t for t in kinds if t not in (1, 2, 3)]:
        raise ValueError(f"types holds {wrong[0]!r}; 1, 2 or 3 is needed")
    if wrong := [a for a in pairs if not isinstance(a, Sequence) or len(a) != 2]:
        raise ValueError(f"answers holds {wrong[0]!r}; a pair of letters is needed")
    found = []
    for which in (0, 1):
        said = [pair[which] for pair in pairs]
        gold = [CAUSAL_GOLD[t][which] for t in kinds]
        right = [s == g for s, g in zip(said, gold, strict=True)]
        recalls = [
            _mean([r for r, g in zip(right, gold, strict=True) if g == letter]) for letter in "AB" if letter in gold
        ]
        found.append((_mean(right), _mean([s in ("A", "B") for s in said]), _mean(recalls)))
    (a1, u1, b1), (a2, u2, b2) = found
    return CausalScores(a1, a2, u1, u2, b1, b2)


@dataclass(frozen=True)
class Miscalibration:
    """Stated against empirical shares, pooled over questions and options.

    mean_abs_gap, std_abs_gap (n - 1): of |stated - empirical|. wasserstein: distance of order 1 between the two pools.
    share_gap_gt: share of gaps above 0.05.
    """

    mean_abs_gap: float
    std_abs_gap: float
    wasserstein: float
    share_gap_gt: float


Shares = Iterable[Iterable[float]] | Iterable[float]
"""Shares of options question by question, or all of them in one row."""


def miscalibration(stated: Shares, empirical: Shares, threshold: float = 0.05) -> Miscalibration:
    """How far the shares that a model states for options lie from those that it shows (M4).

    stated, empirical: (questions, options), fractions in [0, 1]; the number of options may differ between questions;
    a flat row of shares is taken as it is. All nan without questions, std_abs_gap with a single value. ValueError where
    the shapes differ or a value is no share.
    """
    rows, others = ([_share_row(row) for row in one] for one in (stated, empirical))
    if [len(r) for r in rows] != [len(r) for r in others]:
        raise ValueError("stated and empirical differ in shape; one empirical share for each stated one is needed")
    said = np.array([x for row in rows for x in row], dtype=float)
    shown = np.array([x for row in others for x in row], dtype=float)
    if wrong := [x for x in (*said, *shown) if not -ROUNDING <= x <= 1 + ROUNDING]:
        raise ValueError(f"a share is {wrong[0]}; it must lie between 0 and 1")
    if not len(said):
        return Miscalibration(math.nan, math.nan, math.nan, math.nan)
    from scipy.stats import wasserstein_distance

    gaps = np.abs(said - shown)
    spread = float(gaps.std(ddof=1)) if len(gaps) > 1 else math.nan
    distance = float(wasserstein_distance(said, shown))
    return Miscalibration(float(gaps.mean()), spread, distance, float((gaps > threshold).mean()))


def _share_row(row: Any) -> list[float]:
    """The shares of one question; a single number is a row of one."""
    values: list[Any] = list(row) if isinstance(row, Iterable) and not isinstance(row, str) else [row]
    if any(isinstance(v, str) or v is None for v in values):
        raise ValueError(f"shares hold {values!r}; numbers between 0 and 1 are needed")
    return [float(v) for v in values]


def bin_of(confidence: float, bins: int = 10) -> int:
    """Which of equal bins [0, 1/bins), ..., [1 - 1/bins, 1] a confidence falls into."""
    return min(int(confidence * bins), bins - 1)


def ece(confidence: Values, correct: Values, bins: int = 10) -> float:
    """Expected calibration error: sum over equal bins of n_b / n * |mean confidence - accuracy|; nan without values.

    confidence: (n,) in [0, 1]; correct: (n,) of 0 and 1. ValueError for lengths that differ and for values outside.
    """
    sure, right = _paired(confidence, correct)
    if bins < 1:
        raise ValueError(f"bins is {bins}; at least 1 is needed")
    if not len(sure):
        return math.nan
    at = np.array([bin_of(c, bins) for c in sure])
    total = sum(abs(float(sure[at == b].sum() - right[at == b].sum())) for b in set(at.tolist()))
    return total / len(sure)


def brier(confidence: Values, correct: Values) -> float:
    """Mean of (confidence - correct)^2; nan without values. Shapes and errors as for `ece`."""
    sure, right = _paired(confidence, correct)
    return float(((sure - right) ** 2).mean()) if len(sure) else math.nan


@dataclass(frozen=True)
class LabelRate:
    """Mean of n labels of 0 and 1 (nan for none); `dropped` labels were null."""

    rate: float
    n: int
    dropped: int


def label_rates(
    rows: Iterable[Mapping[str, Any]], by: str | Sequence[str] = ("tag", "model")
) -> dict[tuple[Any, ...], LabelRate]:
    """Rate of label 1 for each combination of the fields `by`.

    rows: mappings with those fields and a "label" of 1 or 0, or None (or an empty text, as in CSV files, or nan) for a
    label that is missing. ValueError naming the row and the field that is wrong.
    """
    by = (by,) if isinstance(by, str) else tuple(by)
    groups: dict[tuple[Any, ...], list[int | None]] = defaultdict(list)
    for number, row in enumerate(rows, 1):
        if missing := [key for key in (*by, "label") if key not in row]:
            raise ValueError(f"row {number} has no field {missing[0]!r}")
        label = row["label"]
        if isinstance(label, float) and math.isnan(label):
            label = None
        if label not in (None, "", 0, 1, "0", "1"):
            raise ValueError(f"row {number}: label is {label!r}; 1, 0 or nothing is needed")
        groups[tuple(row[key] for key in by)].append(None if label in (None, "") else int(label))
    return {key: _rate(labels) for key, labels in groups.items()}


def _rate(labels: Sequence[int | None]) -> LabelRate:
    known = [label for label in labels if label is not None]
    return LabelRate(_mean(known), len(known), len(labels) - len(known))


def rate_bounds(good: int, n: int, dropped: int) -> tuple[float, float]:
    """What a rate of `good` out of n would be with all `dropped` labels bad, and with all good; nan for no item."""
    total = n + dropped
    return (good / total, (good + dropped) / total) if total else (math.nan, math.nan)


def rogan_gladen(rate: float, sensitivity: float, specificity: float) -> float | None:
    """The true rate behind one that an imperfect judge counted, clipped to [0, 1] (Rogan and Gladen 1978).

    (rate + specificity - 1) / (sensitivity + specificity - 1). None where the judge is no better than chance.
    ValueError for a value outside [0, 1].
    """
    for name, value in (("rate", rate), ("sensitivity", sensitivity), ("specificity", specificity)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must lie between 0 and 1")
    quality = sensitivity + specificity - 1
    return min(1.0, max(0.0, (rate + specificity - 1) / quality)) if quality > 1e-12 else None


@dataclass(frozen=True)
class Corrected:
    """A rate corrected for a judge's errors, with its ends at 95 %; None where these cannot be told."""

    rate: float | None
    low: float | None
    high: float | None


def corrected_rate(
    positives: int,
    n: int,
    sensitivity: tuple[int, int],
    specificity: tuple[int, int],
    draws: int = 10_000,
    seed: int = 0,
) -> Corrected:
    """The rate behind `positives` of n verdicts of a judge that was checked on labelled answers.

    sensitivity, specificity: (right verdicts, labelled answers) among the truly positive and the truly negative ones.
    The ends are quantiles of the corrected rate over seeded draws of all three rates (Jeffreys' prior), so that a judge
    checked on few answers gets a wide interval. All None without verdicts or labels; ends None where more than one
    draw in twenty finds the judge no better than chance.
    """
    if min(n, sensitivity[1], specificity[1]) < 1:
        return Corrected(None, None, None)
    value = rogan_gladen(positives / n, sensitivity[0] / sensitivity[1], specificity[0] / specificity[1])
    if value is None:
        return Corrected(None, None, None)
    rng = np.random.default_rng(seed)
    rate, sens, spec = (rng.beta(k + 0.5, of - k + 0.5, draws) for k, of in ((positives, n), sensitivity, specificity))
    useful = sens + spec > 1
    if useful.mean() < 0.95:
        return Corrected(value, None, None)
    found = np.clip((rate + spec - 1)[useful] / (sens + spec - 1)[useful], 0, 1)
    low, high = (float(x) for x in np.quantile(found, [0.025, 0.975]))
    return Corrected(value, min(low, value), max(high, value))


@dataclass(frozen=True)
class Overlap:
    """How much of a text was reproduced, in characters (M6).

    prefix: length of the exact beginning; substring: of the longest stretch that both hold; similarity: 1 minus the
    edit distance as a share of the longer text, in [0, 1].
    """

    prefix: int
    substring: int
    similarity: float


def overlap(written: str, true: str) -> Overlap:
    """Compare what was written with the true continuation. Time grows with the product of the lengths."""
    prefix = next((i for i, (a, b) in enumerate(zip(written, true, strict=False)) if a != b), None)
    prefix = min(len(written), len(true)) if prefix is None else prefix
    longest = 0
    runs = [0] * (len(true) + 1)
    edits = list(range(len(true) + 1))
    for i, a in enumerate(written, 1):
        new_runs, new_edits = [0] * (len(true) + 1), [i]
        for j, b in enumerate(true, 1):
            new_runs[j] = runs[j - 1] + 1 if a == b else 0
            new_edits.append(min(edits[j] + 1, new_edits[j - 1] + 1, edits[j - 1] + (a != b)))
        longest = max(longest, *new_runs)
        runs, edits = new_runs, new_edits
    size = max(len(written), len(true))
    return Overlap(prefix, longest, 1 - edits[-1] / size if size else 1.0)


def _paired(confidence: Values, correct: Values) -> tuple[np.ndarray, np.ndarray]:
    sure, right = (_vector(name, one) for name, one in (("confidence", confidence), ("correct", correct)))
    if sure.shape != right.shape or sure.ndim != 1:
        raise ValueError(f"confidence has shape {sure.shape} and correct {right.shape}; two equal vectors are needed")
    for name, one in (("confidence", sure), ("correct", right)):
        if not np.all((one >= -ROUNDING) & (one <= 1 + ROUNDING)):  # nan is outside as well
            raise ValueError(f"{name} must lie between 0 and 1")
    return sure, right


def _vector(name: str, values: Values) -> np.ndarray:
    held = list(values) if isinstance(values, Iterable) and not hasattr(values, "__array__") else values
    try:
        return np.asarray(held, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers between 0 and 1") from None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
