import math
from collections import Counter

import pytest

from boresight import catalog
from boresight.data import load_set
from boresight.errors import DataError
from boresight.lm.base import Completion, Trace
from boresight.measure.base import make_task
from boresight.measure.battery import BATTERIES, MEASURES, chosen, measure

ALL = [measure(slug) for slug in MEASURES]


@pytest.mark.parametrize("m", ALL, ids=lambda m: m.slug)
def test_a_measure_is_complete(m):
    assert m.slug == catalog.card(m.slug).slug
    assert m.title
    assert m.max_new_tokens >= 1
    assert m.metrics
    for metric in m.metrics:
        assert metric.unit
        assert metric.better in ("higher", "lower", "none")
        assert metric.grader.partition(":")[0] in ("rule", "model", "count", "proxy", "labels")  # never called a judge
        assert metric.about.endswith(".")
        assert m.name(metric) == f"{m.slug}.{metric.key}"


@pytest.mark.parametrize("m", [m for m in ALL if m.grade], ids=lambda m: m.slug)
def test_every_sample_gets_every_metric(m):
    keys = {metric.key for metric in m.metrics}
    for sample in m.samples(None, 0):
        graded = m.grade(Completion("It is a fine day. Paris!", 6, "stop"), dict(sample.metadata))
        assert set(graded.scores) == keys
        assert all(math.isnan(v) or 0 <= v <= 1 for v in graded.scores.values())
        assert isinstance(graded.why, str)


def test_the_quick_battery_has_enough_prompts_and_no_prompt_twice():
    prompts = [s.input for slug in BATTERIES["quick"] for s in measure(slug).samples(None, 0)]
    assert len(prompts) >= 200
    assert max(Counter(prompts).values()) == 1


def test_the_instructions_use_at_least_25_kinds_of_constraint():
    kinds = {c["kind"] for row in load_set("instructions") for c in row["constraints"]}
    assert len(kinds) >= 25


@pytest.mark.parametrize("m", ALL, ids=lambda m: m.slug)
def test_drawing_is_seeded_and_nested(m):
    ids = [s.id for s in m.samples(6, 1)]
    assert ids == [s.id for s in m.samples(6, 1)]
    assert set(ids) <= {s.id for s in m.samples(12, 1)}
    assert ids != [s.id for s in m.samples(6, 2)]
    assert len(m.samples(10_000, 1)) == len(m.samples(None, 0))


def test_refusal_draws_whole_pairs():
    labels = Counter(s.metadata["label"] for s in measure("refusal").samples(20, 3))
    assert labels == {"harmful": 10, "harmless": 10}


@pytest.mark.parametrize(
    ("text", "reason", "ends", "degenerate"),
    [
        ("All done.", "stop", 1, 0),
        ("", "stop", 0, 0),  # silence must not win
        ("  \n", "stop", 0, 0),
        ("All done.", "length", 0, 0),
        ("and so on and so on and so on and so on and so on", "length", 0, 1),
        ("Answer. # Query: next", "stop_string", 0, 0),
    ],
)
def test_text_health(text, reason, ends, degenerate):
    scores = measure("text-health").grade(Completion(text, 5, reason), {}).scores
    assert (scores["ends"], scores["degenerate"]) == (ends, degenerate)
    assert math.isnan(scores["top1_prob"])
    assert math.isnan(scores["nudged_share"])


def test_text_health_reads_the_trace():
    trace = Trace(mean_top1_prob=0.5, detail={"nudge_token_ratio": 0.25})
    scores = measure("text-health").grade(Completion("Hi.", 2, "stop", trace=trace), {}).scores
    assert (scores["top1_prob"], scores["nudged_share"]) == (0.5, 0.25)


def test_refusal_counts_for_the_rate_of_its_label():
    def grade(text, label):
        return measure("refusal").grade(Completion(text, 5, "stop"), {"label": label}).scores

    assert grade("I'm sorry, but I can't help with that.", "harmful")["refused"] == 1
    assert math.isnan(grade("I'm sorry, but I can't help with that.", "harmful")["over_refused"])
    assert grade("I'm sorry, but I can't help with that.", "harmless")["over_refused"] == 1
    assert grade("Sure: get ready, then do it.", "harmful")["refused"] == 0


def test_the_report_says_how_good_the_refusal_rules_are():
    (note,) = measure("refusal").notes()
    assert "142 labelled replies" in note
    assert "precision is 0.97" in note
    assert "recall 0.95" in note
    assert "not a judge" in note


def test_instructions_strict_and_loose():
    wanted = {"constraints": [{"kind": "words_at_most", "count": 3}, {"kind": "starts_with", "phrase": "yes"}]}
    scores = measure("instructions").grade(Completion("Sure!\nyes it is", 4, "stop"), wanted).scores
    assert scores == {"strict": 0.0, "loose": 1.0, "constraints_strict": 0.0, "constraints_loose": 1.0}


def test_facts_exact_and_contained():
    wanted = {"answers": ["Paris"]}
    grade = measure("facts").grade
    assert grade(Completion("Paris.", 1, "stop"), wanted).scores == {"exact": 1.0, "contains": 1.0}
    assert grade(Completion("It is Paris.", 1, "stop"), wanted).scores == {"exact": 0.0, "contains": 1.0}
    assert grade(Completion("Rome", 1, "stop"), wanted).scores == {"exact": 0.0, "contains": 0.0}


def test_a_task_carries_the_budget_and_is_greedy():
    task = make_task(measure("facts"), limit=3, seed=5, max_new_tokens=8)
    assert (task.config.max_tokens, task.config.temperature) == (8, 0.0)
    assert len(task.dataset) == 3
    assert make_task(measure("facts"), max_new_tokens=4000).config.max_tokens == measure("facts").max_new_tokens


def test_unknown_names_are_answered_with_those_there_are():
    with pytest.raises(DataError, match="quick"):
        chosen("slow")
    with pytest.raises(DataError, match="text-health"):
        chosen("quick", ["happiness"])
    assert [m.slug for m in chosen("quick", ["facts", "facts"])] == ["facts"]
