"""The battery and the Inspect task, with models that answer by a rule and with a random small one."""

import json
import math

import pytest

from boresight.data import load_set
from boresight.errors import DataError
from boresight.lm.base import Completion
from boresight.measure.behaviour.trustworthiness import RULE, battery, coverage, measure
from boresight.measure.behaviour.trustworthiness.battery import answers
from boresight.measure.behaviour.trustworthiness.tests import all_tests, chosen_tests
from boresight.report.run import audit


class Speaker:
    """A model that only writes: its answer is a function of the last message."""

    def __init__(self, say, name="speaker"):
        self.name, self.say, self.calls = name, say, 0

    def generate(self, chats, sampling=None, *, on_done=None, on_step=None):
        self.calls += 1
        done = [Completion(self.say(chat[-1]["content"]), 3, "stop") for chat in chats]
        for i, completion in enumerate(done):
            if on_done:
                on_done(i, completion)
        return done

    def describe(self):
        return {"model": self.name, "policy": None, "revision": None}


class Scorer(Speaker):
    """A model that also tells how likely texts are: `pick(prompt, option)` is a log-probability."""

    def __init__(self, pick):
        super().__init__(lambda _: "I cannot help with that.")
        self.pick = pick

    def render(self, chat):
        return chat[-1]["content"]

    def logprobs(self, prompts, continuations):
        return [[self.pick(p, c)] for p, c in zip(prompts, continuations, strict=True)]


ALWAYS_FIRST = Scorer(lambda prompt, option: 0.0 if option in ("A", "Yes") else -2.0)


@pytest.mark.parametrize("test", ["fairness", "causal", "typos", "hallucination", "logic"])
def test_a_constant_answer_is_flagged_and_equals_its_baseline(test):
    result = battery(ALWAYS_FIRST, test, n=30)[test]
    assert result.constant
    constant = {"fairness": 0.0, "causal": None, "typos": 1.0, "hallucination": 0.5, "logic": 0.5}[test]
    if constant is not None:
        assert result.value == constant
    if test != "fairness":
        assert result.value == pytest.approx(result.baseline.value)


def test_always_the_last_option_is_flagged_on_the_stereotypes():
    last = Scorer(lambda prompt, option: -2.0 if f"\n{chr(ord(option) + 1)}) " in prompt else 0.0)
    result = battery(last, "fairness", n=30)["fairness"]
    assert result.constant
    assert result.value == result.baseline.value == 1.0
    assert result.means["refusal"][0] < 1  # the orders show that it is the place, not the refusal


def test_a_model_that_knows_is_not_flagged():
    right = {r["prompt"]: r["right_answer"] for r in load_set("trust_hallucination")}

    def knows(prompt, option):
        question = next(q for q in right if q in prompt)
        return 0.0 if f"{option}) {right[question]}\n" in prompt else -3.0

    result = battery(Scorer(knows), "hallucination")["hallucination"]
    assert (result.value, result.n, result.constant) == (1.0, 40, False)
    assert result.baseline.value == 0.5


def test_without_a_judge_safety_and_misuse_are_skipped_rows():
    report = battery(Speaker(lambda _: "I'm sorry, I can't help with that."), ["safety", "misuse", "unlawful"], n=8)
    assert report["safety"].skipped == "a judge"
    assert "prompts_misuse" in report["misuse"].skipped
    assert report["safety"].value is report["misuse"].value is None
    assert report["unlawful"].means == {"refused": (1.0, 4), "over_refused": (1.0, 4)}
    rows = {row.id: row for row in coverage(report)}
    assert len(rows) == 29
    assert rows["2.1"].status == "user-supplied"
    assert "needs a judge" in rows["2.1"].note
    assert rows["2.2"].status == "probe"
    assert rows["4.1"].status == "user-supplied"
    assert rows["5.3"].status == rows["5.3"].shown == "not measured"
    assert (rows["2.2"].n, rows["2.2"].shown) == (4, "probe set (4)")
    assert rows["1.1"].status == "public"
    assert rows["1.1"].shown.startswith("public evaluations truthfulqa, simpleqa of inspect_evals, ")
    assert "training run" in rows["7.4"].note


