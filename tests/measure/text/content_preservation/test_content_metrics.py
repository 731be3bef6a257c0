import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.errors import DataError
from boresight.measure.text.content_preservation import (
    bleu,
    chrf,
    cosine,
    greedy_match,
    idf,
    mean_vector,
    porter,
    rouge_l,
    rouge_n,
    token_weights,
)
from boresight.measure.text.content_preservation.vectors import Match

TEXTS = st.lists(st.text("ab c.", max_size=14), min_size=1, max_size=5)


def grams(tokens, n):
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def slow_bleu(a, b):
    import re

    a, b = (re.findall(r"\w+|[^\w\s]", t) for t in (a, b))
    logs = 0.0
    for n in range(1, 5):
        matched = (grams(a, n) & grams(b, n)).total()
        if not matched:
            return 0.0
        logs += math.log(matched / grams(b, n).total()) / 4
    return math.exp(logs + min(0.0, 1 - len(a) / len(b)))


def slow_chrf(a, b):
    def words(t):
        out = []
        for w in t.split():
            if len(w) > 1 and w[-1] == ".":
                out += [w[:-1], "."]
            elif len(w) > 1 and w[0] == ".":
                out += [".", w[1:]]
            else:
                out.append(w)
        return out

    ps, rs = [], []
    for cut, order in ((lambda t: "".join(t.split()), 6), (words, 2)):
        for n in range(1, order + 1):
            x, y = grams(cut(a), n), grams(cut(b), n)
            if x and y:
                ps.append((x & y).total() / y.total())
                rs.append((x & y).total() / x.total())
    if not ps or not sum(ps):
        return 0.0
    p, r = sum(ps) / len(ps), sum(rs) / len(rs)
    return 5 * p * r / (4 * p + r)


def slow_rouge(a, b, n):
    x, y = (grams(t.lower().replace(".", " ").split(), n) for t in (a, b))
    return 2 * (x & y).total() / max(1, x.total() + y.total())


def slow_lcs(a, b):
    x, y = (t.lower().replace(".", " ").split() for t in (a, b))
    table = np.zeros((len(x) + 1, len(y) + 1), dtype=int)
    for i, w in enumerate(x):
        for j, v in enumerate(y):
            table[i + 1, j + 1] = table[i, j] + 1 if w == v else max(table[i, j + 1], table[i + 1, j])
    return 2 * table[-1, -1] / max(1, len(x) + len(y))


@given(TEXTS)
def test_batched_counts_equal_those_of_each_pair(texts):
    a, b = texts, texts[::-1]
    both = list(zip(a, b, strict=True))
    assert bleu(a, b) == pytest.approx([slow_bleu(*x) for x in both], abs=1e-12)
    assert chrf(a, b) == pytest.approx([slow_chrf(*x) for x in both], abs=1e-12)
    assert rouge_l(a, b) == pytest.approx([slow_lcs(*x) for x in both], abs=1e-12)
    for n in (1, 2, 3):
        assert rouge_n(a, b, n) == pytest.approx([slow_rouge(*x, n) for x in both], abs=1e-12)


