"""Messages: what is a chat, and how a model without a chat template reads it."""

import pytest

from boresight.chat import plain, split_system, user, validate
from boresight.errors import DataError


def turns(*texts):
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


SYSTEM = {"role": "system", "content": "Be brief."}


def test_a_question_is_a_chat():
    assert user("Why?") == turns("Why?")
    assert user("Why?", "Be brief.") == [SYSTEM, *turns("Why?")]


@pytest.mark.parametrize("chat", [turns("a"), turns("a", "b", "c"), [SYSTEM, *turns("a")], tuple(turns("a", "", "c"))])
def test_good_chats_come_back_unchanged(chat):
    assert validate(chat) is chat


@pytest.mark.parametrize(
    ("chat", "says"),
    [
        ([], "at least one"),
        ("Why?", "a list of messages"),
        ({"role": "user", "content": "a"}, "a list of messages"),
        (None, "a list of messages"),
        (["Why?"], "message 1 needs the keys"),
        ([{"role": "user"}], "message 1 needs the keys"),
        ([{"role": "user", "content": None}], "message 1 has content that is not text"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}]}], "content that is not text"),
        ([{"role": "tool", "content": "a"}], "message 1 has role 'tool'"),
        ([SYSTEM], "a system message but no user turn"),
        ([*turns("a"), SYSTEM], "turn 2 is by 'system'"),
        ([*turns("a"), *turns("b")], "turn 2 is by 'user'"),
        (turns("a", "b"), "the last turn is the assistant's"),
        ([{"role": "assistant", "content": "a"}], "turn 1 is by 'assistant'"),
        (turns(" \n"), "turn 1 is an empty user message"),
    ],
)
def test_what_is_wrong_is_named(chat, says):
    with pytest.raises(DataError, match=says):
        validate(chat)
    with pytest.raises(DataError, match=r"^row 7: "):
        validate(chat, "row 7")


def test_the_system_text_is_split_off():
    assert split_system([SYSTEM, *turns("a", "b", "c")]) == ("Be brief.", ["a", "b", "c"])
    assert split_system(turns("a")) == ("", ["a"])


def test_one_turn_is_rendered_without_any_marker():
    assert plain(turns("Why?")) == "Why?\n"
    assert plain([SYSTEM, *turns("Why?")]) == "Be brief.\nWhy?\n"
    assert plain([SYSTEM, *turns("Why?")], "Question: ", "Because", "Facts.\n") == (
        "Be brief.\nFacts.\nQuestion: Why?\nBecause"
    )


def test_several_turns_tell_the_speakers_apart():
    assert plain([SYSTEM, *turns("Hi", "Hello", "Why?")]) == (
        "Be brief.\nUser: Hi\nAssistant: Hello\nUser: Why?\nAssistant:"
    )
    assert plain(turns("Hi", "Hello", "Why?"), answer_start="Well").endswith("\nAssistant: Well")
