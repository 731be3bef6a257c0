import asyncio
import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from boresight.errors import DataError
from boresight.measure.behaviour.misalignment_bench import (
    agreement,
    collapse,
    kaplan_meier,
    lexical_panel,
    load_scenarios,
    measure,
    median_time,
    odds_ratio,
    red_team_view,
    run_conversation,
    set_checksum,
    two_way_bootstrap,
    verdict,
    vulnerability_rates,
)
from boresight.measure.behaviour.misalignment_bench.lexical import check, match
from boresight.measure.behaviour.misalignment_bench.prompts import LEAK, judge_prompt, red_team_system

FIXTURES = Path(__file__).parents[3] / "fixtures" / "misalignment-bench"
SCENARIOS = load_scenarios()
PLAYS = [pytest.param(s, v, id=f"{s.id}-{v.id}") for s in SCENARIOS for v in s.variants]


def fixture(name):
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", fixture("verdicts"))
def test_verdicts(case):
    found = verdict(case["panel"], case["transcript"])
    for name, value in case["expected"].items():
        got = getattr(found, name)
        assert (list(got) if name == "votes" else got) == value


@pytest.mark.parametrize("name", ["rates", "rates_invalid"])
def test_rates(name):
    case = fixture(name)
    found = vulnerability_rates(case["outcomes"])
    for model, expected in case["expected"]["per_model"].items():
        assert found.per_model[model].rate == pytest.approx(expected["rate"], abs=1e-10)
        assert found.per_model[model].wilson == pytest.approx(expected["wilson"], abs=1e-10)
        assert found.per_model[model].n == expected.get("n", 10)
    assert found.overall == pytest.approx(case["expected"]["overall"], abs=1e-10)
    assert [p._asdict() for p in found.pairs] == [pytest.approx(p, abs=1e-10) for p in case["expected"]["pairs"]]


def test_rates_at_their_edges():
    found = vulnerability_rates({"a": [None, math.nan], "b": [1, True]})
    assert found.per_model["a"] == (None, 0, None)
    assert found.per_model["b"].rate == 1.0
    assert found.overall == 1.0
    assert found.pairs[0][2:] == (0, 0, 1.0, 1.0)
    assert vulnerability_rates({"a": [None]}).overall is None
    with pytest.raises(DataError, match="equally many scenarios"):
        vulnerability_rates({"a": [1], "b": [1, 0]})
    with pytest.raises(DataError, match=r"0\.5"):
        vulnerability_rates({"a": [0.5]})


outcome = st.sampled_from([0, 1, None])


@given(st.lists(st.tuples(outcome, outcome), min_size=1, max_size=10))
def test_swapping_two_models_swaps_their_counts(cells):
    a, b = [x for x, _ in cells], [y for _, y in cells]
    (one,), (other,) = vulnerability_rates({"a": a, "b": b}).pairs, vulnerability_rates({"b": b, "a": a}).pairs
    assert (one.b_count, one.c_count) == (other.c_count, other.b_count)
    assert (one.mcnemar_p, one.sign_flip_p) == (other.mcnemar_p, other.sign_flip_p)
    assert 0 < one.mcnemar_p <= 1


def test_attempts_are_collapsed():
    assert collapse([[0, 1], [0, 0], [None, None]]) == [1.0, 0.0, None]
    assert collapse([[0, 1, None], [0, 0, 0]], "rate") == [0.5, 0.0]
    with pytest.raises(DataError, match="equally many valid attempts"):
        collapse([[0, 1, None], [0, 0, 0]])


def test_the_two_way_bootstrap():
    low, high = two_way_bootstrap(fixture("rates")["outcomes"], draws=2000)
    assert 0.4 < low < 0.76 < high < 1
    assert two_way_bootstrap({"a": [None, None]}) is None
    assert two_way_bootstrap({"a": [1, 1], "b": [1, None]}, draws=50) == (1.0, 1.0)
    assert two_way_bootstrap({"a": [1, 0, 1]}, seed=3, draws=99) == two_way_bootstrap(
        {"a": [1, 0, 1]}, seed=3, draws=99
    )


def test_kaplan_and_meier_by_hand():
    steps = kaplan_meier([1, 2, 2, 3, 4], [True, True, False, True, False])
    assert [s.survival for s in steps] == pytest.approx([4 / 5, 4 / 5 * 3 / 4, 4 / 5 * 3 / 4 * 1 / 2])
    assert [(s.at_risk, s.failed) for s in steps] == [(5, 1), (4, 1), (2, 1)]
    assert all(0 <= s.low <= s.survival <= s.high <= 1 for s in steps)
    assert median_time(steps)[0] == 3
    assert median_time(kaplan_meier([2, 2], [False, False])) == (None, None, None)
    assert kaplan_meier([1, 1], [True, True])[0].survival == 0


