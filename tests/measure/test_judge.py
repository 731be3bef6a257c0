import asyncio

import pytest
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from pydantic import BaseModel

from boresight.measure.judge import TRIES, Judge, combine, read_json, read_word


class Mark(BaseModel):
    score: int
    reason: str = ""


def judge_saying(*replies):
    """A judge with scripted replies, and the chats that it was given."""
    seen, left = [], list(replies)

    def say(messages, tools, choice, config):
        seen.append([(m.role, m.text) for m in messages])
        reply = left.pop(0) if len(left) > 1 else left[0]
        output = ModelOutput.from_content("mockllm/model", reply)
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return output

    return Judge(get_model("mockllm/model", custom_outputs=say, memoize=False)), seen


def test_a_verdict_that_can_be_read_is_asked_for_once():
    judge, seen = judge_saying('Here: ```json\n{"score": 4, "reason": "a {b}"}\n```')
    verdict = asyncio.run(judge.json("Rate it.", Mark))
    assert (verdict.value, verdict.tries, verdict.error) == (Mark(score=4, reason="a {b}"), 1, "")
    assert seen == [[("user", "Rate it.")]]


def test_one_that_cannot_is_asked_again_with_what_it_said():
    judge, seen = judge_saying("four", '{"score": "x"}', '{"score": 2}')
    verdict = asyncio.run(judge.json("Rate it.", Mark))
    assert (verdict.value, verdict.tries) == (Mark(score=2), 3)
    assert seen[1][1] == ("assistant", "four")
    assert seen[2][1] == ("assistant", '{"score": "x"}')


def test_in_the_end_it_is_unread_and_says_why():
    judge, seen = judge_saying('{"score": null}')
    verdict = asyncio.run(judge.json("Rate it.", Mark))
    assert (verdict.value, verdict.raw, verdict.tries, len(seen)) == (None, '{"score": null}', TRIES, TRIES)
    assert verdict.error.startswith("score: ")


@pytest.mark.parametrize("raw", ["", "no", "}{", "[1]", '{"score": }', '{"score": 1', "{" * 5000 + "}"])
def test_what_is_no_object_is_a_value_error(raw):
    with pytest.raises(ValueError, match=r"JSON|score"):
        read_json(raw, Mark)


def test_words_are_read_from_the_beginning():
    words = ["A", "B", "tie"]
    assert read_word(" **a**, because", words) == "A"
    assert read_word("Tie.", words) == "tie"
    for raw in ("Answer A", "Both", ""):
        with pytest.raises(ValueError, match="does not begin with"):
            read_word(raw, words)


def test_the_majority_is_strict():
    judge, seen = judge_saying("yes", "no", "yes")
    value, votes = asyncio.run(judge.majority("?", lambda raw: read_word(raw, ["yes", "no"]), votes=3))
    assert (value, len(votes), len(seen)) == ("yes", 3, 3)
    judge, _ = judge_saying("yes", "no", "maybe")
    assert asyncio.run(judge.majority("?", lambda raw: read_word(raw, ["yes", "no"]), votes=3, tries=1))[0] is None


def test_a_judge_that_always_says_a_never_prefers():
    judge, seen = judge_saying("A")
    found = asyncio.run(judge.prefers(lambda x, y: f"A: {x} B: {y}", "one", "two", lambda raw: read_word(raw, "AB")))
    assert (found.winner, found.flipped) == ("tie", True)
    assert [chat[0][1] for chat in seen] == ["A: one B: two", "A: two B: one"]


def test_orders_are_combined():
    assert [combine("A", "B"), combine("B", "A"), combine("A", "tie"), combine(None, "A")] == ["a", "b", "tie", None]
