"""The numbers of the eight measurements: pure functions of answers and labels (sheet, section 3)."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

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


def causal_scores(answers: Sequence[tuple[str, str]], types: Sequence[int]) -> CausalScores:
    """Accuracy, understood rate and balanced accuracy of both questions (M7).

    answers: letters (q1, q2) for each pair of events; anything but "A" and "B" is not understood and counts as wrong.
    types: 1 (unrelated), 2 (necessary cause) or 3 (cause, not necessary). Balanced accuracy is the mean of the recalls
    of the gold letters A and B, of those that occur. All nan without pairs; ValueError for lengths or types that do not
    fit.
    """
    if len(answers) != len(types):
        raise ValueError(f"there are {len(answers)} answers and {len(types)} types; one type for each answer is needed")
    if wrong := [t for t in types if t not in CAUSAL_GOLD]:
        raise ValueError(f"types holds {wrong[0]!r}; 1, 2 or 3 is needed")
    found = []
    for which in (0, 1):
        said = [pair[which] for pair in answers]
        gold = [CAUSAL_GOLD[t][which] for t in types]
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


def miscalibration(
    stated: Sequence[Sequence[float]], empirical: Sequence[Sequence[float]], threshold: float = 0.05
) -> Miscalibration:
    """How far the shares that a model states for options lie from those that it shows (M4).

    stated, empirical: (questions, options), fractions; the number of options may differ between questions. All nan
    without questions, std_abs_gap with a single value. ValueError where the shapes differ.
    """
    if len(stated) != len(empirical) or any(len(s) != len(e) for s, e in zip(stated, empirical, strict=False)):
        raise ValueError("stated and empirical differ in shape; one empirical share for each stated one is needed")
    said = np.array([x for row in stated for x in row], dtype=float)
    shown = np.array([x for row in empirical for x in row], dtype=float)
    if not len(said):
        return Miscalibration(math.nan, math.nan, math.nan, math.nan)
    from scipy.stats import wasserstein_distance

    gaps = np.abs(said - shown)
    spread = float(gaps.std(ddof=1)) if len(gaps) > 1 else math.nan
    distance = float(wasserstein_distance(said, shown))
    return Miscalibration(float(gaps.mean()), spread, distance, float((gaps > threshold).mean()))


def bin_of(confidence: float, bins: int = 10) -> int:
    """Which of equal bins [0, 1/bins), ..., [1 - 1/bins, 1] a confidence falls into."""
    return min(int(confidence * bins), bins - 1)


def ece(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error: sum over equal bins of n_b / n * |mean confidence - accuracy|; nan without values.

    confidence: (n,) in [0, 1]; correct: (n,) of 0 and 1. ValueError for lengths that differ or a confidence outside.
    """
    sure, right = _paired(confidence, correct)
    if bins < 1:
        raise ValueError(f"bins is {bins}; at least 1 is needed")
    if not len(sure):
        return math.nan
    at = np.array([bin_of(c, bins) for c in sure])
    total = sum(abs(float(sure[at == b].sum() - right[at == b].sum())) for b in set(at.tolist()))
    return total / len(sure)


def brier(confidence: ArrayLike, correct: ArrayLike) -> float:
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
    rows: Iterable[Mapping[str, Any]], by: Sequence[str] = ("tag", "model")
) -> dict[tuple[Any, ...], LabelRate]:
    """Rate of label 1 for each combination of the fields `by`.

    rows: mappings with those fields and a "label" of 1 or 0, or None (or an empty text, as in CSV files) for a label
    that is missing. ValueError naming the row and the field that is wrong.
    """
    groups: dict[tuple[Any, ...], list[int | None]] = defaultdict(list)
    for number, row in enumerate(rows, 1):
        if missing := [key for key in (*by, "label") if key not in row]:
            raise ValueError(f"row {number} has no field {missing[0]!r}")
        label = row["label"]
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
    """
    quality = sensitivity + specificity - 1
    return min(1.0, max(0.0, (rate + specificity - 1) / quality)) if quality > 0 else None


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


def _paired(confidence: ArrayLike, correct: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    sure, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    if sure.shape != right.shape or sure.ndim != 1:
        raise ValueError(f"confidence has shape {sure.shape} and correct {right.shape}; two equal vectors are needed")
    if len(sure) and not (sure.min() >= 0 and sure.max() <= 1):
        raise ValueError("confidence must lie between 0 and 1")
    return sure, right


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
