import math
from itertools import product

import numpy as np
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
from boresight.measure.behaviour.emergent_misalignment.roc import auroc

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


def test_auroc_counts_pairs():
    assert auroc([3, 2], [1, 2]).value == pytest.approx(3.5 / 4)
    high, low = np.random.default_rng(0).normal(0.5, 1, 30), np.random.default_rng(1).normal(0, 1, 20)
    slow = sum((x > y) + 0.5 * (x == y) for x, y in product(high, low)) / 600
    found = auroc(high, low)
    assert found.value == pytest.approx(slow, abs=1e-12)
    assert found.n == 50
    assert 0 <= found.low < found.value < found.high <= 1


def test_auroc_interval_equals_a_slow_bootstrap_over_clusters():
    high, low = [0.9, 0.4, 0.8, 0.3], [0.1, 0.5, 0.6, 0.2]
    a, b = ["x", "x", "y", "z"], ["x", "y", "y", "z"]
    found = auroc(high, low, a, b, resamples=500, seed=3)
    draws = np.random.default_rng(3).multinomial(3, np.full(3, 1 / 3), 500)
    shares = []
    for draw in draws:
        times = dict(zip("xyz", draw.tolist(), strict=True))
        up = [s for s, c in zip(high, a, strict=True) for _ in range(times[c])]
        down = [s for s, c in zip(low, b, strict=True) for _ in range(times[c])]
        shares.append(np.mean([(x > y) + 0.5 * (x == y) for x, y in product(up, down)]))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(shares, [0.025, 0.975])), abs=1e-12)


def test_auroc_of_too_little():
    assert math.isnan(auroc([], [1]).value)
    assert math.isnan(auroc([1], []).value)
    lone = auroc([2, 3], [1], ["q", "q"], ["q"])
    assert lone.value == 1
    assert math.isnan(lone.low)
    with pytest.raises(ValueError, match="finite"):
        auroc([math.nan], [1])
    with pytest.raises(ValueError, match="2 and 1 scores, but 1 and 1 clusters"):
        auroc([1, 2], [1], ["q"], ["q"])
