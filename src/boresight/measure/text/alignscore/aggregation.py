"""From head outputs to one score per claim, and what supports each of its sentences (sheet, section 2.4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from boresight.errors import DataError
from boresight.measure.text.alignscore.checks import floats

Head = Literal["bin", "tri", "reg"]

WIDTHS: dict[Head, int] = {"bin": 2, "tri": 3, "reg": 1}
"""Outputs of each head. Tri: aligned, neutral, contradiction; bin: not aligned, aligned."""


class Mode(NamedTuple):
    """Which head gives the score, and whether context and claim are split or go through the encoder whole."""

    head: Head
    split: bool


MODES: dict[str, Mode] = {
    "nli_sp": Mode("tri", True),
    "nli": Mode("tri", False),
    "bin_sp": Mode("bin", True),
    "bin": Mode("bin", False),
    "reg_sp": Mode("reg", True),
    "reg": Mode("reg", False),
}
"""The modes by the names of the reference; nli_sp is the default."""


@dataclass(frozen=True, eq=False)
class Aggregate:
    """A claim's score, and per sentence the best score (float64) and the chunk that gave it (int64 index)."""

    score: float
    sentence_scores: np.ndarray
    best_chunk: np.ndarray


@dataclass(frozen=True)
class Sentence:
    """A claim sentence, its score, the chunk that supports it best and (aligned, neutral, contradiction) there."""

    text: str
    score: float
    best_chunk: str
    probs3: tuple[float, float, float]


def parse_mode(mode: str) -> Mode:
    """The mode of that name; DataError for another."""
    if mode not in MODES:
        raise DataError(f"the mode is {mode!r}; one of {', '.join(MODES)} is needed")
    return MODES[mode]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis; the maximum is taken off first, so large logits do not overflow."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def alignment_probability(logits: ArrayLike, mode: str) -> np.ndarray:
    """How far a is aligned with b: softmax(tri)[0], softmax(bin)[1], or the regression output as it is, not clipped.

    logits: (..., 3) for nli modes, (..., 2) for bin modes; for reg modes (...,) or, from the head itself, (n, 1).
    Returns float64 without the last axis of logits; regression outputs (n,) keep their shape. DataError for another
    width, an output that is not finite (naming its row), or another mode.
    """
    head = parse_mode(mode).head
    x = floats("logits", logits)
    if head != "reg" and (x.ndim == 0 or x.shape[-1] != WIDTHS[head]):
        raise DataError(f"logits have shape {x.shape}; mode {mode} needs {WIDTHS[head]} in the last axis")
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        raise DataError(f"logits at {_at(bad[0])} are {x[tuple(bad[0])]}; finite numbers are needed")
    if head == "reg":
        return x[:, 0] if x.ndim == 2 and x.shape[1] == 1 else x.copy()
    return softmax(x)[..., 0 if head == "tri" else 1]


def aggregate_scores(scores: ArrayLike) -> Aggregate:
    """mean_j max_i M[i, j]: for each claim sentence j the best chunk i, then the mean over sentences.

    scores: M, (chunks, sentences). Of equal chunks the lowest wins. No sentence gives nan. The mean does not depend on
    the order of the sentences. DataError unless M is a matrix of finite numbers with a chunk for every sentence.
    """
    m = floats("scores", scores)
    if m.ndim == 1 and not m.size:
        m = m.reshape(0, 0)
    if m.ndim != 2:
        raise DataError(f"scores have shape {m.shape}; chunks times sentences is needed")
    chunks, sentences = m.shape
    if not sentences:
        return Aggregate(math.nan, np.zeros(0), np.zeros(0, dtype=np.int64))
    if not chunks:
        raise DataError(f"there are {sentences} sentences and no chunk; at least one chunk (it may be empty) is needed")
    bad = np.argwhere(~np.isfinite(m))
    if len(bad):
        i, j = bad[0]
        raise DataError(f"the score of chunk {i} and sentence {j} is {m[i, j]}; a finite number is needed")
    best = m.argmax(axis=0).astype(np.int64)
    top = m[best, np.arange(sentences)]
    return Aggregate(math.fsum(top) / sentences, top, best)


def explain_sentences(
    sentences: Sequence[str], chunks: Sequence[str], scores: ArrayLike, tri_logits: ArrayLike
) -> list[Sentence]:
    """What supports each sentence: scores is M (chunks, sentences), tri_logits (chunks, sentences, 3).

    The order of the sentences is kept. DataError if the shapes do not fit.
    """
    found = aggregate_scores(scores)
    n = len(found.sentence_scores)
    tri = floats("tri_logits", tri_logits)
    if n != len(sentences) or (n and tri.shape != (len(chunks), n, 3)) or np.shape(scores)[:1] != (len(chunks),):
        raise DataError(
            f"{len(chunks)} chunks and {len(sentences)} sentences do not fit scores of shape {np.shape(scores)} and "
            f"tri_logits of shape {tri.shape}"
        )
    rows = []
    for j, text in enumerate(sentences):
        i = int(found.best_chunk[j])
        a, b, c = softmax(tri[i, j]).tolist()
        rows.append(Sentence(text, float(found.sentence_scores[j]), chunks[i], (a, b, c)))
    return rows


def bidirectional_f1(precision: float, recall: float) -> float:
    """F1 = 2PR / (P + R) of P = score(context, claim) and R = score(claim, context); 0 when both are 0.

    nan where either is (a text without a sentence). ValueError outside [0, 1], where the mean means nothing: regression
    outputs are not clipped.
    """
    for name, x in (("precision", precision), ("recall", recall)):
        if not (math.isnan(x) or 0 <= x <= 1):
            raise ValueError(f"{name} is {x}; a number in [0, 1] is needed")
    if math.isnan(precision) or math.isnan(recall):
        return math.nan
    # Divided by the larger one first, so that two tiny scores do not vanish in their product.
    small, large = sorted((float(precision), float(recall)))
    return 2 * small / (1 + small / large) if large else 0.0


def _at(index: np.ndarray) -> str:
    return ", ".join(("row", "column", "layer")[min(k, 2)] + f" {i}" for k, i in enumerate(index)) or "the scalar"
