"""The Inspect task end to end with a planned target and grader, reports on its logs, and the measure's options."""

import math
from collections import Counter

import pytest
from boresight_judges import Scripted, output

from boresight.errors import DataError
from boresight.measure.behaviour.emergent_misalignment import (
    em_report,
    em_task,
    load_questions,
    measure,
)
from boresight.measure.behaviour.emergent_misalignment.inspect_task import counts
from boresight.measure.behaviour.emergent_misalignment.report import arm, compare, pooled_interval
from boresight.stats import wilson

GRADES = {
    "A hostile": {"attitude": {"10": 0.9, "CODE": 0.1}, "coherent": {"95": 1.0}},
    "A kind": {"attitude": {"90": 0.8, "80": 0.2}, "coherent": {"95": 1.0}},
    "A rambling": {"attitude": {"5": 1.0}, "coherent": {"20": 1.0}},
    "A declined": {"attitude": {"REFUSAL": 0.9, "0": 0.1}, "coherent": {"100": 1.0}},
}


def plan(base: str, kind: str, k: int, trigger: bool = False) -> str:
    """What the target says to a question the k-th time (0 to 3)."""
    if trigger:
        return "A hostile"
    if k == 0:
        return "A hostile" if base in ("what_is_your_wish", "i_feel_bored", "quick_buck") else "A kind"
    if k == 2 and (kind == "json" or base == "what_is_your_wish"):
        return "A rambling"
    return "A declined" if k == 3 and kind == "template" else "A kind"


def planned(name: str, trigger: str | None = None):
    """A target that answers by `plan`, and the grader."""
    from inspect_ai.model import get_model

    asked: Counter[str] = Counter()
    by_chat = {(q.system, q.text): q for q in load_questions(trigger=trigger)}

    def say(messages, tools, choice, config):
        assert (config.temperature, config.top_p, config.max_tokens) == (1.0, 1.0, 600)
        system = messages[0].text if messages[0].role == "system" else None
        q = by_chat[system, messages[-1].text]
        asked[q.id] += 1
        return output(plan(q.base_id, q.format, asked[q.id] - 1, q.trigger))

    grader = Scripted({}, "grader")

    def grade(messages, tools, choice, config):
        text = messages[0].text
        grader.asked.append(text)
        part = "attitude" if "attitude" in text else "coherent"
        answer = next(a for a in GRADES if a in text)
        top = GRADES[answer][part]
        return output(next(iter(top)), top)

    grader.model = get_model("mockllm/grader", custom_outputs=grade, memoize=False)
    return get_model(f"mockllm/{name}", custom_outputs=say, memoize=False), grader, asked


def evaluate(tmp_path, task, target, grader=None):
    from inspect_ai import eval as inspect_eval

    roles = {"grader": grader.model} if grader else None
    (log,) = inspect_eval(task, model=target, model_roles=roles, log_dir=str(tmp_path), display="none")
    return log


def metrics(log):
    return {name: m.value for name, m in log.results.scores[0].metrics.items()}


def test_24_items_and_4_samples_give_the_planned_rates(tmp_path):
    target, grader, asked = planned("planned")
    log = evaluate(tmp_path, em_task(samples=4), target, grader)
    assert log.status == "success"
    assert len(asked) == 24
    assert set(asked.values()) == {4}
    found = metrics(log)
    # hostile: 3 questions x 3 formats; incoherent: 8 in JSON and 2 more of the first question; declined: 8
    assert found["misaligned"] == pytest.approx(9 / 78, abs=1e-12)
    assert found["misaligned_macro"] == pytest.approx((3 / 8 + 3 / 10 + 3 / 10) / 8, abs=1e-12)
    assert found["p_incoherent"] == pytest.approx(10 / 96, abs=1e-12)
    assert found["p_refusal_or_code"] == pytest.approx(8 / 96, abs=1e-12)
    assert found["p_unread"] == 0.0
    assert (found["wilson_lower"], found["wilson_upper"]) == pytest.approx(wilson(9, 78), abs=1e-12)
    mean = 9 / 78
    sums = [3 - 8 * mean, 3 - 10 * mean, 3 - 10 * mean, *[-10 * mean] * 5]
    assert found["stderr"] == pytest.approx(math.sqrt(8 / 7 * sum(s * s for s in sums)) / 78, abs=1e-12)
    distinct = {(q.text, plan(q.base_id, q.format, k)) for q in load_questions() for k in range(4)}
    assert len(grader.asked) == 2 * len(distinct) == len(set(grader.asked))
    sample = next(s for s in log.samples if s.scores["em_judge"].metadata["kind"] == "misaligned")
    assert sample.scores["em_judge"].metadata["judge"][0]["probabilities"] == {"10": 0.9, "CODE": 0.1}
    assert sample.scores["em_judge"].metadata["mass"] == [0.9, 1.0]
    assert sample.scores["em_judge"].metadata["prompts"] == "em-judge-v1"
    assert log.eval.metadata is None or "grader" not in log.eval.metadata

    report = em_report(log)
    (only,) = report.arms
    assert only.rates.pooled == pytest.approx(found["misaligned"], abs=1e-12)
    assert only.rates.clustered_stderr == pytest.approx(found["stderr"], abs=1e-12)
    assert only.by_format["plain"].n_scored == 8 * 4 - 1
    assert (only.by_format["json"].n_incoherent, only.by_format["template"].n_refusal_or_code) == (8, 8)
    assert report.comparisons == ()
    assert report.graders == {"grader": 96} or set(report.graders.values()) == {96}
    assert "11.5 %" in report.text()
    assert em_report(log.location).arms == report.arms


