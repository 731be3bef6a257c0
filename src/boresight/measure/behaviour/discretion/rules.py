"""Ten principles that a rule can check: they need no oracle, so that what an annotator does can be told exactly.

Each says which of two answers fits it better, or neither. They are about form, not worth: no one should want all ten
(`short` and `example` pull apart), which is what conflicts are for.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from boresight.measure.behaviour.discretion.comparisons import Comparison

MARGIN = 2.0  # how many times as many words count as clearly longer
WORDY = 1.25  # how many times as many letters per word count as longer words

_LIST = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S", re.M)
_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?")
_POLITE = re.compile(
    r"\b(?:please|thank you|thanks|you're welcome|glad|happy to|sorry|my pleasure|kindly|of course)\b", re.I
)
_HEDGE = re.compile(
    r"\b(?:may|might|perhaps|maybe|probably|possibly|likely|unlikely|usually|often|sometimes|it depends|depends on|"
    r"not sure|i think|i believe|as far as|roughly|about|around|could be|tends? to|seems?)\b",
    re.I,
)
_EXAMPLE = re.compile(r"\b(?:for example|for instance|such as|e\.g\.|say,|like a)", re.I)
_REASON = re.compile(r"\b(?:because|since|so that|that way|which means|as a result|therefore|otherwise)\b", re.I)


def _has(pattern: re.Pattern[str]) -> Callable[[str], float]:
    return lambda text: float(bool(pattern.search(text)))


def _words(text: str) -> int:
    return len(_WORD.findall(text))


def _letters(text: str) -> float:
    words = _WORD.findall(text)
    return sum(map(len, words)) / len(words) if words else 0.0


def _more(score: Callable[[str], float]) -> Callable[[str, str], int]:
    """Prefers the answer with the higher score."""
    return lambda one, zero: int(np.sign(score(one) - score(zero)))


def _less(score: Callable[[str], float], ratio: float = 1.0) -> Callable[[str, str], int]:
    """Prefers the answer with the lower score, if the other's is at least `ratio` times as high."""

    def prefer(one: str, zero: str) -> int:
        a, b = score(one), score(zero)
        return 0 if a == b or max(a, b) < ratio * min(a, b) else 1 if a < b else -1

    return prefer


RULES: dict[str, tuple[str, Callable[[str, str], int]]] = {
    "short": ("Choose the response that is clearly shorter.", _less(_words, MARGIN)),
    "courteous": ("Choose the response that uses words of courtesy.", _more(_has(_POLITE))),
    "no-digits": ("Choose the response that contains no digits.", _less(_has(re.compile(r"\d")))),
    "asks-back": ("Choose the response that asks the user a question.", _more(_has(re.compile(r"\?")))),
    "calm": ("Choose the response that uses no exclamation mark.", _less(_has(re.compile("!")))),
    "hedged": ("Choose the response that says how sure or how general it is.", _more(_has(_HEDGE))),
    "plain-words": ("Choose the response that uses shorter words.", _less(_letters, WORDY)),
    "list": ("Choose the response that is laid out as a list.", _more(_has(_LIST))),
    "example": ("Choose the response that gives an example.", _more(_has(_EXAMPLE))),
    "reason": ("Choose the response that gives a reason.", _more(_has(_REASON))),
}
"""Name -> (the principle in words, the rule: (answer 1, answer 0) -> +1, -1 or 0)."""

GRADER = "rule:discretion-v1"


def preferences_by_rule(comparisons: Sequence[Comparison], names: Sequence[str] = tuple(RULES)) -> np.ndarray:
    """P of the checkable principles, int8 (n, k); KeyError for a name that is none of them."""
    rules = [RULES[name][1] for name in names]
    found = [[rule(c.response_1, c.response_0) for rule in rules] for c in comparisons]
    return np.array(found, dtype=np.int8).reshape(len(comparisons), len(rules))
