"""How far a judge's verdicts agree with labels, as pure functions of the two."""

import math
import re
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from boresight.stats import cohens_kappa

Ends = tuple[float | None, float | None]


def kappa(labels: Sequence[Hashable], verdicts: Sequence[Hashable], seed: int = 0) -> tuple[float | None, Ends]:
    """Cohen's kappa of labels and verdicts with its 95 % percentile bootstrap interval over items (2,000 draws).

    None where it is not defined (no items, or one label throughout). Raises ValueError for unequal lengths.
    """
    if len(labels) != len(verdicts):
        raise ValueError(f"there are {len(labels)} labels and {len(verdicts)} verdicts; one verdict for each is needed")
    value = cohens_kappa(labels, verdicts)
    if math.isnan(value):
        return None, (None, None)
    names = {name: i for i, name in enumerate(dict.fromkeys([*labels, *verdicts]))}
    x, y = (np.array([names[v] for v in side]) for side in (labels, verdicts))
    rng, n, k = np.random.default_rng(seed), len(x), len(names)
    drawn = np.empty(2000)
    for i in range(len(drawn)):
        at = rng.integers(0, n, n)
        a, b = np.bincount(x[at], minlength=k) / n, np.bincount(y[at], minlength=k) / n
        chance = float(a @ b)
        drawn[i] = (np.mean(x[at] == y[at]) - chance) / (1 - chance) if chance < 1 else math.nan
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return value, (float(low), float(high))


def length_pull(
    lengths: Sequence[tuple[int, int]], labels: Sequence[str], verdicts: Sequence[str]
) -> list[tuple[float, float]]:
    """For each pair whose label and verdict are both decided and whose texts differ in length: (longer one labelled
    better, longer one preferred), each 0 or 1. A judge without length bias has equal means.

    lengths: of a and b. labels, verdicts: "a", "b" or "tie".
    """
    found = []
    for (a, b), label, verdict in zip(lengths, labels, verdicts, strict=True):
        if a != b and label in ("a", "b") and verdict in ("a", "b"):
            longer = "a" if a > b else "b"
            found.append((float(label == longer), float(verdict == longer)))
    return found


def shares_of(first: Mapping[str, float], words: Sequence[str], least: float = 0.25) -> dict[str, float] | None:
    """How a judge's first token divides among the words it may say; None if they have less than `least` of its mass.

    first: token text -> log-probability (nats). A token speaks for the word that it is or begins, if that is one word
    only; upper and lower case, white space around it and punctuation after it do not count.
    """
    mass = dict.fromkeys(words, 0.0)
    for token, logprob in first.items():
        text = token.strip().lower()
        if not text:
            continue
        meant = [w for w in words if w.lower().startswith(text) or re.match(rf"{re.escape(w.lower())}(?!\w)", text)]
        if len(meant) == 1:
            mass[meant[0]] += math.exp(logprob)
    total = sum(mass.values())
    return {w: m / total for w, m in mass.items()} if total >= least else None
