import itertools
import math
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from boresight import stats
from boresight.stats import (
    bootstrap_mean,
    cohens_kappa,
    holm,
    mcnemar,
    paired_bootstrap,
    proportion,
    sample_size_paired,
    sample_size_two_proportions,
)

finite = st.floats(-1e6, 1e6, allow_subnormal=False)
levels = st.floats(0.01, 0.999)
quick = settings(max_examples=60, deadline=None)


@st.composite
def counts(draw):
    n = draw(st.integers(1, 10_000))
    return draw(st.integers(0, n)), n


@st.composite
def pairs(draw, min_size=2):
    rows = draw(st.lists(st.tuples(finite, finite, st.integers(0, 5)), min_size=min_size, max_size=25))
    a, b, ids = (list(column) for column in zip(*rows, strict=True))
    return a, b, draw(st.sampled_from([None, ids]))


def outcomes(both, gained, lost, neither):
    table = [(1, 1)] * both + [(0, 1)] * gained + [(1, 0)] * lost + [(0, 0)] * neither
    return [bool(a) for a, _ in table], [bool(b) for _, b in table]


# --- Wilson ---


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_published_intervals(k, n, low, high):
    got = proportion(k, n)
    assert (round(got.low, 4), round(got.high, 4)) == (low, high)
    assert (got.value, got.n, got.level, got.method) == (k / n, n, 0.95, "wilson")


@quick
@given(counts(), levels)
def test_wilson_equals_scipy_and_holds_the_estimate(case, level):
    k, n = case
    got = proportion(k, n, level)
    want = reference.binomtest(k, n).proportion_ci(level, method="wilson")
    assert got.low == pytest.approx(want.low, abs=1e-9)
    assert got.high == pytest.approx(want.high, abs=1e-9)
    assert 0 <= got.low <= got.value <= got.high <= 1


@given(counts(), levels)
def test_wilson_mirrors_when_successes_and_failures_swap(case, level):
    k, n = case
    one, other = proportion(k, n, level), proportion(n - k, n, level)
    assert one.low == pytest.approx(1 - other.high, abs=1e-12)
    assert one.high == pytest.approx(1 - other.low, abs=1e-12)


@pytest.mark.parametrize("n", [1, 3, 7, 49, 1319, 10**7])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_wilson_ends_are_exact_at_none_and_all(n, level):
    none, every = proportion(0, n, level), proportion(n, n, level)
    assert none.low == 0.0 < none.high < 1
    assert every.high == 1.0 > every.low > 0


def test_wilson_with_no_trials_is_nan():
    got = proportion(0, 0)
    assert all(map(math.isnan, (got.value, got.low, got.high)))
    assert got.n == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((5, 4), "successes is 5, .* 4"),
        ((-1, 4), "successes is -1"),
        ((1, -4), "n is -4"),
        ((0.5, 4), "successes is 0.5"),
        ((1, math.nan), "n is nan"),
        ((1, math.inf), "n is inf"),
        ((1, 4, 1.0), "level is 1.0"),
        ((1, 4, 0.0), "level is 0.0"),
        ((1, 4, 95), "level is 95"),
        ((1, 4, math.nan), "level is nan"),
    ],
)
def test_wilson_refuses(args, message):
    with pytest.raises(ValueError, match=message):
        proportion(*args)


