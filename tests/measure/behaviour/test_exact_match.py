import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from boresight.measure.behaviour import exact_match as module
from boresight.measure.behaviour.exact_match import Match, contains_answer, exact_match, grade, normalise

SETS = Path(module.__file__).parents[2] / "data" / "sets"
FACTS = [json.loads(line) for line in (SETS / "facts.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("  The  Pacific\tOcean. ", "pacific ocean"),
        ("A", "a"),
        ("the a", "the a"),
        ("Straße", "strasse"),
        ("H₂O", "h2o"),
        ("ＰＡＲＩＳ", "paris"),
        ("1,000", "1000"),
        ("1,234,567.50", "1234567.50"),
        ("1,2,3", "1 2 3"),
        ("12,3456", "12 3456"),
        ("seven", "7"),
        ("Twenty", "20"),
        ("zero", "0"),
        ("forty-two", "42"),
        ("forty two", "42"),
        ("twenty ten", "20 10"),
        ("often", "often"),
        ("3.14", "3.14"),
        ("3.", "3"),
        ("-5 °C", "-5 c"),
        ("\u22125", "-5"),
        ("10-5", "10 5"),
        ("**Paris**!", "paris"),
        ("J. K. Rowling", "j k rowling"),
        ("Alice’s", "alices"),
        ("Moby-Dick", "moby dick"),
        ("---", ""),
    ],
)
def test_normalise_cases(text, expected):
    assert normalise(text) == expected


@given(st.one_of(st.text(), st.text(alphabet="0123456789,.-−'’ ethoanwynfur½①İßΐ\u0301\u0345")))
@example("twenty 1")
@example("1,0'00")
@example("--5")
@example("''a n")
@example("one'\u0301")
def test_normalise_is_idempotent(text):
    once = normalise(text)
    assert normalise(once) == once


@given(st.text())
def test_normalise_ignores_outer_space_and_capitals_of_ascii(text):
    assert normalise(f"\n {text}\t") == normalise(text)
    assert all(not c.isspace() or c == " " for c in normalise(text))


@pytest.mark.parametrize(
    ("reply", "answers", "exact", "contains"),
    [
        ("Paris", ["Paris"], True, True),
        ("paris.", ["Paris"], True, True),
        ("Paris. It lies on the Seine.", ["Paris"], True, True),
        ("\n\nParis\n\nQuestion: What is next?", ["Paris"], True, True),
        ("Answer: Paris", ["Paris"], True, True),
        ("**Answer:** Paris", ["Paris"], True, True),
        ("The answer is Paris.", ["Paris"], False, True),
        ("The capital of France is Paris, a city on the Seine.", ["Paris"], False, True),
        ("Great question! It is Paris.", ["Paris"], False, True),
        ("Hello. How are you? It is Paris.", ["Paris"], False, False),
        ("Rome\nLondon\nParis", ["Paris"], False, False),
        ("Parisian", ["Paris"], False, False),
        ("J. K. Rowling", ["J.K. Rowling"], True, True),
        ("J. K. Rowling wrote them.", ["Rowling"], False, True),
        ("Mt. Everest", ["Mt Everest"], True, True),
        ("Seven", ["7"], True, True),
        ("There are seven days in a week.", ["7"], False, True),
        ("It is 42", ["2"], False, False),
        ("forty-two", ["2"], False, False),
        ("two hundred", ["2"], False, False),
        ("There are 1,000 grams.", ["1000"], False, True),
        ("3.5", ["3"], False, False),
        ("The formula is H₂O.", ["H2O"], False, True),
        ("South America", ["America of the South", "South America"], True, True),
        ("", ["Paris"], False, False),
        ("...", ["..."], False, False),
        ("Paris", [], False, False),
        ("i", "Paris", False, False),
        ("Paris", "Paris", True, True),
        ("well " * 60 + "Paris", ["Paris"], False, False),
        ("well " * 49 + "Paris", ["Paris"], False, True),
    ],
)
def test_both_readings(reply, answers, exact, contains):
    assert exact_match(reply, answers) is exact
    assert contains_answer(reply, answers) is contains
    assert grade(reply, answers) == Match(exact, contains)


def test_grade_takes_an_iterator_once():
    assert grade("Paris", iter(["Lyon", "Paris"])) == Match(True, True)


@given(st.text(), st.lists(st.text(), max_size=3))
def test_never_raises_and_agrees_with_itself(reply, answers):
    assert grade(reply, answers) == Match(exact_match(reply, answers), contains_answer(reply, answers))


def test_only_the_start_of_a_runaway_reply_is_read():
    head = "x" * module.MAX_CHARS
    assert grade(head + " Paris", ["Paris"]) == Match(False, False)
    assert grade("Paris\n" + "and so on " * 100_000, ["Paris"]) == Match(True, True)


def test_facts_are_valid():
    assert len(FACTS) >= 80
    assert len({row["id"] for row in FACTS}) == len({row["prompt"].casefold() for row in FACTS}) == len(FACTS)
    for row in FACTS:
        assert set(row) == {"id", "prompt", "answers", "topic"}
        assert row["answers"]
        assert all(1 <= len(answer.split()) <= 4 for answer in row["answers"])
        assert len(set(row["answers"])) == len(row["answers"])


@pytest.mark.parametrize("row", FACTS, ids=lambda row: row["id"])
def test_every_fact_accepts_its_answers_and_does_not_give_them_away(row):
    for answer in row["answers"]:
        assert grade(answer, row["answers"]) == Match(True, True)
        assert grade(f"I would say it is {answer}, as far as I know.", row["answers"]) == Match(False, True)
    assert not contains_answer(row["prompt"], row["answers"])
