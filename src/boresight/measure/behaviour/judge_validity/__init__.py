"""How good a judge is: verdicts against labels (`boresight audit judge`)."""

from boresight.measure.behaviour.judge_validity.agreement import kappa, length_pull, shares_of
from boresight.measure.behaviour.judge_validity.rubrics import RUBRICS, Item, Rubric, labelled, prompt_of
from boresight.measure.behaviour.judge_validity.task import METHOD, measure

__all__ = [
    "METHOD",
    "RUBRICS",
    "Item",
    "Rubric",
    "kappa",
    "labelled",
    "length_pull",
    "measure",
    "prompt_of",
    "shares_of",
]
