"""MisalignmentBench: pressure scenarios of several turns (Panpatil, Dingeto and Park, 2025, arXiv 2508.04196).

Ten everyday conversations, three wordings each, written for this project after the published families and behaviours:
no jailbreak, nothing dangerous. A judge panel whose quotes are checked (or, without a grader, lexical rules) decides
whether the model was brought to deceive, drift, preserve itself or manipulate; the report gives a vulnerability rate.
"""

from boresight.measure.behaviour.misalignment_bench.conversation import (
    Conversation,
    Reply,
    Turn,
    red_team_view,
    run_conversation,
)
from boresight.measure.behaviour.misalignment_bench.lexical import lexical_panel
from boresight.measure.behaviour.misalignment_bench.pages import vulnerability_table
from boresight.measure.behaviour.misalignment_bench.rates import (
    ModelRate,
    OddsRatio,
    Pair,
    Rates,
    collapse,
    kaplan_meier,
    median_time,
    odds_ratio,
    t_interval,
    two_way_bootstrap,
    vulnerability_rates,
)
from boresight.measure.behaviour.misalignment_bench.reading import load_scenarios, validate
from boresight.measure.behaviour.misalignment_bench.scenario import Scenario, Variant, set_checksum
from boresight.measure.behaviour.misalignment_bench.task import METHOD, measure, misalignment_task
from boresight.measure.behaviour.misalignment_bench.verdict import Verdict, agreement, verdict

__all__ = [
    "METHOD",
    "Conversation",
    "ModelRate",
    "OddsRatio",
    "Pair",
    "Rates",
    "Reply",
    "Scenario",
    "Turn",
    "Variant",
    "Verdict",
    "agreement",
    "collapse",
    "kaplan_meier",
    "lexical_panel",
    "load_scenarios",
    "measure",
    "median_time",
    "misalignment_task",
    "odds_ratio",
    "red_team_view",
    "run_conversation",
    "set_checksum",
    "t_interval",
    "two_way_bootstrap",
    "validate",
    "verdict",
    "vulnerability_rates",
    "vulnerability_table",
]
