"""Rule-checkable constraints on a reply: each is decided by a short function, never by a judge model.

The idea of instructions that a rule can verify, and of a strict and a loose accuracy, is that of Zhou et al.
(2023, arXiv 2311.07911); the kinds, their definitions and the prompts here are this project's own.

A constraint is a mapping {"kind": name, **parameters}; the kinds are the functions from `words_at_least` on.
Before any check line ends become "\\n", a letter and its accents become one character, and outer space goes.
A reply without a letter or digit fails every constraint in both modes: "no commas" must not reward silence.

What the definitions share:
    word      letters and digits, joined by inner hyphens or apostrophes ("sun-dried" and "don't" are one
              each); a script written without spaces gives one word per run
    line      a line that is not blank, without the whitespace around it
    phrase    compared ignoring case, the width of whitespace and the shape of quotes, and never as a part of
              a longer word: "art" is not in "party", but it is in "art-lover"
    sentence  ends at . ! ? or an ellipsis before whitespace, at a CJK full stop, and at the end of any line
    item      the text of a bulleted or numbered line; where there is none, every line; in a single line,
              every part between commas
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from inspect import isfunction
from itertools import groupby, pairwise
from typing import Any, Literal, NewType, get_args, get_origin, get_type_hints

from boresight.errors import DataError

Letter = NewType("Letter", str)
Language = Literal["english", "french", "spanish", "german", "russian", "japanese"]

# In every pattern neighbouring repeats match different characters, so that no reply takes quadratic time.
_WORD = re.compile(r"[^\W_]+(?:['’‑-][^\W_]+)*")
_words = _WORD.findall
_ACCENTED = re.compile(r"\w[\u0300-\u036f\u3099\u309a]{1,3}")
_BULLET = re.compile(r"^[-*+•]\s+(?=\S)")
_NUMBERED = re.compile(r"^([0-9]{1,3})[.)]\s+(?=\S)")
_HEADING = re.compile(r"^#{1,6}\s+(?=\S)")
_MARKER = re.compile("|".join(pattern.pattern for pattern in (_BULLET, _NUMBERED, _HEADING)))
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|vs|e\.g|i\.e)\.", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]*_]*\s+|(?<=[。！？])")
_QUESTION = re.compile(r"\w[^\w\s]{0,3}(?:\?(?=[\"'”’)\]*_!?]*(?:\s|$))|？)")
_NUMBER = re.compile(r"(?<![\w.])-?[0-9]+(?:,[0-9]{3}(?![0-9]))*(?:\.[0-9]+)?")
_STRAIGHT_QUOTES = str.maketrans("“”„‘’", '"""\'\'')

# Common short words that few texts of the others hold; split at apostrophes, so "l" is the French "l'".
_COMMON_WORDS = {
    "english": "the and of to is are was were it you i my your with for from that this they have be been not"
    " or we our she at by as can will their which who what how when if there",
    "french": "le les des et est dans pour avec ce cette qui il ils elle je j c l qu vous nous sur pas au aux"
    " à mais sont votre notre mon ma très être avez où sans bonjour merci ou tous chaque suis bon bonne",
    "spanish": "el los las y una con por para está están muy pero como más su sus al lo mi también hay yo ser"
    " este esta cuando porque usted del gracias hola tiene todos cada soy sobre es",
    "german": "der die das und ist sind ich nicht ein eine einen einem einer mit für auf den dem zu von sie"
    " wir ihr auch aber oder wie sich im zum zur bei nach mein dein haben wird sehr gut danke es kann noch",
}
_SCRIPTS = {"russian": r"[А-Яа-яЁё]", "japanese": r"[\u3005\u3040-\u30ff\u3400-\u9fff]"}