# --- bootstrap of a mean ---


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bootstrap_equals_scipys_bca_on_skewed_data(seed):
    data = np.random.default_rng(seed).lognormal(size=30)
    got = bootstrap_mean(data, resamples=20_000)
    want = reference.bootstrap(
        (data,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(9)
    ).confidence_interval
    width = want.high - want.low
    assert got.value == pytest.approx(data.mean())
    assert got.low == pytest.approx(want.low, abs=0.03 * width)
    assert got.high == pytest.approx(want.high, abs=0.03 * width)
    # Not the percentile interval, which sits lower on the long right tail.
    plain = reference.bootstrap((data,), np.mean, n_resamples=20_000, method="percentile", rng=0).confidence_interval
    assert got.high > plain.high + 0.05 * width


def test_bootstrap_of_many_items_nears_the_normal_interval():
    data = np.random.default_rng(5).normal(3, 2, size=2000)
    got = bootstrap_mean(data, level=0.9, resamples=4000)
    half = 1.6449 * data.std() / math.sqrt(2000)
    assert got.high - got.value == pytest.approx(half, rel=0.05)
    assert got.value - got.low == pytest.approx(half, rel=0.05)


def test_bootstrap_covers_the_true_mean():
    rng = np.random.default_rng(0)
    hits = 0
    for i in range(300):
        got = bootstrap_mean(rng.exponential(1.0, size=40), resamples=800, seed=i)
        hits += got.low <= 1.0 <= got.high
    assert 0.90 <= hits / 300 <= 0.98


def test_clustered_bootstrap_covers_where_the_plain_one_does_not():
    rng = np.random.default_rng(1)
    ids = np.repeat(np.arange(30), 5)
    clustered = plain = 0
    for i in range(200):
        data = np.repeat(rng.normal(size=30), 5) + 0.3 * rng.normal(size=150)
        got = bootstrap_mean(data, resamples=500, seed=i, clusters=ids)
        clustered += got.low <= 0 <= got.high
        got = bootstrap_mean(data, resamples=500, seed=i)
        plain += got.low <= 0 <= got.high
    assert 0.90 <= clustered / 200 <= 0.98
    assert plain / 200 < 0.75


@quick
@given(pairs(), st.integers(0, 2**31))
def test_bootstrap_holds_its_estimate_inside_the_data(case, seed):
    data, _, ids = case
    assume(ids is None or len(set(ids)) > 1)
    got = bootstrap_mean(data, resamples=200, seed=seed, clusters=ids)
    slack = 1e-9 * max(map(abs, data))
    assert min(data) - slack <= got.low <= got.value <= got.high <= max(data) + slack
    assert got.value == pytest.approx(np.mean(data), abs=slack)


@quick
@given(pairs(), st.randoms(use_true_random=False))
def test_bootstrap_ignores_the_order_of_items_and_the_names_of_clusters(case, shuffler):
    data, _, ids = case
    order = list(range(len(data)))
    shuffler.shuffle(order)
    renamed = None if ids is None else [f"template {9 - ids[i]}" for i in order]
    one = bootstrap_mean(data, resamples=200, clusters=ids)
    other = bootstrap_mean([data[i] for i in order], resamples=200, clusters=renamed)
    np.testing.assert_array_equal((one.value, one.low, one.high), (other.value, other.low, other.high))


@quick
@given(pairs(), levels, levels)
def test_bootstrap_intervals_nest(case, one, other):
    data, _, ids = case
    assume(ids is None or len(set(ids)) > 1)
    narrow, wide = (bootstrap_mean(data, level=v, resamples=200, clusters=ids) for v in sorted((one, other)))
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_bootstrap_at_extreme_levels_ends_within_the_resampled_means():
    data = [0.0] * 9 + [1.0]  # the largest acceleration: one item apart from all the others
    wide, wider = (bootstrap_mean(data, level=level) for level in (0.999999, 1 - 1e-15))
    assert 0.0 <= wider.low <= wide.low < 0.1 < wide.high <= wider.high <= 1.0


@pytest.mark.parametrize("seed", range(6))
def test_bootstrap_at_a_tiny_level_still_holds_its_estimate(seed):
    data = np.random.default_rng(seed).exponential(size=15)
    got = bootstrap_mean(data, level=1e-9, resamples=200)
    assert got.low <= got.value <= got.high
    assert got.high - got.low < 0.2 * data.std()


@quick
@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=12), st.integers(2, 4))
def test_copies_of_an_item_in_one_cluster_add_nothing(data, copies):
    alone = bootstrap_mean(data, resamples=200)
    copied = bootstrap_mean(np.repeat(data, copies), resamples=200, clusters=np.repeat(np.arange(len(data)), copies))
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=1e-6)
    assert copied.n == copies * len(data)


