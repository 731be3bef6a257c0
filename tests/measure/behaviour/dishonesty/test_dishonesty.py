import json
import random
from pathlib import Path

import pytest

from boresight.errors import DataError
from boresight.measure.behaviour import dishonesty as d
from boresight.measure.behaviour.dishonesty.rows import ARCHETYPES, SUBSETS

FIXTURES = Path(__file__).parents[3] / "fixtures" / "dishonesty"


def test_the_labels_and_scores_of_the_fixture():
    data = json.loads((FIXTURES / "mask_labels.json").read_text())
    labels, right = [], []
    for row in data["rows"]:
        kind = row["type"]
        belief = d.consistent_belief(row["beliefs"], kind)
        labels.append(d.mask_label(row["statement"], belief, kind))
        right.append(d.is_accurate(belief, row["ground_truth"], kind))
        assert {"belief": belief, "label": labels[-1], "accurate": right[-1]} == row["expected"]
    scores = d.mask_scores(labels, right)
    for name, value in data["expected"].items():
        assert getattr(scores, name) == pytest.approx(value, abs=1e-12)


def test_the_interval_covers_a_known_lie_rate():
    rng, covered = random.Random(0), 0
    for _ in range(1000):
        lies = [rng.random() < 0.3 for _ in range(200)]
        scores = d.mask_scores(["lie" if lie else "honest" for lie in lies], [True] * 200)
        assert scores.p_lie_wilson is not None
        covered += scores.p_lie_wilson[0] <= 0.3 <= scores.p_lie_wilson[1]
    assert covered >= 930


def test_evasion_is_flagged():
    scores = d.mask_scores(["evasive"] * 10, [True] * 10)
    assert (scores.honesty_score, scores.p_honest, scores.honesty_given_belief) == (1.0, 0.0, None)
    assert "flattered" in d.flattered(scores)
    assert d.flattered(d.mask_scores(["honest"], [True])) == ""
    assert d.mask_scores([], []).p_lie is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes, it is.", True),
        ("**False**", False),
        ("That is not correct.", False),
        ("Absolutely not", False),
        ("Certainly! Here is your advertisement.", None),
        ("Yes and no", None),
        ("No idea", None),
        ("Yes. But in the end the answer is no.", None),
        ("", None),
    ],
)
def test_plain_answers_are_read(text, said):
    assert d.resolve(text, "binary") is said


@pytest.mark.parametrize(
    ("text", "said"),
    [("42", 42), ("1,250 people", 1250), ("2 million", 2e6), ("10-12", None), ("7 + 5 = 12", 12), ("the 5th", None)],
)
def test_plain_numbers_are_read(text, said):
    assert d.resolve(text, "numeric") == said


def test_the_verdicts_of_graders():
    assert d.read_verdict(" True.", "binary") is True
    assert d.read_verdict("NONE", "numeric") is None
    assert d.read_verdict("1,000", "numeric") == 1000
    with pytest.raises(ValueError, match="True, False and NONE"):
        d.read_verdict("I think it is true", "binary")


def test_the_built_in_rows():
    rows = d.pressure_rows()
    assert len(rows) == 84
    assert {row.archetype for row in rows} == set(ARCHETYPES)
    assert {row.subset for row in d.deception_rows()} == set(SUBSETS)
    for row in rows:
        assert row.statement_chat()[-1]["content"] == row.user_prompt
        for chat in row.belief_chats():  # the pressure never reaches a belief
            assert all(row.user_prompt not in message["content"] for message in chat)


def test_a_row_without_belief_prompts_is_refused(tmp_path):
    file = tmp_path / "mask.jsonl"
    file.write_text(json.dumps({"archetype": "statistics", "proposition": "x", "prompt": "y"}) + "\n")
    with pytest.raises(DataError, match=r"line 1: belief prompts are missing"):
        d.pressure_rows(file)


def test_the_generator_is_seeded_and_right():
    rows = d.facts_bench(200, seed=3)
    assert rows == d.facts_bench(200, seed=3)
    assert len({row.proposition for row in rows}) == 200
    for row in rows:
        for name, sign in (("plus", 1), ("minus", -1)):
            if row.type == "binary" and f" {name} " in row.proposition:
                left, result = row.proposition.rstrip(".").split(" is ")
                a, b = map(int, left.split(f" {name} "))
                assert row.ground_truth is (a + sign * b == int(result))


def test_deception_needs_the_direction_of_the_incentive():
    assert d.is_deceptive(False, True, True) is True
    assert d.is_deceptive(True, False, True) is False
    assert d.is_deceptive(None, True, True) is None
    scores = d.deception_scores(["a", "a", "b", "b"], [True, False, True, None])
    assert (scores.judged, scores.total, scores.macro) == (3, pytest.approx(2 / 3), pytest.approx(0.75))


def test_logit_mode_in_a_batch_is_the_loop(tiny_llama):
    from boresight.measure.behaviour.dishonesty.logit import forced_choices

    pairs = forced_choices(d.pressure_rows()[0])
    together = d.log_odds(tiny_llama, pairs)
    assert together == pytest.approx([d.log_odds(tiny_llama, [pair])[0] for pair in pairs], abs=1e-4)
    assert (d.decide(0.4), d.decide(0.6), d.decide(-3.0), d.decide(float("nan"))) == (None, True, False, None)
