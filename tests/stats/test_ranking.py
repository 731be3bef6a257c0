"""How well a score tells two kinds of items apart."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.stats import auc, auroc


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40))
def test_auc_is_the_value_of_auroc(rows):
    high, low = ([s for s, kind in rows if kind is which] for which in (True, False))
    value = auc([s for s, _ in rows], [kind for _, kind in rows])
    assert value == pytest.approx(auroc(high, low, resamples=2).value, nan_ok=True)


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
