import json
import math

import pytest

from boresight.claim import FAILS, HOLDS, OPEN, Claim, Comparison, Given, Measured
from boresight.errors import DataError, ModelError
from boresight.lm.base import Completion, Sampling
from boresight.measure.latent.token_shift import claims as token_shift_claims
from boresight.report import claims
from boresight.report.claims import ClaimsReport, check, claims_of, compare, run_claims, tally, value_text
from boresight.steer.nudging import NudgeResult, Nudging
from boresight.steer.nudging import claims as nudging_claims
from boresight.steer.nudging.claims import Position, auc_over_answers
from boresight.steer.urial import claims as urial_claims


class Scripted:
    """A LanguageModel that gives what a function says about the last question."""

    def __init__(self, say):
        self.name, self._say = "scripted", say

    def generate(self, chats, sampling=None, *, on_done=None, on_step=None):
        return [self._say(chat[-1]["content"]) for chat in chats]

    def describe(self):
        return {"model": self.name, "policy": None, "revision": None, "dtype": "float32"}


def given(subjects, limit=20):
    return Given(lambda *key: subjects[key], limit)


REFUSAL = Completion("I'm sorry, but I can't help with that.", 12, "stop")
HELP = Completion("Sure. First, take a bowl.", 8, "stop")
NEVER = Completion("and so on and", 4, "length")


# -- comparisons of audits ------------------------------------------------------------------------------------------


def test_a_comparison_asks_only_what_it_is_about_and_pairs_the_answers():
    asked = Comparison("refusal.refused", ("a",), ("b",), only={"label": "harmful"})
    found = compare(asked, given({("a",): Scripted(lambda q: HELP), ("b",): Scripted(lambda q: REFUSAL)}))
    assert (found.value, found.n, found.verdict) == (1.0, 20, HOLDS)
    assert found.ci[0] > 0.5
    assert "1.00 for b, 0.00 for a" in found.note
    assert "rule:refusal-v1" in found.note


def test_the_other_direction_does_not_hold_and_no_difference_is_open():
    asked = Comparison("text-health.ends", ("a",), ("b",))
    worse = compare(asked, given({("a",): Scripted(lambda q: HELP), ("b",): Scripted(lambda q: NEVER)}))
    assert (worse.value, worse.verdict) == (-1.0, FAILS)
    same = compare(asked, given({("a",): Scripted(lambda q: HELP), ("b",): Scripted(lambda q: HELP)}))
    assert (same.value, same.verdict) == (0.0, OPEN)


def test_prompts_that_a_metric_does_not_apply_to_are_counted():
    asked = Comparison("refusal.refused", ("a",), ("b",))  # half of the requests are harmless
    found = compare(asked, given({("a",): Scripted(lambda q: HELP), ("b",): Scripted(lambda q: REFUSAL)}, 120))
    assert found.n == 60
    assert "60 prompts not graded" in found.note


def test_shares_are_compared_by_their_means():
    asked = Comparison("text-health.distinct_3", ("a",), ("b",))
    loop = Completion("one two three " * 20, 60, "stop")
    prose = Completion("every word of this answer is different from all the others here", 12, "stop")
    found = compare(asked, given({("a",): Scripted(lambda q: loop), ("b",): Scripted(lambda q: prose)}))
    assert found.verdict == HOLDS
    assert "different word triples" in found.unit


# -- the checks of the methods --------------------------------------------------------------------------------------


def test_auc_of_a_perfect_a_useless_and_a_reversed_separation():
    def positions(prob_if_differs, prob_if_agrees):
        return [Position(a, p, d) for a in range(6) for p, d in ((prob_if_differs, True), (prob_if_agrees, False))]

    perfect = auc_over_answers(positions(0.1, 0.9))
    assert (perfect.value, perfect.low, perfect.high, perfect.n) == (1.0, 1.0, 1.0, 12)
    assert auc_over_answers(positions(0.5, 0.5)).value == 0.5
    assert auc_over_answers(positions(0.9, 0.1)).value == 0.0
    assert math.isnan(auc_over_answers([Position(0, 0.5, True)]).value)
    assert math.isnan(auc_over_answers([]).value)


def test_auc_is_the_share_of_pairs_in_the_right_order():
    found = [Position(0, 0.2, True), Position(0, 0.6, True), Position(1, 0.4, False), Position(1, 0.8, False)]
    assert auc_over_answers(found).value == 0.75


