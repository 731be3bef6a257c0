"""What nudging works on, and its rules on texts and probabilities. Plain Python: nothing here asks a model."""

import math
import re
from dataclasses import dataclass

from boresight.lm.repetition import repeated_suffix

_CJK = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
_UNITS = re.compile(rf" *(?:[{_CJK}]|\n+|[^ \n{_CJK}]+)| +")


@dataclass(frozen=True)
class Segment:
    """A stretch by one writer ("nudge" or "base"); base_top1_prob: at its first position, None where not asked."""

    source: str
    text: str
    base_top1_prob: float | None


@dataclass(frozen=True)
class NudgeResult:
    """An answer and who wrote it; fields as in section 7 of the nudging sheet.

    raw_text: before the final repetition cut, the concatenation of `segments`. stop_reason: `nudging_model_stop`,
    `repeated_nudging_words`, `round`, `length`, `context` or (boresight's) `stop_string`. forwards: forward passes of
    each model (reference mode: generated tokens, which is what prefix caching would forward). tokens_recomputed: token
    positions that were forwarded again after a crop, both models together. mean_base_top1: mean of the base top-1
    probabilities that decisions were taken on.
    """

    text: str
    raw_text: str
    stop_reason: str
    rounds: int
    segments: tuple[Segment, ...]
    nudge_word_ratio: float
    nudge_token_ratio: float
    forwards: dict[str, int]
    tokens_recomputed: int
    seconds: float
    mean_base_top1: float | None = None


def need_nudging(top1_logprob: float, gamma: float) -> bool:
    """True if the base model is unsure: exp(top1_logprob) < gamma, strictly."""
    return math.exp(top1_logprob) < gamma


def repeats_earlier(chunk: str, written: str, min_pieces: int = 5) -> bool:
    """Test (d): a chunk of more than `min_pieces` space-separated pieces that already stands in what was written."""
    return len(chunk.split(" ")) > min_pieces and chunk in written


def cut_repetitions(text: str, method: str = "exact", min_length: int = 30) -> str:
    """Strip, then delete suffixes of >= min_length characters that directly follow a copy of themselves, until none.

    method "exact" takes the longest such suffix each time; "reference" searches for it by bisection as the published
    code does, which misses many because the property is not monotone in the length.
    """
    if method not in ("exact", "reference"):
        raise ValueError(f"method is {method!r}; 'exact' or 'reference' is needed")
    longest = repeated_suffix if method == "exact" else _bisected_suffix
    text = text.strip()
    while n := longest(text, min_length):
        text = text[:-n]
    return text


def _bisected_suffix(text: str, min_length: int) -> int:
    low, high, found = 0, len(text), 0
    while low <= high:
        mid = (low + high) // 2
        if mid >= min_length and text[-mid:] == text[-2 * mid : -mid]:
            found, low = mid, mid + 1
        else:
            high = mid - 1
    return found


def word_boundaries(draft: str, word_mode: str = "space") -> list[tuple[str, str]]:
    """Where the pen may change hands: (text before, candidate word with its leading space) for each word but the first.

    "space" splits on the space character only, as the reference does; "unicode" also cuts at line breaks and around
    CJK characters, so that a language without spaces is not one word.
    """
    if word_mode == "unicode":
        units = _UNITS.findall(draft)
        return [("".join(units[:i]), units[i]) for i in range(1, len(units))]
    spaces = draft[: len(draft) - len(draft.lstrip(" "))]
    words = draft[len(spaces) :].split(" ")
    return [(spaces + " ".join(words[:i]), " " + words[i]) for i in range(1, len(words))]