def test_clusters_of_one_item_change_only_the_name_of_the_method():
    data = np.random.default_rng(3).normal(size=17)
    plain, single = bootstrap_mean(data), bootstrap_mean(data, clusters=[f"id{i}" for i in range(17)])
    assert (plain.value, plain.low, plain.high) == (single.value, single.low, single.high)
    assert (plain.method, single.method) == ("BCa bootstrap", "BCa bootstrap, clustered")


def test_bootstrap_is_set_by_its_seed_alone():
    data = np.random.default_rng(4).normal(size=25)
    np.random.seed(1)
    random.seed(1)
    before = np.random.get_state()[1].copy(), random.getstate()
    first = bootstrap_mean(data, seed=7)
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert random.getstate() == before[1]
    np.random.seed(2)
    assert bootstrap_mean(data, seed=7) == first
    assert bootstrap_mean(data, seed=8) != first


def test_bootstrap_gives_the_same_in_one_piece_and_in_many(monkeypatch):
    data = np.random.default_rng(4).normal(size=24)
    whole = bootstrap_mean(data)
    monkeypatch.setattr("boresight.stats.estimates._CHUNK", 1000)
    pieces = bootstrap_mean(data)
    assert (pieces.low, pieces.high) == (whole.low, whole.high)


def test_bootstrap_keeps_small_effects_on_large_values():
    data = np.random.default_rng(6).normal(size=40)
    near, far = bootstrap_mean(data), bootstrap_mean(data + 1e9)
    assert far.high - far.low == pytest.approx(near.high - near.low, rel=1e-5)


def test_bootstrap_of_none_one_and_constant_values():
    nothing, single = bootstrap_mean([]), bootstrap_mean([0.25])
    assert all(map(math.isnan, (nothing.value, nothing.low, nothing.high)))
    assert (single.value, single.n) == (0.25, 1)
    assert math.isnan(single.low)
    assert math.isnan(single.high)
    same = bootstrap_mean([0.1] * 7)
    assert same.value == same.low == same.high == 0.1
    cluster = bootstrap_mean([0.0, 1.0, 1.0], clusters=["a", "a", "a"])
    assert cluster.value == pytest.approx(2 / 3)
    assert math.isnan(cluster.low)
    assert math.isnan(cluster.high)


def test_bootstrap_of_yes_no_scores_takes_booleans():
    got = bootstrap_mean([True] * 30 + [False] * 10)
    assert got.value == 0.75
    assert 0.5 < got.low < 0.70
    assert 0.82 < got.high < 0.95


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"values": [1.0, math.nan]}, r"values\[1\] is nan"),
        ({"values": [math.inf, 1.0]}, r"values\[0\] is inf"),
        ({"values": [[1.0], [2.0]]}, r"values has shape \(2, 1\)"),
        ({"values": [1.0, 2.0], "clusters": [1]}, "clusters has 1 ids for 2 items"),
        ({"values": [1.0, 2.0], "level": 1.5}, "level is 1.5"),
        ({"values": [], "level": 0}, "level is 0"),
        ({"values": [1.0, 2.0], "resamples": 0}, "resamples is 0"),
    ],
)
def test_bootstrap_refuses(kwargs, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(**kwargs)


# --- paired bootstrap ---


def test_paired_p_equals_the_full_enumeration():
    differences = [2.0, 0.5, 3.0, -1.0, 0.25]
    mean = np.mean(differences)
    means = [np.mean(draw) for draw in itertools.product(differences, repeat=5)]
    exact = np.mean([abs(m - mean) >= mean - 1e-12 for m in means])
    got = paired_bootstrap([0.0] * 5, differences, resamples=40_000)
    assert exact > 2**-4  # else the floor, not the resampling, would be tested
    assert got.p == pytest.approx(exact, abs=0.008)


def test_paired_interval_is_that_of_the_mean_difference():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=20), rng.normal(0.3, 1, size=20)
    ids = rng.integers(0, 8, size=20)
    got = paired_bootstrap(a, b, level=0.9, resamples=500, seed=3, clusters=ids)
    want = bootstrap_mean(b - a, level=0.9, resamples=500, seed=3, clusters=ids)
    assert (got.value, got.low, got.high) == (want.value, want.low, want.high)
    assert (got.n, got.level, got.test) == (20, 0.9, "paired bootstrap")