def _tidy(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    # Letter by letter: normalising a whole text takes quadratic time on a long run of accents.
    return _ACCENTED.sub(lambda match: unicodedata.normalize("NFC", match[0]), text)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _folded(text: str) -> str:
    return " ".join(text.casefold().translate(_STRAIGHT_QUOTES).split())


def _unaccented(text: str) -> str:
    return "".join(unicodedata.normalize("NFD", letter)[0] for letter in text.casefold())


def _mentions(reply: str, phrase: str) -> list[int]:
    """Where the phrase starts in the folded reply, each time that it occurs as whole words."""
    pattern = rf"(?<!\w){re.escape(_folded(phrase))}(?!\w)"
    return [match.start() for match in re.finditer(pattern, _folded(reply))]


def _rest(reply: str, phrase: str) -> str | None:
    """What follows the phrase that the reply opens with; None where it opens otherwise."""
    opening = re.match(rf"{re.escape(_folded(phrase))}(?!(?<=\w)\w)", _folded(reply))
    return opening and _folded(reply)[opening.end() :]


def _sentences(reply: str) -> list[str]:
    plain = (_ABBREVIATION.sub("title", _MARKER.sub("", line)) for line in _lines(reply))
    return [part for line in plain for part in _SENTENCE_END.split(line) if _WORD.search(part)]


def _items(reply: str) -> list[str]:
    lines = _lines(reply)
    listed = [line for line in lines if _BULLET.match(line) or _NUMBERED.match(line)]
    items = listed or (lines if len(lines) > 1 else reply.split(","))
    return [_MARKER.sub("", item.strip()) for item in items if _WORD.search(item)]


def _unnumbered(reply: str) -> str:
    return "\n".join(_NUMBERED.sub("", line) for line in _lines(reply))


def words_at_least(reply: str, count: int) -> bool:
    """The reply has `count` words or more."""
    return len(_words(reply)) >= count


def words_at_most(reply: str, count: int) -> bool:
    """The reply has `count` words or fewer."""
    return len(_words(reply)) <= count


def words_between(reply: str, low: int, high: int) -> bool:
    """The reply has from `low` to `high` words, both included."""
    return low <= len(_words(reply)) <= high


def characters_at_most(reply: str, count: int) -> bool:
    """The reply has `count` characters or fewer, spaces and line ends included."""
    return len(reply) <= count


def sentences_exactly(reply: str, count: int) -> bool:
    """The reply has exactly `count` sentences; a heading or list line has at least one, "Mr." ends none."""
    return len(_sentences(reply)) == count


def paragraphs_exactly(reply: str, count: int) -> bool:
    """Blank lines part the reply into exactly `count` blocks that hold a word (a lone divider does not)."""
    blocks = groupby(reply.split("\n"), key=lambda line: not line.strip())
    return sum(any(map(_WORD.search, block)) for blank, block in blocks if not blank) == count


def lines_exactly(reply: str, count: int) -> bool:
    """The reply has exactly `count` lines; blank ones are not counted."""
    return len(_lines(reply)) == count


def bullets_exactly(reply: str, count: int) -> bool:
    """Exactly `count` lines start with -, *, + or • and a space and hold a word; other lines may be there."""
    return sum(bool(_BULLET.match(line) and _WORD.search(line)) for line in _lines(reply)) == count


def numbered_exactly(reply: str, count: int) -> bool:
    """The lines that start with a number and "." or ")" are 1 to `count`, in order; others may be there."""
    return [int(found[1]) for found in map(_NUMBERED.match, _lines(reply)) if found] == [*range(1, count + 1)]


def headings_exactly(reply: str, count: int) -> bool:
    """Exactly `count` lines start with one to six # and a space."""
    return sum(bool(_HEADING.match(line)) for line in _lines(reply)) == count


def bold_at_least(reply: str, count: int) -> bool:
    """At least `count` passages are in **double asterisks**, each within a line, no space at its ends."""
    passages = re.findall(r"\*\*([^*\n]+)\*\*", reply)
    return sum(passage == passage.strip() and bool(_words(passage)) for passage in passages) >= count


def all_lowercase(reply: str) -> bool:
    """The reply has a lower-case letter and no capital."""
    return any(map(str.islower, reply)) and not any(c.isupper() or c.istitle() for c in reply)


def all_capitals(reply: str) -> bool:
    """The reply has a capital letter and no lower-case one."""
    return any(map(str.isupper, reply)) and not any(map(str.islower, reply))


def title_case(reply: str) -> bool:
    """No word starts with a lower-case letter, small words included, and the reply is not all in capitals."""
    starts = [word[0] for word in _words(reply)]
    return any(map(str.isupper, starts)) and not any(map(str.islower, starts)) and not all_capitals(reply)


def includes_words(reply: str, words: list[str]) -> bool:
    """Every one of `words` (words or phrases) occurs."""
    return all(_mentions(reply, word) for word in words)


def without_words(reply: str, words: list[str]) -> bool:
    """None of `words` (words or phrases) occurs; other forms of a word, such as its plural, may."""
    return not any(_mentions(reply, word) for word in words)


def word_at_least(reply: str, word: str, count: int) -> bool:
    """The word or phrase occurs `count` times or more; other forms of it are not counted."""
    return len(_mentions(reply, word)) >= count


def words_in_order(reply: str, words: list[str]) -> bool:
    """Every one of `words` occurs, and their first occurrences come in the order given."""
    first = [next(iter(_mentions(reply, word)), -1) for word in words]
    return min(first) >= 0 and all(a < b for a, b in pairwise(first))


def without_letter(reply: str, letter: Letter) -> bool:
    """The letter does not occur, neither as a capital nor with an accent."""
    return _unaccented(letter) not in _unaccented(reply)


def without_commas(reply: str) -> bool:
    """No comma occurs, be it a Western, full-width, ideographic or Arabic one."""
    return not set(reply) & set(",，、،")


def contains_digit(reply: str) -> bool:
    """A digit 0-9 occurs outside the numbers of a numbered list."""
    return re.search(r"[0-9]", _unnumbered(reply)) is not None


def starts_with(reply: str, phrase: str) -> bool:
    """The reply opens with the phrase, and nothing stands before it."""
    return _rest(reply, phrase) is not None


def ends_with(reply: str, phrase: str) -> bool:
    """The reply closes with the phrase; nothing, not even a mark that the phrase lacks, stands after it."""
    return _rest(reply[::-1], phrase[::-1]) is not None


def ends_with_mark(reply: str, mark: Literal[".", "!", "?"]) -> bool:
    """The last character is the mark; a quote, bracket or asterisk after it fails."""
    return reply.endswith(mark)


def repeats_first(reply: str, request: str) -> bool:
    """The reply opens with the request, word for word, and goes on with at least one more word."""
    return bool(_words(_rest(reply, request) or ""))


def json_object(reply: str, keys: list[str]) -> bool:
    """The reply is one JSON object with at least these keys at its top, and nothing else, such as a fence."""
    try:
        value = json.loads(reply, parse_constant=int)  # int refuses NaN and Infinity, which are not JSON
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and set(keys) <= set(value)


def code_fence(reply: str) -> bool:
    """A line that starts with ``` is followed by one or more lines and then by a line of ``` alone."""
    lines = _lines(reply)
    opened = next((i for i, line in enumerate(lines) if line.startswith("```")), len(lines))
    return "```" in lines[opened + 2 :] and lines[opened + 1] != "```"


def double_quoted(reply: str) -> bool:
    """The whole reply is in one pair of double quotes, straight or curly, with none of the pair inside."""
    pair, inner = reply[:1] + reply[-1:], reply[1:-1]
    return pair in ('""', "“”") and not set(pair) & set(inner) and bool(_words(inner))


def in_language(reply: str, language: Language) -> bool:
    """The reply is mostly in the language, as its script or its common short words show.

    Russian and Japanese: at least four letters in five are of the script, and for Japanese one is a kana. The
    others: at least one word in ten is on the language's list, and no other list has more than half as many.
    """
    if language in _SCRIPTS:
        own = re.findall(_SCRIPTS[language], reply)
        enough = len(own) >= max(1, 0.8 * sum(map(str.isalpha, reply)))
        return enough and (language != "japanese" or re.search(r"[\u3040-\u30ff]", reply) is not None)
    words = re.findall(r"[^\W\d_]+", reply.casefold())
    hits = {name: sum(map(set(common.split()).__contains__, words)) for name, common in _COMMON_WORDS.items()}
    most = hits.pop(language)
    return most >= max(1, len(words) / 10) and most >= 2 * max(hits.values())


def alphabetical_items(reply: str, count: int) -> bool:
    """The reply has exactly `count` items, in alphabetical order; case, accents and marks do not matter."""
    names = [_unaccented(_folded(" ".join(_words(item)))) for item in _items(reply)]
    return len(names) == count and names == sorted(names)


def ordered_numbers(reply: str, count: int, direction: Literal["rising", "falling"]) -> bool:
    """Exactly `count` numbers in digits occur outside list numbering, each above (or below) the last."""
    numbers = [float(found.replace(",", "")) for found in _NUMBER.findall(_unnumbered(reply))]
    steps = pairwise(numbers if direction == "rising" else numbers[::-1])
    return len(numbers) == count and all(a < b for a, b in steps)


def two_alternatives(reply: str, separator: str) -> bool:
    """Exactly one line is the separator alone, and the texts before and after it hold words and differ."""
    lines = [_folded(line) for line in _lines(reply)]
    cut = lines.index(_folded(separator)) if lines.count(_folded(separator)) == 1 else 0
    before, after = _words(" ".join(lines[:cut])), _words(" ".join(lines[cut + 1 :]))
    return bool(before and after) and before != after


def placeholders_at_least(reply: str, count: int) -> bool:
    """At least `count` times square brackets hold a letter, as in [your name], and are not a link's."""
    found = re.findall(r"\[([^\[\]\n]+)\](?!\()", reply)
    return sum(any(map(str.isalpha, inner)) for inner in found) >= count


def angle_title(reply: str) -> bool:
    """The first line is a title in <<double angle brackets>> and nothing else, and text follows it."""
    first, *rest = _lines(reply)
    return bool(re.fullmatch(r"<<[^<>]+>>", first) and _words(first) and _words(" ".join(rest)))


def one_of(reply: str, options: list[str]) -> bool:
    """The reply is one of the options alone, in any case, with at most a full stop or ! added."""
    return any(_folded(reply) in {option, option + ".", option + "!"} for option in map(_folded, options))


def lines_begin_with(reply: str, mark: str) -> bool:
    """Every line begins with the mark and then holds a word; case counts."""
    return all(line.startswith(mark) and _words(line[len(mark) :]) for line in _lines(reply))


def acrostic(reply: str, word: str) -> bool:
    """The first letters of the lines, without list marks, spell the word; case is ignored."""
    firsts = (_words(_MARKER.sub("", line)) for line in _lines(reply))
    return "".join(found[0][0] if found else " " for found in firsts).casefold() == word.casefold()


def postscript(reply: str) -> bool:
    """The last line starts with P.S. or PS, in any case, then holds a word, and is not the only line."""
    *body, last = _lines(reply)
    return bool(body) and re.match(r"p\.?\s?s\b\W*\w", last.lower()) is not None


def contains_question(reply: str) -> bool:
    """A question mark follows a word, with at most three marks between, and ends its text run."""
    return _QUESTION.search(reply) is not None


# Every public function so far is a kind, under its own name.
KINDS: dict[str, Callable[..., bool]] = {
    name: value
    for name, value in list(globals().items())
    if isfunction(value) and value.__module__ == __name__ and not name.startswith("_")
}


def check(reply: str, constraint: Mapping[str, Any]) -> bool:
    """Whether the reply keeps the constraint; an invalid constraint is a DataError, whatever the reply."""
    function, parameters = _bound(constraint)
    reply = _tidy(reply)
    return _WORD.search(reply) is not None and function(reply, **parameters)


def strict(reply: str, constraints: Sequence[Mapping[str, Any]]) -> list[bool]:
    """For each constraint, whether the reply keeps it as it stands."""
    return [check(reply, constraint) for constraint in constraints]


def loose(reply: str, constraints: Sequence[Mapping[str, Any]]) -> list[bool]:
    """For each constraint by itself, whether the reply or a simple change of it keeps it.

    The changes: the first line, the last line or both taken away; and, with each of these or none, asterisks
    and backticks taken away, or the quotes and whitespace around the text. What is left empty fails.
    """
    lines = _tidy(reply).split("\n")
    texts = ["\n".join(kept).strip() for kept in (lines, lines[1:], lines[:-1], lines[1:-1])]
    plain = [re.sub(r"[*`]", "", text) for text in texts]
    bare = [text.strip("\"'“”‘’ \t\n") for text in texts]
    forms = dict.fromkeys([reply, *texts, *plain, *bare])
    return [any(check(form, constraint) for form in forms) for constraint in constraints]


def _bound(constraint: Mapping[str, Any]) -> tuple[Callable[..., bool], dict[str, Any]]:
    """The function of a constraint and its parameters, made sure of and tidied as the reply is."""
    kind = constraint.get("kind") if isinstance(constraint, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise DataError(f"Constraint {constraint!r} needs a 'kind' that is one of: {', '.join(KINDS)}.")
    hints = get_type_hints(KINDS[kind])
    given = {name: value for name, value in constraint.items() if name != "kind"}
    if set(given) != set(hints) - {"reply", "return"}:
        names = ", ".join([*hints][1:-1]) or "no parameters"
        raise DataError(f"Constraint kind '{kind}' takes {names}, not {[*given]}.")
    for name, value in given.items():
        if need := _need(hints[name], value):
            raise DataError(f"Constraint kind '{kind}' needs '{name}' to be {need}, not {value!r}.")
    if "low" in given and given["low"] > given["high"]:
        raise DataError(f"Constraint kind '{kind}' needs 'low' to be at most 'high', not {given['low']}.")
    tidied = {name: _tidy(value) if isinstance(value, str) else value for name, value in given.items()}
    return KINDS[kind], {n: [*map(_tidy, v)] if isinstance(v, list) else v for n, v in tidied.items()}


def _need(hint: Any, value: Any) -> str:
    """What a value should have been, in words; nothing where it is right."""
    if hint is int:
        return "" if type(value) is int and value >= 1 else "a whole number of at least 1"
    if get_origin(hint) is Literal:
        return "" if value in get_args(hint) else f"one of {', '.join(get_args(hint))}"
    if hint is Letter:
        return "" if isinstance(value, str) and len(value) == 1 and value.isalpha() else "a single letter"
    texts = value if hint is not str and isinstance(value, list) else [value]
    kind = "a text that is not empty" if hint is str else "a list of texts that are not empty"
    right = isinstance(value, str if hint is str else list) and bool(texts)
    return "" if right and all(isinstance(text, str) and text.strip() for text in texts) else kind
