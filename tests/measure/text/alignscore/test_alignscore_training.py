import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.errors import DataError
from boresight.measure.text.alignscore import (
    Example,
    Row,
    choice_row,
    doc_nli_row,
    draw_example,
    draw_examples,
    fact_row,
    joint_loss,
    label_columns,
    mix,
    nli_row,
    paraphrase_row,
    qa_row,
    retrieval_row,
    similarity_row,
    summary_row,
)

N = 4000


def _drawn(row, others=()):
    rng = np.random.default_rng(1)
    return [draw_example(row, rng, others) for _ in range(N)]


def _share(examples, example):
    return sum(e == example for e in examples) / len(examples)


def near(share):
    return pytest.approx(share, abs=4 * (share * (1 - share) / N) ** 0.5)


@pytest.mark.parametrize(
    ("row", "label"),
    [
        (nli_row("a", "b", "entailment"), 0),
        (nli_row("a", "b", 1), 1),
        (nli_row("a", "b", -1), 1),
        (Row("a", ("b",), (), -1, "nli"), 1),
        (fact_row("a", "b", "SUPPORTS"), 0),
        (fact_row("a", "b", "NOT ENOUGH INFO"), 1),
        (fact_row("a", "b", "NEI"), 1),
    ],
)
def test_three_way_pairs_are_sometimes_an_identity(row, label):
    found = _drawn(row)
    assert _share(found, Example("a", "a", "tri", 0)) == near(0.05)
    assert _share(found, Example("a", "b", "tri", label)) == near(0.95)


@pytest.mark.parametrize("row", [nli_row("a", "b", 2), fact_row("a", "b", "REFUTES")])
def test_contradictions_are_sometimes_swapped(row):
    found = _drawn(row)
    assert _share(found, Example("a", "a", "tri", 0)) == near(0.05)
    assert _share(found, Example("b", "a", "tri", 2)) == near(0.95 * 0.05)
    assert _share(found, Example("a", "b", "tri", 2)) == near(0.95 * 0.95)


@pytest.mark.parametrize("same", [True, False])
def test_paraphrases_are_sometimes_an_identity_or_swapped(same):
    found = _drawn(paraphrase_row("a", "b", same))
    assert _share(found, Example("a", "a", "bin", 1)) == near(0.05)
    assert _share(found, Example("b", "a", "bin", same)) == near(0.95 * 0.05)
    assert _share(found, Example("a", "b", "bin", same)) == near(0.95 * 0.95)


@pytest.mark.parametrize(
    ("row", "example"),
    [
        (doc_nli_row("a", "b", "entailment"), Example("a", "b", "bin", 1)),
        (doc_nli_row("a", "b", "not_entailment"), Example("a", "b", "bin", 0)),
        (qa_row("a", "who?", "Bo", True), Example("a", "who? Bo", "bin", 1)),
        (qa_row("a", "a claim", None, False), Example("a", "a claim", "bin", 0)),
        (qa_row("a", "she", "Ann", False, "coreference"), Example("a", "she Ann", "bin", 0)),
        (similarity_row("a", "b", 4.0, "stsb"), Example("a", "b", "reg", 0.8)),
        (similarity_row("a", "b", 1.0, "sick"), Example("a", "b", "reg", 0.2)),
        (similarity_row("a", "b", 0.4, task="wmt"), Example("a", "b", "reg", 0.4)),
        (similarity_row("a", "b", -0.4, task="ctc"), Example("a", "b", "reg", -0.4)),
    ],
)
def test_other_pairs_are_taken_as_they_are(row, example):
    assert set(_drawn(row)) == {example}


@pytest.mark.parametrize("relevant", [True, False])
def test_retrieval_takes_any_query(relevant):
    found = _drawn(retrieval_row("a", ["q", "r"], relevant))
    assert _share(found, Example("a", "q", "bin", relevant)) == near(0.5)
    assert _share(found, Example("a", "r", "bin", relevant)) == near(0.5)


@pytest.mark.parametrize(
    "row",
    [
        summary_row("a", ["s", "t"], ["x", "y"]),
        choice_row("a", ["s", "t"], ["x", "y"]),
        choice_row("a", ["s", "t"], ["x", "y"], "extractive_qa"),
    ],
)
def test_summaries_and_choices_are_half_negative(row):
    found = _drawn(row)
    for text, label in (("s", 1), ("t", 1), ("x", 0), ("y", 0)):
        assert _share(found, Example("a", text, "bin", label)) == near(0.25)


