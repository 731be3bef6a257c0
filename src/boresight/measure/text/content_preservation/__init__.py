"""Content preservation of rewritten text, corrected for lost and changed names, dates, numbers and places.

Babakov et al., "Studying the role of named entities for content preservation in text style transfer", NLDB 2022, arXiv
2206.09676. General similarity hardly notices that the 7th of March became the 4th; a plain overlap of the entities of
both texts does, and is merged with any metric by the share of entity tokens.

`forms` says when two entities are the same, `tagger` finds them, `score` compares and merges, `scale` brings a
metric to the entity score's scale, `overlap` and `vectors` are metrics without a model, `pairs` joins them for texts,
`study` tells whether the correction helps.
"""

from boresight.measure.text.content_preservation.forms import NORMALISERS, normalise
from boresight.measure.text.content_preservation.overlap import bleu, chrf, rouge_l, rouge_n
from boresight.measure.text.content_preservation.pairs import OVERLAP, content_scores, preservation
from boresight.measure.text.content_preservation.scale import Affine, Stack, fit_affine, fit_stack
from boresight.measure.text.content_preservation.score import (
    MODES,
    Changes,
    ContentScore,
    changes,
    entity_score,
    entity_share,
    found_in_text,
    merge,
)
from boresight.measure.text.content_preservation.stemmer import porter
from boresight.measure.text.content_preservation.study import Row, compare, spearman, williams
from boresight.measure.text.content_preservation.tagger import (
    Entities,
    RuleTagger,
    Tagger,
    entities,
    entities_of,
)
from boresight.measure.text.content_preservation.vectors import (
    Match,
    cosine,
    greedy_match,
    idf,
    mean_vector,
    token_weights,
)

__all__ = [
    "MODES",
    "NORMALISERS",
    "OVERLAP",
    "Affine",
    "Changes",
    "ContentScore",
    "Entities",
    "Match",
    "Row",
    "RuleTagger",
    "Stack",
    "Tagger",
    "bleu",
    "changes",
    "chrf",
    "compare",
    "content_scores",
    "cosine",
    "entities",
    "entities_of",
    "entity_score",
    "entity_share",
    "fit_affine",
    "fit_stack",
    "found_in_text",
    "greedy_match",
    "idf",
    "mean_vector",
    "merge",
    "normalise",
    "porter",
    "preservation",
    "rouge_l",
    "rouge_n",
    "spearman",
    "token_weights",
    "williams",
]
