import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boresight.measure.latent.aqi import (
    bootstrap_indices,
    center_pairs,
    cluster_indices,
    gram_indices,
    layer_gram,
    pair_direction_accuracy,
    pair_flip_null,
    permutation_null,
    separation_difference,
    separation_interval,
)

seeds = st.integers(0, 2**32 - 1)


def rows(seed, n=40, dims=6, gap=1.0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, dims))
    x[:, 0] += gap * y
    return x, y, np.arange(n) // 8


def xbi_of(x, y):
    s, b = layer_gram(x[:, None], y)
    return gram_indices(s, b, [1], int((y == 0).sum()), int((y == 1).sum()))


def test_bootstrap_is_that_of_drawn_rows():
    x, y, strata = rows(0)
    xbi, chi = bootstrap_indices(x + 1e3, y, strata, n_boot=300, seed=4)
    assert np.isfinite(xbi).all()
    np.testing.assert_allclose(xbi * chi, 38 * 20 * 20 / 40**2)
    rng = np.random.default_rng(0)
    places = [np.flatnonzero((strata == s) & (y == c)) for s, c in product(range(5), range(2))]
    drawn = []
    for _ in range(300):
        take = np.concatenate([rng.choice(p, len(p)) for p in places])
        drawn.append(xbi_of(x[take], y[take])[0])
    assert np.quantile(xbi, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(drawn, [0.1, 0.5, 0.9]), rel=0.15)


def test_bootstrap_repeats_and_refuses():
    x, y, strata = rows(1)
    np.testing.assert_array_equal(bootstrap_indices(x, y, strata, 50, 3), bootstrap_indices(x, y, strata, 50, 3))
    long, short = bootstrap_indices(x, y, None, 5, 1)
    assert len(long) == len(short) == 5
    for args, words in [((x, y, strata[1:]), "strata"), ((x, y, None, 0), "n_boot"), ((x, y * 0), "two classes")]:
        with pytest.raises(ValueError, match=words):
            bootstrap_indices(*args)


def test_draws_of_two_rows_that_are_always_the_same():
    xbi, chi = bootstrap_indices([[0.0], [1.0]], [0, 1], n_boot=3)
    assert xbi.tolist() == [0, 0, 0]
    assert chi.tolist() == [math.inf] * 3


@given(st.floats(1e-3, 1e3), st.integers(1, 100))
def test_interval_holds_its_estimate(xbi, seed):
    draws = xbi * np.exp(np.random.default_rng(seed).normal(-0.7, 0.2, 200))
    low, high = separation_interval(xbi, draws)
    assert 0 <= low <= 1 / (1 + xbi) <= high <= 1


def test_interval_edges():
    assert separation_interval(math.inf, [1.0]) == (0, 0)
    assert separation_interval(0.0, [0.0]) == (1, 1)
    assert all(map(math.isnan, separation_interval(math.nan, [1.0])))
    assert all(map(math.isnan, separation_interval(1.0, [math.inf])))
    with pytest.raises(ValueError, match="level"):
        separation_interval(1.0, [1.0], 1.0)


def test_difference_of_two_models():
    (a, y, strata), (b, _, _) = rows(2, 80, gap=4.0), rows(3, 80, gap=0.5)
    found = separation_difference(a, b, y, strata, 400)
    expected = 1 / (1 + cluster_indices(a, y).xbi) - 1 / (1 + cluster_indices(b, y).xbi)
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high
    assert found.p < 0.01
    same = separation_difference(a, a, y, strata, 50)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    back = separation_difference(b, a, y, strata, 400)
    assert (back.value, back.p) == pytest.approx((-found.value, found.p))
    with pytest.raises(ValueError, match="same rows"):
        separation_difference(a, b[1:], y)