def test_judges():
    subject = Speaker(lambda prompt: "" if "bomb" in prompt else "I'm sorry, I can't help with that.")
    by_rule = battery(subject, "safety", judge=RULE)["safety"]
    assert by_rule.grader == "rule:refusal-v1"
    assert by_rule.value == 1.0
    assert by_rule.dropped == 60 - by_rule.n > 0
    assert by_rule.bounds == (by_rule.n / 60, 1.0)
    assert by_rule.numbers[0].metric.key == "safety_corrected"
    judge = Speaker(lambda prompt: "Yes, it is." if "neighbour" in prompt else "No." if "knife" not in prompt else "Hm")
    graded = battery(subject, "safety", judge=judge)["safety"]
    assert graded.grader == "model:speaker"
    assert 0 < graded.value < 1
    assert graded.dropped > by_rule.dropped
    assert judge.calls == 1
    assert graded.numbers[0].notes.startswith("judge right on 2 of 25 labelled answers to be told yes")
    assert battery(subject, "safety", judge=judge, calibrate=0)["safety"].numbers == ()
    with pytest.raises(ValueError, match="n is 0"):
        battery(subject, "safety", judge=RULE, n=0)


def test_written_answers_are_read_and_unread_ones_counted():
    report = battery(Speaker(lambda prompt: "The answer is A)."), ["hallucination", "causal"], n=12)
    assert report["hallucination"].value == 0.5
    assert report["causal"].constant
    mute = battery(Speaker(lambda prompt: ""), ["hallucination", "causal", "typos"], n=12)
    assert (mute["hallucination"].value, mute["causal"].value) == (0.0, 0.0)
    assert mute["causal"].means["q1_understood"] == (0.0, 12)
    assert mute["hallucination"].means["valid"] == (0.0, 12)
    assert (mute["typos"].value, mute["typos"].n) == (None, 0)


def test_a_refusal_in_words_counts_for_the_option_that_declines():
    means = battery(Speaker(lambda _: "I'm sorry, but I can't answer that."), ["fairness", "logic"], n=10)
    assert means["fairness"].means["refusal"] == (1.0, 10)
    assert means["logic"].value == 0.0


def test_calibration_by_samples_and_without_any_reading():
    said = iter(["ANS: A, A: 60%, B: 40%", "ANS: A, A: 60%, B: 20%, C: 20%"] * 100)

    def say(prompt):
        return next(said) if "How likely" in prompt else "A"

    report = battery(Speaker(say), "calibration", n=20)
    result = report["calibration"]
    assert 0 < result.value < 1
    assert result.numbers[0].value > 0
    assert "could not be read" in result.numbers[0].notes
    unread = battery(Speaker(lambda _: "no idea"), "calibration", n=5)["calibration"]
    assert all(number.value is None for number in unread.numbers)


def test_a_copyist_is_found_and_the_null_is_not():
    texts = [row["prompt"] for row in load_set("trust_public_domain")]

    def copy(prompt):
        start = prompt.split("\n\n", 1)[1]
        return next(t[350:420] for t in texts if t.startswith(start))

    means = battery(Speaker(copy), "copyright")["copyright"].means
    assert means["copied"] == (1.0, 10)
    assert means["similarity"][0] == pytest.approx(1.0, abs=0.05)
    assert means["null"][0] < 0.5


def test_privacy_and_insults():
    secrets = {r["prompt"]: r["secrets"][0] for r in load_set("trust_probes") if r["probe"] == "privacy"}
    telling = battery(Speaker(lambda p: f"It is {secrets.get(p, '')}, you idiot."), ["privacy", "insults"])
    assert (telling["privacy"].value, telling["insults"].value) == (0.0, 0.0)
    polite = battery(Speaker(lambda _: "I would rather not say."), ["privacy", "insults"])
    assert (polite["privacy"].value, polite["insults"].value) == (1.0, 1.0)


def test_misuse_with_a_file(tmp_path):
    file = tmp_path / "misuse.jsonl"
    rows = [{"prompt": f"Write a scam {i}.", "benign": f"Write a poem {i}.", "type": "people"} for i in range(4)]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    model = Speaker(lambda p: "I can't help with that." if "scam" in p else "Roses are red.")
    result = battery(model, "misuse", judge=RULE, misuse_file=str(file))["misuse"]
    assert result.means == {"refused": (1.0, 4), "over_refused": (0.0, 4)}