def test_every_word_but_the_first_is_compared_with_what_the_base_would_write(tiny_llama):
    prompt, text = "Say: ", "one two three four"
    found = nudging_claims.positions(tiny_llama, [prompt], [text])
    ids = tiny_llama.encode(prompt + text)
    expected = []
    for at in [i for i, char in enumerate(text) if char == " "]:
        before = prompt + text[:at]
        k = next(n for n in range(len(ids)) if tiny_llama.decode(ids[:n]) == before)
        with tiny_llama.session() as session:
            probs = session.append(ids[:k]).float().softmax(-1)
        said = tiny_llama.decode([*ids[:k], int(probs.argmax())])[len(before) :]
        word = " " + text[at + 1 :].split(" ")[0]
        expected.append((pytest.approx(float(probs.max()), rel=1e-4), not (said and word.startswith(said))))
    assert len(expected) == 3
    assert [(p.prob, p.differs) for p in found] == expected


def result(ratio: float, passes: int, text: str = "a b c d") -> NudgeResult:
    return NudgeResult(text, text, "length", 1, (), ratio, ratio, {"base": passes, "nudger": 1}, 0, 0.1)


class Words:
    def count_tokens(self, text):
        return len(text.split())


def swept(by_gamma):
    g = given({("gemma-3-270m",): Words()})
    g.kept["nudging sweep"] = by_gamma
    return g


def test_the_share_of_nudged_words_must_rise():
    rising = {g: [result(g + 0.01 * i, 1) for i in range(10)] for g in nudging_claims.GAMMAS}
    found = nudging_claims.nudged_share(swept(rising))
    assert found.value == pytest.approx(1.0)
    assert (found.n, found.verdict) == (10, HOLDS)
    falling = {g: [result(1 - g - 0.01 * i, 1) for i in range(10)] for g in nudging_claims.GAMMAS}
    assert nudging_claims.nudged_share(swept(falling)).verdict == FAILS


def test_one_answer_with_more_passes_than_tokens_decides():
    few = {0.0: [result(0.1, 3)], 0.2: [result(0.1, 4)]}
    assert nudging_claims.base_passes(swept(few)).verdict == HOLDS
    assert nudging_claims.base_passes(swept(few)).value == 1.0
    many = {0.0: [result(0.1, 3)], 0.2: [result(0.1, 5)]}
    assert nudging_claims.base_passes(swept(many)).verdict == FAILS
    silent = {0.0: [result(0.0, 3, "")]}
    assert nudging_claims.base_passes(swept(silent)).verdict == OPEN


def test_signs_of_style():
    listed = Completion("Hello! Here are two:\n\n1. one\n2. two\n", 12, "stop")
    assert urial_claims.ends(listed)
    assert urial_claims.has_list(listed)
    assert urial_claims.opens(listed)
    assert urial_claims.stays(listed)
    rambling = Completion("It is.\n# Query:\nAnd what else?", 12, "length")
    assert not urial_claims.ends(rambling)
    assert not urial_claims.has_list(rambling)
    assert not urial_claims.opens(rambling)
    assert not urial_claims.stays(rambling)
    assert not urial_claims.stays(Completion("It is.", 3, "stop_string"))
    assert not urial_claims.ends(Completion("  ", 1, "stop"))


def test_style_is_compared_between_two_prompts():
    subjects = {
        ("gemma-3-270m",): Scripted(lambda q: NEVER),
        ("gemma-3-270m", "urial:prompt=zero-shot"): Scripted(lambda q: HELP),
    }
    found = urial_claims.more_often(urial_claims.ends, "", "zero-shot", given(subjects))
    assert (found.value, found.n, found.verdict) == (1.0, 20, HOLDS)
    assert "zero-shot 20 of 20, raw 0 of 20" in found.note


def test_the_claims_of_token_shift_on_a_tiny_pair(tiny_llama):
    subjects = {("smollm2-135m-instruct",): tiny_llama}
    g = given(subjects, 3)
    same = token_shift_claims.nothing_shifts(g)
    assert (same.value, same.verdict) == (0.0, HOLDS)
    assert same.n > 0
    shares = token_shift_claims.mostly_unshifted("template", g)
    report = token_shift_claims.report(g, "template").summary()["shares"]["micro"]
    assert shares.value == pytest.approx(report["unshifted"]["value"] - report["shifted"]["value"])
    early = token_shift_claims.early_shift("template", g)
    assert early.verdict in (HOLDS, FAILS, OPEN)
    assert "3 answers" in early.note