def test_paired_p_has_the_right_size_and_finds_a_real_difference():
    rng = np.random.default_rng(0)
    null, real = [], []
    for i in range(400):
        a = rng.normal(size=40)
        noise = rng.normal(size=40)
        null.append(paired_bootstrap(a, a + noise, resamples=499, seed=i).p < 0.05)
        real.append(paired_bootstrap(a, a + noise + 0.7, resamples=499, seed=i).p < 0.05)
    assert 0.025 <= np.mean(null) <= 0.075  # Bradley (1978): the liberal criterion of robustness
    assert np.mean(real) > 0.95


@quick
@given(pairs(), st.integers(0, 2**31))
def test_swapping_a_and_b_flips_the_difference_exactly(case, seed):
    a, b, ids = case
    one = paired_bootstrap(a, b, resamples=200, seed=seed, clusters=ids)
    other = paired_bootstrap(b, a, resamples=200, seed=seed, clusters=ids)
    np.testing.assert_array_equal((one.value, one.low, one.high), (-other.value, -other.high, -other.low))
    np.testing.assert_array_equal(one.p, other.p)


def test_swapping_symmetric_differences_flips_too():
    zero, scores = [0.0] * 6, [3 - 2.75, 3 - 1, 3 - 0.3125, 3 + 0.3125, 3 + 1, 3 + 2.75]
    one = paired_bootstrap(zero, scores, resamples=500)
    other = paired_bootstrap(scores, zero, resamples=500)
    assert (one.value, one.low, one.high) == (-other.value, -other.high, -other.low)
    assert one.low < 3.0 < one.high


@quick
@given(pairs())
def test_paired_p_is_a_probability_and_never_zero(case):
    a, b, ids = case
    units = len(a) if ids is None else len(set(ids))
    assume(units > 1)
    got = paired_bootstrap(a, b, resamples=99, clusters=ids)
    assert max(1 / 100, 2.0 ** (1 - units)) <= got.p <= 1
    assert got.low <= got.value <= got.high


def test_identical_scores_differ_by_nothing():
    a = np.random.default_rng(0).normal(size=12)
    got = paired_bootstrap(a, a)
    assert (got.value, got.low, got.high, got.p) == (0.0, 0.0, 0.0, 1.0)


def test_rounding_alone_is_no_difference():
    assert paired_bootstrap([0.3] * 40, [0.1 + 0.2] * 40).p == 1.0


def test_few_items_cannot_be_overwhelming():
    assert paired_bootstrap([0, 0, 0], [1, 1, 1]).p == 0.25
    assert paired_bootstrap([0] * 6, [1] * 6, clusters=list("aabbcc")).p == 0.25
    assert paired_bootstrap([0] * 40, [1] * 40, resamples=999).p == 1 / 1000


def test_pairing_sees_what_the_separate_means_hide():
    rng = np.random.default_rng(8)
    a = rng.normal(0, 10, size=50)
    b = a + 0.5 + 0.1 * rng.normal(size=50)
    assert paired_bootstrap(a, b).p < 0.001
    assert paired_bootstrap(a, rng.permutation(b)).p > 0.05


def test_paired_with_nothing_or_one_pair():
    nothing, single = paired_bootstrap([], []), paired_bootstrap([1.0], [3.5])
    assert nothing.n == 0
    assert all(map(math.isnan, (nothing.value, nothing.low, nothing.high, nothing.p)))
    assert (single.value, single.n) == (2.5, 1)
    assert all(map(math.isnan, (single.low, single.high, single.p)))


