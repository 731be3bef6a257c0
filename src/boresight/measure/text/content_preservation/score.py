"""The entity score, the merge with any metric, and what was lost or added (sheet, sections 2.3 and 2.4)."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from boresight.errors import DataError
from boresight.measure.text.content_preservation.forms import normalise, reconcile, simple

MODES = ("f1", "jaccard", "hit")


@dataclass(frozen=True)
class ContentScore:
    """One pair: value = base (on its scale) * (1 - p) + ne * p; lost and added are entities as written, with repeats.

    ne is the entity score in [0, 1], p the share of entity tokens in both texts; lost were only in the source, added
    only in the rewrite.
    """

    value: float
    base: float
    ne: float
    p: float
    lost: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


@dataclass(frozen=True)
class Changes:
    """Entities as written, matched one to one by their normalised strings: kept (as in the source), lost, added."""

    kept: tuple[str, ...]
    lost: tuple[str, ...]
    added: tuple[str, ...]


def entity_score(src: Sequence[str], tgt: Sequence[str], mode: str = "f1", normaliser: str = "rich") -> float:
    """How well the entities of a source are kept in its rewrite, in [0, 1] (sheet, section 2.3).

    "f1": 2 |s n g| / (|s| + |g|) of the multisets of normalised strings; "jaccard": |s n g| / |s u g| of their sets
    (the paper's text); both are 1 where there is no entity. "hit": the published code's, the share of source entities,
    repeats counted, whose raw or normalised string is among the rewrite's; 0 if either list is empty, and an added
    entity costs nothing. DataError for an unknown mode or normaliser, or an entity that is no string.
    """
    if mode not in MODES:
        raise DataError(f"the mode is {mode!r}; {', '.join(MODES)} is needed")
    s, g = _normalised(src, tgt, normaliser)
    if mode == "hit":
        if not s or not g:
            return 0.0
        raw, normal = set(tgt), set(g)
        return sum(a in raw or b in normal for a, b in zip(src, s, strict=True)) / len(s)
    if not s and not g:
        return 1.0
    if mode == "jaccard":
        return len(set(s) & set(g)) / len(set(s) | set(g))
    return 2 * (Counter(s) & Counter(g)).total() / (len(s) + len(g))


def changes(src: Sequence[str], tgt: Sequence[str], normaliser: str = "rich") -> Changes:
    """Which entities were kept, lost and added, each in the order and the spelling of its text. Errors as entity_score.

    Matched as multisets: of "two", "two" against "two" one is lost.
    """
    s, g = _normalised(src, tgt, normaliser)
    left = Counter(s) & Counter(g)
    kept, lost = _split(src, s, left)
    _, added = _split(tgt, g, left)
    return Changes(kept, lost, added)


def found_in_text(
    src: Sequence[str], tgt: Sequence[str], source_text: str, target_text: str, normaliser: str = "rich"
) -> tuple[list[str], list[str]]:
    """Both lists of entities, each with those of the other that its text holds though its tagger missed them.

    Section 2.5's string fallback: taggers disagree between a text and its rewrite, above all where case changed. Only
    as many are taken as the text holds beyond those already tagged, as whole words, whatever their case. Both ways: an
    entity that was already in the source's text is not added.
    """
    found = changes(src, tgt, normaliser)
    return (
        [*src, *_missed(found.added, src, source_text, normaliser)],
        [*tgt, *_missed(found.lost, tgt, target_text, normaliser)],
    )


def entity_share(
    source_entities: ArrayLike, source_others: ArrayLike, target_entities: ArrayLike, target_others: ArrayLike
) -> np.ndarray:
    """p: entity tokens of both texts over all counted tokens of both, in [0, 1]; 0 where there is none. Counts (n,)."""
    counts = [np.asarray(x, dtype=float) for x in (source_entities, source_others, target_entities, target_others)]
    if len({c.shape for c in counts}) > 1:
        raise DataError(f"token counts have the shapes {', '.join(str(c.shape) for c in counts)}; one shape is needed")
    if any((c < 0).any() or not np.isfinite(c).all() for c in counts):
        raise DataError("a token count is below 0 or missing; whole numbers of at least 0 are needed")
    entities, every = counts[0] + counts[2], sum(counts)
    return entities / np.maximum(1.0, every)


def merge(base: ArrayLike, ne: ArrayLike, p: ArrayLike) -> np.ndarray:
    """M_w = M (1 - p) + NE p for base metric M, entity score NE and entity share p, each (n,) or one number.

    Nothing is rescaled: M should share NE's scale, [0, 1] (see scale.py). Where p is 0, M_w is M whatever NE is. A
    missing (nan) M stays nan, as does a missing NE or p elsewhere. DataError for unequal lengths, an infinite M, or NE
    or p outside [0, 1], naming the row.
    """
    columns = {"base": column(base, "base"), "ne": _unit(ne, "ne"), "p": _unit(p, "p")}
    lengths = {name: len(x) for name, x in columns.items() if x.ndim}
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns have different lengths: {', '.join(f'{k} {n}' for k, n in lengths.items())}")
    m, e, share = columns.values()
    return np.asarray(np.where(share == 0, m, m * (1 - share) + e * share))


def column(values: ArrayLike, name: str) -> np.ndarray:
    """Float64 of shape (n,) or (), nan where missing. DataError for what is no number, more dimensions, or infinity."""
    try:
        x = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"column {name} holds something other than numbers") from error
    if x.ndim > 1:
        raise DataError(f"column {name} has the shape {x.shape}; one dimension is needed")
    bad = np.flatnonzero(np.isinf(x))
    if bad.size:
        raise DataError(f"column {name}, row {bad[0]} is infinite; a finite number or nan is needed")
    return x


def _unit(values: ArrayLike, name: str) -> np.ndarray:
    x = column(values, name)
    bad = np.flatnonzero((x < 0) | (x > 1))
    if bad.size:
        raise DataError(f"column {name}, row {bad[0]} is {x.reshape(-1)[bad[0]]:g}; a value in [0, 1] is needed")
    return x


def _normalised(src: Sequence[str], tgt: Sequence[str], normaliser: str) -> tuple[list[str], list[str]]:
    sides = []
    for name, entities in (("source", src), ("rewrite", tgt)):
        if isinstance(entities, str):
            raise DataError(f"the entities of the {name} are one string; a list of strings is needed")
        for i, entity in enumerate(entities):
            if not isinstance(entity, str):
                raise DataError(f"entity {i} of the {name} is {entity!r}; a string is needed")
        sides.append([normalise(e, normaliser) for e in entities])
    if not sides[0] and not sides[1]:
        normalise("", normaliser)  # an unknown name is an error without entities too
    return reconcile(*sides) if normaliser == "rich" else (sides[0], sides[1])


def _split(raw: Sequence[str], normal: list[str], both: Counter[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    left = Counter(both)
    kept, lone = [], []
    for text, form in zip(raw, normal, strict=True):
        if left[form]:
            left[form] -= 1
            kept.append(text)
        else:
            lone.append(text)
    return tuple(kept), tuple(lone)


def _missed(wanted: Sequence[str], tagged: Sequence[str], text: str, normaliser: str) -> list[str]:
    if not wanted:
        return []
    plain = simple(text)
    used = Counter(simple(t) for t in tagged)
    found = []
    for entity in wanted:
        form = simple(entity)
        if not form:
            continue
        # A digit beside a point, colon or comma is part of another number: the 4 of 4:30.
        pattern = rf"(?<![\w])(?<!\d[.,:]){re.escape(form)}(?![\w])(?![.,:]\d)"
        if len(re.findall(pattern, plain)) > used[form]:
            used[form] += 1
            found.append(entity)
    return found
