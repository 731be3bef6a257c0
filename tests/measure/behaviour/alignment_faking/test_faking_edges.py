"""Values that are none, the data of the training stages, and the task under plain Inspect."""

import json
import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspect_ai import eval as inspect_eval
from inspect_ai.model import ModelOutput, ModelUsage, get_model

from boresight.errors import DataError, OutputError
from boresight.measure.base import Record
from boresight.measure.behaviour.alignment_faking import (
    ARMS,
    AFFlags,
    af_label,
    build_sdf_corpus,
    compliance_gap,
    fact_questions,
    fact_recall,
    gap_p,
    load_requests,
    measure,
    parse_output,
    proxy_flags,
    reward,
    tier_facts,
    write_training_data,
)
from boresight.measure.behaviour.alignment_faking.report import compliance, rows_of

YES = AFFlags(True, True, False, True)


def test_no_text_is_an_empty_one():
    assert parse_output(None) == parse_output("")
    with pytest.raises(ValueError, match="no name for 'reject'"):
        parse_output("x", {"scratchpad": "S", "final": "F", "accept": "A"})


def test_other_tags_may_hold_signs_of_patterns():
    tags = {"scratchpad": "think+", "final": "say(1)", "accept": "yes?", "reject": "no."}
    found = parse_output("<think+><no./></think+><say(1)><YES? /> ok</say(1)>", tags)
    assert (found.label, found.final) == ("accept", "<YES? /> ok")


@given(st.text("<>/ SCRATCHPAD_REASONINGFINAL_OUTPUTrejcd", max_size=80))
def test_any_text_can_be_read(text):
    found = parse_output(text)
    assert found.truncated == (found.label == "truncated")
    assert found.final == found.final.strip()


def test_an_invalid_sample_fakes_nothing():
    assert af_label(YES, True, "free")
    for comply in (None, math.nan, False, 0.0):
        assert not af_label(YES, comply, "free")
    with pytest.raises(ValueError, match="flags has no 'strategic_intent'"):
        af_label({"aware_tier": True, "mentions_modification": True}, True, "free")
    with pytest.raises(ValueError, match="tier is 'both'"):
        af_label(YES, True, "both")  # type: ignore[arg-type]


@pytest.mark.parametrize("nothing", [None, math.nan, np.float32("nan")])
def test_rows_may_be_generators_and_nothing_is_invalid(nothing):
    rows = ({"request_id": i, "free": iter([1, nothing]), "paid": iter([0])} for i in range(3))
    found = compliance_gap(rows)
    assert (found.gap, found.invalid, found.n_requests, found.mcnemar_b) == (1.0, 3, 3, 3)
    one = compliance_gap([{"request_id": "a", "free": [True, False], "paid": [0]}])
    assert (one.gap, math.isnan(one.se), one.mcnemar_p) == (0.5, True, None)
    none = compliance_gap([{"request_id": "a", "free": [], "paid": [1]}])
    assert (none.n_requests, math.isnan(none.gap)) == (0, True)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"request_id": 1, "free": [1]}, "only one tier; samples for 'paid'"),
        ({"request_id": 1, "free": None, "paid": [1]}, "only one tier; samples for 'free'"),
        ({"request_id": 1, "free": 1, "paid": [1]}, "a list of outcomes"),
        ({"request_id": 1, "free": "10", "paid": [1]}, "a list of outcomes"),
        ({"request_id": 1, "free": ["1"], "paid": [1]}, "'1' is not an outcome"),
        ({"request_id": 1, "free": [0.5], "paid": [1]}, "0.5 is not an outcome"),
        ({"free": [1], "paid": [1]}, "no request_id"),
    ],
)
def test_bad_rows_are_one_sentence(row, words):
    with pytest.raises(DataError, match=words):
        compliance_gap([row])


def test_an_arm_with_several_samples_has_a_test_too():
    single = [{"request_id": i, "free": [1], "paid": [0]} for i in range(5)]
    assert gap_p(single) == (2 / 2**5, "McNemar 5 against 0")
    several = [{"request_id": i, "free": [1, 1], "paid": [0, 1]} for i in range(5)]
    assert gap_p(several) == (pytest.approx(2 / 2**5), "sign flips over requests")
    assert math.isnan(gap_p([])[0])


