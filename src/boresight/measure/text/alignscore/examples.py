"""Training examples drawn from rows by the rules of each task (sheet, section 2.3).

A rule is drawn anew each epoch: the same row may give its own pair, an identity pair, a swapped pair, or a negative.
Each row draws from its own generator, so an example depends on seed, epoch and place only, not on batches or workers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from boresight.errors import DataError
from boresight.measure.text.alignscore.aggregation import Head
from boresight.measure.text.alignscore.checks import whole
from boresight.measure.text.alignscore.losses import IGNORE
from boresight.measure.text.alignscore.rows import HEADS, Row

IDENTITY = SWAP = 0.05
"""Shares of identity and swapped pairs."""

NEGATIVE = 0.5
"""Share of negatives drawn for summaries and questions with choices."""

SEED = 2022
CAP = 500_000
VALIDATION = 0.05

_CHOOSING = ("summarization", "multiple_choice_qa", "extractive_qa")
_SAME = {"tri": 0, "bin": 1}  # the label of an identity pair


@dataclass(frozen=True)
class Example:
    """Text pair (a, b) and the label of the one head it feeds: a class, or a real number for reg."""

    text_a: str
    text_b: str
    head: Head
    label: float


class Labels(NamedTuple):
    """One label per example for each head, ignore_index where another head is fed; bin and tri int64, reg float64."""

    bin: np.ndarray
    tri: np.ndarray
    reg: np.ndarray


def draw_example(row: Row, rng: np.random.Generator, others: Sequence[Row] = ()) -> Example:
    """One example of the row by the rule of its task.

    nli, fact_checking: 5 % (a, a) aligned; else of contradictions 5 % swapped. paraphrase: 5 % (a, a); else 5 %
    swapped. qa, coreference: question and answer joined by a space. ir: any text of text_b. summarization and questions
    with choices: 50 % one of text_b, aligned, else one of text_c, or of another row's text_b, not aligned. The rest is
    taken as it is. DataError where a negative is needed and `others` has no row of the task with another text_a.
    """
    task, head, a, b = row.task, HEADS[row.task], row.text_a, row.text_b[0]
    label = 1.0 if head == "tri" and row.orig_label == -1 else float(row.orig_label)
    if task in ("nli", "fact_checking", "paraphrase"):
        if rng.random() < IDENTITY:
            return Example(a, a, head, _SAME[head])
        if (task == "paraphrase" or label == 2) and rng.random() < SWAP:
            a, b = b, a
        return Example(a, b, head, label)
    if task in ("qa", "coreference"):
        return Example(a, f"{b} {row.text_c[0]}" if row.text_c else b, head, label)
    if task == "ir":
        return Example(a, _one(row.text_b, rng), head, label)
    if task in _CHOOSING:
        if rng.random() >= NEGATIVE:
            return Example(a, _one(row.text_b, rng), head, 1)
        return Example(a, _one(row.text_c, rng) if row.text_c else _foreign(row, rng, others), head, 0)
    return Example(a, b, head, label)


def draw_examples(rows: Sequence[Row], seed: int = SEED, epoch: int = 0) -> list[Example]:
    """One example of every row, in order; the same seed and epoch give the same examples."""
    whole("seed", seed, 0)
    whole("epoch", epoch, 0)
    others: dict[str, list[Row]] = {}
    for row in rows:
        others.setdefault(row.task, []).append(row)
    found = []
    for i, row in enumerate(rows):
        try:
            found.append(draw_example(row, np.random.default_rng([seed, epoch, i]), others[row.task]))
        except DataError as error:
            raise DataError(f"row {i}: {error}") from None
    return found


def label_columns(examples: Sequence[Example], ignore_index: int = IGNORE) -> Labels:
    """The labels of a batch as `joint_loss` takes them."""
    n = len(examples)
    found = Labels(
        np.full(n, ignore_index, dtype=np.int64),
        np.full(n, ignore_index, dtype=np.int64),
        np.full(n, ignore_index, dtype=np.float64),
    )
    for i, example in enumerate(examples):
        getattr(found, example.head)[i] = example.label
    return found


def mix(
    sources: Mapping[str, Sequence[Row]], cap: int = CAP, validation: float = VALIDATION, seed: int = SEED
) -> tuple[list[Row], list[Row]]:
    """Training and validation rows: at most `cap` rows of each source, drawn without repeats, all shuffled, then cut.

    Validation gets the last round(validation * n) rows. The same seed gives the same rows. ValueError unless cap is at
    least 1 and 0 <= validation < 1.
    """
    whole("cap", cap, 1)
    if not 0 <= validation < 1:
        raise ValueError(f"validation is {validation}; a share of at least 0 and below 1 is needed")
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for source in sources.values():
        chosen = rng.permutation(len(source))[:cap]
        rows += [source[i] for i in chosen]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    kept = len(rows) - round(validation * len(rows))
    return rows[:kept], rows[kept:]


def _one(texts: Sequence[str], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]


def _foreign(row: Row, rng: np.random.Generator, others: Sequence[Row]) -> str:
    """A text_b of another row: from a random place on, the first of another text_a and not aligned with this one.

    Rows are often stored by document, and another summary of the same document is no negative.
    """
    start = int(rng.integers(len(others))) if others else 0
    for step in range(len(others)):
        other = others[(start + step) % len(others)]
        if other.task == row.task and other.text_a != row.text_a:
            texts = [t for t in other.text_b if t not in row.text_b]
            if texts:
                return _one(texts, rng)
    raise DataError(f"a row of {row.task} has no text_c; another row with another text_a and text_b is needed")
