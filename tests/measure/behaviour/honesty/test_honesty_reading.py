"""What the measure reads: questions of several forms, answers from before, stated confidence, chosen options."""

import json
import math

import numpy as np
import pytest

from boresight.data import load_set
from boresight.data.honesty import (
    HonestyPhrases,
    choice_of,
    honest_prompt,
    is_correct,
    normalize_answer,
    numeric_prompt,
    stated_confidence,
    verbal_prompt,
)
from boresight.errors import DataError
from boresight.measure.behaviour.honesty import (
    Question,
    ResponseType,
    classify_response,
    honesty_metrics,
    load_baseline,
    load_questions,
    parse_judge_score,
)
from boresight.measure.behaviour.honesty.items import built_in


def table(tmp_path, rows, name="asked.jsonl"):
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


# -- the built-in set ----------------------------------------------------------------------------------------------


def test_the_built_in_set_is_large_and_balanced():
    asked = built_in()
    kinds = {k: sum(q.kind == k for q in asked) for k in ("known", "fiction", "unanswerable")}
    assert kinds["known"] >= 200
    assert kinds["fiction"] >= 100
    assert 0.4 <= kinds["known"] / len(asked) <= 0.6
    assert len({q.id for q in asked}) == len({q.text for q in asked}) == len(asked) == len(load_set("honesty"))


def test_no_built_in_question_gives_its_answer_away():
    """A reply that repeats the question must not be right for it."""
    for q in built_in():
        for gold in q.answers:
            assert normalize_answer(gold) not in normalize_answer(q.text), q


# -- matching ------------------------------------------------------------------------------------------------------


def test_whole_words_are_an_option():
    assert is_correct("It was 1942.", ["42"])
    assert not is_correct("It was 1942.", ["42"], whole_words=True)
    assert is_correct("The answer: 42!", ["42"], whole_words=True)
    assert classify_response("q", "grapes", ["grape"]) == "correct"
    assert classify_response("q", "grapes", ["grape"], whole_words=True) == "wrong"
    assert classify_response("q", "grapes", ["grape"], whole_words=True, judge_score="0.8") == "correct"


def test_golds_may_come_from_a_generator_and_must_be_texts():
    assert is_correct("Paris", (g for g in ["London", "Paris"]))
    for bad in (None, "Paris", [], [None], [3]):
        with pytest.raises(DataError, match="at least one text"):
            is_correct("Paris", bad)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("score-0.9", 0.9),
        ("about -0.5", -0.5),
        ("1e-3", 0.001),
        ("Score: 5e-1!", 0.5),
        (".8", 0.8),
        (10**400, 0),
        (1, 1),
    ],
)
def test_numbers_in_replies(reply, score):
    assert parse_judge_score(reply) == score


def test_metrics_take_generators_and_refuse_what_is_no_mark():
    kinds = ["correct", "wrong", "idk"]
    found = honesty_metrics(
        (k for k in kinds), iter(kinds), (k == "correct" for k in kinds), ids_before=range(3), ids_after=range(3)
    )
    assert found.table == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert honesty_metrics(np.array(kinds), kinds, np.array([True, False, False])).accuracy == pytest.approx(1 / 3)
    assert honesty_metrics([ResponseType.IDK], ["idk"], [0]).prudence == 1
    for bad in (None, math.nan, "true", 2):
        with pytest.raises(DataError, match="no mark of correctness"):
            honesty_metrics(["idk"], ["idk"], [bad])
    for bad in (None, math.nan, "IDK", ["idk"]):
        with pytest.raises(DataError, match="is no type of an answer"):
            honesty_metrics([bad], ["idk"], [True])


def test_intervals_leave_out_resamples_with_nothing_in_them():
    """One of twenty questions was unknown: a third of the resamples have none, and say nothing about prudence."""
    found = honesty_metrics(["wrong"] + ["correct"] * 19, ["wrong"] + ["correct"] * 19, [False] + [True] * 19)
    assert found.ci["prudence"] == (0, 0)
    assert found.ci["honesty"] == (0.5, 0.5)


# -- multiple choice -----------------------------------------------------------------------------------------------

OPTIONS = ["Mercury", "the Moon", "Mars", "12"]


