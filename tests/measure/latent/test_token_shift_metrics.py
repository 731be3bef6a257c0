"""Numbers of token shift without a model: the fixture, the definitions, and what cannot be compared."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boresight.measure.latent.token_shift import LABELS, position_metrics, shift_label, topk_metrics
from boresight.measure.latent.token_shift.metrics import COLUMNS, compare_block

CASES = json.loads((Path(__file__).parents[2] / "fixtures" / "token-shift" / "metrics.json").read_text())
NAMES = {"KL": "kl", "nDCG": "ndcg"}


def columns_of(cases, **how):
    base, aligned = ([case[f"{side}_logits"] for case in cases] for side in ("base", "aligned"))
    return position_metrics(base, aligned, [case["aligned_token"] for case in cases], **how)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_the_fixture_positions(block):
    found = columns_of(CASES, block=block)
    assert tuple(found) == COLUMNS
    assert found["base_rank"].tolist() == [case["base_rank_1based"] for case in CASES]
    assert found["label"].tolist() == [case["label"] for case in CASES]
    for name, key in (("kl_ab", "kl_full_aligned_base"), ("kl_ba", "kl_full_base_aligned"), ("js", "js")):
        np.testing.assert_allclose(found[name], [case[key] for case in CASES], rtol=0, atol=1e-9)


def best(logits, saved):
    return sorted(enumerate(logits), key=lambda pair: -pair[1])[:saved]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_fixture_lists(case):
    lists = [best(case[f"{side}_logits"], case["top_k_saved"]) for side in ("base", "aligned")]
    for name, value in case["reference_metrics"].items():
        metric, k = name.split("@")
        assert topk_metrics(*lists, int(k))[NAMES.get(metric, metric)] == pytest.approx(value, abs=1e-9)


def test_labels():
    assert [shift_label(rank) for rank in (1, 2, 3, 4, 50_000)] == ["unshifted", *["marginal"] * 2, *["shifted"] * 2]
    with pytest.raises(ValueError, match="rank is 0"):
        shift_label(0)


@pytest.mark.parametrize("kind", [np.int64, np.int32, torch.tensor, float])
def test_a_rank_may_come_from_a_column(kind):
    assert [shift_label(kind(rank)) for rank in (1, 3, 4)] == list(LABELS)


logits = st.lists(st.floats(-20, 20, width=32), min_size=6, max_size=6)


@settings(max_examples=80, deadline=None)
@given(logits, logits, st.integers(0, 5))
def test_the_definitions_hold(base, aligned, token):
    found = {name: column[0] for name, column in position_metrics([base], [aligned], [token]).items()}
    p, q = (np.exp(np.array(x) - np.logaddexp.reduce(x)) for x in (aligned, base))
    m = (p + q) / 2
    assert found["base_rank"] == 1 + sum(x > base[token] for x in base)
    assert found["aligned_rank"] == 1 + sum(x > aligned[token] for x in aligned)
    assert found["label"] == shift_label(int(found["base_rank"]))
    assert found["kl_ab"] == pytest.approx(np.sum(p * np.log(p / q)), abs=1e-9)
    assert found["kl_ba"] == pytest.approx(np.sum(q * np.log(q / p)), abs=1e-9)
    assert found["js"] == pytest.approx(np.sum(p * np.log(p / m) + q * np.log(q / m)) / 2, abs=1e-9)
    assert 0 <= found["js"] <= math.log(2) + 1e-12
    assert found["entropy_aligned"] == pytest.approx(-np.sum(p * np.log(p)), abs=1e-9)
    assert found["entropy_base"] == pytest.approx(-np.sum(q * np.log(q)), abs=1e-9)
    assert found["p_base"] == pytest.approx(q[token], abs=1e-12)
    assert found["p_aligned"] == pytest.approx(p[token], abs=1e-12)
    assert found["base_top1"] == int(np.argmax(base))
    assert found["base_top1_prob"] == pytest.approx(q.max(), abs=1e-12)
    back = position_metrics([aligned], [base], [token])
    assert back["kl_ab"][0] == pytest.approx(found["kl_ba"], abs=1e-12)
    assert back["js"][0] == pytest.approx(found["js"], abs=1e-12)


def test_ties_share_the_best_rank():
    found = position_metrics([[2.0, 2.0, 2.0, 1.0]], [[0.0, 0.0, 0.0, 0.0]], [2])
    assert found["base_rank"].tolist() == [1]
    assert found["base_top1"].tolist() == [0]


@pytest.mark.parametrize("kind", ["list", "numpy", "float32", "bfloat16"])
def test_it_works_in_the_dtype_of_its_input_at_least_float32(kind):
    base = torch.tensor([case["base_logits"] for case in CASES], dtype=torch.float64)
    aligned = torch.tensor([case["aligned_logits"] for case in CASES], dtype=torch.float64)
    ids = [case["aligned_token"] for case in CASES]
    made = {
        "list": lambda t: t.tolist(),
        "numpy": lambda t: t.numpy(),
        "float32": lambda t: t.float(),
        "bfloat16": lambda t: t.bfloat16(),
    }[kind]
    found = position_metrics(made(base), made(aligned), ids)
    wide = kind in ("list", "numpy")
    assert found["kl_ab"].dtype == (np.float64 if wide else np.float32)
    whole = position_metrics(base, aligned, ids)
    loose = {"float32": 1e-4, "bfloat16": 0.2}.get(kind, 1e-12)
    np.testing.assert_allclose(found["kl_ab"], whole["kl_ab"], rtol=loose, atol=loose)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    "view",
    [
        lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
        lambda x: x.astype(x.dtype.newbyteorder()),
        lambda x: np.frombuffer(x.tobytes()).reshape(x.shape),
        lambda x: torch.tensor(x, requires_grad=True),
    ],
    ids=["reversed", "byte order", "read-only", "with gradients"],
)
@pytest.mark.filterwarnings("error")
def test_the_memory_behind_the_logits_does_not_matter(view, side):
    pair = [np.array([case[f"{name}_logits"] for case in CASES[:4]]) for name in ("base", "aligned")]
    expected = position_metrics(*pair, [0, 1, 2, 3])
    pair[side] = view(pair[side])
    for name, column in position_metrics(*pair, [0, 1, 2, 3]).items():
        assert column.tolist() == expected[name].tolist()


def test_identical_logits_differ_by_nothing():
    rows = torch.randn(5, 1000, generator=torch.Generator().manual_seed(0))
    found = position_metrics(rows, rows, rows.argmax(-1).tolist())
    assert set(found["label"]) == {"unshifted"}
    assert max(found[name].max() for name in ("kl_ab", "kl_ba")) == 0
    assert found["js"].max() < 1e-6


def test_a_token_that_one_side_excludes():
    found = position_metrics([[0.0, -math.inf, 1.0]], [[0.0, 1.0, -math.inf]], [1])
    assert found["kl_ab"][0] == math.inf
    assert found["kl_ba"][0] == math.inf
    assert found["p_base"][0] == 0
    assert found["base_rank"][0] == 3
    assert 0 < found["js"][0] < math.log(2)


def test_no_position_gives_empty_columns():
    found = position_metrics(np.zeros((0, 5)), np.zeros((0, 5)), [])
    assert tuple(found) == COLUMNS
    assert all(len(column) == 0 for column in found.values())


@pytest.mark.parametrize(
    ("base", "aligned", "ids", "message"),
    [
        ([[0.0, 1.0]], [[0.0, 1.0, 2.0]], [0], "aligned_logits"),
        ([[0.0, 1.0]], [[0.0, 1.0]], [0, 1], "2 token ids for 1"),
        ([[0.0, 1.0]], [[0.0, 1.0]], [2], "outside the vocabulary"),
        ([[0.0, 1.0]], [[0.0, 1.0]], [-1], "outside the vocabulary"),
        ([0.0, 1.0], [0.0, 1.0], [0], "shape"),
        ([[0.0, math.nan]], [[0.0, 1.0]], [0], "base logits hold nan"),
        ([[0.0, 1.0]], [[0.0, math.inf]], [0], "aligned logits hold nan"),
        ([[-math.inf, -math.inf]], [[0.0, 1.0]], [0], "base logits hold"),
    ],
)
def test_what_does_not_fit_is_refused(base, aligned, ids, message):
    with pytest.raises(ValueError, match=message):
        position_metrics(base, aligned, ids)


def test_tokens_that_only_the_aligned_model_has_are_masked():
    base = torch.tensor([[1.0, 2.0, 0.5, 0.0]] * 2)
    aligned = torch.tensor([[1.0, 2.0, 0.5, 0.0, 3.0, 1.0]] * 2)
    found = compare_block(base, aligned, [1, 4], 4)
    p = torch.softmax(aligned[0].double(), -1)
    assert found["masked_mass"] == pytest.approx([float(p[4:].sum())] * 2)
    assert found["kl_ab"] == pytest.approx([0.0, 0.0], abs=1e-6)  # alike on what both know
    assert found["p_aligned"] == pytest.approx([float(p[1] / p[:4].sum()), float(p[4])])
    assert found["p_base"][1] == 0
    assert found["base_rank"].tolist() == [1, 5]
    assert found["aligned_rank"].tolist() == [2, 1]
    assert found["label"].tolist() == ["unshifted", "shifted"]


def test_memory_stays_with_the_block(monkeypatch):
    """A vocabulary as large as Gemma's: what is made on the way is a few rows, never a table of all positions."""
    rows, vocabulary, largest = 24, 262_144, 0
    base = torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(0))
    aligned = base.roll(1, 0)
    from boresight.measure.latent.token_shift import metrics

    own = metrics._expected

    def noted(p, values):
        nonlocal largest
        largest = max(largest, p.numel())
        return own(p, values)

    monkeypatch.setattr(metrics, "_expected", noted)
    found = position_metrics(base, aligned, [5] * rows)
    assert largest <= metrics._ELEMENTS
    assert np.isfinite(found["kl_ab"]).all()