# -- the run and its report -----------------------------------------------------------------------------------------


def claim(name, check):
    return Claim(name, "A says | b.", "9 of 10", "b is seen", check)


def test_claims_of_methods():
    assert [m for m, _ in claims_of(["urial", "nudging", "urial"])] == ["urial"] * 7 + ["nudging"] * 4
    assert len(claims_of()) == 25
    assert claims_of(["facts"]) == []
    with pytest.raises(DataError, match="did you mean nudging"):
        claims_of(["nudgin"])


def test_every_claim_is_a_row_whatever_its_verdict(tmp_path):
    rows = [
        claim("good", lambda g: Measured(0.5, (0.1, 0.9), 10, "share", HOLDS, "fine")),
        claim("bad", lambda g: Measured(-0.5, (-0.9, -0.1), 10, "share", FAILS, "worse")),
        claim("none", lambda g: Measured(math.nan, (math.nan, math.nan), 0, "share", OPEN, "empty")),
    ]
    heard = []
    found = check([("urial", c) for c in rows], given({}), lambda m, c: heard.append((m, c.name)))
    assert heard == [("urial", "good"), ("urial", "bad"), ("urial", "none")]
    env = {"subjects": {"m": {"model": "m", "dtype": "float32"}}, "cores": 2, "processor": "chip", "gpus": []}
    report = ClaimsReport("2026-11-24T10:00:00+00:00", 61.0, 10, found, env)
    report.write(tmp_path)
    data = json.loads((tmp_path / "claims.json").read_text())
    assert [row["verdict"] for row in data["claims"]] == [HOLDS, FAILS, OPEN]
    assert data["claims"][2]["value"] is None
    page = (tmp_path / "claims.md").read_text()
    assert "does not hold" in page
    assert "24 November 2026, 1 minutes on two CPU cores (chip), no GPU; m (float32)" in page
    assert "A says \\| b." in page
    assert "3 claims: 1 hold, 1 do not hold, 1 cannot be told here" in page
    assert tally(found) in page
    assert value_text(found[0].measured) == "0.5 (0.1 to 0.9), n 10"
    assert value_text(found[2].measured) == "nothing measured, n 0"


def test_a_model_that_is_not_here_ends_the_run(empty_cache):
    with pytest.raises(ModelError, match="models pull"):
        run_claims(claims_of(["token-shift"]), limit=2)


def test_the_committed_page_names_every_claim():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "claims.md").read_text(encoding="utf-8")
    for _, one in claims_of():
        assert claims.cell(one.statement) in page
        assert f"* *{one.name}* (" in page
    assert page.count("\n| ") == len(claims_of()) + len({m for m, _ in claims_of()})


@pytest.mark.model
def test_the_identity_claim_on_a_real_model(smollm):
    subjects = {("smollm2-135m-instruct",): smollm}
    found = token_shift_claims.nothing_shifts(given(subjects, 2))
    assert (found.value, found.verdict) == (0.0, HOLDS)
    assert "100.0% unshifted" in found.note


@pytest.mark.model
def test_the_claims_of_nudging_on_the_real_pair(gemma, smollm):
    pair = Nudging(gemma, smollm, gamma=0.4, max_new_tokens=12)
    subjects = {("gemma-3-270m",): gemma, ("smollm2-135m-instruct",): smollm}
    loads = lambda *key: subjects.get(key, pair)  # noqa: E731
    unsure = nudging_claims.unsure_where_they_differ(Given(loads, 4))
    assert 0.5 < unsure.value <= 1
    assert unsure.n > 40


@pytest.mark.model
def test_a_base_model_agrees_with_its_own_words(gemma):
    prompt = "Rivers begin in the mountains and"
    (own,) = gemma.complete([prompt], Sampling(max_new_tokens=24))
    found = nudging_claims.positions(gemma, [prompt], [own.text])
    assert len(found) > 8
    assert not any(p.differs for p in found)
    other = nudging_claims.positions(gemma, [prompt], [" zebras purple seventeen quickly the of"])
    assert sum(p.differs for p in other) >= 4
