"""Token shift: what alignment changed, token by token.

Lin et al., "The Unlocking Spell on Base LLMs: Rethinking Alignment via In-Context Learning", arXiv 2312.01552, section
2. The aligned model answers; at every position of that same answer the base model is asked what it would have said. A
token that is the base's first choice too is unshifted, one among its three best marginal, any other shifted. Two
teacher-forced passes for a batch of answers, logits in blocks: nothing is sampled, nothing is judged.

`metrics` holds the numbers of one position, `summary` those of a corpus, neither needs a model; `vocabulary` decides
whether two models can be compared, `prompts` says what they read, `score` runs them, `report` keeps what was found and
`view` shows it.
"""

from boresight.catalog import Card
from boresight.errors import TokenizerMismatch
from boresight.measure.latent.token_shift.claims import CLAIMS
from boresight.measure.latent.token_shift.metrics import LABELS, position_metrics, shift_label, topk_metrics
from boresight.measure.latent.token_shift.prompts import BASE_TEMPLATES
from boresight.measure.latent.token_shift.report import Answer, ShiftReport
from boresight.measure.latent.token_shift.score import score_answer, token_shift

__all__ = [
    "BASE_TEMPLATES",
    "LABELS",
    "METHOD",
    "Answer",
    "ShiftReport",
    "TokenizerMismatch",
    "position_metrics",
    "score_answer",
    "shift_label",
    "token_shift",
    "topk_metrics",
]

METHOD = Card(
    slug="token-shift",
    title="Token shift",
    room="audit",
    summary="Which tokens of an aligned model's answers its base model would not have chosen, where, and by how much.",
    paper="Lin et al.: The Unlocking Spell on Base LLMs: Rethinking Alignment via ICL (arXiv 2312.01552)",
    needs=("two local models (or policies that put a prompt before one) that share a tokenizer",),
    example="boresight audit --measure token-shift smollm2-135m-instruct smollm2-135m-instruct --limit 10",
    claims=CLAIMS,
)