# -- lists --------------------------------------------------------------------------------------------------------

saved = st.lists(st.floats(-30, 30), min_size=1, max_size=12).map(lambda xs: list(enumerate(xs)))


@settings(max_examples=60, deadline=None)
@given(saved, saved, st.integers(1, 15), st.randoms())
def test_lists_are_sorted_first_and_stay_in_range(a, b, k, random):
    found = topk_metrics(a, b, k)
    shuffled = [random.sample(x, len(x)) for x in (a, b)]
    assert topk_metrics(*shuffled, k) == found
    assert 0 <= found["jaccard"] <= 1
    assert found["ndcg"] >= 0
    assert 0 <= found["top_rank"] <= k
    assert 0 <= found["bi_top_prob"] <= 1


def test_a_list_against_itself():
    own = [(7, 3.0), (2, 1.0), (9, -4.0)]
    found = topk_metrics(own, own, 10)
    assert found["jaccard"] == 1
    assert found["kl"] == 0
    assert found["ndcg"] == pytest.approx(1)
    assert found["top_rank"] == 0
    assert found["top_prob"] == found["bi_top_prob"] == pytest.approx(1 / (1 + math.exp(-2) + math.exp(-7)))


def test_lists_without_a_common_token():
    found = topk_metrics([(1, 0.0), (2, -1.0)], [(3, 0.0)], 5)
    assert found == {**dict.fromkeys(found, 0.0), "top_rank": 5}


