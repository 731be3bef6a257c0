"""Alignment at the annotator's discretion: what is decided where the principles do not decide.

Buyl et al., "AI Alignment at Your Discretion", arXiv 2502.10441 (discretion sheet). For comparisons of two answers, a
list of principles and an annotator (people, a reward model, a language model): how much it had to decide alone, how
often it decided against all principles, which principles it ranks first, and how far two annotators' rankings differ.
`metrics` and `priority` hold the equations, `report` the audit with its bootstrap, `comparisons` and `principles` the
data, `rules` ten principles that need no oracle, `oracle` a model that judges principle by principle, `task` the
measure.
"""

from boresight.measure.behaviour.discretion.comparisons import (
    Comparison,
    bundled,
    load_comparisons,
    load_labels,
    split_dialogue,
)
from boresight.measure.behaviour.discretion.metrics import arbitrariness, categorise, discretise, supremacy, wins
from boresight.measure.behaviour.discretion.oracle import collect
from boresight.measure.behaviour.discretion.principles import PrincipleSet
from boresight.measure.behaviour.discretion.priority import Priorities, bradley_terry, discrepancy
from boresight.measure.behaviour.discretion.report import (
    DiscretionReport,
    audit,
    by_topic,
    distance,
    oracle_sensitivity,
    planted,
    what_if,
)
from boresight.measure.behaviour.discretion.rules import RULES, preferences_by_rule
from boresight.measure.behaviour.discretion.task import METHOD, measure

__all__ = [
    "METHOD",
    "RULES",
    "Comparison",
    "DiscretionReport",
    "PrincipleSet",
    "Priorities",
    "arbitrariness",
    "audit",
    "bradley_terry",
    "bundled",
    "by_topic",
    "categorise",
    "collect",
    "discrepancy",
    "discretise",
    "distance",
    "load_comparisons",
    "load_labels",
    "measure",
    "oracle_sensitivity",
    "planted",
    "preferences_by_rule",
    "split_dialogue",
    "supremacy",
    "what_if",
    "wins",
]
