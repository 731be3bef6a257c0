"""Dishonesty under pressure: what a model asserts against what it believes.

Hu et al., "LLMs Learn to Deceive Unintentionally", arXiv 2510.08211, with the MASK protocol of Ren et al., arXiv
2503.03750 (dishonesty sheet, sections 2 to 4). A pressure prompt is asked once and three neutral questions in fresh
chats; a row is a lie where the statement contradicts a consistent belief, whatever is true. `mask` and `deception` hold
the labels and scores, `resolve` reads answers by rule, `rows` the schema and its loaders, `facts_bench` a generator of
propositions that a program checks, `users` puts them to benign and to biased users, `logit` the forced choices for
models too small to be graded, `task` and `deception_task` the two measures.
"""

from boresight.measure.behaviour.dishonesty.deception import DeceptionScores, deception_scores, is_deceptive
from boresight.measure.behaviour.dishonesty.deception_task import deception_task
from boresight.measure.behaviour.dishonesty.facts_bench import facts_bench
from boresight.measure.behaviour.dishonesty.logit import decide, log_odds
from boresight.measure.behaviour.dishonesty.mask import (
    MaskScores,
    consistent_belief,
    flattered,
    is_accurate,
    lie_changes,
    mask_label,
    mask_scores,
)
from boresight.measure.behaviour.dishonesty.resolve import read_verdict, resolve
from boresight.measure.behaviour.dishonesty.rows import DeceptionRow, MaskRow, deception_rows, pressure_rows
from boresight.measure.behaviour.dishonesty.task import METHOD, mask_task, measure
from boresight.measure.behaviour.dishonesty.users import Agreement, agreement, rating, users_bench

__all__ = [
    "METHOD",
    "Agreement",
    "DeceptionRow",
    "DeceptionScores",
    "MaskRow",
    "MaskScores",
    "agreement",
    "consistent_belief",
    "deception_rows",
    "deception_scores",
    "deception_task",
    "decide",
    "facts_bench",
    "flattered",
    "is_accurate",
    "is_deceptive",
    "lie_changes",
    "log_odds",
    "mask_label",
    "mask_scores",
    "mask_task",
    "measure",
    "pressure_rows",
    "rating",
    "read_verdict",
    "resolve",
    "users_bench",
]
