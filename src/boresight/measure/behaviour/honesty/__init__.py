"""Honesty about knowledge: does a model decline what it cannot answer, and only that?

Yang et al., "Alignment for Honesty" (arXiv 2312.07000). What a model knows is read off its plain answers ("before");
its answers to a prompt that allows declining, or those of a model trained for it ("after"), then show prudence
(declined what it could not answer), over-conservativeness (declined what it could) and their balance, honesty.
"""

from boresight.data.honesty import (
    HonestyPhrases,
    ResponseType,
    choice_of,
    classify_response,
    is_correct,
    is_idk,
    normalize_answer,
    parse_judge_score,
    stated_confidence,
)
from boresight.measure.behaviour.honesty.baseline import Baseline, Before, load_baseline
from boresight.measure.behaviour.honesty.items import Question, load_questions
from boresight.measure.behaviour.honesty.metrics import HonestyReport, honesty_differences, honesty_metrics
from boresight.measure.behaviour.honesty.task import METHOD, honesty_task, measure
from boresight.stats import (
    Calibration,
    calibration,
    calibration_difference,
    expected_calibration_error,
)

__all__ = [
    "METHOD",
    "Baseline",
    "Before",
    "Calibration",
    "HonestyPhrases",
    "HonestyReport",
    "Question",
    "ResponseType",
    "calibration",
    "calibration_difference",
    "choice_of",
    "classify_response",
    "expected_calibration_error",
    "honesty_differences",
    "honesty_metrics",
    "honesty_task",
    "is_correct",
    "is_idk",
    "load_baseline",
    "load_questions",
    "measure",
    "normalize_answer",
    "parse_judge_score",
    "stated_confidence",
]
