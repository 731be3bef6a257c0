"""Short factual answers: strict exact match after normalising, and a whole-word match in the opening.

Two numbers are needed because models phrase answers differently. A base model prompted with examples
writes "Paris"; a chat model writes "The capital of France is Paris." `exact_match` is the strict reading:
the first line (or its first sentence) is the answer and nothing else. `contains_answer` is the lenient
one: the answer stands as whole words in the first two sentences, of which at most 50 words are read, so a
model that lists every city it knows gains little. Negation is not understood ("not Paris" contains Paris).

Normalising follows the habit of SQuAD evaluation (Rajpurkar et al. 2016: case, punctuation, articles and
spaces do not matter) and adds Unicode forms, number words and thousands separators.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

SENTENCES = 2  # "Great question! It is Paris." still counts; a rambling list does not
WORDS = 50  # bounds a "sentence" that never ends
MAX_CHARS = 2000  # an answer sits at the start; bounds the work on a runaway reply

_ARTICLES = {"a", "an", "the"}
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)
_VALUES: dict[str, int] = {
    word: i if i < 20 else (i - 18) * 10 for i, word in enumerate(re.findall(r"\w+", _NUMBER_WORDS))
}
_SCALES = {"hundred", "thousand", "million", "billion", "trillion"}

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# A dot inside a number and a minus sign before one carry meaning; every other mark is dropped.
_NUMBER_MARK = re.compile(r"(?<=\d)\.(?=\d)|(?<!\w)-(?=\d)")
_APOSTROPHES = re.compile(r"['’‘`ʼ]")
_LABEL = re.compile(r"^\W*(?:the )?(?:answer|a|assistant|response)\W*[:：]\s*", re.IGNORECASE)
# No sentence ends after an initial ("J. K. Rowling") or a short title ("Mt. Everest").
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b\w\.)(?<!\b(?:mt|mr|dr|st|ms)\.)(?<!\bmrs\.)\s+|\n+", re.IGNORECASE)


class Match(NamedTuple):
    """Both readings of one reply."""

    exact: bool
    contains: bool


def normalise(text: str) -> str:
    """Lower-case words without articles and punctuation, numbers as digits; idempotent.

    NFKC and case folding; number words below a hundred to digits ("forty-two" to "42"); the comma in
    "1,000" dropped; articles dropped unless nothing else is left. A dot inside a number and a minus sign
    in front of one stay.
    """
    text = _fold(text.replace("\u2212", "-"))
    text = _THOUSANDS.sub("", text)
    keep = {m.start() for m in _NUMBER_MARK.finditer(text)}
    marks = "".join(c if i in keep or _is_word(c) else " " for i, c in enumerate(text))
    words = _digits(marks.split())
    return " ".join([w for w in words if w not in _ARTICLES] or words)


def exact_match(reply: str, answers: Iterable[str]) -> bool:
    """Whether the first line of the reply, or its first sentence, is one of the answers and nothing else."""
    lines = reply[:MAX_CHARS].strip().splitlines()
    line = _LABEL.sub("", lines[0]) if lines else ""
    candidates = {normalise(line), normalise(_SENTENCE_END.split(line.strip(), maxsplit=1)[0])} - {""}
    return not candidates.isdisjoint(_wanted(answers))


def contains_answer(reply: str, answers: Iterable[str]) -> bool:
    """Whether an answer stands as whole words in the first two sentences (lines count), 50 words at most."""
    parts = [part for part in _SENTENCE_END.split(reply[:MAX_CHARS].strip()) if part.strip()]
    words = " ".join(" ".join(parts[:SENTENCES]).split()[:WORDS])
    found = normalise(words).split()
    return any(_has_span(found, answer.split()) for answer in _wanted(answers))


def grade(reply: str, answers: Iterable[str]) -> Match:
    """Both readings of a reply, for callers that report strict and lenient accuracy side by side."""
    wanted = list(_wanted(answers))
    return Match(exact_match(reply, wanted), contains_answer(reply, wanted))


def _fold(text: str) -> str:
    # Case folding can undo NFKC, and a dropped apostrophe can let an accent join its letter; a few rounds
    # reach a fixed point.
    for _ in range(5):
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        folded = _APOSTROPHES.sub("", folded)
        if folded == text:
            break
        text = folded
    return text


def _is_word(char: str) -> bool:
    return unicodedata.category(char)[0] in "LMN"


def _digits(words: list[str]) -> list[str]:
    out: list[str] = []
    tens = 0
    for word in words:
        value = _VALUES.get(word)
        if tens and value is not None and 0 < value < 10:
            out[-1] = str(tens + value)  # "forty two", also from "forty-two"
            tens = 0
            continue
        tens = value if value is not None and value >= 20 else 0
        out.append(word if value is None else str(value))
    return out


def _wanted(answers: Iterable[str]) -> set[str]:
    # A lone string is taken as one answer: read as an iterable it would match on single letters.
    return {normalise(a) for a in ([answers] if isinstance(answers, str) else answers)} - {""}


def _has_span(words: list[str], answer: list[str]) -> bool:
    size = len(answer)
    for start in range(len(words) - size + 1):
        after = words[start + size] if start + size < len(words) else ""
        # "2" must not match inside "2 hundred".
        if words[start : start + size] == answer and not (answer[-1].isdigit() and after in _SCALES):
            return True
    return False
