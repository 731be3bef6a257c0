import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boresight.errors import DataError
from boresight.measure.text.content_preservation import (
    Affine,
    compare,
    fit_affine,
    fit_stack,
    merge,
    spearman,
    williams,
)

FIXTURES = Path(__file__).parents[3] / "fixtures" / "content-preservation"


@pytest.fixture(scope="module")
def sample():
    data = json.loads((FIXTURES / "metric_merge.json").read_text())
    columns = dict(zip(data["columns"], np.array(data["rows"], dtype=float).T, strict=True))
    return columns, data["expected"], data["tolerance"]


def test_the_sample_of_the_published_table(sample):
    columns, expected, tolerance = sample
    metrics = {name: columns[name] for name in expected}
    found = compare(columns["human"], metrics, columns["scipy_ner"], columns["scipy_proprotion"], n_boot=0)
    assert len(found) == 12
    for name, want in expected.items():
        row = found[name]
        assert row.n == 399
        assert row.dropped == 0
        got = [row.pure, row.merged, row.r_metric_merged, row.t, row.p]
        wanted = [want["pure"], want["merged"], want["r_metric_merged"], *want["williams_t_p"]]
        assert got == pytest.approx(wanted, abs=tolerance)
        assert math.isnan(row.ci[0])


def test_williams_on_the_full_table():
    table = json.loads((FIXTURES / "full_table.json").read_text())
    for want in table["results"].values():
        first, second = max(want["pure"], want["merged"]), min(want["pure"], want["merged"])
        for r23, n, key in (
            ("r_metric_merged", want["n"], "williams_correct"),
            ("r_metric_ner", table["n"], "williams_official"),
        ):
            if want[key] is None:
                continue
            t, p = williams(first, second, want[r23], n)
            assert t == pytest.approx(want[key][0], abs=1e-6)
            assert p < 1e-12 if want[key][1] == 0 else p == pytest.approx(want[key][1], abs=1e-6)


def test_williams_edges():
    assert all(math.isnan(x) for x in williams(0.5, 0.4, 0.6, 3))
    assert all(math.isnan(x) for x in williams(math.nan, 0.4, 0.6, 30))
    assert williams(0.5, 0.5, 1.0, 30) == (0.0, 0.5)
    assert williams(0.6, -0.6, 1 - 2 * 0.36, 30)[1] < 1e-6
    with pytest.raises(ValueError, match=r"r12 is 0\.4, below r13"):
        williams(0.4, 0.5, 0.6, 30)
    with pytest.raises(ValueError, match=r"r23 is 1\.5"):
        williams(0.5, 0.4, 1.5, 30)
    with pytest.raises(ValueError, match="no data have"):
        williams(0.9, 0.1, 0.99, 30)


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=4, max_size=30))
def test_williams_of_real_ranks_never_fails(rows):
    x, y, z = (np.array(c, dtype=float) for c in zip(*rows, strict=True))
    a, b = spearman(x, y), spearman(x, z)
    t, p = williams(max(a, b), min(a, b), spearman(y, z), len(x))
    assert math.isnan(t) or (t >= 0 and 0 <= p <= 0.5)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=40))