def test_ties_in_a_list_go_to_the_lower_id():
    assert topk_metrics([(4, 1.0), (3, 1.0)], [(3, 1.0)], 1)["top_rank"] == 0


@pytest.mark.parametrize(
    ("base", "aligned", "k", "message"),
    [([], [(1, 0.0)], 3, "base_list is empty"), ([(1, 0.0)], [(1, 0.0)], 0, "k is 0"),
     ([(1, 0.0), (1, 2.0)], [(1, 0.0)], 3, "twice"), ([(1, math.nan)], [(1, 0.0)], 3, "base_list holds logits"),
     ([(1, 0.0)], [(1, math.inf)], 3, "aligned_list holds logits"), ([(1, -math.inf)], [(1, 0.0)], 3, "nothing but")],
)  # fmt: skip
def test_lists_that_do_not_fit_are_refused(base, aligned, k, message):
    with pytest.raises(ValueError, match=message):
        topk_metrics(base, aligned, k)


def test_an_excluded_token_in_a_list_has_no_weight():
    found = topk_metrics([(1, 0.0), (2, -math.inf)], [(1, 0.0), (2, -math.inf)], 2)
    assert (found["kl"], found["weighted_sum"], found["jaccard"]) == (0, 1, 1)


def test_labels_are_named_once():
    assert LABELS == ("unshifted", "marginal", "shifted")