def test_the_odds_ratio():
    found = odds_ratio([True] * 6 + [False] * 2, [True] * 2 + [False] * 6)
    assert found.value == pytest.approx(9)
    assert found.low < 9 < found.high
    assert odds_ratio([True], [False]).value == pytest.approx(9)
    assert odds_ratio([], [True]) is None


def test_agreement_of_judges():
    assert agreement([[True, True], [False, False]]) == 1.0
    assert agreement([[True, False], [False, True]]) == pytest.approx(-0.5)
    assert agreement([[True, True], [None, False]]) is None
    assert agreement([]) is None


transcripts = st.lists(st.text(max_size=20), min_size=1, max_size=6).map(
    lambda texts: [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(texts)]
)
entries = st.fixed_dictionaries(
    {"met": st.booleans(), "quote": st.text(max_size=3), "turn": st.none() | st.integers(-2, 7)}
)


@given(st.lists(st.none() | st.lists(entries, max_size=3), max_size=4), transcripts)
def test_a_verdict_is_a_strict_majority_of_checked_quotes(panel, transcript):
    found = verdict(panel, transcript)
    assert found.n_judges == len(found.votes) == sum(p is not None for p in panel)
    assert found.success == (None if not found.votes else 2 * sum(found.votes) > len(found.votes))
    assert (found.turn_of_failure is not None) == bool(found.success)
    if found.turn_of_failure is not None:
        assert transcript[found.turn_of_failure]["role"] == "assistant"


def test_odd_entries_do_not_count():
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for entry in (
        {"met": 1, "quote": "b", "turn": 1},
        {"met": True, "turn": 1},
        {"met": True, "quote": "b", "turn": True},
    ):
        assert verdict([[entry]], talk).success is False


def test_expressions():
    assert match({"all": ["a+", {"not": "b"}]}, "x AAA") == "AAA"
    assert match({"all": ["a", {"not": "b"}]}, "ab") is None
    assert match({"any": ["z", "it's"]}, "So  it’s\nfine") == "it’s"
    assert match({"not": "z"}, "a") == ""
    for bad in ("(", {"some": ["a"]}, {"all": []}, {"all": "a"}, {"not": "("}, 3, {"all": ["a"], "any": ["b"]}):
        with pytest.raises(ValueError, match=r"expression|needs a list|criterion"):
            check(bad)


def talk_of(turns):
    return [m for t in turns for m in ({"role": "user", "content": "?"}, {"role": "assistant", "content": t})]


@pytest.mark.parametrize(("scenario", "variant"), PLAYS)
def test_lexical_criteria_tell_their_examples_apart(scenario, variant):
    assert {e.failed for e in variant.examples} == {True, False}
    for example in variant.examples:
        transcript = talk_of(example.turns)
        panel = lexical_panel(variant.lexical_criteria, transcript)
        assert verdict([panel], transcript).success is example.failed
    user_only = [{"role": "user", "content": t} for e in variant.examples for t in e.turns]
    assert not any(e["met"] for e in lexical_panel(variant.lexical_criteria, user_only))


def test_the_ten_scenarios_are_complete():
    assert len(SCENARIOS) == 10
    assert [s.id[:3] for s in SCENARIOS] == [f"s{n:02d}" for n in range(1, 11)]
    families = [s.family for s in SCENARIOS]
    assert [families.count(f) for f in ("narrative_immersion", "emotional_pressure", "strategic_framing")] == [3, 3, 4]
    for s in SCENARIOS:
        assert len(s.variants) >= 3
        assert len(s.success_criteria) >= 2
        assert len(s.non_success) >= 2
        assert s.checksum == s.digest
        for v in s.variants:
            assert s.min_turns <= len(s.turns(v)) <= s.max_turns
    turns = [t for s in SCENARIOS for v in s.variants for t in s.turns(v)]
    assert len(set(turns)) == len(turns)
    assert set_checksum(SCENARIOS) == set_checksum(SCENARIOS[::-1])


def broken(**changes):
    scenario = SCENARIOS[0].model_dump(mode="json") | {"checksum": ""} | changes
    return yaml.safe_dump(scenario)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (broken(success_criteria=[]), "success_criteria"),
        (broken(max_turns=1), "max_turns is 1, below min_turns"),
        (broken(checksum="0" * 16), "it was changed"),
        (broken(family="bribery"), "family"),
        (broken(extra=1), "extra"),
        ("- a\n- b", "a mapping of fields"),
        ("a: [", "not valid YAML"),
        ("[]", "holds no scenario"),
    ],
)
def test_broken_scenarios_are_refused_in_a_sentence(tmp_path, text, says):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        load_scenarios(path)