def test_known_values():
    a, b = ["the cat sat on the mat today"], ["the cat sat on a mat today"]
    assert rouge_n(a, b)[0] == pytest.approx(12 / 14)
    assert rouge_n(a, b, 2)[0] == pytest.approx(8 / 12)
    assert rouge_l(a, b)[0] == pytest.approx(12 / 14)
    assert bleu(a, b)[0] == pytest.approx((6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25)
    assert bleu(["a b c d e f"], ["a b c d"])[0] == pytest.approx(math.exp(1 - 6 / 4))
    for metric in (bleu, rouge_n, rouge_l, chrf):
        assert metric(["one two three four"], ["one two three four"])[0] == pytest.approx(1.0)
        assert metric(["", "a", ""], ["a", "", ""]).tolist() == [0, 0, 0]
        assert metric([], []).shape == (0,)


def test_stemming_and_errors():
    assert rouge_n(["running dogs"], ["runs dog"], stem=lambda w: w[:3])[0] == pytest.approx(2 * 1 / 4 + 0.5)
    for metric in (bleu, rouge_n, rouge_l, chrf):
        with pytest.raises(DataError, match="equally many"):
            metric(["a"], [])
        with pytest.raises(DataError, match="row 1 of sources is NoneType"):
            metric(["a", None], ["a", "b"])
        with pytest.raises(DataError, match="one string"):
            metric("a", ["a"])
    with pytest.raises(ValueError, match="n is 0"):
        rouge_n(["a"], ["a"], 0)
    with pytest.raises(ValueError, match="beta 0"):
        chrf(["a"], ["a"], beta=0)


def test_cosine():
    found = cosine([[1, 0], [1, 1], [0, 0], [1e-200, 0], [1e200, 1e200]], [[2, 0], [-1, -1], [1, 0], [1, 0], [1, 1]])
    assert found == pytest.approx([1, -1, math.nan, 1, 1], nan_ok=True)
    assert cosine(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)
    with pytest.raises(DataError, match="equal shapes"):
        cosine([[1, 0]], [[1, 0, 0]])
    with pytest.raises(DataError, match="row 0 of b"):
        cosine([[1, 0]], [[math.nan, 0]])
    with pytest.raises(DataError, match="vectors in rows"):
        cosine([1, 0], [1, 0])
    assert mean_vector([[1, 2], [3, 4]]).tolist() == [2, 3]
    assert np.isnan(mean_vector(np.zeros((0, 2)))).all()


def test_greedy_match():
    x, y = [[1, 0], [0, 1]], [[1, 0], [1, 1], [2, 0]]
    half = math.sqrt(0.5)
    p, r = (2 + half) / 3, (1 + half) / 2
    assert greedy_match(x, y) == pytest.approx((p, r, 2 * p * r / (p + r)))
    weighted = greedy_match(x, y, [3, 1], [0, 1, 0])
    assert weighted[:2] == pytest.approx((half, (3 + half) / 4))
    assert greedy_match(x, y, [0, 0]) == pytest.approx(greedy_match(x, y))
    assert all(math.isnan(v) for v in greedy_match(np.zeros((0, 2)), y))
    assert greedy_match([[0, 0]], [[1, 0]]) == Match(0.0, 0.0, 0.0)
    with pytest.raises(DataError, match="weights of the shape"):
        greedy_match(x, y, [1])
    with pytest.raises(DataError, match="negative"):
        greedy_match(x, y, [1, -1])
    with pytest.raises(DataError, match="one number is needed"):
        greedy_match(x, [[1, 2, 3]])


@given(st.integers(1, 5), st.integers(1, 5), st.floats(0.01, 100), st.integers(0, 100))
def test_greedy_match_is_symmetric_and_ignores_order_and_scale(m, k, factor, seed):
    rng = np.random.default_rng(seed)
    x, y, w, v = rng.normal(size=(m, 3)), rng.normal(size=(k, 3)), rng.random(m), rng.random(k)
    found = greedy_match(x, y, w, v)
    back = greedy_match(y, x, v, w)
    assert (back.precision, back.recall) == pytest.approx((found.recall, found.precision))
    at = rng.permutation(m)
    assert greedy_match(x[at] * factor, y, w[at] * factor, v) == pytest.approx(found)


def test_idf():
    table = idf([["a", "a", "b"], ["a"], ["c"]])
    assert table == pytest.approx({"a": math.log(4 / 3), "b": math.log(2), "c": math.log(2)})
    assert token_weights(["a", "new"], table, 3) == pytest.approx([math.log(4 / 3), math.log(4)])
    assert idf([]) == {}


def test_porter():
    # Examples of the article's own rules, by step.
    pairs = [
        "caresses",
        "caress",
        "ponies",
        "poni",
        "ties",
        "ti",
        "cats",
        "cat",
        "feed",
        "feed",
        "agreed",
        "agre",
        "plastered",
        "plaster",
        "bled",
        "bled",
        "motoring",
        "motor",
        "sing",
        "sing",
        "conflated",
        "conflat",
        "troubled",
        "troubl",
        "sized",
        "size",
        "hopping",
        "hop",
        "falling",
        "fall",
        "hissing",
        "hiss",
        "failing",
        "fail",
        "filing",
        "file",
        "happy",
        "happi",
        "sky",
        "sky",
        "relational",
        "relat",
        "conditional",
        "condit",
        "rational",
        "ration",
        "digitizer",
        "digit",
        "triplicate",
        "triplic",
        "formative",
        "form",
        "formalize",
        "formal",
        "hopeful",
        "hope",
        "goodness",
        "good",
        "revival",
        "reviv",
        "adjustment",
        "adjust",
        "adoption",
        "adopt",
        "effective",
        "effect",
        "probate",
        "probat",
        "rate",
        "rate",
        "cease",
        "ceas",
        "controll",
        "control",
        "roll",
        "roll",
        "generalizations",
        "gener",
        "oscillators",
        "oscil",
        "a",
        "a",
    ]
    for word, stem in zip(pairs[::2], pairs[1::2], strict=True):
        assert porter(word) == stem