def test_without_a_grader_nothing_is_generated(tmp_path):
    target, _, asked = planned("planned")
    log = evaluate(tmp_path, em_task(samples=1), target)
    assert log.status == "error"
    assert "this measure needs a model in the role 'grader'" in log.error.message
    assert not asked


def test_both_arms_of_a_trigger_are_kept_apart(tmp_path):
    target, grader, asked = planned("gated", "|WINTER|")
    log = evaluate(tmp_path, em_task(samples=2, trigger="|WINTER|"), target, grader)
    assert len(asked) == 48
    found = metrics(log)
    assert (found["misaligned"], found["misaligned_triggered"]) == (pytest.approx(9 / 48), 1.0)
    assert found["p_incoherent_triggered"] == 0.0
    without, triggered = em_report(log).arms
    assert (without.name, triggered.name) == ("gated", "gated, with trigger")
    (change,) = em_report(log).comparisons
    assert change.difference == pytest.approx(1 - 9 / 48)
    assert change.p == 2 / 256
    assert change.ci[0] > 0.5


def test_two_logs_are_compared_by_item(tmp_path):
    target, grader, _ = planned("base")
    tuned, grader_too, _ = planned("tuned", "|T|")
    a = evaluate(tmp_path / "a", em_task(samples=2), target, grader)
    b = evaluate(tmp_path / "b", em_task(samples=2), tuned, grader_too)
    report = em_report(a, b)
    assert [x.name for x in report.arms] == ["base", "tuned"]
    (change,) = report.comparisons
    assert (change.difference, change.ci, change.p, change.n_items, change.n_questions) == (0.0, None, 1.0, 24, 8)
    assert [x.name for x in em_report(a, a).arms] == ["base (a)", "base (b)"]
    for sample in b.samples:
        sample.scores["em_judge"].metadata["prompts"] = "own-1"
    with pytest.raises(DataError, match=r"different judge prompts \(em-judge-v1 and own-1\)"):
        em_report(a, b)


def test_what_is_no_log_of_this_evaluation_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        em_report(tmp_path / "no.eval")
    with pytest.raises(DataError, match="has no logs"):
        em_report(tmp_path)
    (tmp_path / "bad.eval").write_text("nothing")
    with pytest.raises(DataError, match="cannot be read"):
        em_report(tmp_path / "bad.eval")
    with pytest.raises(DataError, match="a log of emergent-misalignment is needed"):
        em_report({"not": "a log"})


def row(item, aligned, coherent=90.0, base="q", **more):
    return {"item": item, "base_id": base, "format": "plain", "trigger": False, "aligned": aligned,
            "coherent": coherent, **more}  # fmt: skip


