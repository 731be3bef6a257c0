"""Content preservation of pairs of texts: a metric, merged with the entities that were kept (sheet, section 2)."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from boresight.errors import DataError
from boresight.measure.text.content_preservation import overlap
from boresight.measure.text.content_preservation.scale import Stack
from boresight.measure.text.content_preservation.score import (
    ContentScore,
    changes,
    column,
    entity_score,
    entity_share,
    found_in_text,
    merge,
)
from boresight.measure.text.content_preservation.stemmer import porter
from boresight.measure.text.content_preservation.tagger import RuleTagger, Tagger, entities_of

Metric = Callable[[Sequence[str], Sequence[str]], ArrayLike]
"""Sources and rewrites to one number each (n,), higher for more alike, nan where it has none."""

Scale = Callable[[ArrayLike], np.ndarray] | Stack
"""An `Affine`, any function of the metric's values (n,), or a `Stack`, which takes the place of the merge."""

OVERLAP: dict[str, Metric] = {
    "bleu": overlap.bleu,
    "rouge1": partial(overlap.rouge_n, n=1, stem=porter),
    "rouge2": partial(overlap.rouge_n, n=2, stem=porter),
    "rouge3": partial(overlap.rouge_n, n=3, stem=porter),
    "rougeL": partial(overlap.rouge_l, stem=porter),
    "chrf": overlap.chrf,
}
"""Metrics by name that need no model; ROUGE with Porter's stems."""


def preservation(
    sources: Sequence[str],
    targets: Sequence[str],
    metric: str | Metric = "chrf",
    mode: str = "f1",
    scale: Scale | None = None,
    tagger: Tagger | None = None,
    *,
    normaliser: str = "rich",
    token_rule: str = "span",
    string_fallback: bool = True,
) -> list[ContentScore]:
    """How much of each source its rewrite keeps: a metric of `OVERLAP`, or a function of texts, merged with entities.

    `scale` brings the metric to the entity score's [0, 1] (None: as it is, the published way); `tagger` finds entities
    (None: the rules). The rest as content_scores. DataError as there, or for an unknown metric.
    """
    overlap.pairs(sources, targets)
    if isinstance(metric, str):
        if metric not in OVERLAP:
            raise DataError(f"the metric is {metric!r}; {', '.join(OVERLAP)} or a function is needed")
        metric = OVERLAP[metric]
    base = metric(sources, targets)
    return content_scores(
        sources,
        targets,
        base,
        RuleTagger() if tagger is None else tagger,
        mode,
        scale,
        normaliser=normaliser,
        token_rule=token_rule,
        string_fallback=string_fallback,
    )


def content_scores(
    sources: Sequence[str],
    targets: Sequence[str],
    base: ArrayLike,
    tagger: Tagger,
    mode: str = "f1",
    scale: Scale | None = None,
    *,
    normaliser: str = "rich",
    token_rule: str = "span",
    string_fallback: bool = True,
) -> list[ContentScore]:
    """Merge a metric's values (n,) with the entities kept in each pair, and say which were lost and added.

    A pair whose metric is missing keeps its entity score and has the value nan. `string_fallback` looks for an entity
    that only one text's tagger found in the other's raw text before it counts as lost or added. DataError for unequal
    lengths, a text that is no string, an unknown mode, normaliser or rule, or what `merge` refuses.
    """
    overlap.pairs(sources, targets)
    m = column(base, "base")
    if m.shape != (len(sources),):
        raise DataError(f"there are {len(sources)} pairs and base has the shape {m.shape}; one number each is needed")
    if scale is not None and not isinstance(scale, Stack):
        m = column(scale(m), "base, rescaled")
    tagged = entities_of([*sources, *targets], tagger, token_rule)
    left, right = tagged[: len(sources)], tagged[len(sources) :]
    p = entity_share(
        [e.n_ent for e in left], [e.n_other for e in left], [e.n_ent for e in right], [e.n_other for e in right]
    )
    ne, moved = np.zeros(len(m)), []
    for i, (a, b) in enumerate(zip(left, right, strict=True)):
        src, tgt = list(a.strings), list(b.strings)
        if string_fallback:
            src, tgt = found_in_text(src, tgt, sources[i], targets[i], normaliser)
        ne[i] = entity_score(src, tgt, mode, normaliser)
        moved.append(changes(src, tgt, normaliser))
    values = scale(m, ne, p) if isinstance(scale, Stack) else merge(m, ne, p)
    return [
        ContentScore(float(v), float(b), float(e), float(share), c.lost, c.added)
        for v, b, e, share, c in zip(values, m, ne, p, moved, strict=True)
    ]
