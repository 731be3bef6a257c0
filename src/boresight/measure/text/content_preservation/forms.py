"""When two entity strings name the same thing (sheet, section 2.2): rules and word lists, nothing to download."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache

from boresight.errors import DataError
from boresight.measure.text.content_preservation.words import (
    CURRENCIES,
    MONTHS,
    NUMBER_WORDS,
    ORDINAL_WORDS,
    SCALE_WORDS,
    SHORT_MONTHS,
    SHORT_WEEKDAYS,
    WEEKDAYS,
)

UNSURE = "~"
"""Starts a time of which the half of the day is not said: "half past nine" is ~09:30 and may be 09:30 or 21:30."""

_ONES = {value: word for word, value in NUMBER_WORDS.items()}
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)\b")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SCALED = re.compile(rf"(?<![\d.])(\d+(?:\.\d+)?) ({'|'.join(SCALE_WORDS)})\b", re.ASCII)
_SYMBOL = re.compile(r"([$€£¥])\s*(\d+(?:\.\d+)?)")
_CURRENCY = "|".join(re.escape(w) for w in sorted(CURRENCIES, key=len, reverse=True))
_MONEY = re.compile(rf"(?:(\d+(?:\.\d+)?) ?({_CURRENCY})|({_CURRENCY}) ?(\d+(?:\.\d+)?))")
_PERCENT = re.compile(r"(\d)\s*(?:%|per ?cent\b)")
_HALF = r"(?: ?([ap])\.? ?m\b\.?)?"
# A point is a clock's only before am or pm: 3.50 alone is a number.
_CLOCK = re.compile(rf"^(\d{{1,2}})(?::|\.(?=\d\d ?[ap]))(\d{{2}}){_HALF}$")
_HOUR = re.compile(r"^(\d{1,2}) ?([ap])\.? ?m\b\.?$|^(\d{1,2}) o'? ?clock$")
_PAST = re.compile(rf"^(half|quarter|\d{{1,2}})(?: minutes?)? (past|after|to|before|till) (\d{{1,2}}){_HALF}$")
_DAYTIME = re.compile(r" (?:in the (morning|afternoon|evening)|at (night))$")
_MONTH = "|".join(MONTHS)
_DAY_MONTH = re.compile(rf"^(?:the )?(\d{{1,2}})(?:th)? (?:day )?(?:of )?({_MONTH})\b,? ?(\d{{4}})?$")
_MONTH_DAY = re.compile(rf"^({_MONTH}) (?:the )?(\d{{1,2}})(?:th)?\b,? ?(\d{{4}})?$")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‐": "-", "‑": "-"})


def normalise(entity: str, normaliser: str = "rich") -> str:
    """The form in which entity strings are compared (sheet, section 2.2).

    "simple": lower case, stripped, inner whitespace collapsed. "rich": also unicode folded, possessive 's and a leading
    "the" dropped, and numbers, ordinals, months, weekdays, dates, times, money and percentages in one form each.
    "wordnet": the published code's, which needs nltk with its data: lemmas, and digits as number words. DataError for a
    non-string, an unknown name, or "wordnet" without nltk's data.
    """
    if not isinstance(entity, str):
        raise DataError(f"an entity is {entity!r}; a string is needed")
    found = NORMALISERS.get(normaliser)
    if found is None:
        raise DataError(f"the normaliser is {normaliser!r}; {', '.join(NORMALISERS)} is needed")
    return found(entity)


def simple(entity: str) -> str:
    """Lower case, stripped, inner whitespace collapsed; nothing else."""
    return " ".join(entity.lower().split())


@lru_cache(maxsize=65_536)
def rich(entity: str) -> str:
    """One form for an entity however it is written: 7th of March = Mar 7 = seventh of march; $5 = five dollars.

    Times are HH:MM in 24 hours; of one without its half of the day only the hour's twelfth is known, and `UNSURE`
    stands before it. An entity of which the rules leave nothing keeps its simple form.
    """
    plain = simple(entity)
    text = _fold(plain)
    text = re.sub(r"(?<=\w)'s\b|(?<=s)'(?!\w)", "", text)
    text = _PERCENT.sub(r"\1 percent", _THOUSANDS.sub("", text))
    text = _SCALED.sub(lambda m: f"{Decimal(m[1]) * SCALE_WORDS[m[2]]:f}", text)
    text = _SYMBOL.sub(lambda m: f"{m[2]} {CURRENCIES[m[1]]}", text)
    text = " ".join(_words(text.strip(" .,;:!?\"'()[]").split()))
    text = _PERCENT.sub(r"\1 percent", text)
    text = text.removeprefix("the ")
    return _time(text) or _date(text) or _money(text) or text or plain


def wordnet(entity: str) -> str:
    """The published code's: lower case, each word's WordNet lemma, a whole number as words ("4" is four)."""
    text = simple(entity)
    if text.isdecimal():
        return number_words(int(text))
    try:
        import nltk  # pyright: ignore[reportMissingImports]
        from nltk.stem import WordNetLemmatizer  # pyright: ignore[reportMissingImports]

        kinds = {"J": "a", "V": "v", "R": "r"}
        lemma = WordNetLemmatizer().lemmatize
        return " ".join(lemma(word, kinds.get(tag[:1], "n")) for word, tag in nltk.pos_tag(text.split()))
    except (ImportError, LookupError) as error:
        raise DataError(
            "the wordnet normaliser needs nltk with its wordnet and tagger data; rich needs none"
        ) from error


NORMALISERS: dict[str, Callable[[str], str]] = {"rich": rich, "simple": simple, "wordnet": wordnet}


def number_words(value: int) -> str:
    """A whole number of at least 0 in English words: 250 is "two hundred and fifty". ValueError below 0."""
    if value < 0:
        raise ValueError(f"the number is {value}; at least 0 is needed")
    if value <= 20:
        return _ONES[value]
    if value < 100:
        tens, ones = divmod(value, 10)
        return _ONES[tens * 10] + (f"-{_ONES[ones]}" if ones else "")
    if value < 1000:
        hundreds, rest = divmod(value, 100)
        return f"{_ONES[hundreds]} hundred" + (f" and {number_words(rest)}" if rest else "")
    for size, name in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if value >= size:
            head, rest = divmod(value, size)
            joint = "" if not rest else (" and " if rest < 100 else ", ") + number_words(rest)
            return f"{number_words(head)} {name}{joint}"
    raise AssertionError(value)


def reconcile(source: Sequence[str], target: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settle times without a half of the day by the other side: ~09:30 becomes 21:30 where only that is left there.

    "half past nine" may stand for 9:30 pm, but 9:30 am never does. Lists of normalised strings in, the same lists out
    with some of the unsure times replaced; each time of the other side settles one at most.
    """
    a, b = list(source), list(target)
    if any(x.startswith(UNSURE) for x in (*a, *b)):
        for unsure, sure in ((a, b), (b, a)):
            spare = Counter(sure) - Counter(unsure)
            kept = Counter(sure) & Counter(unsure)
            for i, x in enumerate(unsure):
                if not x.startswith(UNSURE):
                    continue
                if kept[x]:
                    kept[x] -= 1
                    continue
                hour, minute = int(x[1:3]), x[3:]
                option = next((t for h in (hour, (hour + 12) % 24) if spare[t := f"{h:02d}{minute}"]), None)
                if option:
                    spare[option] -= 1
                    unsure[i] = option
    return a, b


