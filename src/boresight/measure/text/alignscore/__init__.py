"""AlignScore: how far a context supports a claim, sentence by sentence (Zha et al., ACL 2023, arXiv 2305.16739).

The context is cut into chunks and the claim into sentences; an encoder with three heads says for each pair how far the
sentence is aligned with the chunk; each sentence takes its best chunk and the claim the mean. Here is everything that
needs no encoder: sentences, chunks, scores from head outputs, training rows and examples, the joint loss, metrics.
"""

from boresight.measure.text.alignscore.aggregation import (
    MODES,
    Aggregate,
    Mode,
    Sentence,
    aggregate_scores,
    alignment_probability,
    bidirectional_f1,
    explain_sentences,
    parse_mode,
)
from boresight.measure.text.alignscore.chunking import Piece, chunk_sentences, chunk_tokens, token_windows
from boresight.measure.text.alignscore.claims import clean_claim
from boresight.measure.text.alignscore.examples import Example, Labels, draw_example, draw_examples, label_columns, mix
from boresight.measure.text.alignscore.losses import Counts, JointLoss, joint_loss, total_loss
from boresight.measure.text.alignscore.metrics import (
    Evaluation,
    binary_labels,
    consistency_metrics,
    evaluate,
    tune_threshold,
)
from boresight.measure.text.alignscore.pairs import Plan, gather, plan_pairs, token_batches
from boresight.measure.text.alignscore.rows import (
    Row,
    choice_row,
    doc_nli_row,
    fact_row,
    nli_row,
    paraphrase_row,
    qa_row,
    retrieval_row,
    similarity_row,
    summary_row,
)
from boresight.measure.text.alignscore.sentences import Splitter, load_splitter, sentence_spans, split_sentences

__all__ = [
    "MODES",
    "Aggregate",
    "Counts",
    "Evaluation",
    "Example",
    "JointLoss",
    "Labels",
    "Mode",
    "Piece",
    "Plan",
    "Row",
    "Sentence",
    "Splitter",
    "aggregate_scores",
    "alignment_probability",
    "bidirectional_f1",
    "binary_labels",
    "choice_row",
    "chunk_sentences",
    "chunk_tokens",
    "clean_claim",
    "consistency_metrics",
    "doc_nli_row",
    "draw_example",
    "draw_examples",
    "evaluate",
    "explain_sentences",
    "fact_row",
    "gather",
    "joint_loss",
    "label_columns",
    "load_splitter",
    "mix",
    "nli_row",
    "paraphrase_row",
    "parse_mode",
    "plan_pairs",
    "qa_row",
    "retrieval_row",
    "sentence_spans",
    "similarity_row",
    "split_sentences",
    "summary_row",
    "token_batches",
    "token_windows",
    "total_loss",
    "tune_threshold",
]
