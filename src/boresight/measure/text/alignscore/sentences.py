"""Sentences of a text by fixed rules, so that a score does not depend on a downloaded model (sheet, section 2.5).

The splitter changes scores, so every `Splitter` carries a name to log. The rules know titles, abbreviations, dotted
acronyms, initials, decimals, list numbers, ellipses and closing quotes; an empty line always ends a sentence. Texts in
lower case, as the summaries of older benchmarks are, are split at plain full stops too.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from boresight.errors import DataError

_WIDE = "。！？｡"  # scripts that write no space after a sentence
_END = re.compile(rf"(?P<stop>[.!?…{_WIDE}]+(?:\s\.)*)(?P<close>(?:''|[\"'”’»)\]}}」』])*)|(?P<gap>\n[^\S\n]*\n\s*)")
_WORD = re.compile(r"[^\s\"'“”‘’«»()\[\]{}]*$")
_ACRONYM = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_LEADING = re.compile(r"[^\s\"'“”‘’«»()\[\]{}`]")
_NEXT = re.compile(r"[^\W_]+")
_LOOK = 40  # characters of the word before a full stop that are read


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER = _words(  # abbreviations that always go on
    "mr mrs mx dr prof gen sen rep gov capt lt col sgt cpl cmdr adm rev hon pres messrs e.g i.e vs cf viz approx ca mt"
)
_BEFORE_NUMBER = _words(  # abbreviations only in front of a number; "no." is also a word
    "no nos vol fig figs pp p art sec ch eq eqs par jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed "
    "thu thur thurs fri sat sun"
)
_MAYBE = _words(  # abbreviations that end a sentence only where the next word often begins one
    "etc al ms st ft inc ltd co corp bros jr sr dept est univ assn ave blvd rd bldg a.m p.m u.s u.k u.n ph.d m.d b.a "
    "m.a"
)
_STARTERS = _words(
    "the a an he she it they we i you his her its their our my this that these those there then here in on at by for "
    "from with without to of as if when while after before since during until although though because but and or so "
    "yet however also still now today what who why how where which one two some many most both each all no not none "
    "nobody everyone"
)


@dataclass(frozen=True)
class Splitter:
    """A way to cut a text into sentences, and the name that goes into the log."""

    name: str
    split: Callable[[str], list[str]]


def split_sentences(text: str) -> list[str]:
    """The sentences of a text in order, stripped; none for a text without anything but white space.

    Nothing but white space between sentences is lost. DataError for anything but a string. Time is linear in the text.
    """
    return [text[start:end] for start, end in sentence_spans(text)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where each sentence of `split_sentences` starts and ends, in characters."""
    if not isinstance(text, str):
        raise DataError(f"the text is {type(text).__name__}; a string is needed")
    spans: list[tuple[int, int]] = []
    start = 0
    for end in (*_ends(text), len(text)):
        piece = text[start:end]
        left, right = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        start = end
        if left >= right:
            continue
        # Stray punctuation says nothing that a chunk could support, so it stays with the sentence before it.
        if spans and not any(c.isalnum() for c in text[left:right]):
            spans[-1] = (spans[-1][0], right)
        else:
            spans.append((left, right))
    return spans


def load_splitter(name: str = "rules") -> Splitter:
    """The splitter of that name: "rules" (ours), "nltk" (punkt, as the reference) or "spacy" (its rule sentencizer).

    DataError for another name, or where the package or its data is not installed.
    """
    if name == "rules":
        return Splitter("boresight-rules-1", split_sentences)
    if name == "nltk":
        return _nltk()
    if name == "spacy":
        return _spacy()
    raise DataError(f"the sentence splitter is {name!r}; rules, nltk or spacy is needed")


def _nltk() -> Splitter:
    try:
        import nltk  # pyright: ignore[reportMissingImports]

        nltk.sent_tokenize("One. Two.")
    except ImportError:
        raise DataError("the sentence splitter nltk needs the package nltk (pip install nltk)") from None
    except LookupError:
        raise DataError("the splitter nltk needs its punkt data (python -m nltk.downloader punkt_tab)") from None
    return Splitter(f"nltk-punkt-{nltk.__version__}", lambda text: [s for s in nltk.sent_tokenize(text) if s.strip()])


def _spacy() -> Splitter:
    try:
        import spacy  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DataError("the sentence splitter spacy needs the package spacy (pip install spacy)") from None
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")

    def split(text: str) -> list[str]:
        return [s.text.strip() for s in pipeline(text).sents if s.text.strip()]

    return Splitter(f"spacy-sentencizer-{spacy.__version__}", split)


def _ends(text: str) -> Iterator[int]:
    """Positions at which a sentence ends."""
    start = 0
    for found in _END.finditer(text):
        end = found.end()
        if found["gap"] is not None or found["stop"][-1] in _WIDE or _stops(text, start, found):
            start = end
            yield end


def _stops(text: str, start: int, found: re.Match[str]) -> bool:
    """Whether a run of . ! ? or … ends the sentence that began at start."""
    end = found.end()
    if end == len(text):
        return True
    if not text[end].isspace():
        return False
    lead = _LEADING.search(text, end)
    if lead is None:
        return True
    stop, first = found["stop"], lead.group()
    # Quoted or trailing off, a sentence may go on: "Stop!" he said; well... maybe.
    if first.islower() and (found["close"] or "…" in stop or stop.count(".") > 1):
        return False
    if stop != ".":
        return True
    return _full_stop(text, start, found.start(), lead.start())


def _full_stop(text: str, start: int, at: int, following: int) -> bool:
    """Whether a single full stop after the word before `at` ends the sentence, given what follows."""
    found = _WORD.search(text[max(start, at - _LOOK) : at])
    before = found.group() if found else ""
    word, first = before.casefold(), text[following]
    if word in _NEVER:
        return False
    if word in _BEFORE_NUMBER:
        return not first.isdigit()
    if word.isdigit() and not text[start : at - len(before)].strip():
        return False  # the number of a list item
    initial = len(before) == 1 and before.isalpha() and before.isupper() and before != "I"
    if initial or word in _MAYBE or _ACRONYM.fullmatch(before):
        after = _NEXT.match(text, following)
        return first.isupper() and after is not None and after.group().casefold() in _STARTERS
    return True