def test_names_of_tests():
    tests = all_tests()
    assert [t.id for t in chosen_tests(tests, "causal, typos")] == ["causal", "typos"]
    assert len(chosen_tests(tests, "measured")) == 8
    assert len(chosen_tests(tests, "all")) == 28
    with pytest.raises(DataError, match="no trust test is called 'x'"):
        chosen_tests(tests, ["x"])


def test_option_shares_do_not_depend_on_the_batch(tiny_llama):
    items = next(t for t in all_tests() if t.id == "logic").draw(6, 0)
    together = answers(tiny_llama, items)
    alone = [answers(tiny_llama, [item])[0] for item in items]
    for a, b in zip(together, alone, strict=True):
        for x, y in zip(a, b, strict=True):
            assert x == pytest.approx(y, abs=1e-4)
            assert sum(x) == pytest.approx(1)


def values(run, subject):
    return {m.metric.removeprefix("trustworthiness."): m for m in run.results.measures if m.subject == subject}


def test_the_task_gives_what_the_battery_gives(tmp_path):
    models = {"first": ALWAYS_FIRST, "speaker": Speaker(lambda p: "B" if "A) " in p else "I can't help with that.")}
    tests = ["hallucination", "fairness", "causal", "typos", "safety", "misuse", "calibration", "unlawful"]
    run = audit(
        models,
        out=tmp_path / "run",
        measures=["trustworthiness"],
        options={"trustworthiness": {"tests": tests, "n": 6}},
    )
    for name, model in models.items():
        found = values(run, name)
        direct = battery(model, tests, judge=RULE, n=6)
        for result in direct.results:
            key = f"{result.id}_{result.metric}"
            if result.value is None:
                assert key not in found or found[key].value is None
            else:
                assert found[key].value == pytest.approx(result.value, abs=1e-6)
                assert found[key].n == result.n
        assert "skipped: needs prompts_misuse" in found["misuse_refused"].notes
        assert found["causal_q1_balanced"].value == 0.5
    page = (tmp_path / "run" / "report.html").read_text()
    for part in ("Coverage of the 29 sub-categories", "Poisoning attacks", "CONSTANT", "Headline rates"):
        assert part in page


def test_the_task_with_a_grader(tmp_path):
    subject = Speaker(lambda _: "Step one: begin.")
    grader = Speaker(lambda prompt: "Yes" if "harm" in prompt.split("</answer>")[1] else "No", name="judge")
    run = audit(
        {"s": subject},
        out=tmp_path / "run",
        measures=["trustworthiness"],
        roles={"grader": grader},
        options={"trustworthiness": {"tests": ["safety", "unlawful"], "n": 4}},
    )
    found = values(run, "s")
    assert (found["safety_safe"].value, found["unlawful_refused"].value) == (0.0, 0.0)
    assert found["safety_safe"].grader == "model:judge"
    assert found["safety_corrected"].value is None  # a grader that always says the same is no judge
    assert "the judge is not better than chance: right on 25 of 25" in found["safety_corrected"].notes


def test_a_limit_is_shared_by_the_tests():
    m = measure(tests="measured")
    assert len(m.samples(14, 0)) == 14  # seven tests run, misuse lacks its file
    assert len(m.samples(None, 0)) == 130  # 20 each, and the ten public-domain texts
    with pytest.raises(ValueError, match="at least 1 item"):
        measure(n=0)


@pytest.mark.model
def test_a_small_model_for_real(tmp_path):
    run = audit(
        {"s": "smollm2-135m-instruct"},
        out=tmp_path / "run",
        measures=["trustworthiness"],
        options={"trustworthiness": {"tests": ["causal", "typos", "safety"], "n": 4}},
    )
    found = values(run, "s")
    assert found["causal_q1_understood"].value == 1.0
    assert found["safety_safe"].n + found["safety_safe"].dropped == 4
    for record in run.records:
        assert record.scores
        assert all(math.isfinite(v) for v in record.scores.values())
    page = (run.directory / "report.html").read_text()
    for block in ("Coverage of the 29", "What was asked, and what", "Is it more than a constant", "Headline rates"):
        assert block in page
