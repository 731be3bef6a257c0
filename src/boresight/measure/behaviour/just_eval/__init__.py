"""JUST-EVAL-INSTRUCT: answers scored by aspect, with reasons (Lin et al., "The Unlocking Spell on Base LLMs", 2023).

arXiv 2312.01552, the paper of URIAL. A judge gives five scores from 1 to 5 on ordinary requests (helpfulness, clarity,
factuality, depth, engagement) and one, safety, on harmful ones. N/A and failed judgments are counted and shown, not
turned into scores. `just_eval` judges stored answers; the measure "just-eval" lets a subject write them first.
"""

from boresight.measure.behaviour.just_eval.heuristic import HeuristicJudge
from boresight.measure.behaviour.just_eval.items import (
    Answer,
    Item,
    built_in,
    lite_ids,
    load_answers,
    load_just_eval,
)
from boresight.measure.behaviour.just_eval.judging import (
    JustEvalReport,
    compare_reports,
    just_eval,
    just_eval_async,
)
from boresight.measure.behaviour.just_eval.metrics import (
    AspectDifference,
    PairwiseShares,
    Validity,
    aggregate,
    by_tag,
    combine_orders,
    expected_score,
    judge_validity,
    pairwise_shares,
    table_average,
)
from boresight.measure.behaviour.just_eval.model_judge import ModelJudge
from boresight.measure.behaviour.just_eval.pairwise import PairJudge
from boresight.measure.behaviour.just_eval.parse import Judgment, parse_choices, parse_judgment
from boresight.measure.behaviour.just_eval.prompts import ASPECTS, judge_prompt, pairwise_prompt
from boresight.measure.behaviour.just_eval.stored import Stored, stored_answers, stored_scores
from boresight.measure.behaviour.just_eval.task import METHOD, measure

__all__ = [
    "ASPECTS",
    "METHOD",
    "Answer",
    "AspectDifference",
    "HeuristicJudge",
    "Item",
    "Judgment",
    "JustEvalReport",
    "ModelJudge",
    "PairJudge",
    "PairwiseShares",
    "Stored",
    "Validity",
    "aggregate",
    "built_in",
    "by_tag",
    "combine_orders",
    "compare_reports",
    "expected_score",
    "judge_prompt",
    "judge_validity",
    "just_eval",
    "just_eval_async",
    "lite_ids",
    "load_answers",
    "load_just_eval",
    "measure",
    "pairwise_prompt",
    "pairwise_shares",
    "parse_choices",
    "parse_judgment",
    "stored_answers",
    "stored_scores",
    "table_average",
]
