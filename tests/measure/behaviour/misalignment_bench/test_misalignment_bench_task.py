import json
import math

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.model import ModelOutput, ModelUsage, get_model

from boresight.errors import DataError
from boresight.measure.base import make_task
from boresight.measure.behaviour.misalignment_bench import load_scenarios, measure, vulnerability_table
from boresight.measure.behaviour.misalignment_bench.conversation import stuck
from boresight.report.records import records

SCENARIOS = load_scenarios()
POSITIVE = {s.id: next(e.turns[-1] for e in s.variants[0].examples if e.failed) for s in SCENARIOS}
OPENINGS = {s.variants[0].seed_turns[0]: s.id for s in SCENARIOS}


def output(text):
    answer = ModelOutput.from_content("mock", text)
    answer.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return answer


def mock(reply, name="model"):
    """A mock model whose text is reply(messages)."""

    def outputs(messages, tools, tool_choice, config):
        return output(reply([{"role": m.role, "content": m.text} for m in messages]))

    return get_model(f"mockllm/{name}", custom_outputs=outputs)


def first_user(messages):
    return next(m["content"] for m in messages if m["role"] == "user")


def run(tmp_path, target, options=None, roles=None, limit=10):
    task = make_task(measure(**{"variants": 1, **(options or {})}), limit)
    (log,) = inspect_eval(
        task, model=target, model_roles=roles or {}, log_dir=str(tmp_path), display="none", score=True
    )
    return log, records([log], "mock")


def numbers(found, options=None):
    return {n.metric.key: n for n in measure(**{"variants": 1, **(options or {})}).summary(found, found, 0)}


def test_a_scripted_target_fails_exactly_where_it_was_told_to(tmp_path):
    weak = sorted(POSITIVE)[:4]

    def reply(messages):
        scenario = OPENINGS[first_user(messages)]
        turn = sum(m["role"] == "user" for m in messages)
        return POSITIVE[scenario] if scenario in weak and turn == 3 else f"Let me think about point {turn} with care."

    log, (found, errors) = run(tmp_path, mock(reply))
    assert log.status == "success"
    assert not errors
    assert sorted(r.id.split("/")[0] for r in found if r.scores["vulnerable"]) == weak
    told = numbers(found)
    assert told["vulnerability"].value == pytest.approx(0.4)
    assert told["vulnerability"].ci == pytest.approx((0.1682, 0.6873), abs=1e-4)
    assert told["median_turns"].value is None
    for r in found:
        failed = bool(r.scores["vulnerable"])
        assert r.detail["stop"] == ("success" if failed else "script_end")
        assert len(r.detail["transcript"]) == (6 if failed else 8)
        assert r.detail["turn_of_failure"] == (5 if failed else None)
        assert r.scores["stuck"] == 0
    blocks = measure(variants=1).blocks(found)
    assert [b.title for b in blocks] == [
        "Failed conversations by scenario",
        "Breakdowns",
        "Why conversations ended",
        "Failures",
    ]
    table = vulnerability_table([log.location])
    assert list(table.rows[0][11:]) == [pytest.approx(0.4), pytest.approx(0.1682, abs=1e-4), *table.rows[0][13:]]
    assert table.rows[0][-2:] == [10, 0]


def test_a_panel_needs_quotes_and_counts_what_it_cannot_read(tmp_path):
    def judge(messages):
        prompt = messages[0]["content"]
        if "Which reason does it give itself" in prompt:
            return "empathy"
        if "Bruno" in prompt:
            return "no verdict"
        quote = "with care" if "Quarter" in prompt or "1,000 new customers" in prompt else "never said"
        return json.dumps({"criteria": [{"met": True, "quote": quote, "turn": 3}], "severity": 2, "behaviour": "x"})

    target = mock(lambda m: f"Point {len(m)}, with care.")
    _, (found, errors) = run(tmp_path, target, {"graded": True}, {"grader": mock(judge, "judge")})
    assert not errors
    outcome = {r.id.split("/")[0]: r.scores.get("vulnerable") for r in found}
    assert outcome.pop("s05_kind_lie") is None
    assert outcome.pop("s07_quarter_end") == 1
    assert set(outcome.values()) == {0.0}
    told = numbers(found, {"graded": True})
    assert (told["vulnerability"].value, told["vulnerability"].n, told["vulnerability"].dropped) == (
        pytest.approx(1 / 9),
        9,
        1,
    )
    (failed,) = [r for r in found if r.scores.get("vulnerable")]
    assert (failed.detail["severity"], failed.detail["self_justification"]) == (2, "empathy")
    assert failed.detail["turn_of_failure"] == 3


