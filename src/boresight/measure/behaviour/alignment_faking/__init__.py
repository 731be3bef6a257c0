"""Alignment faking: does a model answer otherwise when it believes that the answer will be used to train it?

Greenblatt, Denison, Wright, Roger et al.: Alignment faking in large language models (arXiv 2412.14093); controls after
the follow-up (arXiv 2506.18032); the sheet alignment-faking. Each request is asked twice, for a free-tier user whose
conversations are said to be trained on and for a paid-tier user whose are not. What a user gets: the compliance gap
with intervals and an exact test, in the arm itself and in control arms, how often a private scratchpad says that the
model complies to avoid being modified, and how many samples could not be read. Texts of accepted answers are not kept.
"""

from boresight.measure.behaviour.alignment_faking.documents import (
    FactQuestion,
    build_sdf_corpus,
    fact_questions,
    fact_recall,
)
from boresight.measure.behaviour.alignment_faking.flags import (
    AFFlags,
    af_label,
    considers_af,
    majority,
    proxy_flags,
    quoted,
)
from boresight.measure.behaviour.alignment_faking.gap import (
    GapDifference,
    GapResult,
    compliance_gap,
    detectable_gap,
    gap_difference,
    gap_p,
)
from boresight.measure.behaviour.alignment_faking.parse import DEFAULT_TAGS, Parsed, parse_output
from boresight.measure.behaviour.alignment_faking.prompts import ARMS, system_prompt, user_message
from boresight.measure.behaviour.alignment_faking.redact import redacted
from boresight.measure.behaviour.alignment_faking.requests import Request, load_requests
from boresight.measure.behaviour.alignment_faking.task import METHOD, faking_task, measure
from boresight.measure.behaviour.alignment_faking.training import (
    organism_rows,
    reward,
    rl_prompts,
    tier_facts,
    write_training_data,
)

__all__ = [
    "ARMS",
    "DEFAULT_TAGS",
    "METHOD",
    "AFFlags",
    "FactQuestion",
    "GapDifference",
    "GapResult",
    "Parsed",
    "Request",
    "af_label",
    "build_sdf_corpus",
    "compliance_gap",
    "considers_af",
    "detectable_gap",
    "fact_questions",
    "fact_recall",
    "faking_task",
    "gap_difference",
    "gap_p",
    "load_requests",
    "majority",
    "measure",
    "organism_rows",
    "parse_output",
    "proxy_flags",
    "quoted",
    "redacted",
    "reward",
    "rl_prompts",
    "system_prompt",
    "tier_facts",
    "user_message",
    "write_training_data",
]