def test_paired_refuses_unequal_lengths_and_nan():
    with pytest.raises(ValueError, match="a has 3 items and b has 2"):
        paired_bootstrap([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match=r"b\[1\] is nan"):
        paired_bootstrap([1, 2], [1, math.nan])


# --- McNemar ---


@pytest.mark.parametrize(("gained", "lost"), [(0, 1), (0, 6), (5, 12), (12, 5), (7, 7), (86, 150), (1, 400)])
def test_mcnemar_equals_the_binomial_test_on_discordant_pairs(gained, lost):
    a, b = outcomes(both=11, gained=gained, lost=lost, neither=3)
    want = reference.binomtest(gained, gained + lost, 0.5).pvalue
    assert mcnemar(a, b) == pytest.approx(want, rel=1e-9)


@given(*[st.integers(0, 30)] * 4, st.randoms(use_true_random=False))
def test_mcnemar_ignores_order_direction_and_agreeing_pairs(both, gained, lost, neither, shuffler):
    a, b = outcomes(both, gained, lost, neither)
    p = mcnemar(a, b)
    assert 0 < p <= 1
    assert mcnemar(b, a) == p
    assert mcnemar(*outcomes(0, gained, lost, 0)) == p
    rows = list(zip(a, b, strict=True))
    shuffler.shuffle(rows)
    assert mcnemar([i for i, _ in rows], [j for _, j in rows]) == p
    assert mcnemar(np.array(a, dtype=bool), np.array(b, dtype=bool)) == p


def test_mcnemar_without_disagreement_is_one():
    assert mcnemar([], []) == 1.0
    assert mcnemar([True, False, True], [True, False, True]) == 1.0
    assert mcnemar([1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]) == 0.0625


def test_mcnemar_refuses():
    with pytest.raises(ValueError, match="a has 1 items and b has 2"):
        mcnemar([True], [True, False])
    with pytest.raises(ValueError, match=r"b holds 0\.5"):
        mcnemar([True, False], [True, 0.5])
    with pytest.raises(ValueError, match="a holds 'yes'"):
        mcnemar(["yes"], [True])


# --- Holm ---


@pytest.mark.parametrize(
    ("p_values", "want"),
    [
        # By hand: the smallest times 4, the next times 3, and so on, never below the one before.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.9, 0.01], [1.0, 1.0, 0.03]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.03], [0.03]),
        ([0.0, 1.0], [0.0, 1.0]),
        ([], []),
    ],
)
def test_holm_worked_examples(p_values, want):
    assert holm(p_values) == pytest.approx(want)


def test_holm_leaves_nan_out_of_the_family():
    got = holm([math.nan, 0.01, math.nan, 0.04])
    assert [math.isnan(p) for p in got] == [True, False, True, False]
    assert got[1::2] == pytest.approx([0.02, 0.04])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.001, 0.5))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, alpha):
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)
    rejected = set()
    for rank, i in enumerate(order):
        if p_values[i] * (len(p_values) - rank) > alpha:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(adjusted) if p <= alpha} == rejected


@given(st.permutations([0.001, 0.01, 0.02, 0.02, 0.3, 0.8]))
def test_holm_follows_the_order_given(p_values):
    by_value = dict(zip([0.001, 0.01, 0.02, 0.3, 0.8], [0.006, 0.05, 0.08, 0.6, 0.8], strict=True))
    assert holm(p_values) == pytest.approx([by_value[p] for p in p_values])


@pytest.mark.parametrize("bad", [-0.01, 1.01, math.inf])
def test_holm_refuses_what_is_no_probability(bad):
    with pytest.raises(ValueError, match=f"p_values holds {bad}"):
        holm([0.5, bad])


# --- sample sizes ---


def test_two_proportions_published_examples():
    # R's own example, power.prop.test(p1 = .50, p2 = .75, power = .90): n = 76.7.
    assert sample_size_two_proportions(0.50, 0.75, power=0.90) == 77
    # By hand: (1.95996 sqrt(2 * 0.55 * 0.45) + 0.84162 sqrt(0.49))^2 / 0.1^2 = 387.3.
    assert sample_size_two_proportions(0.5, 0.6) == 388