def _fold(text: str) -> str:
    """Accents dropped and compatibility forms resolved, quotes and dashes of one kind; already lower case."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKD", text.translate(_QUOTES))
    return " ".join("".join(c for c in text if not unicodedata.combining(c)).casefold().split())


def _words(words: list[str]) -> list[str]:
    """Numbers and ordinals as digits, months and weekdays in full."""
    found: list[str] = []
    parts = [p for w in words for p in (w.split("-") if w.count("-") == 1 and _is_number(w.split("-")[0]) else [w])]
    i = 0
    while i < len(parts):
        value, used, ordinal = _number(parts[i:])
        if used:
            found.append(f"{value}th" if ordinal else str(value))
            i += used
            continue
        word = parts[i]
        bare = word.rstrip(".,")
        tail = "," if word.endswith(",") else ""
        match = _ORDINAL.fullmatch(bare)
        if match:
            found.append(f"{int(match[1])}th{tail}")
        else:
            full = SHORT_MONTHS.get(bare) or SHORT_WEEKDAYS.get(bare)
            found.append(full + tail if full else word)
        i += 1
    return found


def _is_number(word: str) -> bool:
    return word in NUMBER_WORDS


def _number(words: list[str]) -> tuple[int, int, bool]:
    """Value, words used (0: not a number word) and whether it is an ordinal, of the number words at the start."""
    total = current = used = 0
    last = 10**12  # the size of the last part: "twenty one" is a number, "one twenty" and "two two" are not
    for i, word in enumerate(words):
        bare = word.rstrip(",")
        if bare in NUMBER_WORDS and _fits(NUMBER_WORDS[bare], last):
            last = NUMBER_WORDS[bare]
            current += last
        elif bare in ORDINAL_WORDS and _fits(ORDINAL_WORDS[bare], last):
            return total + current + ORDINAL_WORDS[bare], i + 1, True
        elif bare in SCALE_WORDS:
            size, last = SCALE_WORDS[bare], 10**12
            current = max(current, 1) * size
            if size > 100:
                total, current = total + current, 0
        elif bare == "and" and used and last == 10**12 and i + 1 < len(words) and _is_number(words[i + 1]):
            continue
        elif bare in ("a", "one") and i == 0 and len(words) > 1 and words[1] in SCALE_WORDS:
            current = 1
        else:
            break
        used = i + 1
    return total + current, used, False


def _fits(value: int, last: int) -> bool:
    return last == 10**12 or (20 <= last < 100 and last % 10 == 0 and 0 < value < 10)


def _time(text: str) -> str | None:
    if text in ("noon", "midday"):
        return "12:00"
    if text == "midnight":
        return "00:00"
    daytime = _DAYTIME.search(text)
    said = None
    if daytime:
        text = text[: daytime.start()]
        said = "a" if daytime[1] == "morning" else "p"
        if text.isdecimal():
            text += ":00"
    zero = False
    if match := _CLOCK.match(text):
        # A leading zero is written on the 24-hour clock only.
        hour, minute, half = int(match[1]), int(match[2]), match[3]
        zero = match[1].startswith("0") and half is None
    elif match := _HOUR.match(text):
        hour, minute, half = int(match[1] or match[3]), 0, match[2]
    elif match := _PAST.match(text):
        minute = {"half": 30, "quarter": 15}.get(match[1]) or int(match[1])
        hour, half = int(match[3]), match[4]
        if match[2] in ("to", "before", "till"):
            hour, minute = (hour - 1) % 24 if hour > 12 else (hour - 2) % 12 + 1, 60 - minute
    else:
        return None
    half = half or said
    if hour > 24 or not 0 <= minute < 60:
        return None
    if hour > 12 or hour == 0 or zero:
        return f"{hour % 24:02d}:{minute:02d}"
    if half is None:
        return f"{UNSURE}{hour:02d}:{minute:02d}"
    return f"{hour % 12 + (12 if half == 'p' else 0):02d}:{minute:02d}"


def _date(text: str) -> str | None:
    weekday = next((d for d in WEEKDAYS if text.startswith((f"{d} ", f"{d}, "))), "")
    text = text[len(weekday) :].lstrip(", ")
    if match := _DAY_MONTH.match(text):
        day, month, year = match.groups()
    elif match := _MONTH_DAY.match(text):
        month, day, year = match.groups()
    else:
        return None
    return f"{weekday} {month} {int(day)} {year or ''}".strip()


def _money(text: str) -> str | None:
    match = _MONEY.fullmatch(text)
    if not match:
        return None
    amount, currency = (match[1], match[2]) if match[1] else (match[4], match[3])
    if "." in amount:
        amount = amount.rstrip("0").rstrip(".")
    return f"{amount} {CURRENCIES[currency]}"