@pytest.mark.parametrize(
    ("response", "chosen"),
    [
        ("It is Mars.", 2),
        ("mars, of course", 2),
        ("B", 1),
        ("The answer is B", 1),
        ("C) I think", 2),
        ("A.", 0),
        ("Mars or Mercury", None),
        ("Mars, not Mercury: C)", 2),
        ("A) or B)", None),
        ("C) ... so C)", None),
        ("E)", None),
        ("BAC.", None),
        ("", None),
        ("It was in 1812", 3),
    ],
)
def test_choices(response, chosen):
    assert choice_of(response, OPTIONS) == chosen


def test_choices_by_whole_words_and_bad_options():
    assert choice_of("It was in 1812", OPTIONS, whole_words=True) is None
    assert choice_of("the", ["a", "the", "an"]) is None
    assert choice_of("B)", ["+", "-"]) == 1
    for bad in ([], ["one"], ["one", ""], [str(i) for i in range(27)]):
        with pytest.raises(DataError, match="texts are needed"):
            choice_of("A", bad)


# -- stated confidence ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "stated"),
    [
        ("I am about 80% confident in this answer: Paris", 0.8),
        ("I am only about 30% confident in this, but my answer would be: Paris", 0.3),
        ("Paris. Confidence: 75 %", 0.75),
        ("Paris, and I'm 90 percent sure", 0.9),
        ("I am quite sure that it is Paris", 0.75),
        ("I really am not sure at all, but perhaps Rome", 0.15),
        ("I am 250% sure", None),
        ("About 71% of the Earth is water", None),
        ("I am about 60% confident in this answer: 71%", 0.6),
        ("Paris", None),
        ("", None),
    ],
)
def test_stated_confidence(response, stated):
    assert stated_confidence(response) == stated


def test_every_phrase_is_read_as_what_it_stands_for():
    own = HonestyPhrases(high="({percent} of a hundred, says the model) ", low="(low: {percent}) ")
    assert stated_confidence("(70 of a hundred, says the model) Paris", own) == 0.7
    assert stated_confidence("(LOW: 20) Paris", own) == 0.2
    told = [stated_confidence(text + "it is Paris") for text in HonestyPhrases().verbal]
    assert told == [0.15, 0.35, 0.55, 0.75, 0.95]


def test_prompts_hold_the_refusal_and_the_question():
    phrases = HonestyPhrases(refusal="That is beyond me.")
    for prompt in (honest_prompt, numeric_prompt, verbal_prompt):
        text = prompt("Who was it?", phrases)
        assert '"That is beyond me."' in text
        assert text.endswith("Question: Who was it?\nAnswer:")
    assert all(step.strip() in verbal_prompt("x") for step in phrases.verbal)
    assert "80% confident" in numeric_prompt("x")


# -- files ---------------------------------------------------------------------------------------------------------


def test_questions_of_published_forms(tmp_path):
    rows = [
        {"question_id": "n1", "question": "Who?", "answers": ["Ann", "Anna"], "gold_answer": "Ann"},
        {"question_id": "t1", "question": "Where?", "answer": {"value": "Rome", "aliases": ["Roma", "Rome"]}},
        {"topic": "maths", "question": "How many?", "answer": 42},
        {"title": "A Paper", "year": 2023, "question": "Who wrote A Paper?"},
        {"question": "Which one?", "subject": "stars", "choices": ["x", "y", "z", "w"], "answer": 2},
        {"id": "m2", "question": "Which two?", "choices": ["x", "y"], "answer": "B"},
        {"id": "m3", "question": "Which three?", "options": ["7", "8"], "answer": "8"},
    ]
    found = load_questions(table(tmp_path, rows))
    assert [q.answers for q in found] == [("Ann", "Anna"), ("Rome", "Roma"), ("42",), (), ("z",), ("y",), ("8",)]
    assert [q.kind for q in found].count("unanswerable") == 1
    assert found[4].topic == "stars"
    assert found[4].asked == "Which one?\nA) x\nB) y\nC) z\nD) w"
    assert [q.id for q in found] == ["n1", "t1", "row-3", "row-4", "row-5", "m2", "m3"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": " "}, "field question is ' '"),
        ({"question": "x", "answers": "y"}, "a list of texts"),
        ({"question": "x", "answers": ["?"]}, "nothing left"),
        ({"question": "x", "answer": {"value": "y", "aliases": 5}}, "aliases of the answer are 5"),
        ({"question": "x", "answer": {"value": "y", "aliases": "yes"}}, "aliases of the answer are 'yes'"),
        ({"question": "x", "answers": []} | {"kind": "known"}, "needs answers"),
        ({"question": "x", "answers": ["y"], "kind": "fiction"}, "has no answers"),
        ({"question": "x", "kind": "odd"}, "field kind is 'odd'"),
        ({"question": "x", "choices": ["y"], "answer": 0}, "different texts"),
        ({"question": "x", "choices": ["y", "y"], "answer": 0}, "different texts"),
        ({"question": "x", "choices": ["y", "z"], "answer": 2}, "one of the 2 choices"),
        ({"question": "x", "choices": ["y", "z"]}, "one of the 2 choices"),
    ],
)
def test_bad_questions_are_one_sentence(tmp_path, row, words):
    with pytest.raises(DataError, match=words):
        load_questions(table(tmp_path, [row]))


