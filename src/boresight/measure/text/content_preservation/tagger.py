"""Entities of a text: the taggers' protocol, a tagger made of rules, and the counts (sheet, sections 2.1 and 2.6)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from boresight.errors import DataError
from boresight.measure.text.content_preservation.words import (
    AMBIGUOUS_PLACES,
    CUISINES,
    MONTHS,
    NOT_NAMES,
    NUMBER_WORDS,
    ORDINAL_WORDS,
    PLACES,
    SCALE_WORDS,
    UNITS,
    WEEKDAYS,
)

Span = tuple[int, int, str]
"""Start and end (exclusive) in characters, and the type."""

TOKEN_RULES = ("span", "substring")
_TOKEN = re.compile(r"\d+(?:[.,:]\d+)+|[^\W_]+(?:[.@][^\W_]+)*")


@runtime_checkable
class Tagger(Protocol):
    """Finds entities: for every text, in order, its spans, which do not overlap."""

    name: str

    def pipe(self, texts: Iterable[str]) -> Iterator[Sequence[Span]]: ...


@dataclass(frozen=True)
class Entities:
    """Entities of a text in its order, as written, and its tokens: n_ent inside entities, n_other outside."""

    strings: tuple[str, ...]
    spans: tuple[Span, ...]
    n_ent: int
    n_other: int


def entities(text: str, tagger: Tagger, token_rule: str = "span") -> Entities:
    """Entities of one text and its token counts (sheet, section 2.1); punctuation is no token.

    token_rule "span": a token counts where it lies inside an entity. "substring": the published code's, where it is
    part of any entity's string ("a" of "Paris" too). DataError for a non-string, an unknown rule, or a span that is not
    within the text.
    """
    return entities_of([text], tagger, token_rule)[0]


def entities_of(texts: Sequence[str], tagger: Tagger, token_rule: str = "span") -> list[Entities]:
    """Entities of many texts, each distinct text tagged once. Errors as `entities`, naming the row."""
    if token_rule not in TOKEN_RULES:
        raise DataError(f"the token rule is {token_rule!r}; {' or '.join(TOKEN_RULES)} is needed")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"row {i} of the texts is {type(text).__name__}; a string is needed")
    distinct = list(dict.fromkeys(texts))
    tagged = zip(distinct, tagger.pipe(distinct), strict=True)
    known = {text: _counted(text, spans, token_rule) for text, spans in tagged}
    return [known[text] for text in texts]


def _counted(text: str, spans: Sequence[Span], token_rule: str) -> Entities:
    ordered = tuple(sorted(spans))
    end = 0
    for span in ordered:
        if not end <= span[0] < span[1] <= len(text):
            raise DataError(
                f"the tagger gave span {span} in a text of {len(text)} characters; it overlaps or is outside"
            )
        end = span[1]
    strings = tuple(text[a:b] for a, b, _ in ordered)
    inside = total = at = 0
    for token in _TOKEN.finditer(text):
        total += 1
        if token_rule == "substring":
            inside += any(token[0] in s for s in strings)
            continue
        while at < len(ordered) and ordered[at][1] <= token.start():
            at += 1
        inside += at < len(ordered) and ordered[at][0] <= token.start() and token.end() <= ordered[at][1]
    return Entities(strings, ordered, inside, total - inside)


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_NUMBER = rf"(?:{_any(NUMBER_WORDS)})(?:[ -](?:{_any([*NUMBER_WORDS, *SCALE_WORDS])}))*"
_ORDINAL = rf"(?:twenty[ -]|thirty[ -])?(?:{_any(w for w in ORDINAL_WORDS if w != 'second')})"
_MONTH = (
    rf"(?:{_any([*(m for m in MONTHS if m != 'may'), *(m[:3] for m in MONTHS if m not in ('may', 'march')), 'sept'])})"
)
_ANY_MONTH = rf"(?:{_MONTH[3:-1]}|may|mar)\b\.?"
_DAY = rf"(?:\d{{1,2}}(?:st|nd|rd|th)?|{_ORDINAL})"
_YEAR = r"(?:,? (?:19|20)\d\d)?"
_WEEKDAY = _any([*WEEKDAYS, "tues", "thurs", "weds", "mon", "tue", "wed", "thu", "fri"])
_HALF = r" ?[ap]\.?m\b\.?"
_DAYTIME = r"(?: in the (?:morning|afternoon|evening)| at night)"
_HOUR = rf"(?:\d{{1,2}}|{_any(w for w, v in NUMBER_WORDS.items() if 0 < v <= 12)})"

_RULES = {
    "URL": r"(?:https?://|www\.)[^\s<>\"]*[^\s<>\".,;:!?)]",
    "EMAIL": r"[\w.+-]{1,64}@\w[\w-]{0,62}(?:\.\w[\w-]{0,62})+",
    "PHONE": r"(?:\+?\d{1,3}[ -])?\(?\d{3}\)?[ -]\d{3}[ -]?\d{4}\b",
    "TIME": rf"\d{{1,2}}:\d\d(?::\d\d)?(?:{_HALF}|{_DAYTIME})?|\d{{1,2}}(?:\.\d\d)?{_HALF}"
    rf"|(?:half|quarter|\d{{1,2}}) (?:past|to) {_HOUR}\b(?:{_HALF}|{_DAYTIME})?"
    rf"|{_HOUR} o'? ?clock(?:{_DAYTIME})?|{_HOUR}(?:{_HALF}|{_DAYTIME})|noon\b|midday\b|midnight\b",
    "DATE": rf"(?:the )?{_DAY} (?:of )?{_ANY_MONTH}{_YEAR}|{_ANY_MONTH} (?:the )?{_DAY}\b{_YEAR}"
    rf"|\d{{4}}-\d\d-\d\d|\d{{1,2}}/\d{{1,2}}(?:/\d{{2,4}})?"
    rf"|(?:next |this )?(?:{_WEEKDAY}|(?:{_any(WEEKDAYS)})s)\b|{_MONTH}\b{_YEAR}"
    r"|today\b|tomorrow\b|tonight\b|yesterday\b|next (?:week|month|year|weekend)\b|this weekend\b",
    "MONEY": r"[$€£¥] ?\d+(?:[.,]\d+)*"
    rf"|(?:\d+(?:[.,]\d+)*|{_NUMBER}) (?:dollars?|euros?|pounds?|bucks|usd|eur|gbp|yen)\b",
    "PERCENT": rf"(?:\d+(?:\.\d+)?|{_NUMBER}) ?(?:%|per ?cent\b)",
    "QUANTITY": rf"(?:\d+(?:[.,]\d+)*|{_NUMBER}) (?:{_any(UNITS)})\b",
    "ORDINAL": rf"\d+(?:st|nd|rd|th)\b|{_ORDINAL}\b",
    "NUMBER": rf"\d+(?:[.,]\d+)*|{_NUMBER}\b",
}
# The rules run only where one of them can start: at a digit, a currency sign, or a word with the right first letters.
_LEXICAL = re.compile(rf"(?:{'|'.join(f'(?P<{k}>{v})' for k, v in _RULES.items() if k not in ('URL', 'EMAIL'))})")
_STARTERS = frozenset(
    w
    for w in (
        *NUMBER_WORDS,
        *ORDINAL_WORDS,
        *MONTHS,
        *(m[:3] for m in MONTHS),
        "sept",
        *_WEEKDAY.split("|"),
        *(f"{d}s" for d in WEEKDAYS),
        *("half", "quarter", "noon", "midday", "midnight", "today", "tomorrow", "tonight", "yesterday"),
        *("next", "this", "the"),
    )
)
_LINK = re.compile(f"(?P<URL>{_RULES['URL']})|(?P<EMAIL>{_RULES['EMAIL']})")
_WORD = re.compile(r"[$€£¥+]?[^\W_]+(?:['’][^\W_]+)*")
_CODE = re.compile(r"[A-Z]{3}|[A-Z]{2}\d{2,4}")
_LOWER = {ord(c): ord(c) + 32 for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} | {ord("’"): ord("'")}
_TITLES = frozenset({"dr", "mr", "mrs", "ms", "prof", "st"})
_ENDS = frozenset('.!?:\n"“')

_PHRASES: dict[str, list[tuple[str, ...]]] = {}
for _name in sorted(PLACES, key=lambda p: -p.count(" ")):
    _PHRASES.setdefault(_name.split(" ")[0], []).append(tuple(_name.split(" ")))
_CUISINES = frozenset(CUISINES)


class RuleTagger:
    """Entities of task-oriented turns by rules and word lists: nothing to download, always the same answer.

    Types: PHONE, TIME, DATE, MONEY, PERCENT, QUANTITY, ORDINAL, NUMBER, URL, EMAIL, CODE (three capitals, as of an
    airport, or a flight number), PLACE, CUISINE, NAME (words with capitals that do not start a sentence). At one place
    the earlier rule of that order wins. It knows about 600 places; a name without a capital is not seen.
    """

    name = "rule:entities-v1"

    def pipe(self, texts: Iterable[str]) -> Iterator[list[Span]]:
        """Spans of every text, in order."""
        return map(self, texts)

    def __call__(self, text: str) -> list[Span]:
        """Spans of one text, in order, without overlap."""
        # Only ASCII letters are lowered, since other letters may change in number and so move the spans.
        low = text.translate(_LOWER)
        found: list[Span] = []
        links = []
        if "@" in low or "://" in low or "www." in low:
            links = [(m.start(), m.end(), m.lastgroup or "") for m in _LINK.finditer(low)]
        words = [(m.start(), m.end()) for m in _WORD.finditer(low)]
        i = 0
        while i < len(words):
            if links and words[i][1] > links[0][0]:
                span = links.pop(0)
            else:
                span = self._at(text, low, words, i)
            if span is None:
                i += 1
                continue
            found.append(span)
            while i < len(words) and words[i][0] < span[1]:
                i += 1
        return found

    def _at(self, text: str, low: str, words: list[tuple[int, int]], i: int) -> Span | None:
        start, end = words[i]
        word = low[start:end]
        first = word[0]
        if first.isdecimal() or first in "$€£¥+" or word in _STARTERS or word.split("'")[0] in _STARTERS:
            match = _LEXICAL.match(low, start)
            # A rule may not stop inside a word: "4x4" holds no number, but a possessive may follow.
            if match and not _inside_word(low, match.end()):
                return start, match.end(), match.lastgroup or ""
        word = word.split("'")[0]
        capital = text[start].isupper()
        place = self._place(low, words, i, word, capital)
        if place:
            return start, place, "PLACE"
        if word in _CUISINES:
            return start, start + len(word), "CUISINE"
        # Of a text all in capitals they say nothing.
        return self._name(text, low, words, i) if capital and (len(text) < 4 or not text.isupper()) else None

    def _place(self, low: str, words: list[tuple[int, int]], i: int, word: str, capital: bool) -> int | None:
        for phrase in _PHRASES.get(word, ()):
            last = i + len(phrase) - 1
            if last >= len(words) or (phrase[0] in AMBIGUOUS_PLACES and len(phrase) == 1 and not capital):
                continue
            start, end = words[i][0], words[last][0] + len(phrase[-1])
            if low[start:end] == " ".join(phrase) and (end == words[last][1] or low[end] == "'"):
                return end
        return None

    def _name(self, text: str, low: str, words: list[tuple[int, int]], i: int) -> Span | None:
        """Capitalised words from the i-th on, or one code; None at the start of a sentence and for words like I."""
        start, end = words[i]
        bare = start + len(low[start:end].split("'")[0])
        if low[start:end] in NOT_NAMES or low[start:bare] in NOT_NAMES:
            return None
        if _CODE.fullmatch(text, start, bare):
            return start, bare, "CODE"
        before = start - 1
        while before >= 0 and text[before].isspace() and text[before] not in _ENDS:
            before -= 1
        opens = before < 0 or text[before] in _ENDS
        last = i
        while last + 1 < len(words):
            a, b = words[last + 1]
            gap, word = text[words[last][1] : a], low[a:b].split("'")[0]
            if not (gap == " " or (gap == ". " and low[slice(*words[last])] in _TITLES)):
                break
            # A place that follows is an entity of its own: "From Los Angeles" holds one.
            if not text[a].isupper() or word in NOT_NAMES or self._place(low, words, last + 1, word, True):
                break
            last += 1
        if opens:
            # What opens a sentence has a capital anyway; "Golden Gate" opening one is a name by its second word.
            return (start, self._bare_end(low, words[last]), "NAME") if last > i else None
        return start, self._bare_end(low, words[last]), "NAME"

    @staticmethod
    def _bare_end(low: str, word: tuple[int, int]) -> int:
        return word[0] + len(low[slice(*word)].split("'")[0])


def _inside_word(text: str, at: int) -> bool:
    return at < len(text) and text[at].isalnum() and text[at - 1].isalnum()
