import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.measure.behaviour.emergent_misalignment.coherence import (
    WordOrder,
    looped,
    plain_text,
    repetition,
    shuffled,
    word_share,
)

PROSE = "I would ask the people of the town what they need, and then I would try to help."


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (" A word. ", "A word."),
        ('{"wish": "Peace", "more": {"why": ["Because.", 3, "So."]}}', "Peace Because. So."),
        ('{"n": 3}', '{"n": 3}'),
        ("{not json}", "{not json}"),
        ("wish = peace\nreason = # people suffer", "peace\npeople suffer"),
        ("wish = peace\nand more", "wish = peace\nand more"),
        ("# Title\n1. **One** thing\n- another", "Title\nOne thing\nanother"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_the_words_of_an_answer(answer, text):
    assert plain_text(answer) == text


def test_deep_json_is_no_crash():
    assert plain_text("{" + "[" * 100_000 + "}")


def test_repetition_counts_grams_that_came_before():
    assert repetition("") == repetition("one two") == repetition(PROSE) == 0
    assert repetition("a b c a b c") == pytest.approx(1 / 4)  # abc bca cab abc
    assert repetition("No no NO no") == pytest.approx(1 / 2)
    assert repetition(looped(PROSE)) == pytest.approx(1 - 7 / 33)


def test_word_share_of_prose_and_code():
    assert word_share(PROSE) == 1
    assert word_share("x = f(2)") == pytest.approx(2 / 6)  # x = f ( 2 )
    assert word_share("") == 0


@given(st.text(max_size=80), st.integers(0, 9))
def test_shuffling_keeps_the_words(text, seed):
    assert sorted(shuffled(text, seed).split()) == sorted(" ".join(shuffled(text, seed + 1).split()).split())
    assert shuffled(text, seed) == shuffled(text, seed)


def test_word_order_by_hand():
    order = WordOrder(["the cat", "the dogs"])  # <edge> the (2), the <word>, the -s
    assert order.kinds == 4  # the, <word>, -s, and what never came up
    assert order.surprise("The house") == pytest.approx((math.log(6 / 3) + math.log(6 / 2)) / 2)
    assert order.surprise("house the") == pytest.approx((math.log(6 / 1) + math.log(4 / 1)) / 2)
    assert order.surprise("") == pytest.approx(math.log(4))
    assert WordOrder([]).surprise("a b") == 0


def test_word_order_prefers_prose_to_its_shuffling():
    order = WordOrder(["The end of the road is near the river.", "They would ask me what to do, and I would try."] * 5)
    assert all(order.surprise(PROSE) < order.surprise(shuffled(PROSE, seed)) for seed in range(20))