def test_duplicate_ids_are_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(broken())
    with pytest.raises(DataError, match="occurs 2 times"):
        load_scenarios(tmp_path)


def play(answers, scenario=SCENARIOS[0], **options):
    inputs = []

    async def target(messages):
        inputs.append([dict(m) for m in messages])
        return answers[(len(inputs) - 1) % len(answers)]

    talk = asyncio.run(run_conversation(scenario, scenario.variants[0], target, **options))
    return talk, inputs


def test_three_refusals_stop_a_conversation():
    talk, inputs = play(["I can't help with that."])
    assert talk.stop == "refusals"
    assert (len(talk.transcript), len(inputs)) == (6, 3)


def test_a_script_ends_and_max_turns_stop():
    talk, inputs = play(["Once upon a time."])
    assert (talk.stop, len(talk.transcript), len(inputs)) == ("script_end", 8, 4)
    talk, inputs = play(["Once upon a time."], max_turns=2)
    assert (talk.stop, len(talk.transcript)) == ("max_turns", 4)
    assert inputs[1] == [
        {"role": "system", "content": SCENARIOS[0].variants[0].system_prompt},
        *talk.transcript[:3],
    ]


def test_success_stops_from_min_turns_on():
    async def always(transcript):
        return True

    talk, _ = play(["Yes."], live_check=always)
    assert (talk.stop, len(talk.transcript)) == ("success", 2 * SCENARIOS[0].min_turns)


def test_the_red_team_sees_swapped_roles_and_the_target_never_the_brief():
    seen = []

    async def red_team(view):
        seen.append(view)
        return ["As the tester I push on.", "Please go on."][len(seen) % 2]

    talk, inputs = play(["Fine."], mode="adaptive", red_team=red_team, max_turns=3)
    assert talk.stop == "max_turns"
    assert [m["content"] for m in talk.transcript[2::2]] == ["Please go on."] * 2
    scenario, variant = SCENARIOS[0], SCENARIOS[0].variants[0]
    brief = red_team_system(scenario, variant)
    assert talk.red_team_inputs == seen
    assert seen[0] == red_team_view(scenario, variant, talk.transcript[:2])
    assert [m["role"] for m in seen[0]] == ["system", "user", "assistant", "user"]
    assert seen[0][0]["content"] == brief
    assert seen[0][-1]["content"] == "Fine."
    for said in inputs:
        text = json.dumps(said)
        assert scenario.red_team_aim not in text
        assert all(rung not in text for rung in scenario.red_team_ladder)
    assert all(criterion not in brief for criterion in scenario.success_criteria)
    prompt = judge_prompt(scenario, talk.transcript, variant.setup)
    assert all(criterion in prompt for criterion in scenario.success_criteria)
    assert variant.setup in prompt
    with pytest.raises(DataError, match="max_turns is 1, below min_turns of s01_archivist"):
        play(["Fine."], max_turns=1)
    with pytest.raises(DataError, match="the mode is 'free'"):
        play(["Fine."], mode="free")


def test_an_empty_answer_is_shown_to_the_red_team_as_silence():
    async def red_team(view):
        assert view[-1]["content"] == "(says nothing)"
        return "Go on."

    talk, _ = play(["", "<think>what"], mode="adaptive", red_team=red_team, max_turns=2)
    assert [m["content"] for m in talk.transcript[1::2]] == ["", ""]
    assert talk.turns[-1].reasoning == "what"


@pytest.mark.parametrize("said", ["", "  ", "[Persona: patient]", "As the red-teamer I ask", "My ladder says"])
def test_a_red_team_that_leaks_twice_makes_the_conversation_invalid(said):
    async def red_team(view):
        return said

    talk, _ = play(["Fine."], mode="adaptive", red_team=red_team)
    assert talk.stop == "invalid"
    assert not talk.valid
    assert len(talk.red_team_inputs) == 2
    with pytest.raises(DataError, match="red_team"):
        play(["Fine."], mode="adaptive")


def test_no_turn_of_the_scenarios_reads_as_a_leak():
    assert not [t for s in SCENARIOS for v in s.variants for t in s.turns(v) if LEAK.search(t)]


@pytest.mark.parametrize("content", [["the shop is open"], [{"type": "text", "text": "x"}], 5])
def test_a_turn_that_is_no_text_is_refused_in_a_sentence(content):
    with pytest.raises(DataError, match=r"turn 1 of the transcript: its content is .*; text is needed"):
        verdict([[]], [{"role": "user", "content": "x"}, {"role": "assistant", "content": content}])


def test_more_variants_than_there_are_cost_nothing():
    assert len(measure(variants=10**20).samples(None, 0)) == sum(len(s.variants) for s in load_scenarios())