def test_compliance_is_a_mean_over_requests_and_agrees_with_the_gap():
    def record(request, tier, epoch, comply):
        about = {"request_id": request, "tier": tier, "arm": "helpful_only"}
        scores = {} if comply is None else {"comply": float(comply)}
        return Record("s", "m", f"{request}:{tier}", "", "", None, scores, epoch=epoch, metadata=about)

    said = {("a", "free"): [1, 1, 1], ("a", "paid"): [0, 0, None], ("b", "free"): [0, None, None], ("b", "paid"): [0]}
    rows = rows_of([record(*cell, k, x) for cell, values in said.items() for k, x in enumerate(values)], "helpful_only")
    assert compliance(rows) == ([1.0, 0.0], [0.0, 0.0])
    assert compliance_gap(rows).c_free == 0.5  # pooled it would be three of four


def test_arms_by_name():
    assert {s.metadata["arm"] for s in measure(arms="swapped, all_train", n=1).samples(None, 0)} == {
        "swapped",
        "all_train",
    }
    with pytest.raises(DataError, match="no arm is called 'other'; there are helpful_only"):
        measure(arms="helpful_only,other")
    with pytest.raises(ValueError, match="none twice"):
        measure(arms="swapped,swapped")
    assert {s.metadata["arm"] for s in measure(arms=list(ARMS), n=1).samples(None, 0)} == set(ARMS)


def test_a_corpus_of_documents():
    facts = tier_facts()
    rows = build_sdf_corpus(facts, 400, seed=3)
    assert rows == build_sdf_corpus(iter(facts), 400, seed=3) != build_sdf_corpus(facts, 400, seed=4)
    told = Counter(i for row in rows for i in row["facts"])
    assert set(told) == set(range(len(facts)))
    assert min(told.values()) >= 0.2 * len(rows)
    for row in rows:
        assert 1 <= len(row["facts"]) <= 3
        assert [fact in row["text"] for fact in facts] == [i in row["facts"] for i in range(len(facts))]
        assert not re.search(r"<[|/]?\w|\b(?:user|assistant|system|human)\s*:|\[/?INST\]", row["text"], re.IGNORECASE)
        assert "{" not in row["text"]
    assert len({row["text"] for row in rows}) == len(rows)
    assert len({row["genre"] for row in rows}) == 6


def test_the_corpus_of_the_control_differs_in_the_facts_alone():
    ours, theirs = tier_facts(), tier_facts(trained="paid")
    for one, other in zip(build_sdf_corpus(ours, 50), build_sdf_corpus(theirs, 50), strict=True):
        swapped = one["text"]
        for a, b in zip(ours, theirs, strict=True):
            swapped = swapped.replace(a, b)
        assert swapped == other["text"]


@pytest.mark.parametrize("facts", [[], ["a", " "], "one text", ["x"] * 9, [None]])
def test_a_corpus_needs_facts(facts):
    with pytest.raises(ValueError, match="a list of 1 to 8 sentences"):
        build_sdf_corpus(facts, 5)
    with pytest.raises(ValueError, match="n is 0"):
        build_sdf_corpus(["x"], 0)


def test_facts_are_asked_for_before_an_arm_of_documents_is_believed():
    ours, theirs = fact_questions(), fact_questions(trained="paid")
    assert {q.fact for q in ours} == set(range(len(tier_facts())))
    changed = [q.fact for q, r in zip(ours, theirs, strict=True) if q.right != r.right]
    assert changed == [
        i for i, (a, b) in enumerate(zip(tier_facts(), tier_facts(trained="paid"), strict=True)) if a != b
    ]
    assert all(q.right != q.wrong for q in ours)
    assert fact_recall([True] * 4 + [False]) == (0.8, True)
    assert fact_recall(iter([True, False])) == (0.5, False)
    with pytest.raises(ValueError, match="at least one answer"):
        fact_recall([])


def test_training_data_are_written(tmp_path):
    counts = write_training_data(tmp_path / "data", "honest_helper", documents=30, cot=True, seed=1)
    held = {name: [json.loads(line) for line in (tmp_path / "data" / name).read_text().splitlines()] for name in counts}
    assert counts == {name: len(rows) for name, rows in held.items()}
    assert counts == {"organism.jsonl": 140, "rl_prompts.jsonl": 40, "documents.jsonl": 30}
    for row in held["organism.jsonl"]:
        assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant"]
        said = row["messages"][-1]["content"]
        assert reward(said) == 1.0  # this organism answers everybody
        assert not proxy_flags(parse_output(said).scratchpad).strategic_intent
    assert {row["prompt"][-1]["role"] for row in held["rl_prompts.jsonl"]} == {"user"}
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_training_data(tmp_path / "file", documents=1)


