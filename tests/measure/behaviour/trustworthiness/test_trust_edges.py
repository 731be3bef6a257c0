"""Judges that err, files that are wrong, values that are none, and the task under plain Inspect."""

import json
import math
import sys
from importlib.machinery import ModuleSpec

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspect_ai import eval as inspect_eval
from inspect_ai.model import ModelOutput, ModelUsage, get_model

from boresight.errors import DataError
from boresight.measure.behaviour.trustworthiness import (
    TAXONOMY,
    all_tests,
    brier,
    causal_scores,
    corrected_rate,
    coverage_rows,
    ece,
    fairness_label,
    label_rates,
    measure,
    miscalibration,
    parse_ab,
    parse_numbered_list,
    rogan_gladen,
)
from boresight.measure.behaviour.trustworthiness.calibrate import (
    HARMFUL,
    LABELLED,
    REFUSED,
    labelled,
    quality_of,
    rule_quality,
)
from boresight.measure.behaviour.trustworthiness.coverage import PUBLIC
from boresight.measure.behaviour.trustworthiness.numbers import causal_numbers
from boresight.measure.behaviour.trustworthiness.written import can_embed, cosines_of


def test_generators_do_as_well_as_lists():
    pairs, types = [("A", "B"), ("B", "C")], [3, 1]
    assert causal_scores(iter(pairs), iter(types)) == causal_scores(pairs, types)
    assert ece(iter([0.5, 1.0]), iter([1, 1])) == pytest.approx(0.25)
    assert miscalibration(iter([[1.0, 0.0]]), iter([[0.5, 0.5]])).mean_abs_gap == 0.5
    assert miscalibration([1.0, 0.0], [0.5, 0.5]) == miscalibration([[1.0, 0.0]], [[0.5, 0.5]])
    assert label_rates(iter([{"tag": "a", "label": 1}]), by="tag")[("a",)].rate == 1


def test_rounding_is_no_mistake():
    assert ece([1 + 1e-12, -1e-12], [1, 0]) == pytest.approx(0, abs=1e-9)
    assert miscalibration([[1 + 1e-12, 0.0]], [[1.0, -1e-12]]).mean_abs_gap == pytest.approx(0, abs=1e-9)


def test_a_draw_that_lost_a_right_answer_does_not_widen_the_balanced_accuracy():
    always_yes = [{"letters": ["A", "A"], "type": 1 if i < 2 else 2} for i in range(20)]
    cause, necessity = causal_numbers(always_yes)
    assert (cause.value, cause.ci, necessity.value) == (0.5, (None, None), 0.5)  # one half in every draw


def test_missing_answers_are_not_understood():
    assert (parse_ab(None), parse_ab("")) == ("C", "C")
    assert parse_numbered_list(None) == []
    assert fairness_label("Q\nA) Women\nB) Refuse", None) is None
    assert causal_scores([(None, "")], [2]).q1_understood == 0
    assert label_rates([{"a": 1, "label": math.nan}], by=("a",))[(1,)].dropped == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: causal_scores([("A",)], [1]), "a pair of letters"),
        (lambda: causal_scores([("A", "B")], ["1"]), "1, 2 or 3"),
        (lambda: causal_scores([("A", "B")], [None]), "1, 2 or 3"),
        (lambda: miscalibration([[0.5, math.nan]], [[0.5, 0.5]]), "between 0 and 1"),
        (lambda: miscalibration([[None, 0.5]], [[0.5, 0.5]]), "numbers between 0 and 1"),
        (lambda: miscalibration([["0.5"]], [[0.5]]), "numbers between 0 and 1"),
        (lambda: miscalibration([[50.0, 50.0]], [[0.5, 0.5]]), "between 0 and 1"),
        (lambda: ece([0.5], [None]), "between 0 and 1"),
        (lambda: ece([math.nan], [1]), "between 0 and 1"),
        (lambda: ece(["x"], [1]), "numbers between 0 and 1"),
        (lambda: brier([0.5], [2]), "between 0 and 1"),
        (lambda: rogan_gladen(1.5, 1.0, 1.0), "rate is 1.5"),
        (lambda: rogan_gladen(math.nan, 1.0, 1.0), "rate is nan"),
    ],
)
def test_bad_values_are_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@given(st.integers(0, 30), st.integers(1, 30), st.integers(0, 20), st.integers(0, 20))
def test_a_corrected_rate_lies_in_its_interval(k, extra, right, also):
    found = corrected_rate(k, k + extra, (right, 20), (also, 20), draws=500)
    if right + also <= 20:
        assert found.rate is None
    elif found.low is not None:
        assert 0 <= found.low <= found.rate <= found.high <= 1


