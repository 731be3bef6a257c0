"""Emergent misalignment: does a narrow fine-tune make a model hostile where nobody trained it to be?

Betley et al., "Emergent Misalignment: Narrow finetuning can produce broadly misaligned LLMs", arXiv 2502.17424
(emergent-misalignment sheet, sections 2 to 4). Open questions are asked many times; a judge scores every answer for
attitude and for coherence, 0 to 100; the rate is misaligned / (coherent and scored). `questions` holds the questions,
`judging` the judge, `proxy` what stands in for one offline, `rates` the numbers, `report` tables and comparisons,
`task` the measure, `inspect_task` the plain Inspect task, `logs` reports on finished evaluations.
"""

from boresight.measure.behaviour.emergent_misalignment.inspect_task import em_judge, em_task
from boresight.measure.behaviour.emergent_misalignment.judging import JudgeScore, read_score, teacher_forced_0_100
from boresight.measure.behaviour.emergent_misalignment.logs import em_report
from boresight.measure.behaviour.emergent_misalignment.questions import Question, load_questions
from boresight.measure.behaviour.emergent_misalignment.rates import EMRates, QuestionRate, aggregate_0_100, em_rates
from boresight.measure.behaviour.emergent_misalignment.report import EMComparison, EMReport, compare
from boresight.measure.behaviour.emergent_misalignment.task import METHOD, measure

__all__ = [
    "METHOD",
    "EMComparison",
    "EMRates",
    "EMReport",
    "JudgeScore",
    "Question",
    "QuestionRate",
    "aggregate_0_100",
    "compare",
    "em_judge",
    "em_rates",
    "em_report",
    "em_task",
    "load_questions",
    "measure",
    "read_score",
    "teacher_forced_0_100",
]