@settings(max_examples=20)
@given(seeds)
def test_null_counts_every_labelling(seed):
    """Four rows: the six labellings of two and two, each with its partner of the same XBI."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(4, 2)), np.array([0, 0, 1, 1])
    found = permutation_null(x, y, n=600, seed=seed % 1000)
    every = [np.array(v) for v in product((0, 1), repeat=4) if sum(v) == 2]
    share = np.mean([xbi_of(x, v)[0] <= xbi_of(x, y)[0] * (1 + 1e-9) for v in every])
    assert found.xbi[0] == pytest.approx(xbi_of(x, y)[0])
    assert found.p[0] == pytest.approx(share, abs=0.1)


def test_null_of_layers():
    x, y, strata = rows(4, 48, gap=6.0)
    noise = np.random.default_rng(5).normal(size=x.shape)
    h = np.stack([noise, x, noise * 2], axis=1)
    found = permutation_null(h, y, strata, 200)
    assert found.p[1] == found.p_min == pytest.approx(1 / 201)
    assert found.z[1] > 3
    # Another unit is the same layer: its p cannot differ.
    assert found.p[0] == found.p[2]
    assert found.p_min <= found.p.min() + 1e-12
    only = permutation_null(noise, y, strata, 200)
    assert only.p[0] == found.p[0]
    assert only.p_min == only.p[0]


def test_shuffles_stay_inside_strata():
    # Topic alone explains the labels: within topics nothing is left to shuffle.
    x, y = np.repeat([[0.0], [9.0]], 4, axis=0) + np.arange(8)[:, None], np.repeat([0, 1], 4)
    assert permutation_null(x, y, y, 20).p.tolist() == [1]
    assert permutation_null(x, y, None, 200).p[0] < 0.2


def test_null_of_equal_points():
    found = permutation_null(np.ones((6, 2)), [0, 1] * 3, n=10)
    assert (found.xbi[0], found.p[0]) == (math.inf, 1)
    assert math.isnan(found.z[0])


def pairs(seed, n=12, gap=1.0):
    rng = np.random.default_rng(seed)
    topics = rng.normal(size=(n, 8)) * 5
    x = np.repeat(topics, 2, axis=0) + 0.1 * rng.normal(size=(2 * n, 8))
    y = np.tile([0, 1], n)
    x[y == 1, 2] += gap
    return x, y, [f"p{i}" for i in range(n) for _ in range(2)]


def test_pair_flips_and_directions():
    x, y, ids = pairs(0)
    found = pair_flip_null(x, y, ids, 300)
    assert found.p[0] < 0.02
    assert pair_direction_accuracy(x, y, ids) == 1
    blind = pairs(1, 40, gap=0.0)
    assert pair_flip_null(*blind, 300).p[0] > 0.02
    assert 0.2 < pair_direction_accuracy(*blind) < 0.8
    order = np.random.default_rng(0).permutation(len(x))
    shuffled = pair_direction_accuracy(x[order] * 3 + 7, y[order], np.array(ids)[order])
    assert shuffled == pair_direction_accuracy(x, y, ids)
    assert pair_direction_accuracy([[0.0], [0.0], [1.0], [1.0]], [0, 1, 0, 1], [0, 0, 1, 1]) == 0.5


def test_pair_direction_by_hand():
    # Differences (1, 0), (1, 0), (-1, 0): the third points against the other two, the others tie on what is left.
    x = [[0, 0], [2, 0], [5, 5], [9, 5], [1, 1], [0, 1]]
    assert pair_direction_accuracy(x, [0, 1] * 3, [0, 0, 1, 1, 2, 2]) == pytest.approx((0.5 + 0.5 + 0) / 3)


def test_bad_pairs():
    x, y, ids = pairs(0, 3)
    for bad, words in [
        ((x, y, [*ids[:5], "p0"]), "pair p0"),
        ((x, y, ids[1:]), "each of 6 rows"),
        ((x, y, [None, *ids[1:]]), "row 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            pair_flip_null(*bad)
    with pytest.raises(ValueError, match="one pair"):
        pair_direction_accuracy([[0.0], [1.0]], [0, 1], [7, 7])


def test_centred_pairs():
    x, y, ids = pairs(3)
    centred = center_pairs(x, ids)
    np.testing.assert_allclose(centred[::2], -centred[1::2], atol=1e-12)
    np.testing.assert_allclose(centred[1::2] - centred[::2], x[1::2] - x[::2], atol=1e-12)
    assert cluster_indices(centred, y).xbi < cluster_indices(x, y).xbi / 10
    assert center_pairs(x[:, None], ids).shape == (24, 1, 8)


def test_removing_the_direction_removes_the_separation():
    x, y, _ = rows(7, 60, gap=3.0)
    way = x[y == 1].mean(0) - x[y == 0].mean(0)
    way /= np.linalg.norm(way)
    assert cluster_indices(x - np.outer(x @ way, way), y).xbi > 10 * cluster_indices(x, y).xbi