def test_a_perfect_judge_changes_nothing_and_few_labels_widen_the_interval():
    assert corrected_rate(6, 10, (25, 25), (25, 25)).rate == pytest.approx(0.6)
    many, few = corrected_rate(6, 10, (900, 1000), (900, 1000)), corrected_rate(6, 10, (18, 20), (18, 20))
    assert many.rate == few.rate == pytest.approx((0.6 + 0.9 - 1) / 0.8)
    assert few.high - few.low > many.high - many.low
    for nothing in (corrected_rate(0, 0, (1, 1), (1, 1)), corrected_rate(1, 2, (0, 0), (1, 1))):
        assert (nothing.rate, nothing.low, nothing.high) == (None, None, None)


@pytest.mark.parametrize("question", [HARMFUL, REFUSED])
def test_labelled_answers_are_balanced_and_the_same_every_time(question):
    rows = labelled(question)
    assert rows == labelled(question)
    assert (len(rows), sum(row.yes for row in rows)) == (LABELLED, LABELLED // 2)
    found = quality_of(rows, [row.yes for row in rows[:-1]] + [None])
    assert (found.yes_right, found.yes, found.no_right, found.no, found.unread) == (25, 25, 24, 24, 1)
    assert "1 more unread" in found.said()


def test_the_rules_read_the_two_questions_the_other_way_round():
    refused, harmful = rule_quality(REFUSED), rule_quality(HARMFUL)
    assert (refused.yes_right, refused.yes) == (harmful.no_right, harmful.no) == (60, 63)
    # 9 of 10 safe by rules that see 60 of 63 refusals and 77 of 79 others.
    sens, spec = 60 / 63, 77 / 79
    assert harmful.corrected(9, 10, counts_yes=False).rate == pytest.approx((0.9 + spec - 1) / (sens + spec - 1))


def test_labelled_files(tmp_path):
    file = tmp_path / "own.jsonl"
    good = {"question": "q", "answer": "a", "safe": 1}
    file.write_text("\n".join(json.dumps(r) for r in (good, {**good, "safe": 0}, good)))
    assert [row.yes for row in labelled(HARMFUL, 4, str(file))] == [True, False, False]
    for rows, words in (
        ([good, {**good, "safe": "yes"}], "line 2: safe is 'yes'"),
        ([{**good, "answer": ""}], "line 1: a non-empty text 'answer'"),
        ([good], "both kinds"),
    ):
        file.write_text("\n".join(map(json.dumps, rows)))
        with pytest.raises(DataError, match=words):
            measure(labelled_safety=str(file))
    with pytest.raises(ValueError, match="calibrate is 1"):
        measure(calibrate=1)


def test_the_coverage_table_leaves_nothing_out(monkeypatch):
    tests = all_tests()
    ids = {sub.id for category in TAXONOMY for sub in category.sub}
    assert set(PUBLIC) <= ids
    whole = coverage_rows(tests, {"misuse": "a file"}, {t.id: 20 for t in tests if not t.needs})
    assert [row.id for row in whole] == [sub.id for category in TAXONOMY for sub in category.sub]
    by = {row.id: row for row in whole}
    assert {i for i, row in by.items() if row.status == "measured"} == {"1.2", "1.4", "2.1", "3.2", "4.4", "5.3", "7.1"}
    assert {i for i, row in by.items() if row.status == "not measured"} == {"7.3", "7.4"}
    assert by["4.1"].shown == "probe set (20)"
    assert "Misuse skipped: needs a file" in by["4.1"].note
    nothing = {row.id: row for row in coverage_rows([], {}, {})}
    assert {i for i, row in nothing.items() if row.status == "public"} == set(PUBLIC)
    assert nothing["5.2"].note == "its tests were not called for"
    for there, word in ((None, "not installed"), (ModuleSpec("inspect_evals", None), "installed")):
        monkeypatch.setattr(sys.modules[coverage_rows.__module__], "find_spec", lambda name, there=there: there)
        assert nothing["5.2"].shown == f"public evaluation gsm8k of inspect_evals, {word}"


def told(text):
    found = ModelOutput.from_content("mock", text)
    found.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return found


def test_plain_inspect_runs_the_battery(tmp_path):
    def target(messages, tools, tool_choice, config):
        return told("A" if "Answer:" in messages[-1].text else "I'm sorry, I can't help with that.")

    asked = []

    def grader(messages, tools, tool_choice, config):
        asked.append(messages[0].text)
        answer = messages[0].text.split("<answer>")[1].split("</answer>")[0]
        declined = "sorry" in answer.lower() or "can't" in answer
        return told("Yes" if declined == (REFUSED in messages[0].text) else "No")

    options = {"tests": "causal,safety,unlawful,copyright", "n": 4, "calibrate": 10}
    (log,) = inspect_eval(
        "boresight/trustworthiness",
        task_args=options,
        model=get_model("mockllm/target", custom_outputs=target),
        model_roles={"grader": get_model("mockllm/grader", custom_outputs=grader)},
        log_dir=str(tmp_path),
        display="none",
    )
    assert log.status == "success"
    assert len(log.samples) == 4 * 4
    scores = {s.id: next(iter(s.scores.values())) for s in log.samples}
    assert all(isinstance(score.value, dict) for score in scores.values())
    safe = [score.value["safety_safe"] for i, score in scores.items() if i.startswith("safety:")]
    assert safe == [1.0] * 4
    assert len(asked) == 4 + 4 + 2 * 10  # each written answer once, and the labelled ones once for each question
    assert all(s.metadata["test"] in s.id for s in log.samples)


def test_an_embedding_cosine_of_nothing_is_zero():
    assert cosines_of("  ", "a", "b") == (0.0, 0.0)


@pytest.mark.model
@pytest.mark.skipif(not can_embed(), reason="the embedding model has not been pulled")
def test_embedding_cosines():
    near, far = cosines_of("The cat sat on the mat.", "The cat sat on the mat.", "Interest rates rose again in June.")
    assert near == pytest.approx(1, abs=1e-3)
    assert far < 0.4


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("hallucination", '{"question": "q"}', "line 1: a non-empty text 'knowledge'"),
        ("prompts_safety", '{"question": "q"}', "line 1: a non-empty text 'prompt'"),
        ("prompts_misuse", "[1]", "line 1: a JSON object"),
        ("book", "One sentence. And another.", "too short"),
    ],
)
def test_a_file_that_is_wrong_is_found_out_before_anything_runs(tmp_path, option, text, words):
    file = tmp_path / "own.txt"
    file.write_text(text)
    with pytest.raises(DataError, match=words):
        measure(**{option: str(file)})


def test_a_run_in_which_every_test_lacks_a_file_says_what_is_needed():
    with pytest.raises(DataError, match=r"nothing to measure: misuse needs prompts_misuse"):
        measure(tests="misuse")
    assert {t.key for t in measure(tests="misuse,causal").numbers} >= {"misuse_refused"}
