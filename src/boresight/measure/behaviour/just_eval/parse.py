"""Reading a judge's reply (sheet, section 3.2): strict JSON, repair, a pattern for each aspect, then an error.

Every aspect that was asked for ends up in exactly one of scores, N/A and errors; nothing is clipped or guessed.
"""

import json
import math
import numbers
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from boresight.errors import DataError

How = Literal["strict", "repaired", "pattern"]
NA = ("N/A", "NA")
"""Spellings, in any case, of "this aspect has no meaning here"."""


@dataclass(frozen=True)
class Judgment:
    """What a reply says of each aspect.

    scores: in [1, 5]. na: aspects judged not applicable. errors: aspect -> why it has no score. reasons: where given.
    how: the mildest way of reading that was enough.
    """

    scores: dict[str, float] = field(default_factory=dict)
    na: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    how: How = "strict"


def parse_judgment(text: str, aspects: Sequence[str]) -> Judgment:
    """Read the verdict on `aspects` out of a judge's reply; DataError unless the reply is a text, aspects a list."""
    asked = _asked(text, aspects)
    found, how = _loaded(text)
    entries = {a: _entry(found, a) for a in asked} if found is not None else {}
    # A complete object that lacks an aspect says so; only where it had to be mended is the rest of the text searched.
    lost = [] if how == "strict" else [a for a in asked if entries.get(a) is None]
    matched = {a: entry for a in lost if (entry := _matched(text, a)) is not None}
    judgment = Judgment(how="pattern" if matched or found is None else how)
    for aspect in asked:
        entry = matched.get(aspect, entries.get(aspect))
        if entry is None:
            judgment.errors[aspect] = _why_missing(text, found, aspect)
            continue
        if isinstance(entry.get("reason"), str):
            judgment.reasons[aspect] = entry["reason"]
        if "score" not in entry:
            judgment.errors[aspect] = entry.get("error", f"{aspect} has no score")
            continue
        score = read_score(entry["score"])
        if score is None:
            judgment.na.append(aspect)
        elif isinstance(score, float):
            judgment.scores[aspect] = score
        else:
            judgment.errors[aspect] = f"{aspect}: {score}"
    return judgment


def parse_choices(text: str, aspects: Sequence[str]) -> tuple[dict[str, Literal["A", "B", "tie"]], dict[str, str]]:
    """Read a pairwise verdict (section 3.4): (aspect -> "A", "B" or "tie"; aspect -> why there is none)."""
    asked = _asked(text, aspects)
    found, _ = _loaded(text)
    choices = None if found is None else _get(found, "choices")
    said: dict[str, Literal["A", "B", "tie"]] = {}
    errors: dict[str, str] = {}
    words: dict[str, Literal["A", "B", "tie"]] = {"a": "A", "b": "B", "tie": "tie"}
    for aspect in asked:
        value = _get(choices, aspect) if isinstance(choices, dict) else None
        word = words.get(value.strip().casefold()) if isinstance(value, str) else None
        if word:
            said[aspect] = word
        else:
            errors[aspect] = (
                f"{aspect} is {value!r}; A, B or tie is needed" if choices else "there are no choices in it"
            )
    return said, errors


def read_score(value: object) -> float | str | None:
    """A score in [1, 5] as a float; None for N/A; else a sentence that says what is wrong with it."""
    if isinstance(value, str):
        text = value.strip()
        if text.upper() in NA:
            return None
        try:
            number = float(text) if "_" not in text else math.nan
        except ValueError:
            number = math.nan
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    else:
        number = math.nan
    if 1 <= number <= 5:
        return number
    shown = repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:40]}..."
    return f"the score is {shown}; a number from 1 to 5 or N/A is needed"


def repair(text: str) -> str:
    """JSON as judges write it, made valid as far as its structure leaves no doubt.

    Mended: unescaped quotes and raw line breaks inside a string, stray backslashes, trailing commas, missing closing
    braces. A string that never ends stays as it is: there is no telling what it would have said. One pass.
    """
    out: list[str] = []
    closers: list[str] = []
    inside, key, at = False, False, 0
    while at < len(text):
        char = text[at]
        if inside:
            if char == "\\":
                good = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})').match(text, at)
                out.append(good.group() if good else "\\\\")
                at += len(good.group()) if good else 1
                continue
            if char == '"' and _ends_string(text, at + 1, key):
                inside = False
                out.append(char)
            else:
                out.append('\\"' if char == '"' else char)
        elif char == '"':
            inside, key = True, _before(out) in "{,"
            out.append(char)
        elif char in "{[":
            closers.append("}" if char == "{" else "]")
            out.append(char)
        elif char in "}]":
            _drop_comma(out)
            out.append(char)
            if closers:
                closers.pop()
        else:
            out.append(char)
        at += 1
    if not inside:
        _drop_comma(out)
        out += reversed(closers)
    return "".join(out)