def test_paired_published_example():
    # powerandsamplesize.com after Connor (1987), page 209: p01 = 0.45, p10 = 0.05.
    assert sample_size_paired(0.45, 0.05) == 23
    # By hand: (1.95996 sqrt(0.3) + 0.84162 sqrt(0.29))^2 / 0.1^2 = 233.1.
    assert sample_size_paired(0.1, 0.2) == 234


@pytest.mark.parametrize(("p1", "p2", "power"), [(0.5, 0.6, 0.8), (0.1, 0.05, 0.9), (0.8, 0.86, 0.6)])
def test_two_proportions_reach_the_power_asked_for(p1, p2, power):
    n = sample_size_two_proportions(p1, p2, power)
    rng = np.random.default_rng(0)
    x, y = rng.binomial(n, p1, 40_000) / n, rng.binomial(n, p2, 40_000) / n
    pooled = (x + y) / 2
    rejected = np.abs(x - y) > 1.959964 * np.sqrt(2 * pooled * (1 - pooled) / n)
    assert rejected.mean() == pytest.approx(power, abs=0.025)


@pytest.mark.parametrize(("p01", "p10", "power"), [(0.1, 0.2, 0.8), (0.08, 0.03, 0.9), (0.3, 0.2, 0.6)])
def test_pairs_reach_the_power_asked_for(p01, p10, power):
    n = sample_size_paired(p01, p10, power)
    cells = np.random.default_rng(0).multinomial(n, [p01, p10, 1 - p01 - p10], size=40_000)
    gained, lost = cells[:, 0], cells[:, 1]
    rejected = (gained - lost) ** 2 > 1.959964**2 * (gained + lost)
    assert rejected.mean() == pytest.approx(power, abs=0.025)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 0.98), st.floats(0.5, 0.99))
def test_two_proportions_are_symmetric_and_grow_with_power_and_level(p1, p2, power, level):
    assume(abs(p1 - p2) > 1e-3)
    assume(power > 1 - level + 1e-6)
    n = sample_size_two_proportions(p1, p2, power, level)
    assert n >= 1
    assert n == pytest.approx(sample_size_two_proportions(p2, p1, power, level), abs=1)
    assert n == pytest.approx(sample_size_two_proportions(1 - p1, 1 - p2, power, level), abs=1)
    assert n <= sample_size_two_proportions(p1, p2, power + 0.01, level)
    assert n <= sample_size_two_proportions(p1, p2, power, level + 0.005)


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.1, 0.98))
def test_pairs_are_symmetric_and_grow_with_power(p01, p10, power):
    assume(abs(p01 - p10) > 1e-3)
    n = sample_size_paired(p01, p10, power)
    assert n == sample_size_paired(p10, p01, power)
    assert 1 <= n <= sample_size_paired(p01, p10, power + 0.01)


@pytest.mark.parametrize(
    ("function", "args", "message"),
    [
        (sample_size_two_proportions, (0.5, 0.5), "both proportions are the same"),
        (sample_size_two_proportions, (-0.1, 0.5), "p1 holds -0.1"),
        (sample_size_two_proportions, (0.5, 1.1), "p2 holds 1.1"),
        (sample_size_two_proportions, (0.5, math.nan), "p2 holds nan"),
        (sample_size_two_proportions, (0.4, 0.5, 1.0), "power is 1.0"),
        (sample_size_two_proportions, (0.4, 0.5, 0.04), "power is 0.04, but it must be above 0.05"),
        (sample_size_two_proportions, (0.4, 0.5, 0.8, 1.0), "level is 1.0"),
        (sample_size_paired, (0.2, 0.2), "both proportions are the same"),
        (sample_size_paired, (0.7, 0.4), "at most 1"),
        (sample_size_paired, (-0.1, 0.4), "p01 holds -0.1"),
        (sample_size_paired, (0.1, 2), "p10 holds 2"),
        (sample_size_paired, (0.1, 0.2, 0.0), "power is 0.0"),
        (sample_size_paired, (0.1, 0.2, 0.8, 0.0), "level is 0.0"),
    ],
)
def test_sample_sizes_refuse(function, args, message):
    with pytest.raises(ValueError, match=message):
        function(*args)


