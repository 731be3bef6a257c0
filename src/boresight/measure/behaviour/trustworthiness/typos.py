"""Typos by rule: four kinds of slip, five severities, the same for the same seed (sheet, section 3, M8).

The words that slip at one severity slip in the same way at every higher one, so severities can be compared.
"""

import random
import re

RATES = (0.05, 0.1, 0.2, 0.3, 0.4)
"""Share of the words of at least MIN_WORD letters that slip at severity 1 to 5; at least one does."""

MIN_WORD = 3
_WORD = re.compile(rf"[A-Za-z]{{{MIN_WORD},}}")
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def add_typos(text: str, severity: int, seed: int) -> str:
    """The text with typos. severity: 1 to 5, see RATES. A text without a word of MIN_WORD letters stays as it is.

    Raises ValueError for another severity.
    """
    if not 1 <= severity <= len(RATES):
        raise ValueError(f"severity is {severity}; it must be a whole number from 1 to {len(RATES)}")
    words = list(_WORD.finditer(text))
    order = list(range(len(words)))
    random.Random(f"{seed}:{text}").shuffle(order)
    hit = set(order[: max(1, round(RATES[severity - 1] * len(words)))])
    out, at = [], 0
    for i, word in enumerate(words):
        out.append(text[at : word.start()])
        out.append(_slip(word.group(), random.Random(f"{seed}:{i}:{word.group()}")) if i in hit else word.group())
        at = word.end()
    return "".join(out) + text[at:]


def _slip(word: str, rng: random.Random) -> str:
    """One slip behind the first letter: letters swapped, one dropped, one doubled, or a neighbour on the keyboard."""
    swaps = [i for i in range(1, len(word) - 1) if word[i] != word[i + 1]]
    kind = rng.choice(("swap", "drop", "double", "adjacent") if swaps else ("drop", "double", "adjacent"))
    if kind == "swap":
        i = rng.choice(swaps)
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    i = rng.randrange(1, len(word))
    if kind == "drop":
        return word[:i] + word[i + 1 :]
    if kind == "double":
        return word[:i] + word[i] + word[i:]
    return word[:i] + _neighbour(word[i], rng) + word[i + 1 :]


def _neighbour(letter: str, rng: random.Random) -> str:
    row = next(row for row in _KEYBOARD if letter.lower() in row)
    at = row.index(letter.lower())
    near = rng.choice([row[i] for i in (at - 1, at + 1) if 0 <= i < len(row)])
    return near.upper() if letter.isupper() else near
