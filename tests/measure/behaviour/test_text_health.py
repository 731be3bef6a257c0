import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.lm.repetition import repeated_suffix
from boresight.measure.behaviour import text_health
from boresight.measure.behaviour.text_health import (
    distinct_n,
    ends_cleanly,
    looks_degenerate,
    most_repeated_line,
)

SETS = Path(text_health.__file__).parents[2] / "data" / "sets"
PROSE = (
    "The ferry leaves at seven, so we walk down to the harbour with our bags and a flask of coffee. A man "
    "in a yellow coat checks the tickets, smiles at the dog and waves us aboard. From the upper deck you can "
    "see the whole town: the church, the mill, the row of small painted houses that lean against each other."
)


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("", 1, None),
        ("a b", 3, None),
        ("a b c", 3, 1.0),
        ("a a a a", 1, 0.25),
        ("a b a b", 2, 2 / 3),
        (" \n", 1, None),
    ],
)
def test_distinct_n_cases(text, n, expected):
    assert distinct_n(text, n) == expected


def test_distinct_n_needs_a_word_per_gram():
    with pytest.raises(ValueError, match="at least one word"):
        distinct_n("a b", 0)


@given(st.lists(st.sampled_from("abc"), max_size=20), st.integers(1, 4))
def test_distinct_n_is_a_share(words, n):
    value = distinct_n(" ".join(words), n)
    assert (value is None) == (len(words) < n)
    assert value is None or 0 < value <= 1


# The same few triples in an order that never repeats a stretch at the end.
CIRCLES = " ".join("go to the shop and" if i in (3, 4, 8, 11) else "go to the market and" for i in range(12)) + " stop"


@pytest.mark.parametrize(
    "text",
    [
        "I think that is it. I think that is it. I think that is it. I think that is it.",
        "Paris is big." + " and so on and on" * 2,
        "ha" * 20,
        "\n".join(["The sun is up.", "Hello."] * 4 + ["The end, at last, of everything."]),
        CIRCLES,
        "Fine so far. " + "loop " * 50 + "\n\n",
    ],
)
def test_broken_texts(text):
    assert looks_degenerate(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Paris",
        PROSE,
        "New York, New York",
        "ha ha ha",
        "Row, row, row your boat",
        "\n".join(["if x:", "    }", "else:", "    }", "a = 1", "    }", "b = 2", "    }", "done = True"]),
        "\n".join(["The sun is up.", "One bird sings."] * 3 + ["And then the night falls over the hills."]),
        "loop " * 4 + "end",
    ],
)
def test_healthy_texts(text):
    assert not looks_degenerate(text)


def test_a_megabyte_is_handled():
    assert looks_degenerate("abc " * 250_000)


def test_each_sign_stands_alone():
    assert repeated_suffix(CIRCLES, text_health.LOOP_CHUNK) == 0
    assert most_repeated_line(CIRCLES) == 1
    lines = "\n".join(["The sun is up."] * 4 + ["The end, at last."])
    assert most_repeated_line(lines) == text_health.REPEATED_LINES
    assert repeated_suffix(lines, text_health.LOOP_CHUNK) == 0


@given(st.text())
def test_never_raises(text):
    assert isinstance(looks_degenerate(text), bool)
    assert isinstance(ends_cleanly(text), bool)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("It is done.", True),
        ('She said "yes."', True),
        ("Paris", True),
        ("- eggs\n- a pound of fresh butter from the farm", True),
        ("| a | b |", True),
        ("All good here, thank you so much 🙂", True),
        ("The reason for this is that the", False),
        ("We need eggs, milk,", False),
        ("See you soon!\nYours, Kim", True),
    ],
)
def test_ends_cleanly(text, expected):
    assert ends_cleanly(text) is expected


def test_the_written_replies_are_healthy():
    rows = (SETS / "refusal_replies.jsonl").read_text(encoding="utf-8").splitlines()
    assert [row["id"] for row in map(json.loads, rows) if looks_degenerate(row["reply"])] == []


def test_open_requests_are_valid():
    rows = [json.loads(line) for line in (SETS / "open.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({row["id"] for row in rows}) == len({row["prompt"].casefold() for row in rows}) == len(rows) == 80
    assert all(set(row) == {"id", "prompt", "topic"} and row["prompt"] for row in rows)
    assert len({row["topic"] for row in rows}) >= 8
