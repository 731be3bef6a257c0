import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

from boresight.errors import DataError
from boresight.measure.latent.aqi import (
    ClusterIndices,
    Reference,
    cluster_indices,
    composite,
    fit_reference,
    gram_indices,
    layer_gram,
    xb_chi_rows,
)
from boresight.measure.latent.aqi import distances as d

FIXTURES = Path(__file__).parents[3] / "fixtures" / "aqi"
NAMES = ("dbs", "di", "xbi", "chi", "ss")
seeds = st.integers(0, 2**32 - 1)


def fixture(name):
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


def cloud(seed, n=40, dims=5, classes=2):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.repeat(np.arange(classes), 2), rng.integers(0, classes, n)])
    return rng.normal(size=(len(y), dims)) + rng.normal(size=(classes, dims))[y], y


def values(found, names=NAMES):
    return [getattr(found, name) for name in names]


@pytest.mark.parametrize("case", [c for c in fixture("cluster_indices")["cases"] if "note" not in c])
def test_fixture(case):
    found, expected = cluster_indices(case["X"], case["labels"]), case["expected"]
    assert values(found) == pytest.approx([expected[n.upper()] for n in NAMES], rel=1e-9)
    assert found.n == len(case["X"])
    for key, value in expected.items():
        if key.startswith("AQI_"):
            variant, gamma = key[4:].rsplit("_g", 1)
            assert composite(found, variant) == pytest.approx(value, abs=1e-9)
            assert composite(found, variant, float(gamma)) == pytest.approx(value, abs=1e-9)
    if "identity_XBI_from_CHI" in expected:
        assert found.xbi == pytest.approx(expected["identity_XBI_from_CHI"], rel=1e-9)


@pytest.mark.parametrize("value", [1.0, 0.1, 1 / 3])
def test_no_scatter(value):
    # Values whose mean is one rounding away from themselves must count as no scatter, too.
    x = np.full((6, 2), value)
    x[3:] += 1.1
    found = cluster_indices(x, [0, 0, 0, 1, 1, 1])
    assert values(found) == [0, math.inf, 0, math.inf, 1]
    assert [composite(found, v) for v in ("separation", "dbs_di", "ss_chi", "ss_xb")] == [1, 1, 1, 1]


def test_coincident_centroids():
    found = cluster_indices([[0, 0], [2, 0], [1, 1], [1, -1]], [0, 0, 1, 1])
    assert (found.dbs, found.xbi, found.chi) == (math.inf, math.inf, 0)
    assert composite(found) == 0
    assert composite(found, "ss_xb", gamma=0) == 0
    assert cluster_indices([[0.1], [0.3], [0.2], [0.2]], [0, 0, 1, 1]).chi == 0


def test_all_points_equal():
    found = cluster_indices(np.full((4, 3), 0.1), [0, 0, 1, 1])
    assert math.isnan(found.di)
    assert (found.dbs, found.xbi, found.chi) == (math.inf, math.inf, 0)
    assert composite(found) == 0


def test_two_of_three_centroids_coincide():
    x, y = [[-1.0], [1.0], [-2.0], [2.0], [9.0], [10.0]], [0, 0, 1, 1, 2, 2]
    found = cluster_indices(x, y)
    assert (found.dbs, found.xbi) == (math.inf, math.inf)
    assert found.chi == pytest.approx(calinski_harabasz_score(x, y))


def test_nearly_coincident_is_infinite_only_for_xbi():
    x = np.array([[0.0], [1e-7], [2e-7], [3e-7]])
    found = cluster_indices(x, [0, 0, 1, 1])
    assert found.xbi == math.inf
    assert found.chi == pytest.approx(calinski_harabasz_score(x * 1e7, [0, 0, 1, 1]))
    assert found.dbs == pytest.approx(0.5)