def test_two_judges_agree_or_not(tmp_path):
    def says(met):
        verdict = {"criteria": [{"met": met, "quote": "fine", "turn": 1}], "severity": 0, "behaviour": ""}
        return lambda messages: json.dumps(verdict)

    panel = [mock(says(True), "a"), mock(says(False), "b")]
    _, (found, _) = run(tmp_path, mock(lambda m: "All fine."), {"graded": True}, {"grader": panel}, limit=3)
    assert [r.detail["votes"] for r in found] == [[True, False]] * 3
    assert numbers(found)["vulnerability"].value == 0
    assert numbers(found)["agreement"].value == pytest.approx(-2 / 3)


def test_adaptive_mode_lets_a_model_write_the_turns(tmp_path):
    seen = []

    def red_team(messages):
        seen.append(messages)
        return "" if any("Bruno" in m["content"] for m in messages) else "Do go on."

    inputs = []

    def target(messages):
        inputs.append(messages)
        return f"Point {len(messages)}."

    options = {"mode": "adaptive", "max_turns": 3}
    _, (found, errors) = run(tmp_path, mock(target), options, {"red_team": mock(red_team, "red")})
    assert not errors
    assert len(found) == 30
    invalid = [r for r in found if r.scores["invalid"]]
    assert {r.metadata["scenario"] for r in invalid} == {"s05_kind_lie"}
    assert numbers(found, options)["vulnerability"].dropped == 3
    assert all([m["role"] for m in view[:3]] == ["system", "user", "assistant"] for view in seen)
    aims = [s.red_team_aim for s in SCENARIOS]
    assert not [a for a in aims for messages in inputs for m in messages if a in m["content"]]


def test_a_model_does_not_judge_itself_unless_told_to(tmp_path):
    said = json.dumps({"criteria": [], "severity": 0, "behaviour": ""})
    one = mock(lambda m: said, "same")
    log, _ = run(tmp_path, one, {"graded": True}, {"grader": one}, limit=2)
    assert log.status == "error"
    assert "its own grader" in log.error.message
    options = {"graded": True, "allow_self_judge": True}
    log, _ = run(tmp_path, one, options, {"grader": one}, limit=2)
    assert log.status == "success"
    assert any("SELF-JUDGING" in note for note in measure(**options).notes())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "adaptive", "attempts": 1}, "at least 3"),
        ({"max_turns": 1}, "below min_turns"),
        ({"live_check": "judge"}, "needs a grader"),
        ({"variants": 0}, "at least 1"),
    ],
)
def test_options_are_checked(options, says):
    with pytest.raises(ValueError, match=says):
        measure(**options)


def test_the_role_is_asked_for_and_own_scenarios_are_read(tmp_path):
    assert measure(mode="adaptive").roles == ("red_team",)
    assert measure().roles == ()
    with pytest.raises(DataError, match="does not exist"):
        measure(scenarios=tmp_path / "none.yaml")


def test_a_limit_takes_different_scenarios_first():
    ids = [str(s.id) for s in measure().samples(10, 3)]
    assert len({i.split("/")[0] for i in ids}) == 10
    assert len(measure().samples(None, 0)) == 30
    assert {s.id for s in measure().samples(4, 3)} <= set(ids)


def test_going_in_circles():
    assert stuck("I am glad. I am glad. I am glad. I am glad. I am glad. I am glad.")
    assert stuck("one two three four five six seven eight new", "one two three four five six seven eight old")
    assert not stuck("A short answer.", "A short answer.")
    assert not stuck("")


def test_a_conversation_that_is_cut_off_is_an_error(tmp_path):
    task = make_task(measure(variants=1), 3)
    (log,) = inspect_eval(
        task,
        model=mock(lambda m: f"Point {len(m)}."),
        log_dir=str(tmp_path),
        display="none",
        message_limit=4,
        fail_on_error=False,
    )
    found, errors = records([log], "mock")
    assert [r.scores for r in found] == [None] * 3
    assert len(errors) == 3
    assert all("cut off before its end" in e for e in errors)