def test_empty_files_and_double_ids(tmp_path):
    with pytest.raises(DataError, match="no questions"):
        load_questions(table(tmp_path, []))
    twice = [{"id": "a", "question": "x"}, {"id": "a", "question": "y"}]
    with pytest.raises(DataError, match="stands there twice"):
        load_questions(table(tmp_path, twice))


def test_a_baseline_of_a_table(tmp_path):
    q = Question("a", "known", "", "Who?", ("Ann",))
    rows = [
        {"id": "a", "question": "Who?", "type": "idk"},
        {"question": "Where?", "greedy_pred_text": "Rome", "greedy_label": "known"},
    ]
    found = load_baseline(table(tmp_path, rows, "before.jsonl"))
    assert found.of(q).type == "idk"
    where = found.of(Question("other", "known", "", "Where?", ("Rome",)))
    assert (where.text, where.type) == ("Rome", None)
    assert found.of(Question("b", "known", "", "When?", ("1900",))) is None
    with pytest.raises(DataError, match="must have answered the same questions"):
        found.of(Question("a", "known", "", "Who else?", ("Ann",)))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"id": "a"}], "there is no answer"),
        ([{"id": "a", "type": "maybe"}], "type is 'maybe'"),
        ([{"response": "x"}], "which question is answered"),
        ([{"id": "a", "response": "x"}, {"id": "a", "response": "y"}], "answered twice"),
        ([], "holds no answers"),
    ],
)
def test_bad_baselines_are_one_sentence(tmp_path, rows, words):
    with pytest.raises(DataError, match=words):
        load_baseline(table(tmp_path, rows, "before.jsonl"))


def test_what_is_no_baseline(tmp_path):
    with pytest.raises(DataError, match="has no logs"):
        load_baseline(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        load_baseline(tmp_path / "none.jsonl")
    (tmp_path / "cut.eval").write_bytes(b"PK")
    with pytest.raises(DataError, match="cannot be read"):
        load_baseline(tmp_path / "cut.eval")
    with pytest.raises(DataError, match="has no subjects"):
        load_baseline(table(tmp_path, [{"id": "a", "type": "idk"}], "before.jsonl"), "someone")


def test_ids_may_be_numbers_and_zero_is_one(tmp_path):
    asked = [{"id": None, "question_id": 0, "question": "a?", "answer": "x"}, {"id": 1, "question": "b?", "answer": 0}]
    questions = load_questions(table(tmp_path, asked))
    assert [(q.id, q.answers) for q in questions] == [("0", ("x",)), ("1", ("0",))]
    said = [{"id": None, "question_id": 0, "response": "first"}, {"question_id": 1, "response": "second"}]
    before = load_baseline(table(tmp_path, said, "said.jsonl"))
    assert [before.of(q).text for q in questions] == ["first", "second"]


def test_an_empty_list_of_answers_gives_way_to_the_single_one(tmp_path):
    rows = [{"question": "a?", "answers": [], "gold_answer": "x"}, {"question": "b?", "answers": [], "gold_answer": ""}]
    assert [(q.kind, q.answers) for q in load_questions(table(tmp_path, rows))] == [
        ("known", ("x",)),
        ("unanswerable", ()),
    ]


def test_a_choice_named_by_what_is_no_number(tmp_path):
    rows = [{"question": "a?", "choices": ["x", "y", "z"], "answer": "\u00b2"}]
    with pytest.raises(DataError, match="the number"):
        load_questions(table(tmp_path, rows))


def test_the_sign_of_a_refusal_ends_with_a_word():
    assert HonestyPhrases(refusal=" No clue here . ").sign == "no clue here"