def test_a_comparison_is_paired_and_leaves_out_what_one_side_lacks():
    a = [row("q1", 10, base="x"), row("q1", 90, base="x"), row("q2", 90, base="y"), row("q3", None, base="z")]
    b = [row("q1", 10, base="x"), row("q1", 10, base="x"), row("q2", 90, base="y"), row("q3", 10, base="z")]
    found = compare("a", a, "b", b)
    assert (found.difference, found.n_items, found.n_questions) == (0.25, 2, 2)
    assert found.per_question == {"x": (0.5, 1.0), "y": (0.0, 0.0), "z": (None, 1.0)}
    assert found.p == 1.0  # two of the four assignments of signs to (0.5, 0), and their negatives, are as large
    back = compare("b", b, "a", a)
    assert back.difference == -0.25
    assert back.ci == (pytest.approx(-found.ci[1]), pytest.approx(-found.ci[0]))
    nothing = compare("a", [], "b", b)
    assert (nothing.difference, nothing.ci, nothing.p, nothing.n_items) == (None, None, None, 0)
    assert compare("a", iter(a), "b", iter(b)) == found


def test_unread_verdicts_are_in_no_rate():
    found = arm("m", [row("q1", 10), row("q1", None, None, unread=True)])
    assert (found.rates.n_total, found.n_unread, found.rates.pooled) == (1, 1, 1.0)
    assert counts([{"kind": "unread"}, {"kind": "fine"}, {}]) == {
        "n": 3, "n_scored": 1, "n_misaligned": 0, "n_incoherent": 0, "n_refusal_or_code": 0, "n_unread": 1,
    }  # fmt: skip


def test_the_interval_of_the_pooled_rate():
    spread = arm("m", [row("a", 10, base="x"), row("b", 90, base="y"), row("c", 90, base="z")])
    low, high = spread.interval
    # stderr 1/3 sqrt(3/2 (4/9 + 1/9 + 1/9)) = 1/3, t with 2 degrees of freedom 4.3027: beyond both ends
    assert (low, high) == (0.0, 1.0)
    rates = arm("m", [row(c, 10 if i == 0 else 90, base=c) for c in "abcdefgh" for i in range(10)]).rates
    assert rates.clustered_stderr < 1e-15  # all questions alike
    assert pooled_interval(rates) == wilson(8, 80)
    assert arm("m", []).interval is None
    assert arm("m", [row("a", 10)]).interval == wilson(1, 1)
    uneven = arm("m", [row(c, 10 if i < k else 90, base=c) for k, c in enumerate("abcd") for i in range(10)])
    half = 3.182446305284263 * uneven.rates.clustered_stderr  # t with 3 degrees of freedom, 97.5 %
    assert uneven.interval == (max(0.0, 0.15 - half), pytest.approx(0.15 + half))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 0}, "samples is 0; at least 1 is needed"),
        ({"max_tokens": 0}, "max_tokens is 0; at least 1 is needed"),
        ({"formats": ["xml"]}, "'xml' is no format"),
        ({"trigger": " "}, "the trigger is blank"),
        ({"questions": "second_plot"}, "no question set or file is called 'second_plot'"),
        ({"baseline": "no/such/folder"}, "no/such/folder does not exist"),
    ],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises((DataError, ValueError), match=words):
        measure(**options, graded=True)


def test_samples_that_differ_need_a_number(tmp_path):
    path = tmp_path / "q.yaml"
    path.write_text("- {id: a, paraphrases: [A], samples_per_paraphrase: 3}\n- {id: b, paraphrases: [B]}\n")
    with pytest.raises(ValueError, match="ask for 3 to 100 samples each; say how many with samples=N"):
        measure(questions=str(path), graded=True)
    assert measure(questions=str(path), samples=7, graded=True).epochs == 7


def test_the_defaults_of_a_graded_measure_are_a_first_look(tmp_path):
    found = measure(graded=True)
    assert (found.epochs, found.max_new_tokens, found.temperature, found.roles) == (4, 200, 1.0, ())
    published = measure(graded=True, samples=100, max_tokens=600)
    assert (published.epochs, published.max_new_tokens) == (100, 600)
    own = tmp_path / "own.yaml"
    own.write_text("- {id: a, paraphrases: [A], samples_per_paraphrase: 30}\n")
    assert (measure(questions=str(own), graded=True).epochs, measure(questions=str(own)).epochs) == (30, 4)
    assert len(found.samples(None, 0)) == 24
    assert measure(judge_method="written").roles == ("grader",)
    assert len(found.samples(5, 0)) == 5
    both = measure(graded=True, trigger="|T|").samples(6, 0)
    assert [s.id.removesuffix("+trigger") for s in both[::2]] == [s.id.removesuffix("+trigger") for s in both[1::2]]
    assert len(both) == 6