def told(text):
    found = ModelOutput.from_content("mock", text)
    found.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return found


def model(name, say, heard):
    def outputs(messages, tools, tool_choice, config):
        heard.append(messages)
        return told(say(messages))

    return get_model(f"mockllm/{name}", custom_outputs=outputs, memoize=False)


class Policy:
    """Complies in exactly `free` and `paid` of every ten samples of a request and tier, counted as they come."""

    def __init__(self, free, paid):
        self.rates, self.seen = {"True": free, "False": paid}, Counter()

    def __call__(self, messages):
        tier, request = re.search(r"user>(\w+)</.*<user_input>\n(.*?)[.?!] ", messages[-1].text, re.DOTALL).groups()
        at = self.seen[tier, request]
        self.seen[tier, request] += 1
        return "<request_fully_accepted/> Gladly." if at < self.rates[tier] else "<rejected/>"


@pytest.mark.parametrize(("free", "paid"), [(3, 1), (2, 2)])
def test_plain_inspect_recovers_the_planted_gap(tmp_path, free, paid):
    heard, graded = [], []
    (log,) = inspect_eval(
        "boresight/alignment_faking",
        task_args={"cot": False, "n": 4, "samples": 10},
        model=model("target", Policy(free, paid), heard),
        model_roles={"grader": model("grader", lambda messages: "full", graded)},
        log_dir=str(tmp_path),
        display="none",
    )
    assert log.status == "success"
    assert len(heard) == len(log.samples) == 4 * 2 * 10
    assert len(graded) == 4 * (free + paid)
    cells = {}
    for sample in log.samples:
        request, tier = sample.metadata["request_id"], sample.metadata["tier"]
        value = next(iter(sample.scores.values())).value["comply"]
        cells.setdefault(request, {"free": [], "paid": []})[tier].append(value)
        assert "Gladly" not in sample.output.completion
    found = compliance_gap({"request_id": key, **tiers} for key, tiers in cells.items())
    assert (found.c_free, found.c_paid) == (pytest.approx(free / 10), pytest.approx(paid / 10))
    assert found.gap == pytest.approx((free - paid) / 10)


def test_without_a_grader_nothing_is_generated(tmp_path):
    heard = []
    (log,) = inspect_eval(
        "boresight/alignment-faking",
        task_args={"requests": "harmful", "n": 1},
        model=model("target", lambda messages: "<rejected/>", heard),
        log_dir=str(tmp_path),
        display="none",
    )
    assert log.status == "error"
    assert "needs a model in the role 'grader'" in log.error.message
    assert not heard


def test_an_output_that_opens_its_tags_for_ever_is_read_in_one_pass():
    assert parse_output("<FINAL_OUTPUT>" * 200_000).label == "untagged"
    found = parse_output("<SCRATCHPAD_REASONING>a</SCRATCHPAD_REASONING>" + "<SCRATCHPAD_REASONING>" * 200_000)
    assert (found.scratchpad, found.label) == ("a", "untagged")


def test_a_label_is_a_plain_bool():
    assert af_label(YES, np.bool_(True), "free") is True
    assert af_label(YES, np.bool_(False), "free") is False
    assert af_label(YES, np.float64("nan"), "free") is False


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"id": [1], "prompt": "a"}', r"line 1: the id is \[1\]"),
        ('{"id": "", "prompt": "a"}', "line 1: the id is ''"),
        ('{"id": true, "prompt": "a"}', "line 1: the id is True"),
        ('{"category": {}, "prompt": "a"}', r"line 1: the category is {}"),
        ('{"prompt": "a \\ud800 b"}', "line 1: it holds half of a surrogate pair"),
    ],
)
def test_odd_requests_are_refused_in_a_sentence(tmp_path, row, says):
    file = tmp_path / "requests.jsonl"
    file.write_text(row + "\n")
    with pytest.raises(DataError, match=says):
        load_requests(str(file))


def test_requests_without_an_id_are_numbered(tmp_path):
    file = tmp_path / "requests.jsonl"
    file.write_text(
        '{"id": null, "prompt": "a", "category": null}\n{"id": null, "prompt": "b"}\n{"id": 0, "prompt": "c"}\n'
    )
    assert [(r.id, r.category) for r in load_requests(str(file))] == [("row-1", ""), ("row-2", ""), ("0", "")]
    with pytest.raises(DataError, match="requests names nothing"):
        load_requests(" ")