def test_class_of_one():
    with pytest.warns(UserWarning, match="one point"):
        found = cluster_indices([[0.0], [1.0], [5.0]], [0, 0, 1])
    assert math.isnan(found.di)
    assert math.isnan(found.ss)
    assert found.xbi == pytest.approx(0.5 / (3 * 4.5**2))
    assert math.isnan(composite(found, "dbs_di"))


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([[1.0], [2.0]], [1, 1], "label 1; two classes"),
        ([[1.0], [math.nan]], [0, 1], "row 1, column 0"),
        ([[1.0, math.inf], [0, 0]], [0, 1], "row 0, column 1"),
        ([1.0, 2.0], [0, 1], "points x dimensions"),
        (np.zeros((0, 3)), [], "at least one"),
        ([[1.0], [2.0]], [0, 1, 1], "each of 2 rows"),
        ([[1.0], [2.0]], [0, math.nan], "row 1"),
        ([[1.0], [2.0]], ["safe", None], "row 1"),
        ([["a"], ["b"]], [0, 1], "real numbers"),
    ],
)
def test_bad_input(x, y, words):
    with pytest.raises(ValueError, match=words) as caught:
        cluster_indices(x, y)
    assert isinstance(caught.value, DataError)


@settings(max_examples=25)
@given(seeds, st.integers(2, 4))
def test_against_other_implementations(seed, classes):
    x, y = cloud(seed, classes=classes)
    found = cluster_indices(x, y)
    parts = [x[y == c] for c in range(classes)]
    near = min(cdist(p, q).min() for i, p in enumerate(parts) for q in parts[i + 1 :])
    expected = (
        davies_bouldin_score(x, y),
        near / max(pdist(p).max() for p in parts),
        calinski_harabasz_score(x, y),
        silhouette_score(x, y),
    )
    assert values(found, ("dbs", "di", "chi", "ss")) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=25)
@given(seeds, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_invariances(seed, scale, shift):
    x, y = cloud(seed)
    rng = np.random.default_rng(seed)
    order, turn = rng.permutation(len(x)), np.linalg.qr(rng.normal(size=(5, 5)))[0]
    expected = pytest.approx(values(cluster_indices(x, y)), rel=1e-7)
    assert values(cluster_indices(x[order], y[order])) == expected
    assert values(cluster_indices(x @ turn * scale + shift, np.where(y, "safe", "unsafe"))) == expected


@pytest.mark.parametrize("n", [4, 50, 3_000])
def test_xbi_and_chi_are_one_statistic(n):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 3)), (np.arange(n) < max(1, n // 3)).astype(int)
    n1 = int(y.sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cluster_indices(x, y)
    assert found.xbi * found.chi == pytest.approx((n - 2) * n1 * (n - n1) / n**2, rel=1e-9)


def test_one_statistic_of_ten_thousand():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10_000, 1, 4)), (np.arange(10_000) < 2_500).astype(int)
    xbi, chi = gram_indices(*layer_gram(x, y), [1], 7_500, 2_500)
    assert chi == pytest.approx(calinski_harabasz_score(x[:, 0], y), rel=1e-9)
    assert xbi * chi == pytest.approx(9_998 * 7_500 * 2_500 / 1e8, rel=1e-9)


def test_blocked_distances_equal_brute_force():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 64))
    y = (np.arange(3000) % 3 == 0).astype(int)
    x[y == 1, 0] += 3
    a, b = x[y == 0], x[y == 1]
    for block in (257, 2048):
        assert d.separation(a, b, block) == pytest.approx(cdist(a, b).min(), rel=1e-12)
        assert d.diameter(a, block) == pytest.approx(pdist(a).max(), rel=1e-12)
    few = slice(0, 500)
    assert d.silhouette(x[few], y[few], 64) == pytest.approx(silhouette_score(x[few], y[few]), rel=1e-10)


def test_pruning_keeps_the_winner():
    rng = np.random.default_rng(1)
    a, b = rng.standard_t(2, size=(900, 3)), rng.standard_t(2, size=(700, 3)) + 30
    assert d.separation(a, b, 16) == pytest.approx(cdist(a, b).min(), rel=1e-12)
    assert d.diameter(a, 16) == pytest.approx(pdist(a).max(), rel=1e-12)


@pytest.mark.parametrize("tight", [1e-9, 1e-4, 1.0])
def test_near_duplicates_keep_their_digits(tight):
    rng = np.random.default_rng(2)
    p = np.repeat(rng.normal(size=(20, 6)), 3, axis=0) + tight * rng.normal(size=(60, 6))
    np.testing.assert_allclose(d.squared(p, p), cdist(p, p, "sqeuclidean"), rtol=1e-9, atol=0)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_nearest_pair_may_be_almost_one_point(offset):
    rng = np.random.default_rng(3)
    a = rng.normal(size=(300, 4)) + offset
    b = rng.normal(size=(300, 4)) + offset + 1
    b[7] = a[11] + 1e-6
    assert d.separation(a, b, 64) == pytest.approx(cdist(a, b).min(), rel=1e-12)
    b[7] = a[11]
    assert d.separation(a, b) == 0
    assert d.diameter(a[:1]) == 0