_SPACE = re.compile(r"\s*")
_NEXT_KEY = re.compile(r'\s*,\s*(?:"[^"\\\n]{0,40}"\s*:|[}\]])')
_CLOSING = re.compile(r"\s*[}\]]\s*(?:[,}\]]|\Z)")


def _ends_string(text: str, at: int, key: bool) -> bool:
    """Whether a quote whose next character is at `at` ends its string, judged by what follows."""
    rest = _SPACE.match(text, at)
    end = rest.end() if rest else at
    if end >= len(text):
        return True
    if key:
        return text[end] == ":"
    return bool(_NEXT_KEY.match(text, at) or _CLOSING.match(text, at))


def _before(out: list[str]) -> str:
    """The last character written that is no space."""
    return next((piece[-1] for piece in reversed(out) if not piece.isspace()), " ")


def _drop_comma(out: list[str]) -> None:
    last = next((i for i in range(len(out) - 1, -1, -1) if not out[i].isspace()), None)
    if last is not None and out[last] == ",":
        out[last] = ""


def _asked(text: object, aspects: Sequence[str]) -> list[str]:
    if not isinstance(text, str):
        raise DataError(f"the judge's reply is {text!r}; a text is needed")
    if isinstance(aspects, str):
        raise DataError(f"aspects is {aspects!r}; a list of aspects is needed")
    return list(dict.fromkeys(aspects))


def _loaded(text: str) -> tuple[dict[str, Any] | None, How]:
    """The object in a reply and how it was read; None if neither strict JSON nor repair gives one."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0:
        return None, "pattern"
    span = text[start : end + 1] if end > start else text[start:]
    if (found := _object(span, True)) is not None:
        return found, "strict"
    unfenced = re.sub(r"\s*```\s*\Z", "", text[start:])
    for mended in dict.fromkeys((span, unfenced)):
        if (found := _object(repair(mended), False)) is not None:
            return found, "repaired"
    return None, "pattern"


def _object(text: str, strict: bool) -> dict[str, Any] | None:
    try:
        found = json.loads(text, strict=strict, parse_constant=str)
    except (ValueError, RecursionError):  # ValueError also covers a number of too many digits
        return None
    return found if isinstance(found, dict) else None


def _get(found: dict[str, Any], name: str) -> Any:
    """The value under a name, whatever the case it is written in; None if it is absent."""
    if name in found:
        return found[name]
    return next((v for k, v in found.items() if k.strip().casefold() == name), None)


def _entry(found: dict[str, Any], aspect: str) -> dict[str, Any] | None:
    value = _get(found, aspect)
    if not isinstance(value, dict):
        return None
    return {name: got for name in ("reason", "score") if (got := _get(value, name)) is not None or name in value}


_HEADER = r"""(?:["']{0}["']|(?<=[{{,\s]){0})\s*:\s*\{{"""
_ANY_HEADER = re.compile(r"""["']?\w+["']?\s*:\s*\{""")
_SCORE = re.compile(
    r"""\bscore["']?\s*:\s*(?:(["'])\s*(-?\d+(?:\.\d+)?|n/?a)\s*\1|(-?\d+(?:\.\d+)?|n/?a)(?=\s*(?:[,}\n]|\Z)))""",
    re.IGNORECASE,
)


def _matched(text: str, aspect: str) -> dict[str, Any] | None:
    """A score by pattern: aspect, opening brace, "score", number, with no other opening brace between.

    Two places that disagree are an error, not a choice.
    """
    said: list[str] = []
    for header in re.finditer(_HEADER.format(re.escape(aspect)), text, re.IGNORECASE):
        following = _ANY_HEADER.search(text, header.end())
        part = text[header.end() : following.start() if following else len(text)]
        said += [m.group(2) or m.group(3) for m in _SCORE.finditer(part)]
    if not said:
        return None
    if len({s.upper() for s in said}) > 1:
        return {"error": f"{aspect} has several scores: {', '.join(said[:4])}"}
    return {"score": said[0]}


def _why_missing(text: str, found: dict[str, Any] | None, aspect: str) -> str:
    if not text.strip():
        return "the reply is empty"
    if "{" not in text:
        return "there is no JSON object in the reply"
    if found is None:
        return "the JSON in the reply is broken or cut off"
    value = _get(found, aspect)
    return f"{aspect} is missing" if value is None else f"{aspect} is not an object with a reason and a score"