def test_without_negatives_another_document_lends_its_summary():
    row, twin = summary_row("a", ["s"]), summary_row("a", ["t"])
    others = [row, twin, summary_row("b", ["s", "u"]), choice_row("c", ["v"], [])]
    assert set(_drawn(row, others)) == {Example("a", "s", "bin", 1), Example("a", "u", "bin", 0)}
    negative = next(
        e for e in range(20) if draw_examples([nli_row("a", "b", 0), ROWS[-1], *ROWS], epoch=e)[1].label == 0
    )
    with pytest.raises(DataError, match="row 1: a row of summarization has no text_c"):
        draw_examples([nli_row("a", "b", 0), row], epoch=negative)


ROWS = [nli_row("a", f"b{i}", i % 3) for i in range(30)] + [summary_row(f"d{i}", [f"s{i}"]) for i in range(30)]


def test_the_same_seed_and_epoch_give_the_same_examples():
    assert draw_examples(ROWS) == draw_examples(ROWS)
    assert draw_examples(ROWS) != draw_examples(ROWS, epoch=1)
    assert draw_examples(ROWS) != draw_examples(ROWS, seed=1)
    with pytest.raises(ValueError, match="epoch"):
        draw_examples(ROWS, epoch=-1)


def test_labels_feed_one_head_each():
    examples = draw_examples([nli_row("a", "b", 1), qa_row("a", "q", "r", True), similarity_row("a", "b", 2.5, "stsb")])
    labels = label_columns(examples)
    assert labels.tri.tolist() == [1, -100, -100]
    assert labels.bin.tolist() == [-100, 1, -100]
    assert labels.reg.tolist() == [-100, -100, 0.5]
    loss = joint_loss(np.zeros((3, 2)), labels.bin, np.zeros((3, 3)), labels.tri, np.zeros(3), labels.reg)
    assert loss.total == pytest.approx(2.25)
    assert loss.counts == (1, 1, 1)
    assert [len(x) for x in label_columns([])] == [0, 0, 0]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30), st.floats(0, 0.9), st.integers(0, 9))
def test_a_mix_caps_shuffles_and_cuts(n, m, cap, validation, seed):
    sources = {"x": [nli_row("x", str(i), 0) for i in range(n)], "y": [nli_row("y", str(i), 0) for i in range(m)]}
    train, held = mix(sources, cap, validation, seed)
    every = [(r.text_a, r.text_b) for r in (*train, *held)]
    assert len(set(every)) == len(every) == min(n, cap) + min(m, cap)
    assert sum(a == "x" for a, _ in every) == min(n, cap)
    assert len(held) == round(validation * len(every))
    assert mix(sources, cap, validation, seed) == (train, held)


def test_a_mix_that_cannot_be():
    with pytest.raises(ValueError, match="validation"):
        mix({}, validation=1.0)
    with pytest.raises(ValueError, match="cap"):
        mix({}, cap=0)
    assert mix({}) == ([], [])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nli_row("a", "b", "maybe"), "'maybe'"),
        (lambda: nli_row("a", "b", 3), "label is 3"),
        (lambda: nli_row("a", None, 0), r"text_b\[0\] is NoneType"),
        (lambda: nli_row(3, "b", 0), "text_a is int"),
        (lambda: fact_row("a", "b", "supports?"), "REFUTES"),
        (lambda: doc_nli_row("a", "b", 2), "not_entailment"),
        (lambda: summary_row("a", []), "text_b of a row of summarization is empty"),
        (lambda: summary_row("a", "s"), "summaries is one string"),
        (lambda: similarity_row("a", "b", float("nan")), "nan"),
        (lambda: similarity_row("a", "b", "4"), "'4'"),
        (lambda: Row("a", ("b",), (), None, "ir"), "orig_label of a row of ir is None"),
        (lambda: Row("a", ("b",), (), 0, "translation"), "'translation'"),
        (lambda: Row("a", ("b",), (), 2, "paraphrase"), "orig_label of a row of paraphrase is 2"),
        (lambda: Row("a", "b", (), 0, "nli"), "text_b is one string"),
    ],
)
def test_rows_that_are_none(make, said):
    with pytest.raises(DataError, match=said):
        make()


def test_rows_from_json_may_bring_lists():
    row = Row("a", ["b"], [], 1, "ir")  # pyright: ignore
    assert row.text_b == ("b",)
    assert hash(row) == hash(retrieval_row("a", ["b"], True))
