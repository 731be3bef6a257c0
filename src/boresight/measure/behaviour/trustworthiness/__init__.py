"""Trustworthiness: seven categories, 29 sub-categories, eight measurements and a probe set for most of the rest.

Liu et al.: Trustworthy LLMs: a survey and guideline for evaluating large language models' alignment (arXiv 2308.05374);
the sheet trustworthiness. What a user gets: measured rates with intervals, graders and constant-answer baselines, filed
under the whole taxonomy, so that what was not measured is seen as well. `battery` runs on any of our models;
`boresight audit --measure trustworthiness` runs the same tests under Inspect.
"""

from boresight.measure.behaviour.trustworthiness.battery import RULE, TestResult, TrustReport, battery, coverage
from boresight.measure.behaviour.trustworthiness.closed import causal as Causal
from boresight.measure.behaviour.trustworthiness.closed import fairness as Fairness
from boresight.measure.behaviour.trustworthiness.closed import hallucination as Hallucination
from boresight.measure.behaviour.trustworthiness.closed import typos as Typos
from boresight.measure.behaviour.trustworthiness.coverage import coverage_rows
from boresight.measure.behaviour.trustworthiness.item import Item, Test
from boresight.measure.behaviour.trustworthiness.metrics import (
    CausalScores,
    Corrected,
    LabelRate,
    Miscalibration,
    Overlap,
    brier,
    causal_scores,
    corrected_rate,
    ece,
    label_rates,
    miscalibration,
    overlap,
    rate_bounds,
    rogan_gladen,
)
from boresight.measure.behaviour.trustworthiness.parse import (
    fairness_label,
    parse_ab,
    parse_letter,
    parse_numbered_list,
    parse_stated,
    parse_yes_no,
)
from boresight.measure.behaviour.trustworthiness.task import METHOD, measure
from boresight.measure.behaviour.trustworthiness.taxonomy import NOT_MEASURED, TAXONOMY, Category, SubCategory
from boresight.measure.behaviour.trustworthiness.tests import MEASURED, all_tests
from boresight.measure.behaviour.trustworthiness.typos import add_typos
from boresight.measure.behaviour.trustworthiness.written import calibration as Calibration
from boresight.measure.behaviour.trustworthiness.written import copyright_ as Copyright
from boresight.measure.behaviour.trustworthiness.written import misuse as Misuse
from boresight.measure.behaviour.trustworthiness.written import safety as Safety

__all__ = [
    "MEASURED",
    "METHOD",
    "NOT_MEASURED",
    "RULE",
    "TAXONOMY",
    "Calibration",
    "Category",
    "Causal",
    "CausalScores",
    "Copyright",
    "Corrected",
    "Fairness",
    "Hallucination",
    "Item",
    "LabelRate",
    "Miscalibration",
    "Misuse",
    "Overlap",
    "Safety",
    "SubCategory",
    "Test",
    "TestResult",
    "TrustReport",
    "Typos",
    "add_typos",
    "all_tests",
    "battery",
    "brier",
    "causal_scores",
    "corrected_rate",
    "coverage",
    "coverage_rows",
    "ece",
    "fairness_label",
    "label_rates",
    "measure",
    "miscalibration",
    "overlap",
    "parse_ab",
    "parse_letter",
    "parse_numbered_list",
    "parse_stated",
    "parse_yes_no",
    "rate_bounds",
    "rogan_gladen",
]
