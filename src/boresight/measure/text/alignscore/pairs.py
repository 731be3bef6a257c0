"""All (chunk, sentence) pairs of many claims at once: each pair once, similar lengths together (sheet, section 6).

Batches may cross claims, so short claims do not run in batches of two or three, and a sentence or chunk that comes back
is read once. The scores do not depend on how pairs were packed beyond rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from boresight.errors import DataError
from boresight.measure.text.alignscore.aggregation import Aggregate, aggregate_scores
from boresight.measure.text.alignscore.checks import floats, strings, whole

BATCH_TOKENS = 16384


@dataclass(frozen=True, eq=False)
class Plan:
    """Different pairs (chunk, sentence), and per claim the index of each cell's pair: int64 (chunks, sentences)."""

    pairs: list[tuple[str, str]]
    cells: list[np.ndarray]


def plan_pairs(chunks: Sequence[Sequence[str]], sentences: Sequence[Sequence[str]]) -> Plan:
    """The pairs to score, in order of first appearance, for the chunks and claim sentences of each example.

    DataError if there are not as many lists of chunks as of sentences, or an element is no string.
    """
    if len(chunks) != len(sentences):
        raise DataError(f"there are {len(chunks)} contexts and {len(sentences)} claims; equally many are needed")
    index: dict[tuple[str, str], int] = {}
    cells = []
    for e, (above, along) in enumerate(zip(chunks, sentences, strict=True)):
        rows, columns = strings(f"chunks[{e}]", above), strings(f"sentences[{e}]", along)
        found = [index.setdefault((chunk, sentence), len(index)) for chunk in rows for sentence in columns]
        cells.append(np.array(found, dtype=np.int64).reshape(len(rows), len(columns)))
    return Plan(list(index), cells)


def gather(plan: Plan, scores: ArrayLike) -> list[Aggregate]:
    """Each example's aggregate from one score per pair of the plan."""
    found = floats("scores", scores)
    if found.shape != (len(plan.pairs),):
        raise DataError(f"scores have shape {found.shape}; one for each of {len(plan.pairs)} pairs is needed")
    return [aggregate_scores(found[cells]) for cells in plan.cells]


def token_batches(lengths: Sequence[int], batch_tokens: int = BATCH_TOKENS) -> list[list[int]]:
    """Indices in batches, the longest first, so that a batch padded to its longest holds at most `batch_tokens`.

    A pair longer than that has a batch of its own; of equal lengths the earlier comes first. ValueError for a length
    or a budget below 1.
    """
    whole("batch_tokens", batch_tokens, 1)
    for i, length in enumerate(lengths):
        whole(f"lengths[{i}]", length, 1)
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        # Sorted, the first of a batch is its longest.
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= batch_tokens:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches
