import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from boresight.errors import DataError
from boresight.measure.text.alignscore import (
    MODES,
    aggregate_scores,
    alignment_probability,
    bidirectional_f1,
    chunk_sentences,
    chunk_tokens,
    explain_sentences,
    gather,
    joint_loss,
    parse_mode,
    plan_pairs,
    token_batches,
    token_windows,
    total_loss,
)

FIXTURES = Path(__file__).parents[3] / "fixtures" / "alignscore"
LOSSES = json.loads((FIXTURES / "losses.json").read_text())["cases"]
AGGREGATION = json.loads((FIXTURES / "aggregation.json").read_text())["cases"]
CHUNKING = json.loads((FIXTURES / "chunking.json").read_text())["cases"]
HEADS = ("bin_logits", "bin_labels", "tri_logits", "tri_labels", "reg_pred", "reg_labels")

matrices = st.tuples(st.integers(1, 5), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(0, 1))
)
counts = st.lists(st.integers(0, 40), max_size=25)


@pytest.mark.parametrize("case", CHUNKING)
def test_chunks_are_the_published_ones(case):
    sentences = [" ".join(["w"] * n) for n in case["sentence_word_counts"]]
    chunks = chunk_sentences(sentences)
    assert [len(c.split()) for c in chunks] == case["chunk_word_counts"]
    assert len(chunks) == case["n_chunks"]


@given(st.lists(st.text("ab ", min_size=1, max_size=12), max_size=40), st.integers(1, 30))
def test_chunks_keep_all_words_in_order_and_equal_sizes(sentences, words):
    chunks = chunk_sentences(sentences, words)
    assert " ".join(chunks).split() == " ".join(sentences).split()
    k = sum(len(s.split()) for s in sentences) // words + 1
    assert len(chunks) == 1 or len(chunks) >= min(k, len(sentences))


def test_no_sentence_gives_one_empty_chunk():
    assert chunk_sentences([]) == [""]
    assert chunk_sentences([""]) == [""]


def test_a_context_just_below_the_limit_is_one_chunk_and_at_the_limit_two():
    assert len(chunk_sentences(["a"] * 349)) == 1
    assert [len(c.split()) for c in chunk_sentences(["a"] * 350)] == [175, 175]


@pytest.mark.parametrize(("sentences", "words", "error"), [("a b", 5, DataError), (["a", 3], 5, DataError)])
def test_chunks_of_what_is_no_list_of_strings(sentences, words, error):
    with pytest.raises(error, match=r"string"):
        chunk_sentences(sentences, words)


@pytest.mark.parametrize("words", [0, -1, 2.5, True])
def test_words_per_chunk_must_be_whole(words):
    with pytest.raises(ValueError, match="words_per_chunk"):
        chunk_sentences(["a"], words)


@given(st.integers(0, 500), st.integers(1, 60))
def test_windows_cover_evenly_within_the_budget(tokens, budget):
    windows = token_windows(tokens, budget)
    assert [i for a, b in windows for i in range(a, b)] == list(range(tokens))
    sizes = [b - a for a, b in windows]
    assert max(sizes) <= budget
    assert max(sizes) - min(sizes) <= 1
    assert len(windows) == max(math.ceil(tokens / budget), 1)


@given(counts, st.integers(1, 30), st.integers(0, 3))
def test_token_chunks_lose_nothing_and_stay_within_the_budget(counts, budget, overlap):
    chunks = chunk_tokens(counts, budget, overlap)
    assert all(sum(p.stop - p.start for p in c) <= budget for c in chunks)
    seen = {(p.sentence, i) for c in chunks for p in c for i in range(p.start, p.stop)}
    assert seen == {(s, i) for s, n in enumerate(counts) for i in range(n)}
    for former, chunk in pairwise(chunks):
        assert chunk[-1] not in former
        assert len(set(former) & set(chunk)) <= overlap
    assert all(c == sorted(c) for c in chunks)


def test_token_chunks_repeat_one_sentence_where_there_is_room():
    sentences = [[p.sentence for p in c] for c in chunk_tokens([4, 4, 4, 9, 2], 10)]
    assert sentences == [[0, 1], [1, 2], [3], [4]]
    assert chunk_tokens([], 10) == [[]]
    assert [[tuple(p) for p in c] for c in chunk_tokens([7], 3, 0)] == [[(0, 0, 2)], [(0, 2, 4)], [(0, 4, 7)]]


@pytest.mark.parametrize("arguments", [([3, -1], 5), ([3], 0), ([3], 5, -1), ([], 0)])
def test_token_chunks_refuse_numbers_out_of_range(arguments):
    with pytest.raises(ValueError, match="whole number of at least"):
        chunk_tokens(*arguments)


@pytest.mark.parametrize("case", AGGREGATION)
def test_aggregates_are_the_published_ones(case):
    found = aggregate_scores(case["scores_chunks_by_sentences"])
    assert found.score == case["score"]
    assert found.sentence_scores.tolist() == case["max_over_chunks"]
    assert found.best_chunk.tolist() == case["argmax_chunk"]


@given(matrices, st.randoms(use_true_random=False))
def test_the_order_of_sentences_and_chunks_does_not_change_a_score(m, random):
    rows, columns = list(range(m.shape[0])), list(range(m.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    found, other = aggregate_scores(m), aggregate_scores(m[np.ix_(rows, columns)])
    assert other.score == found.score
    assert (other.sentence_scores == found.sentence_scores[columns]).all()
    assert 0 <= found.score <= 1
    assert (m[found.best_chunk, np.arange(m.shape[1])] == m.max(axis=0)).all()


def test_of_equal_chunks_the_lowest_wins():
    assert aggregate_scores([[0.5, 0.1], [0.5, 0.2], [0.1, 0.2]]).best_chunk.tolist() == [0, 1]


@pytest.mark.parametrize("nothing", [[], [[]], [[], []], np.zeros((3, 0))])
def test_no_sentence_has_no_score(nothing):
    found = aggregate_scores(nothing)
    assert math.isnan(found.score)
    assert len(found.sentence_scores) == len(found.best_chunk) == 0


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (np.zeros((0, 2)), "no chunk"),
        ([[0.1, math.nan]], "chunk 0 and sentence 1"),
        ([[0.1], [math.inf]], "chunk 1 and sentence 0"),
        ([0.1, 0.2], "shape"),
        ([[0.1], [0.2, 0.3]], "numbers"),
        ([["a"]], "numbers"),
    ],
)
def test_scores_that_are_no_matrix(scores, said):
    with pytest.raises(DataError, match=said):
        aggregate_scores(scores)


@pytest.mark.parametrize("case", LOSSES)
def test_probabilities_are_the_published_ones(case):
    for mode in ("nli", "nli_sp"):
        found = alignment_probability(case["tri_logits"], mode)
        np.testing.assert_allclose(found, case["p_align_tri"], rtol=0, atol=1e-9)
    for mode in ("bin", "bin_sp"):
        found = alignment_probability(case["bin_logits"], mode)
        np.testing.assert_allclose(found, case["p_align_bin"], rtol=0, atol=1e-9)
    assert alignment_probability(case["reg_pred"], "reg").tolist() == case["reg_pred"]
    assert alignment_probability([[x] for x in case["reg_pred"]], "reg_sp").tolist() == case["reg_pred"]


@given(arrays(np.float64, (2, 4, 3), elements=st.floats(-500, 500)), st.floats(-1e3, 1e3))
def test_probabilities_ignore_a_common_shift_and_keep_leading_axes(logits, shift):
    found = alignment_probability(logits, "nli")
    assert found.shape == (2, 4)
    np.testing.assert_allclose(alignment_probability(logits + shift, "nli"), found, atol=1e-9)
    assert ((found >= 0) & (found <= 1)).all()


def test_regression_is_not_clipped_and_large_logits_do_not_overflow():
    assert alignment_probability([[-0.5], [1.7]], "reg").tolist() == [-0.5, 1.7]
    assert alignment_probability([[1e308, 0.0], [-1e308, 0.0]], "bin").tolist() == [0.0, 1.0]
    assert alignment_probability(np.zeros((0, 2)), "bin").shape == (0,)


@pytest.mark.parametrize(
    ("logits", "mode", "said"),
    [
        ([[0.0, 1.0]], "nli", "mode nli needs 3"),
        ([[0.0, 1.0, 2.0]], "bin", "mode bin needs 2"),
        (1.0, "bin", "needs 2"),
        ([[0.0, 1.0], [0.0, math.nan]], "bin", "row 1, column 1"),
        ([1.0, math.inf], "reg", "row 1"),
        ([[0.0, 1.0]], "tri", "nli_sp, nli"),
    ],
)
def test_logits_that_do_not_fit(logits, mode, said):
    with pytest.raises(DataError, match=said):
        alignment_probability(logits, mode)


def test_modes():
    assert list(MODES) == ["nli_sp", "nli", "bin_sp", "bin", "reg_sp", "reg"]
    assert parse_mode("nli_sp") == ("tri", True)
    assert parse_mode("reg") == ("reg", False)


def test_an_explanation_names_the_chunk_and_the_three_probabilities():
    tri = np.log(np.array([[[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], [[0.2, 0.6, 0.2], [0.5, 0.25, 0.25]]]))
    found = explain_sentences(["s", "t"], ["c", "d"], alignment_probability(tri, "nli"), tri)
    assert [(f.text, f.best_chunk) for f in found] == [("s", "c"), ("t", "d")]
    assert found[0].score == pytest.approx(0.7)
    assert found[1].probs3 == pytest.approx((0.5, 0.25, 0.25))
    assert explain_sentences([], ["c"], np.zeros((1, 0)), np.zeros((1, 0, 3))) == []
    with pytest.raises(DataError, match="do not fit"):
        explain_sentences(["s"], ["c", "d"], [[0.5]], tri)


@given(st.floats(0, 1), st.floats(0, 1))
def test_f1_is_symmetric_and_between_its_parts(p, r):
    found = bidirectional_f1(p, r)
    assert found == bidirectional_f1(r, p)
    assert min(p, r) * (1 - 1e-12) <= found <= max(p, r) * (1 + 1e-12)


def test_f1_at_the_ends():
    assert bidirectional_f1(0.5, 1.0) == pytest.approx(2 / 3)
    assert bidirectional_f1(0, 0) == 0
    assert math.isnan(bidirectional_f1(math.nan, 0.5))
    with pytest.raises(ValueError, match="recall"):
        bidirectional_f1(0.5, 1.2)


@pytest.mark.parametrize("case", LOSSES)
def test_losses_are_the_published_ones(case):
    found = joint_loss(*(case[h] for h in HEADS), mlm_loss=case["mlm_loss"])
    for name in ("bin_sum", "tri_sum", "reg_sum", "total"):
        assert getattr(found, name) == pytest.approx(case[name], abs=1e-9)
    assert list(found.counts) == case["counts"]


def test_chance_level_is_one_for_both_classifiers():
    found = joint_loss(np.zeros((2, 2)), [1, -100], np.zeros((2, 3)), [-100, 2], [0.0, 0.0], [-100, -100])
    assert found.bin_sum == pytest.approx(1)
    assert found.tri_sum == pytest.approx(1)
    assert found.total == pytest.approx(2)


def _batch(seed, n):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    return [
        rng.normal(size=(n, 2)),
        np.where(kind == 0, rng.integers(0, 2, n), -100),
        rng.normal(size=(n, 3)),
        np.where(kind == 1, rng.integers(0, 3, n), -100),
        rng.normal(size=n),
        np.where(kind == 2, rng.random(n), -100.0),
    ]


@given(st.integers(0, 10**6), st.integers(0, 12), st.integers(0, 12))
def test_sums_and_counts_of_parts_add_up_to_the_whole(seed, n, cut):
    batch = _batch(seed, n)
    whole = joint_loss(*batch, mlm_loss=0.8)
    parts = [joint_loss(*(x[:cut] for x in batch)), joint_loss(*(x[cut:] for x in batch))]
    sums = [sum(getattr(p, f"{h}_sum") for p in parts) for h in ("bin", "tri", "reg")]
    merged = total_loss(*sums, tuple(map(sum, zip(*(p.counts for p in parts), strict=True))), mlm_loss=0.8)
    assert merged.total == pytest.approx(whole.total)
    assert merged.counts == whole.counts
    assert sum(whole.counts) == n


@given(st.integers(0, 10**6))
def test_order_and_ignored_rows_do_not_matter(seed):
    batch = _batch(seed, 9)
    order = np.random.default_rng(seed).permutation(9)
    whole = joint_loss(*batch)
    assert joint_loss(*(x[order] for x in batch)).total == pytest.approx(whole.total)
    for logits, labels in ((0, 1), (2, 3), (4, 5)):
        batch[logits][batch[labels] == -100] = math.nan
    assert joint_loss(*batch) == whole


def test_a_batch_without_labels_costs_only_the_masked_words():
    empty = ([], [], [], [], [], [])
    assert joint_loss(*empty).total == 0
    assert joint_loss(*empty, mlm_loss=3.0).total == 1.5
    assert joint_loss(np.zeros((1, 2)), [7], np.zeros((1, 3)), [7], [[0.0]], [7], ignore_index=7).total == 0
    assert joint_loss([[0, 1e5]], [0], np.zeros((1, 3)), [-100], [0], [-100]).total == pytest.approx(1e5 / math.log(2))


def _wrong(**changes):
    good = dict(zip(HEADS, _batch(3, 4), strict=True))
    return {**good, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bin_labels": [0, 2, -100, -100]}, "bin_labels in row 1 is 2"),
        ({"tri_labels": [0, 0.5, 1, 1]}, "tri_labels in row 1"),
        ({"tri_labels": [0, -1, 1, 1]}, "tri_labels in row 1 is -1"),
        ({"bin_labels": [0, 1]}, "one label for each of 4"),
        ({"tri_logits": np.zeros((3, 3))}, "whole batch"),
        ({"tri_logits": np.zeros((4, 2))}, "times 3"),
        ({"reg_pred": [0, 0, math.nan, 0], "reg_labels": [1, 1, 1, 1]}, "reg_pred in row 2"),
        ({"reg_labels": [1, math.inf, 1, 1]}, "reg_labels in row 1"),
        ({"bin_logits": [[0, 1], [0, math.inf], [0, 1], [0, 1]], "bin_labels": [1, 1, 1, 1]}, "bin_logits in row 1"),
        ({"bin_logits": [["a", "b"]]}, "numbers"),
    ],
)
def test_batches_that_do_not_fit(changes, said):
    with pytest.raises(DataError, match=said):
        joint_loss(**_wrong(**changes))


def test_totals_that_cannot_be():
    with pytest.raises(ValueError, match="mlm_loss"):
        joint_loss(*_batch(0, 2), mlm_loss=math.nan)
    with pytest.raises(ValueError, match="counts"):
        total_loss(1, 1, 1, (1, -1, 0))


def test_a_pair_that_comes_back_is_scored_once():
    plan = plan_pairs([["c", "d"], ["c"]], [["s", "t", "s"], ["t"]])
    assert plan.pairs == [("c", "s"), ("c", "t"), ("d", "s"), ("d", "t")]
    first, second = gather(plan, [0.1, 0.9, 0.6, 0.2])
    assert first.score == pytest.approx((0.6 + 0.9 + 0.6) / 3)
    assert first.best_chunk.tolist() == [1, 0, 1]
    assert second.score == 0.9
    assert math.isnan(gather(plan_pairs([["c"]], [[]]), [])[0].score)


def test_pairs_that_do_not_fit():
    with pytest.raises(DataError, match="1 contexts and 2 claims"):
        plan_pairs([["c"]], [["s"], ["t"]])
    with pytest.raises(DataError, match=r"sentences\[0\]\[1\]"):
        plan_pairs([["c"]], [["s", None]])
    with pytest.raises(DataError, match="1 pairs"):
        gather(plan_pairs([["c"]], [["s"]]), [0.1, 0.2])


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=4), min_size=1, max_size=4), st.integers(0, 99))
def test_scores_of_claims_together_are_those_of_each_alone(claims, seed):
    table = dict(zip("abcd", np.random.default_rng(seed).random(4), strict=True))
    chunks = [["x", "y"]] * len(claims)

    def scored(plan):
        return [a.score for a in gather(plan, [table[s] * (0.5 if c == "x" else 1) for c, s in plan.pairs])]

    alone = [scored(plan_pairs([["x", "y"]], [claim]))[0] for claim in claims]
    np.testing.assert_array_equal(scored(plan_pairs(chunks, claims)), alone)


@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 2000))
def test_batches_hold_every_pair_once_within_the_budget(lengths, budget):
    batches = token_batches(lengths, budget)
    assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    order = [lengths[i] for b in batches for i in b]
    assert order == sorted(order, reverse=True)


def test_lengths_out_of_range():
    with pytest.raises(ValueError, match=r"lengths\[1\]"):
        token_batches([3, 0])
