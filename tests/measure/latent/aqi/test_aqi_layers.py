import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boresight.measure.latent.aqi import (
    LayerStats,
    cluster_indices,
    gram_indices,
    layer_gram,
    layer_scales,
    learn_layer_weights,
    scale_gram,
)

CASES = json.loads((Path(__file__).parents[3] / "fixtures" / "aqi" / "layer_weights.json").read_text())["cases"]
seeds = st.integers(0, 2**32 - 1)


def states(seed, n=24, layers=4, dims=6, offset=0.0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    h = rng.normal(size=(n, layers, dims)) * rng.uniform(0.2, 5, (1, layers, 1))
    return h + y[:, None, None] * rng.normal(size=(layers, dims)) + offset, y


@pytest.mark.parametrize("case", CASES)
def test_fixture(case):
    s, b = layer_gram(case["H"], case["labels"])
    np.testing.assert_allclose(s, case["S"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(b, case["B"], rtol=1e-9, atol=1e-12)
    n1 = sum(case["labels"])
    for row in case["evaluations"]:
        found = gram_indices(s, b, row["alpha"], len(case["labels"]) - n1, n1)
        assert found == pytest.approx((row["XBI"], row["CHI"]), rel=1e-9)
    for mode, slack in (("sparse", 1e-4), ("softmax", 1e-2)):
        a = learn_layer_weights(s, b, mode)
        assert a.sum() == pytest.approx(1)
        assert (a >= 0).all()
        assert (a @ b @ a) / (a @ s @ a) >= case["best_ratio_B_over_S"] * (1 - slack)


@settings(max_examples=20)
@given(seeds)
def test_gram_is_the_mixture(seed):
    h, y = states(seed)
    alpha = np.random.default_rng(seed).dirichlet(np.ones(4))
    direct = cluster_indices(np.einsum("l,nld->nd", alpha, h), y)
    assert gram_indices(*layer_gram(h, y), alpha, 12, 12) == pytest.approx((direct.xbi, direct.chi), rel=1e-9)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_learned_weights_are_best(seed):
    h, y = states(seed, layers=3)
    s, b = layer_gram(h, y)
    a = learn_layer_weights(s, b)
    ratio = (a @ b @ a) / (a @ s @ a)
    grid = np.array([(i, j, 40 - i - j) for i in range(41) for j in range(41 - i)]) / 40
    every = np.einsum("rl,lm,rm->r", grid, b, grid) / np.einsum("rl,lm,rm->r", grid, s, grid)
    assert ratio >= every.max() * (1 - 1e-6)
    scaled = learn_layer_weights(*scale_gram(s * 7, b * 7, [2, 2, 2]))
    np.testing.assert_allclose(scaled, a, atol=1e-3)


def test_learned_weights_at_their_edges():
    assert learn_layer_weights([[2.0]], [[1.0]]).tolist() == [1]
    assert learn_layer_weights(np.diag([0.0, 1.0]), np.eye(2)).tolist() == [1, 0]
    s, b = layer_gram(*states(3))
    np.testing.assert_array_equal(learn_layer_weights(s, b, seed=1), learn_layer_weights(s, b, seed=1))
    assert (learn_layer_weights(s, b, "softmax") > 0).all()
    assert learn_layer_weights(s, b, mu=50.0).max() > 0.999
    dead = np.diag([1.0, 0.0])
    assert learn_layer_weights(np.eye(2), dead).tolist() == [1, 0]
    for args, words in [
        ((np.eye(2), np.zeros((2, 2))), "no layer"),
        ((np.eye(2), np.eye(3)), "layers x layers"),
        ((np.eye(2), np.eye(2), "hard"), "sparse"),
        ((np.eye(2), np.eye(2), "sparse", -1), "mu"),
        ((np.eye(2) * math.nan, np.eye(2)), "row 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            learn_layer_weights(*args)


def test_thirty_near_copies():
    rng = np.random.default_rng(0)
    h = np.cumsum(rng.normal(size=(40, 30, 20)) * 0.1, axis=1) + rng.normal(size=(40, 1, 20))
    y = np.arange(40) % 2
    h += y[:, None, None] * 0.3
    s, b = layer_gram(h, y)
    a = learn_layer_weights(s, b)
    assert (a @ b @ a) / (a @ s @ a) >= (np.diag(b) / np.diag(s)).max() * (1 - 1e-12)


def test_gram_edges():
    assert gram_indices([[1.0]], [[0.0]], [1], 2, 2) == (math.inf, 0)
    assert gram_indices([[0.0]], [[1.0]], [1], 2, 2) == (0, math.inf)
    assert gram_indices([[1.0]], [[1e-13]], [1], 2, 2)[0] == math.inf
    for bad in (
        lambda: gram_indices([[1.0]], [[1.0]], [1, 0], 2, 2),
        lambda: gram_indices([[1.0]], [[1.0]], [1], 0, 2),
    ):
        with pytest.raises(ValueError, match="needed"):
            bad()
    h, y = states(0)
    h[5, 2, 1] = math.inf
    with pytest.raises(ValueError, match="row 5, layer 2, column 1"):
        layer_gram(h, y)
    with pytest.raises(ValueError, match="exactly 2"):
        layer_gram(np.zeros((3, 1, 1)), [0, 1, 2])


def test_scales():
    h, _ = states(1)
    expected = np.sqrt(((h - h.mean(0)) ** 2).sum(2).mean(0))
    np.testing.assert_allclose(layer_scales(h), expected)
    assert layer_scales(h, "none").tolist() == [1] * 4
    assert layer_scales(np.ones((3, 2, 2))).tolist() == [1, 1]


@settings(max_examples=15)
@given(seeds, st.sampled_from([1, 5, 28, 84]), st.sampled_from([0.0, 1e3]))
def test_stream_is_two_pass(seed, size, offset):
    h, y = states(seed, n=84, offset=offset)
    axiom = np.random.default_rng(seed).choice(list("abc"), 84)
    parts = [LayerStats(4, 6), LayerStats(4, 6)]
    for at in range(0, 84, size):
        parts[at // size % 2].add(h[at : at + size], y[at : at + size], axiom[at : at + size])
    stats = parts[0].merge(parts[1])
    found = stats.two_classes()
    s, b = layer_gram(h, y)
    np.testing.assert_allclose(found.S, s, rtol=1e-8, atol=1e-8 * np.abs(s).max())
    np.testing.assert_allclose(found.B, b, rtol=1e-8, atol=1e-8 * np.abs(b).max())
    np.testing.assert_allclose(stats.scales(), layer_scales(h), rtol=1e-8)
    only = axiom == "a"
    alpha = np.full(4, 0.25)
    n1 = int(y[only].sum())
    if 0 < n1 < only.sum():
        direct = gram_indices(*layer_gram(h[only], y[only]), alpha, int(only.sum()) - n1, n1)
        assert stats.indices(alpha, ["a"]) == pytest.approx(direct, rel=1e-8)


def test_stream_refuses():
    stats = LayerStats(1, 2)
    for h, y, axiom, words in [
        (np.zeros((2, 2, 2)), [0, 1], None, "rows x 1 x 2"),
        (np.zeros((2, 1, 2)), [0, 2], None, "row 1"),
        (np.zeros((2, 1, 2)), [0, 1], ["a"], "1 axioms"),
        (np.full((2, 1, 2), math.nan), [0, 1], None, "layer 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            stats.add(h, y, axiom)
    assert stats.groups == {}
    stats.add(np.zeros((2, 1, 2)), [1, 1], ["care", "care"])
    with pytest.raises(ValueError, match="'care' has 0 unsafe and 2 safe"):
        stats.two_classes()
    with pytest.raises(ValueError, match="cannot join"):
        stats.merge(LayerStats(2, 2))