def test_pairs_that_all_change_the_same_way_need_few():
    assert sample_size_paired(1.0, 0.0) == 4  # (1.96 * 1 + 0.84 * 0)^2 = 3.84
    assert sample_size_paired(0.7, 0.3) == sample_size_paired(0.3, 0.7) == 47  # 0.7 + 0.3 rounds to 1


# --- kappa ---


def test_kappa_worked_example():
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: agreement 0.7, by chance 0.5, kappa 0.4.
    a = ["yes"] * 25 + ["no"] * 25
    b = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohens_kappa(a, b) == pytest.approx(0.4)


def test_kappa_of_three_labels_by_hand():
    # Agreement 4 of 6; by chance (3*2 + 2*2 + 1*2) / 36 = 1/3.
    assert cohens_kappa("aaabbc", "aabbcc") == pytest.approx((4 / 6 - 1 / 3) / (1 - 1 / 3))


labels = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=30)


@given(labels)
def test_kappa_is_symmetric_bounded_and_blind_to_names(rows):
    a, b = [i for i, _ in rows], [j for _, j in rows]
    kappa = cohens_kappa(a, b)
    np.testing.assert_equal(cohens_kappa(b, a), kappa)
    names = {"a": 1, "b": None, "c": (2, 3)}
    np.testing.assert_equal(cohens_kappa([names[i] for i in a], [names[j] for j in b]), kappa)
    assert math.isnan(kappa) or -1 <= kappa <= 1
    if len(set(a)) > 1:
        assert cohens_kappa(a, a) == 1.0


def test_kappa_extremes():
    assert cohens_kappa("abab", "baba") == -1.0
    assert cohens_kappa("aabb", "abab") == 0.0
    assert cohens_kappa("aaaa", "bbbb") == 0.0
    assert math.isnan(cohens_kappa("aaa", "aaa"))
    assert math.isnan(cohens_kappa([], []))
    with pytest.raises(ValueError, match="a has 2 items and b has 3"):
        cohens_kappa("ab", "abc")


# --- the module itself ---


def test_importing_loads_no_scipy():
    code = "import sys, boresight.stats; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def pairs_of(both, only_a, only_b, neither):
    a = [True] * both + [True] * only_a + [False] * only_b + [False] * neither
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return a, b


def test_paired_proportions_published_example():
    # Newcombe 1998 (Statistics in Medicine 17, 2635-2650), table III, 36/12/2/0: method 10 gives 0.0569 to 0.3404.
    a, b = pairs_of(36, 12, 2, 0)
    found = stats.paired_proportions(b, a)
    assert (round(found.value, 4), round(found.low, 4), round(found.high, 4)) == (0.2, 0.0569, 0.3404)
    assert found.p == stats.mcnemar(b, a)
    assert (found.n, found.test) == (50, "McNemar exact")


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_paired_proportions_properties(rows):
    a, b = [r[0] for r in rows], [r[1] for r in rows]
    one, other = stats.paired_proportions(a, b), stats.paired_proportions(b, a)
    assert -1 <= one.low <= one.value <= one.high <= 1
    assert one.low < one.high  # never a false certainty, also where all pairs agree
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low), abs=1e-12)
    assert one.p == other.p
    assert stats.paired_proportions(b[::-1], a[::-1]) == other


def test_paired_proportions_edges():
    assert math.isnan(stats.paired_proportions([], []).value)
    with pytest.raises(ValueError, match="same number"):
        stats.paired_proportions([True], [])
    with pytest.raises(ValueError, match="level"):
        stats.paired_proportions([True], [True], level=1.0)