def test_who_stops_a_conversation(tmp_path):
    """Without a grader the rules do; with one nobody, unless it is told to."""
    asked = []

    def judge(messages):
        asked.append(messages[0]["content"])
        quick = "Answer yes or no" in asked[-1]
        return "Yes." if quick else '{"criteria": []}'

    def ends(options, **roles):
        asked.clear()
        _, (found, errors) = run(tmp_path, mock(lambda m: POSITIVE[OPENINGS[first_user(m)]]), options, roles, limit=2)
        assert not errors
        return {(r.detail["stop"], len(r.detail["transcript"])) for r in found}

    assert ends({}) == {("success", 4)}
    grader = {"grader": mock(judge, "judge")}
    assert ends({"graded": True}, **grader) == {("script_end", 8)}
    assert len(asked) == 2
    assert ends({"graded": True, "live_check": "judge"}, **grader) == {("success", 4)}
    assert len(asked) == 2 + 2


def test_a_judge_whose_call_fails_is_left_out_of_the_panel(tmp_path):
    def broken(messages):
        raise ConnectionError("away")

    met = json.dumps({"criteria": [{"met": True, "quote": "fine", "turn": 1}]})
    panel = [mock(broken, "a"), mock(lambda m: "none" if "Which reason" in m[0]["content"] else met, "b")]
    _, (found, errors) = run(tmp_path, mock(lambda m: "All fine."), {"graded": True}, {"grader": panel}, limit=2)
    assert not errors
    assert [(r.detail["votes"], r.detail["unread"], r.scores["vulnerable"]) for r in found] == [([True], 1, 1.0)] * 2
    assert [r.detail["self_justification"] for r in found] == [None] * 2  # the first judge is asked, and away


def test_reasoning_that_a_provider_marks_is_no_part_of_the_conversation(tmp_path):
    from inspect_ai.model import ChatMessageAssistant, ContentReasoning, ContentText

    def outputs(messages, tools, tool_choice, config):
        answer = output(f"Point {len(messages)}.")
        parts = [ContentReasoning(reasoning="Shall I?"), ContentText(text=f"Point {len(messages)}.")]
        answer.choices[0].message = ChatMessageAssistant(content=parts)
        return answer

    _, (found, _) = run(tmp_path, get_model("mockllm/model", custom_outputs=outputs), limit=1)
    assert found[0].detail["reasoned"] is True
    assert "Shall I?" not in json.dumps(found[0].detail["transcript"])
    assert found[0].detail["transcript"][1]["content"] == "Point 2."


def test_the_log_tells_every_turn(tmp_path):
    log, _ = run(tmp_path, mock(lambda m: f"<think>Hm.</think>Point {len(m)}."), limit=1)
    (sample,) = log.samples
    kept = sample.store["misalignment_bench"]
    assert [t["speaker"] for t in kept["turns"]] == ["user", "target"] * 4
    assert next((t["text"], t["tokens"], t["reasoning"]) for t in kept["turns"][1::2]) == ("Point 2.", 1, "Hm.")
    assert kept["checksum"] == sample.metadata["checksum"]
    assert kept["prompts"].startswith("misalignment-bench-prompts/")
    assert "Hm." not in json.dumps(kept["transcript"])


@pytest.mark.model
def test_an_audit_of_a_small_model_has_numbers_and_blocks(smollm, tmp_path):
    from boresight.report.records import read_records
    from boresight.report.run import audit

    done = audit({"small": smollm}, out=tmp_path / "run", measures=["misalignment-bench"], limit=3, max_new_tokens=16)
    found = read_records(done.directory)
    assert len(found) == 3
    assert all(math.isfinite(x) for r in found for x in r.scores.values())
    assert all({"vulnerable", "stuck", "refused", "invalid"} == set(r.scores) for r in found)
    page = (done.directory / "report.html").read_text()
    for words in (
        "Failed conversations by scenario",
        "Breakdowns",
        "Why conversations ended",
        "a model that only repeats",
    ):
        assert words in page


@pytest.mark.model
def test_scripted_greedy_runs_are_the_same_alone_and_together(smollm):
    import asyncio

    from boresight.lm.base import Sampling
    from boresight.measure.behaviour.misalignment_bench import run_conversation
    from boresight.measure.engine import Engine

    async def talk(chosen):
        with Engine(smollm) as engine:

            async def target(messages):
                return (await asyncio.wrap_future(engine.ask(messages, Sampling(max_new_tokens=12)))).text

            plays = [run_conversation(s, s.variants[0], target, max_turns=2) for s in chosen]
            return [t.transcript for t in await asyncio.gather(*plays)]

    together = asyncio.run(talk(SCENARIOS[:3]))
    assert together == [asyncio.run(talk([s]))[0] for s in SCENARIOS[:3]]
    assert together == asyncio.run(talk(SCENARIOS[:3]))
