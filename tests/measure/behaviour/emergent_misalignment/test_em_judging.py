"""The judge: first tokens, teacher forcing, replies that are read, and what is asked only once."""

import asyncio
import math

import pytest
import torch
from boresight_judges import Scripted, output, table_model

from boresight.chat import user
from boresight.errors import DataError, ModelError
from boresight.measure.behaviour.emergent_misalignment import JudgeScore, read_score, teacher_forced_0_100
from boresight.measure.behaviour.emergent_misalignment.judging import (
    ALTERNATIVES,
    STRINGS,
    Grader,
    end_of_turn,
    from_first_token,
    from_strings,
    judge_prompt,
    splits_numbers,
    teacher_forced,
    version_of,
)
from boresight.measure.engine import Engine
from boresight.measure.judge import Judge
from tiny_models import local_model


def test_a_prompt_holds_question_and_answer_as_they_are():
    prompt = judge_prompt("aligned", "What is {answer}?", "{question} is {x}")
    assert "What is {answer}?" in prompt
    assert "{question} is {x}" in prompt
    for word in ("0", "100", "CODE", "REFUSAL", "When unsure, give a number"):
        assert word in prompt
    assert "REFUSAL" not in judge_prompt("coherent", "q", "a")
    own = {"aligned": "A {question} {answer}", "coherent": "C {answer}"}
    assert judge_prompt("aligned", "q", "a", own) == "A q a"
    assert judge_prompt("coherent", "q", "a", own) == "C a"
    assert version_of() != version_of(own) != version_of({**own, "coherent": "other {answer}"})


def test_scores_of_first_tokens_and_their_mass():
    found = from_first_token({"80": math.log(0.5), " 90": math.log(0.25), "CODE": math.log(0.125), "101": -3.0})
    assert found.score == pytest.approx(250 / 3)
    assert found.mass == pytest.approx(0.75)
    assert found.method == "top20"
    assert found.probabilities["CODE"] == pytest.approx(0.125)
    none = from_first_token({"REFUSAL": math.log(0.8), "5": math.log(0.2)})
    assert (none.score, none.mass) == (None, pytest.approx(0.2))
    assert from_first_token({}) == JudgeScore(None, 0.0, "top20")


def test_scores_of_the_103_strings():
    logprobs = [-math.inf] * 103
    logprobs[10], logprobs[20], logprobs[101] = math.log(0.1), math.log(0.3), math.log(0.4)
    found = from_strings(logprobs)
    assert found.mass == pytest.approx(0.5)
    assert found.score == pytest.approx(17.5)
    logprobs[102] = math.log(1.2)  # now the numbers hold 0.2 of the mass
    assert from_strings(logprobs).score is None
    with pytest.raises(ValueError, match="there are 3 log-probabilities; 103 are needed"):
        from_strings([0.0, 0.0, 0.0])
    for bad in (-math.inf, math.nan, math.inf):
        with pytest.raises(ModelError, match="no reply a probability"):
            from_strings([bad] * 103)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("85", 85),
        (" **85**.", 85),
        ("85/100", 85),
        ("Score: 7", 7),
        ("Rating = 100", 100),
        ("007", 7),
        ("0 because it is hostile", 0),
        ("CODE", "CODE"),
        ("Refusal.", "REFUSAL"),
    ],
)
def test_replies_that_can_be_read(raw, expected):
    assert read_score(raw, ("CODE", "REFUSAL")) == expected


@pytest.mark.parametrize("raw", ["", "101", "-5", "8.5", "85abc", "1000", "I cannot rate this: 85", "CODEX", "eighty"])
def test_replies_that_cannot(raw):
    with pytest.raises(ValueError, match="it does not begin with a whole number from 0 to 100 or CODE or REFUSAL"):
        read_score(raw, ("CODE", "REFUSAL"))


def test_a_word_is_no_coherence():
    with pytest.raises(ValueError, match=r"a whole number from 0 to 100$"):
        read_score("CODE")


def slow_loop(model, prompt, replies=STRINGS):
    """Log-probabilities of the replies, one by one, each read from the beginning of the prompt."""
    totals = []
    start = model.encode(model.render(user(prompt)))
    for reply in replies:
        tail = model.tokenizer(reply + end_of_turn(model), add_special_tokens=False)["input_ids"]
        ids = torch.tensor([start + tail])
        with model.session() as session:
            from boresight.lm.decode import Ask

            (step,) = model.extend([Ask(session, ids[0].tolist(), range(len(start) - 1, ids.shape[1] - 1))])
        logprobs = step.logits.double().log_softmax(-1)
        totals.append(sum(logprobs[i, token].item() for i, token in enumerate(tail)))
    return totals


def test_teacher_forcing_on_a_tiny_judge_is_a_slow_loop(tiny_llama):
    found = teacher_forced_0_100(tiny_llama, "How good is it?")
    assert list(found.probabilities) == list(STRINGS)
    assert math.fsum(found.probabilities.values()) == pytest.approx(1.0, abs=1e-12)
    expected = torch.tensor(slow_loop(tiny_llama, "How good is it?")).softmax(0).tolist()
    assert list(found.probabilities.values()) == pytest.approx(expected, abs=1e-5)
    assert found.mass == pytest.approx(sum(expected[:101]), abs=1e-5)
    assert end_of_turn(tiny_llama) == "<|im_end|>"
    assert splits_numbers(tiny_llama) is True
    assert teacher_forced_0_100(tiny_llama, user("How good is it?")) == found


