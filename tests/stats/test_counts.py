import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.stats import (
    cluster_bootstrap,
    clustered_stderr,
    mcnemar,
    mcnemar_exact,
    newcombe,
    proportion,
    sign_flip_test,
    wilson,
)

COUNT = st.integers(0, 200)


@given(COUNT, COUNT)
def test_wilson_is_the_interval_of_the_proportion(k, more):
    found = wilson(k, k + more)
    if k + more == 0:
        assert found is None
    else:
        expected = proportion(k, k + more)
        assert found == (expected.low, expected.high)


def test_newcombe_gives_the_published_interval():
    """Newcombe (1998), table II, method 10: 56/70 - 48/80."""
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@given(COUNT, COUNT, COUNT, COUNT)
def test_newcombe_mirrors_when_the_two_are_swapped(k1, m1, k2, m2):
    if k1 + m1 == 0 or k2 + m2 == 0:
        with pytest.raises(ValueError, match="at least 1"):
            newcombe(k1, k1 + m1, k2, k2 + m2)
        return
    low, high = newcombe(k1, k1 + m1, k2, k2 + m2)
    assert newcombe(k2, k2 + m2, k1, k1 + m1) == pytest.approx((-high, -low))
    assert -1 <= low <= k1 / (k1 + m1) - k2 / (k2 + m2) <= high <= 1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_from_counts_is_mcnemar_from_pairs(pairs):
    b, c = sum(x and not y for x, y in pairs), sum(y and not x for x, y in pairs)
    assert mcnemar_exact(b, c) == pytest.approx(mcnemar(*zip(*pairs, strict=True)))


def test_mcnemar_of_the_smallest_differences():
    assert mcnemar_exact(0, 0) == 1
    assert mcnemar_exact(5, 0) == 0.0625
    assert mcnemar_exact(0, 6) == 0.03125
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 2)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_sign_flips_are_counted_one_by_one(differences):
    observed = abs(sum(differences))
    signs = list(itertools.product((1, -1), repeat=len(differences)))
    hits = sum(abs(sum(s * d for s, d in zip(sign, differences, strict=True))) >= observed for sign in signs)
    assert sign_flip_test(differences) == hits / len(signs)


def test_sign_flips_that_are_drawn_are_near_those_that_are_counted():
    x = np.random.default_rng(1).normal(0.4, 1, 16)
    drawn = sign_flip_test([*x, 0.0])  # a seventeenth that changes nothing
    assert drawn == pytest.approx(sign_flip_test(x), abs=0.006)
    assert drawn == sign_flip_test([*x, 0.0])
    assert sign_flip_test([1.0] * 40) == pytest.approx(1 / 100_001)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6, 1e12])
def test_rounding_of_large_differences_loses_no_assignment(scale):
    for n in range(2, 17):
        x = np.random.default_rng(n).uniform(0.5, 1, n) * scale
        assert sign_flip_test(x) == 2 / 2**n


def test_sign_flips_of_the_infinite():
    with pytest.raises(ValueError, match="infinite"):
        sign_flip_test([1.0, math.inf])


def test_sign_flips_of_nothing():
    assert math.isnan(sign_flip_test([]))
    assert math.isnan(sign_flip_test([math.nan]))
    assert sign_flip_test([0.0, 0.0]) == 1


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=30))
def test_clusters_of_one_give_the_usual_standard_error(values):
    expected = np.std(values, ddof=1) / math.sqrt(len(values))
    assert clustered_stderr(values, range(len(values))) == pytest.approx(expected, abs=1e-12)


def test_copies_in_a_cluster_add_no_precision():
    once = clustered_stderr([0, 1, 1, 0, 1], "abcde")
    assert clustered_stderr([0, 1, 1, 0, 1] * 7, "abcde" * 7) == pytest.approx(once)
    assert math.isnan(clustered_stderr([1, 0], "aa"))
    with pytest.raises(ValueError, match="2 values and 1 clusters"):
        clustered_stderr([1, 0], "a")


def test_the_cluster_bootstrap_is_seeded_and_wider_than_that_of_items():
    values, clusters = [0.0, 1.0] * 20, [i // 8 for i in range(40)]
    values[:8], values[8:16] = [1.0] * 8, [0.0] * 8
    found = cluster_bootstrap(values, clusters)
    assert found == cluster_bootstrap(values, clusters)
    alone = cluster_bootstrap(values, range(40))
    assert found.high - found.low > alone.high - alone.low
