"""Overlap metrics of many pairs at once on integer-coded tokens: BLEU, ROUGE, chrF (sheet, sections 2.7 and 5).

Sources are the references and rewrites the hypotheses; every score lies in [0, 1] and is 0 where either text is empty.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from boresight.errors import DataError

Tokeniser = Callable[[str], list[str]]
_ROUGE_WORD = re.compile(r"[a-z0-9]+")
_BLEU_WORD = re.compile(r"\w+|[^\w\s]")
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def bleu(
    sources: Sequence[str], targets: Sequence[str], order: int = 4, tokenise: Tokeniser | None = None
) -> np.ndarray:
    """Sentence BLEU (n,), unsmoothed: brevity penalty times the geometric mean of clipped n-gram precisions.

    Papineni et al. (2002). 0 as soon as one order has no match. Words and punctuation marks are tokens, case kept,
    unless `tokenise` says otherwise. DataError for unequal lengths or a text that is no string.
    """
    pairs(sources, targets)
    cut = tokenise or _BLEU_WORD.findall
    a, b = _Coded([cut(t) for t in sources]), _Coded([cut(t) for t in targets])
    _share_codes(a, b)
    logs = np.zeros(len(sources))
    with np.errstate(divide="ignore", invalid="ignore"):
        for matched, _, hypotheses in _matches(a, b, order):
            logs += np.log(matched / np.maximum(hypotheses, 1)) / order
        penalty = np.where(b.lengths >= a.lengths, 1.0, np.exp(1 - a.lengths / b.lengths))
        found = np.exp(logs) * penalty
    return np.where((a.lengths > 0) & (b.lengths > 0), found, 0.0)


def rouge_n(
    sources: Sequence[str], targets: Sequence[str], n: int = 1, stem: Callable[[str], str] | None = None
) -> np.ndarray:
    """ROUGE-n F1 (n,): harmonic mean of n-gram precision and recall over runs of letters and digits, lower case.

    Lin (2004). `stem` is applied to words of more than three letters. Errors as bleu; ValueError for n < 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}; at least 1 is needed")
    pairs(sources, targets)
    a, b = _rouge_words(sources, stem), _rouge_words(targets, stem)
    _share_codes(a, b)
    matched, references, hypotheses = _matches(a, b, n)[-1]
    return _f1(matched, references, hypotheses)


def rouge_l(sources: Sequence[str], targets: Sequence[str], stem: Callable[[str], str] | None = None) -> np.ndarray:
    """ROUGE-L F1 (n,): of the longest common subsequence of words. Tokens, stem and errors as rouge_n."""
    pairs(sources, targets)
    a, b = _rouge_words(sources, stem), _rouge_words(targets, stem)
    common = np.array([_lcs(x, y) for x, y in zip(a.texts, b.texts, strict=True)], dtype=float)
    return _f1(common, a.lengths, b.lengths)


def chrf(
    sources: Sequence[str], targets: Sequence[str], char_order: int = 6, word_order: int = 2, beta: float = 2.0
) -> np.ndarray:
    """chrF++ (n,): F_beta of precision and recall, each averaged over character and word n-gram orders.

    Popovic (2017). Whitespace is no character, case counts, a punctuation mark at a word's end or start is a word.
    Orders that either text is too short for are left out of the averages. word_order 0 is chrF. Errors as bleu;
    ValueError for orders below 1 (word_order below 0) or beta not above 0.
    """
    if char_order < 1 or word_order < 0 or not beta > 0:
        raise ValueError(f"orders are {char_order} and {word_order}, beta {beta}; at least 1, 0 and above 0 are needed")
    pairs(sources, targets)
    precision, recall, used = (np.zeros(len(sources)) for _ in range(3))
    for cut, order in ((lambda t: list("".join(t.split())), char_order), (_chrf_words, word_order)):
        if not order:
            continue
        a, b = _Coded([cut(t) for t in sources]), _Coded([cut(t) for t in targets])
        _share_codes(a, b)
        for matched, references, hypotheses in _matches(a, b, order):
            both = (references > 0) & (hypotheses > 0)
            used += both
            precision += np.where(both, matched / np.maximum(hypotheses, 1), 0.0)
            recall += np.where(both, matched / np.maximum(references, 1), 0.0)
    used = np.maximum(used, 1)
    p, r = precision / used, recall / used
    below = beta**2 * p + r
    return np.where(below > 0, (1 + beta**2) * p * r / np.where(below > 0, below, 1.0), 0.0)