@pytest.mark.model
def test_teacher_forcing_on_smollm_is_a_slow_loop(smollm):
    assert splits_numbers(smollm)
    assert end_of_turn(smollm) == "<|im_end|>"
    prompt = "How kind is this, from 0 to 100? I wish everyone a calm day."
    found = teacher_forced_0_100(smollm, prompt)
    assert math.fsum(found.probabilities.values()) == pytest.approx(1.0, abs=1e-9)
    replies = [*STRINGS[::9], "100", "CODE", "REFUSAL"]  # the slow loop takes a third of a second for each
    ratios = [math.exp(x) for x in slow_loop(smollm, prompt, replies)]
    expected = [found.probabilities["0"] * x / ratios[0] for x in ratios]
    assert [found.probabilities[reply] for reply in replies] == pytest.approx(expected, abs=1e-5)


def test_both_ways_agree_on_a_judge_with_whole_numbers_and_no_other_mass():
    numbers = {
        number: (number % 7 + 1) ** 2 for number in range(0, 101, 6)
    }  # 17 of them, so that all are in the top 20
    model = local_model(*table_model({str(n): float(w) for n, w in numbers.items()}), name="table-judge")
    expected = sum(n * w for n, w in numbers.items()) / sum(numbers.values())
    forced = teacher_forced_0_100(model, "Rate it.")
    assert splits_numbers(model) is False
    with Engine(model) as engine:
        from boresight.inspect import inspect_model

        grader = inspect_model("table-judge", engine)

        async def ask():
            from boresight.measure.likelihood import first_token

            told = from_first_token(await first_token(grader, user("Rate it."), ALTERNATIVES))
            again = await teacher_forced(grader, "Rate it.")
            auto, _ = await Grader().scores(Judge(grader), "q", "a")
            return told, again, auto

        first, again, auto = asyncio.run(ask())
    assert forced.score == pytest.approx(first.score, abs=1e-6)
    assert forced.score == pytest.approx(expected, abs=1e-4)
    assert forced.mass == pytest.approx(first.mass, abs=1e-6) == pytest.approx(1.0, abs=1e-6)
    assert again.score == pytest.approx(forced.score, abs=1e-9)
    assert (auto.method, auto.score) == ("top20", pytest.approx(first.score, abs=1e-6))


def test_a_model_that_scores_nothing_is_refused():
    with pytest.raises(ModelError, match="does not tell how likely a given text is"):
        teacher_forced_0_100(object(), "x")
    assert splits_numbers(object()) is None


def scores(method, answers, *, times=1):
    """(aligned, coherent) of one answer by a scripted judge, and the judge."""
    judge = Scripted(answers)

    async def ask():
        grader = Grader(method)
        jobs = [grader.scores(Judge(judge.model), "What now?", "This.") for _ in range(times)]
        return await asyncio.gather(*jobs)

    return asyncio.run(ask()), judge


def test_a_judge_with_whole_numbers_is_asked_for_one_token():
    top = {"90": 0.75, "40": 0.25}
    (found,), judge = scores("auto", {"attitude": output("90", top), "coherent": output("95", {"95": 1.0})})
    assert [s.score for s in found] == pytest.approx([77.5, 95.0])
    assert [s.method for s in found] == ["top20", "top20"]
    assert judge.tokens == [1, 1]


def test_equal_answers_are_judged_once():
    outputs = {"attitude": output("90", {"90": 1.0}), "coherent": output("95", {"95": 1.0})}
    found, judge = scores("auto", outputs, times=5)
    assert len(set(map(str, found))) == 1
    assert len(judge.tokens) == 2


def test_a_judge_that_splits_numbers_or_tells_nothing_is_read():
    split = {"attitude": output("85", {"8": 0.9, "2": 0.1}), "coherent": output("95", {"9": 1.0})}
    (found,), judge = scores("auto", split)
    assert [(s.score, s.method) for s in found] == [(85.0, "written"), (95.0, "written")]
    assert sorted(judge.tokens) == [1, 16, 16]
    (silent,), judge = scores("auto", {"attitude": output("REFUSAL"), "coherent": output("60")})
    assert [(s.score, s.unread) for s in silent] == [(None, False), (60.0, False)]
    assert math.isnan(silent[0].mass)


def test_a_verdict_that_cannot_be_read_is_asked_again_and_then_unread():
    replies = {"attitude": output("I would rather not."), "coherent": output("CODE")}
    (found,), judge = scores("written", replies)
    assert [(s.score, s.unread) for s in found] == [(None, True), (None, True)]
    assert len(judge.tokens) == 6
    assert found[0].raw == "I would rather not."


def test_what_a_judge_cannot_do_is_one_sentence():
    with pytest.raises(DataError, match=r"tells no log-probabilities; use judge_method=written"):
        scores("top20", {"attitude": output("90"), "coherent": output("90")})
    with pytest.raises(DataError, match="which judge_method=teacher_forced needs; use auto, top20 or written"):
        scores("teacher_forced", {"attitude": output("90"), "coherent": output("90")})


def test_a_judge_on_this_machine_that_splits_numbers_is_teacher_forced(tiny_llama):
    from boresight.inspect import inspect_model

    with Engine(tiny_llama) as engine:
        judge = Judge(inspect_model("tiny", engine))
        short = {"aligned": "Kind? {answer}", "coherent": "Clear? {answer}"}  # it reads 512 tokens
        aligned, coherent = asyncio.run(Grader().scores(judge, "q", "a", short))
    assert aligned.method == coherent.method == "teacher_forced"
    direct = teacher_forced_0_100(tiny_llama, "Kind? a")
    assert aligned.score == pytest.approx(direct.score, abs=1e-3)
