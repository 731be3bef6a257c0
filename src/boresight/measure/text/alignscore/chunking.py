"""Chunks of a context: by words, as published, or by tokens, so that nothing is cut off (sheet, section 2.4)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from boresight.measure.text.alignscore.checks import strings, whole

WORDS_PER_CHUNK = 350
"""Words a chunk has on average at most, as published."""


class Piece(NamedTuple):
    """Tokens start (included) to stop (not included) of one sentence."""

    sentence: int
    start: int
    stop: int


def chunk_sentences(sentences: Sequence[str], words_per_chunk: int = WORDS_PER_CHUNK) -> list[str]:
    """Join neighbouring sentences into chunks of equally many sentences, the last one possibly shorter.

    k = words // words_per_chunk + 1 and max(sentences // k, 1) sentences a chunk; the floor may give more than k
    chunks. Words are what white space separates. No sentence gives one empty chunk. A sentence is never divided here:
    `token_windows` divides what is too long for the model. DataError if an element is no string; ValueError unless
    words_per_chunk is a whole number of at least 1.
    """
    whole("words_per_chunk", words_per_chunk, 1)
    texts = strings("sentences", sentences) or [""]
    k = sum(len(s.split()) for s in texts) // words_per_chunk + 1
    size = max(len(texts) // k, 1)
    return [" ".join(texts[i : i + size]) for i in range(0, len(texts), size)]


def token_windows(tokens: int, budget: int) -> list[tuple[int, int]]:
    """(start, stop) of the fewest windows, of lengths at most one apart, that cover so many tokens within the budget.

    No token gives one empty window. ValueError unless tokens >= 0 and budget >= 1 are whole numbers.
    """
    whole("tokens", tokens, 0)
    whole("budget", budget, 1)
    n = max(-(-tokens // budget), 1)
    edges = [tokens * i // n for i in range(n + 1)]
    return list(pairwise(edges))


def chunk_tokens(counts: Sequence[int], budget: int, overlap: int = 1) -> list[list[Piece]]:
    """Fill chunks greedily with sentences up to `budget` tokens; each repeats the last `overlap` pieces before it.

    counts: tokens of each sentence. A sentence above the budget is divided into `token_windows`. What is repeated
    gives way (the oldest first) where it would leave no room for the next sentence, so every chunk brings something
    new and none exceeds the budget. No sentence gives one empty chunk. The budget left by a claim of |b| tokens is the
    model's maximum less |b| less the special tokens of a pair (3 for BERT, 4 for RoBERTa). ValueError for a count
    below 0, a budget below 1 or an overlap below 0.
    """
    whole("budget", budget, 1)
    whole("overlap", overlap, 0)
    pieces = []
    for i, count in enumerate(counts):
        whole(f"counts[{i}]", count, 0)
        pieces += [Piece(i, start, stop) for start, stop in token_windows(count, budget)]
    chunks: list[list[Piece]] = []
    current: list[Piece] = []
    used = 0
    for piece in pieces:
        length = piece.stop - piece.start
        if current and used + length > budget:
            chunks.append(current)
            current = current[len(current) - min(overlap, len(current)) :]
            used = sum(p.stop - p.start for p in current)
            while used + length > budget:
                used -= current[0].stop - current[0].start
                current = current[1:]
        current = [*current, piece]
        used += length
    return [*chunks, current]