def pairs(sources: Sequence[str], targets: Sequence[str]) -> None:
    """DataError unless both are equally many strings."""
    for name, texts in (("sources", sources), ("targets", targets)):
        if isinstance(texts, str):
            raise DataError(f"{name} is one string; a list of strings is needed")
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"row {i} of {name} is {type(text).__name__}; a string is needed")
    if len(sources) != len(targets):
        raise DataError(f"there are {len(sources)} sources and {len(targets)} targets; equally many are needed")


class _Coded:
    """Token lists, their lengths (n,), and all tokens in a row as whole numbers with the text each belongs to."""

    def __init__(self, texts: list[list[str]]) -> None:
        self.texts = texts
        self.lengths = np.array([len(t) for t in texts], dtype=np.int64)
        self.owner = np.repeat(np.arange(len(texts)), self.lengths)
        self.codes = np.zeros(len(self.owner), dtype=np.int64)


def _share_codes(a: _Coded, b: _Coded) -> None:
    table: dict[str, int] = {}
    for side in (a, b):
        side.codes = np.array([table.setdefault(w, len(table)) for t in side.texts for w in t], dtype=np.int64)


def _matches(a: _Coded, b: _Coded, order: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For orders 1 to `order`: clipped matches of each pair, n-grams of its source and of its rewrite; (n,) each."""
    sides, found = (a, b), []
    words = int(max(s.codes.max(initial=0) for s in sides)) + 1
    grams, size = [s.codes.copy() for s in sides], words
    left = [_remaining(s) for s in sides]
    for n in range(1, order + 1):
        starts = [np.flatnonzero(rest >= n) for rest in left]
        if n > 1:
            # A longer n-gram is a shorter one and the token after it, numbered anew so that numbers stay small.
            longer = [g[at] * words + s.codes[at + n - 1] for s, g, at in zip(sides, grams, starts, strict=True)]
            values, index = np.unique(np.concatenate(longer), return_inverse=True)
            size = max(len(values), 1)
            grams[0][starts[0]], grams[1][starts[1]] = index[: len(starts[0])], index[len(starts[0]) :]
        keys = [
            np.unique(s.owner[at] * size + g[at], return_counts=True)
            for s, g, at in zip(sides, grams, starts, strict=True)
        ]
        same, in_a, in_b = np.intersect1d(keys[0][0], keys[1][0], assume_unique=True, return_indices=True)
        least = np.minimum(keys[0][1][in_a], keys[1][1][in_b])
        matched = np.bincount(same // size, least, minlength=len(a.texts))
        found.append((matched, *(np.maximum(s.lengths - n + 1, 0).astype(float) for s in sides)))
    return found


def _remaining(side: _Coded) -> np.ndarray:
    """How many tokens of its text are left from each token on, itself counted."""
    return np.cumsum(side.lengths)[side.owner] - np.arange(len(side.owner))


def _f1(matched: np.ndarray, references: np.ndarray, hypotheses: np.ndarray) -> np.ndarray:
    return 2 * matched / np.maximum(references + hypotheses, 1)


def _rouge_words(texts: Sequence[str], stem: Callable[[str], str] | None) -> _Coded:
    found = [_ROUGE_WORD.findall(t.lower()) for t in texts]
    if stem:
        known: dict[str, str] = {}
        for words in found:
            for i, w in enumerate(words):
                if len(w) > 3:
                    if w not in known:
                        known[w] = stem(w)
                    words[i] = known[w]
    return _Coded(found)


def _chrf_words(text: str) -> list[str]:
    found = []
    for word in text.split():
        if len(word) > 1 and word[-1] in _PUNCTUATION:
            found += [word[:-1], word[-1]]
        elif len(word) > 1 and word[0] in _PUNCTUATION:
            found += [word[0], word[1:]]
        else:
            found.append(word)
    return found


def _lcs(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table at a time as the bits of one whole number."""
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        hit = row & places.get(word, 0)
        row = ((row + hit) | (row - hit)) & full
    return len(a) - row.bit_count()
