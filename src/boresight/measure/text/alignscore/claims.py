"""Clean-up of benchmark claims that were lower-cased or tokenised (sheet, section 2.6)."""

import re

from boresight.measure.text.alignscore.checks import string
from boresight.measure.text.alignscore.sentences import sentence_spans

_WORD = re.compile(r"\w+")
_BRACKETS = (("-lrb-", "("), ("-rrb-", ")"))
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'", "`": "'"})
_LETTER = re.compile(r"[^\W_]")


def clean_claim(claim: str, context: str) -> str:
    """The claim with brackets and plain quotes restored, words spelled as in the context, sentence starts in capitals.

    Casing is taken from a map of the context's words in lower case to their spelling, of which the last one wins; words
    that the context lacks stay as they are. DataError if either is no string.
    """
    text = _plain(string("claim", claim))
    spelling = {w.lower(): w for w in _WORD.findall(_plain(string("context", context)))}
    text = _WORD.sub(lambda found: spelling.get(found.group().lower(), found.group()), text)
    parts, last = [], 0
    for start, end in sentence_spans(text):
        letter = _LETTER.search(text, start, end)
        if letter is not None:
            parts += [text[last : letter.start()], _capital(letter.group())]
            last = letter.end()
    return "".join([*parts, text[last:]])


def _plain(text: str) -> str:
    for code, bracket in _BRACKETS:
        text = re.sub(code, bracket, text, flags=re.IGNORECASE)
    return re.sub("``|''", '"', text).translate(_QUOTES)


def _capital(letter: str) -> str:
    upper = letter.upper()
    return upper if len(upper) == 1 else letter  # a letter that grows (ß) is no sentence start