def test_spearman_is_scipys(rows):
    from scipy.stats import spearmanr

    x, y = zip(*rows, strict=True)
    found = spearman(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


def test_resampled_ranks_are_those_of_the_resample(sample):
    from scipy.stats import rankdata

    from boresight.measure.text.content_preservation.study import _Codes, _ranks

    x = sample[0]["rouge2"]
    at = np.random.default_rng(1).integers(len(x), size=len(x))
    weights = np.bincount(at, minlength=len(x)).astype(float)
    ranks = _ranks(_Codes(x), weights)
    assert np.array_equal(ranks[at], rankdata(x[at]))


def test_compare_drops_missing_rows_for_that_metric_alone(sample):
    columns = sample[0]
    holes = columns["bleu"].copy()
    holes[[3, 7]] = np.nan
    args = (columns["scipy_ner"], columns["scipy_proprotion"])
    found = compare(columns["human"], {"bleu": columns["bleu"], "holes": holes}, *args, n_boot=0)
    assert (found["bleu"].n, found["holes"].n, found["holes"].dropped) == (399, 397, 2)
    keep = ~np.isnan(holes)
    alone = compare(columns["human"][keep], {"x": holes[keep]}, *(a[keep] for a in args), n_boot=0)["x"]
    assert alone.pure == found["holes"].pure
    assert alone.t == found["holes"].t


def test_compare_does_not_depend_on_order_and_repeats_with_its_seed(sample):
    columns = sample[0]
    args = (columns["scipy_ner"], columns["scipy_proprotion"])
    two = {name: columns[name] for name in ("bleu", "chrf")}
    a = compare(columns["human"], two, *args, n_boot=50, seed=3)
    b = compare(columns["human"], dict(reversed(two.items())), *args, n_boot=50, seed=3)
    assert a["bleu"] == b["bleu"]
    low, high = a["bleu"].ci
    assert low < a["bleu"].merged - a["bleu"].pure < high
    at = np.random.default_rng(0).permutation(399)
    c = compare(columns["human"][at], {"bleu": columns["bleu"][at]}, *(x[at] for x in args), n_boot=0)["bleu"]
    assert (c.pure, c.merged, c.t, c.tau_merged) == pytest.approx(
        (a["bleu"].pure, a["bleu"].merged, a["bleu"].t, a["bleu"].tau_merged), abs=1e-12
    )


def test_compare_kendall_is_tau_b():
    human, metric = [1, 2, 2, 3, 3], [0.1, 0.2, 0.2, 0.1, 0.5]
    row = compare(human, {"m": metric}, [1] * 5, [0] * 5, n_boot=0)["m"]
    # Pairs: 5 concordant, 2 discordant; 8 differ in human, 8 in the metric.
    assert row.tau_pure == pytest.approx((5 - 2) / 8)
    assert row.tau_merged == row.tau_pure
    assert (row.t, row.p, row.r_metric_merged) == (0.0, 0.5, pytest.approx(1.0))


def test_rounding_joins_ties_that_noise_breaks():
    human, metric = [1, 2, 3, 4], [0.5, 0.5 + 1e-12, 0.5 - 1e-12, 0.9]
    rounded = compare(human, {"m": metric}, [0] * 4, [0] * 4, n_boot=0)["m"]
    raw = compare(human, {"m": metric}, [0] * 4, [0] * 4, decimals=None, n_boot=0)["m"]
    assert rounded.pure == pytest.approx(spearman(human, [1, 1, 1, 2]))
    assert raw.pure == pytest.approx(spearman(human, [2, 3, 1, 4]))


def test_compare_degenerate_input():
    row = compare([1, 2, 3, 4], {"flat": [1, 1, 1, 1]}, [0, 0, 0, 0], [0, 0, 0, 0], n_boot=10)["flat"]
    assert math.isnan(row.pure)
    assert math.isnan(row.t)
    assert math.isnan(row.ci[0])
    none = compare([1, 2], {"gone": [None, None]}, [0, 0], [0, 0], n_boot=10)["gone"]
    assert (none.n, none.dropped) == (0, 2)
    assert math.isnan(none.merged)
    for human in ([2, 2, 2], [None, None, None]):
        with pytest.raises(DataError, match="human is constant"):
            compare(human, {"m": [1, 2, 3]}, [0, 0, 0], [0, 0, 0])
    with pytest.raises(DataError, match="one length"):
        compare([1, 2, 3], {"m": [1, 2]}, [0, 0, 0], [0, 0, 0])
    with pytest.raises(DataError, match="column metric m holds"):
        compare([1, 2], {"m": ["a", "b"]}, [0, 0], [0, 0])
    with pytest.raises(DataError, match="metric m, row 1 is infinite"):
        compare([1, 2], {"m": [1, math.inf]}, [0, 0], [0, 0])
    with pytest.raises(ValueError, match="n_boot is -1"):
        compare([1, 2], {"m": [1, 2]}, [0, 0], [0, 0], n_boot=-1)
    assert compare([1, 2], {}, [0, 0], [0, 0]) == {}


def test_merge():
    assert merge([0.5, 0.8, math.nan], [0.0, 1.0, 1.0], [0.0, 0.25, 0.5]) == pytest.approx(
        [0.5, 0.85, math.nan], nan_ok=True
    )
    assert merge([0.5], [math.nan], [0.0]) == pytest.approx([0.5])
    assert merge([0.2, 0.4], 1.0, 0.5) == pytest.approx([0.6, 0.7])
    assert float(merge(0.2, 1.0, 0.5)) == pytest.approx(0.6)
    with pytest.raises(DataError, match="different lengths: base 2, ne 1"):
        merge([0.5, 0.5], [1.0], [0.0, 0.0])
    with pytest.raises(DataError, match=r"column p, row 1 is 1.5"):
        merge([0.5, 0.5], [1.0, 1.0], [0.0, 1.5])
    with pytest.raises(DataError, match=r"column ne, row 0 is -1"):
        merge([0.5], [-1.0], [0.5])


UNIT = st.floats(0, 1)


@given(st.floats(-5, 5), UNIT, UNIT)
def test_merge_lies_between_both(m, e, p):
    found = float(merge(m, e, p))
    assert min(m, e) - 1e-12 <= found <= max(m, e) + 1e-12


def test_affine():
    scale = fit_affine([0.8, 0.9, 1.0, math.nan], (0, 1))
    assert (scale.low, scale.high) == (0.8, 1.0)
    assert scale([0.8, 0.9, 1.1, math.nan]) == pytest.approx([0, 0.5, 1.5, math.nan], nan_ok=True)
    assert fit_affine(np.arange(101.0)) == Affine(5.0, 95.0)
    with pytest.raises(DataError, match=r"scale runs from 1\.0 to 1\.0"):
        fit_affine([1.0, 1.0])
    with pytest.raises(DataError, match="no value"):
        fit_affine([math.nan])
    with pytest.raises(ValueError, match="quantiles"):
        fit_affine([1.0, 2.0], (0.9, 0.1))


@settings(max_examples=20)
@given(st.floats(0.1, 100), st.floats(-100, 100))
def test_affine_undoes_any_scaling(factor, shift):
    x = np.array([0.1, 0.3, 0.35, 0.9])
    assert fit_affine(x * factor + shift)(x * factor + shift) == pytest.approx(fit_affine(x)(x), abs=1e-6)


def test_stack_learns_that_lost_entities_matter():
    rng = np.random.default_rng(0)
    m, e, p = rng.random(300), rng.integers(0, 2, 300).astype(float), rng.random(300)
    kept = (p * (e - 1) > -0.4).astype(float)
    stack, held_out = fit_stack(m, e, p, kept)
    assert ((held_out > 0.5) == kept).mean() > 0.9
    assert stack(m, e, p).shape == (300,)
    again, same = fit_stack(m, e, p, kept)
    assert again == stack
    assert np.array_equal(same, held_out)
    m[4] = math.nan
    assert np.isnan(fit_stack(m, e, p, kept)[1]).sum() == 1
    with pytest.raises(DataError, match="rarer one has 0"):
        fit_stack(m, e, p, np.ones(300))
    with pytest.raises(DataError, match="row 2 is 3"):
        fit_stack(m, e, p, np.array([0, 1, 3, *kept[3:]]))
    with pytest.raises(DataError, match="equal lengths"):
        fit_stack(m, e, p, kept[:5])


def test_spearman_degenerate():
    assert math.isnan(spearman([1, 2], [1, math.nan]))
    assert math.isnan(spearman([], []))
    with pytest.raises(DataError, match="x has 2 rows and y 1"):
        spearman([1, 2], [1])