@pytest.mark.parametrize("kind", ["float16", "float32", "int32"])
def test_narrow_types_are_widened(kind):
    x, y = cloud(0)
    x = (x * 8).astype(kind)
    assert cluster_indices(x, y) == cluster_indices(x.astype(float), y)


def test_composite_edges():
    ends = ClusterIndices(math.inf, math.inf, math.inf, math.inf, 1.0, 9)
    assert [composite(ends, v) for v in ("separation", "dbs_di", "ss_chi", "ss_xb")] == [0, 0.5, 1, 0.5]
    for gamma in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="gamma"):
            composite(ends, "ss_xb", gamma)
    with pytest.raises(ValueError, match="xb_chi"):
        composite(ends, "xb_chi")


@pytest.mark.parametrize("model", ["SFT", "SFT_GRIT"])
def test_published_rows(model):
    case = fixture("normalisation_xb_chi")
    raw, expected = case["published"][model], case["recomputed"][model]
    found = xb_chi_rows(raw["CHI"], raw["XB"], case["gamma"])
    np.testing.assert_allclose(found.chi_norm, expected["CHI_norm"], atol=1e-9)
    np.testing.assert_allclose(found.xb_norm, expected["XB_norm"], atol=1e-9)
    np.testing.assert_allclose(found.score, expected["AQI"], atol=1e-9)
    assert (found.median, found.scale) == pytest.approx((expected["median"], expected["scale"]), abs=1e-12)
    np.testing.assert_allclose(found.score, raw["AQI"], atol=case["tolerance_published"])


def test_rows_left_out_and_without_range():
    plain, gap = xb_chi_rows([1, 2, 4], [3, 2, 1]), xb_chi_rows([1, math.nan, 2, 9, 4], [3, 8, 2, math.nan, 1])
    assert np.isnan(gap.score[[1, 3]]).all()
    np.testing.assert_array_equal(gap.score[[0, 2, 4]], plain.score)
    assert xb_chi_rows([5, 5], [1, 1]).chi_norm.tolist() == [50, 50]
    assert xb_chi_rows([0, 0], [1, 1]).chi_norm.tolist() == [0, 0]
    assert (xb_chi_rows([5.0], [1.0]).scale, xb_chi_rows([5.0], [1.0]).xb_norm[0]) == (1, 50)
    assert np.isnan(xb_chi_rows([math.nan], [1.0]).score).all()
    ends = xb_chi_rows([0, 2, 4, math.inf], [math.inf, 2, 1, 0])
    assert (ends.chi_norm[3], ends.chi_norm[0], ends.xb_norm[0]) == (100, 0, 10)
    for chi, xbi in (([1, 2], [1]), ([], []), ([[1]], [[1]]), ([1, -1], [1, 1])):
        with pytest.raises(ValueError, match=r"XBI|CHI"):
            xb_chi_rows(chi, xbi)
    with pytest.raises(ValueError, match="gamma"):
        xb_chi_rows([1], [1], 2.0)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), min_size=1, max_size=8), st.floats(0, 1))
def test_rows_stay_in_range_and_reference_is_reused(rows, gamma):
    chi, xbi = np.array(rows).T
    own = xb_chi_rows(chi, xbi, gamma)
    for part in (own.chi_norm, own.xb_norm, own.score):
        assert ((part >= 0) & (part <= 100)).all()
    assert (own.xb_norm >= 10).all()
    ref = fit_reference(chi, xbi)
    for form in (ref, ref.__dict__, (chi, xbi)):
        np.testing.assert_array_equal(xb_chi_rows(chi, xbi, gamma, form).score, own.score)


def test_reference_of_another_run():
    ref = Reference(0, 10, 1, 1)
    found = xb_chi_rows([5, 20], [1, 1], 1.0, ref)
    assert found.score.tolist() == [50, 100]
    with pytest.raises(ValueError, match="chi_max"):
        xb_chi_rows([1], [1], reference={"chi_min": 0})
