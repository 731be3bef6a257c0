"""Surface measures of coherence, for the proxy scorer: repetition, word forms, and how the words follow one another.

They are plain Python and need no model. None of them understands a text: they tell ordinary prose from word salad,
loops and code, and no more.
"""

import json
import math
import random
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
MARKS = re.compile(r"^\s*(?:[-*•]|\d+[.)]|#+)\s+|\*\*|__", re.MULTILINE)  # lists, headings and bold type
FILLED = re.compile(r"^\s*[\w-]+\s*[=:]\s*(?:#\s*)?(?=\S)", re.MULTILINE)

_WORDS = """
    a about after all am an and any are as at be been before but by can could did do does don't each for from had
    has have he her him his how i if in is it it's its just may me more most must my no not of off on one only or
    other our out over own same she should so some such than that the their them then there these they this those
    to too under until up us very was we were what when where which who whom why will with would yes you your
"""
FUNCTION_WORDS = frozenset(_WORDS.split())
ENDINGS = ("ing", "ed", "ly", "s")
EDGE = "<edge>"


def plain_text(answer: str) -> str:
    """The words of an answer without its form: no list marks; of JSON and of `key = value` lines the values alone."""
    text = MARKS.sub("", answer).strip()
    if text.startswith("{") and text.endswith("}"):
        try:
            return " ".join(_values(json.loads(text))) or text
        except (ValueError, RecursionError):
            return text
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and all(FILLED.match(line) for line in lines):
        return "\n".join(FILLED.sub("", line) for line in lines)
    return text


def _values(found: Any) -> list[str]:
    if isinstance(found, dict):
        return [text for value in found.values() for text in _values(value)]
    if isinstance(found, list):
        return [text for value in found for text in _values(value)]
    return [found] if isinstance(found, str) else []


def repetition(text: str, n: int = 3) -> float:
    """Share of the word n-grams that occurred before in the text, in [0, 1]; 0 with fewer than n words."""
    words = [word.lower() for word in WORD.findall(text)]
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def word_share(text: str) -> float:
    """Share of the tokens that are words, commas or ends of sentences, in [0, 1]: high in prose, low in code."""
    tokens = TOKEN.findall(text)
    return sum(bool(WORD.fullmatch(t)) or t in ".,!?;:'’\"" for t in tokens) / len(tokens) if tokens else 0.0


def shuffled(text: str, seed: int) -> str:
    """The words of a text in random order, the rest dropped."""
    words = TOKEN.findall(text)
    random.Random(seed).shuffle(words)
    return " ".join(words)


def looped(text: str, words: int = 7, rounds: int = 5) -> str:
    """The first words of a text over and over, as a small model that is caught in a loop writes."""
    return " ".join(text.split()[:words] * rounds)


class WordOrder:
    """A bigram model of word classes (function words as they are, the others by their ending), add-one smoothed.

    "of the" is common and "the of" is not, whatever the text is about: that is all it knows.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.pairs: Counter[tuple[str, str]] = Counter()
        for text in texts:
            self.pairs.update(_bigrams(text))
        self.first: Counter[str] = Counter()
        for (left, _), times in self.pairs.items():
            self.first[left] += times
        self.kinds = len({right for _, right in self.pairs}) + 1  # one more for what never came up

    def surprise(self, text: str) -> float:
        """Mean negative log-probability of a class given the one before, nats; that of an unseen pair if no words."""
        found = _bigrams(text)
        if not found:
            return math.log(self.kinds)
        return sum(math.log((self.first[a] + self.kinds) / (self.pairs[a, b] + 1)) for a, b in found) / len(found)


def _bigrams(text: str) -> list[tuple[str, str]]:
    classes: list[str] = []
    for token in TOKEN.findall(text):
        if token in ".!?;:":
            classes.append(EDGE)
        elif WORD.fullmatch(token):
            classes.append(_class(token.lower().replace("’", "'")))
        elif token not in ",'’\"":
            classes.append("<sign>")
    return list(pairwise([EDGE, *classes]))


def _class(word: str) -> str:
    if word in FUNCTION_WORDS:
        return word
    return next((f"-{ending}" for ending in ENDINGS if word.endswith(ending) and len(word) > len(ending) + 2), "<word>")
