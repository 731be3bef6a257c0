import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.measure.latent.aqi import (
    LayerStates,
    Reference,
    cluster_indices,
    composite,
    fit_half,
    length_correlation,
    pool,
    pooling_weights,
    read_labels,
    residualise,
    score,
    sink_layers,
)
from boresight.measure.latent.aqi.labels import find_column
from boresight.measure.latent.aqi.reduce import reduced

LEFT = [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]
RIGHT = [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_imports_nothing_heavy():
    heavy = "[m for m in ('torch', 'transformers', 'inspect_ai', 'sklearn') if m in sys.modules]"
    code = f"import sys, boresight.measure.latent.aqi; print({heavy})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_pooling_weights():
    third, quarter = 1 / 3, 1 / 4
    assert pooling_weights(LEFT).tolist() == [[0, 0, 0, 0.5, 0.5], [0, *[quarter] * 4]]
    assert pooling_weights(RIGHT).tolist() == [[0, 0.5, 0.5, 0, 0], [0, *[quarter] * 4]]
    assert pooling_weights(LEFT, include_first=True)[0].tolist() == [0, 0, third, third, third]
    assert pooling_weights(RIGHT, "last").argmax(1).tolist() == [2, 4]
    assert pooling_weights(LEFT, "first").argmax(1).tolist() == [2, 0]
    special = [[0, 0, 1, 0, 0], [1, 1, 0, 0, 1]]
    assert pooling_weights(LEFT, special=special).tolist() == [[0, 0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5, 0]]
    assert pooling_weights(LEFT, "last", special=special).argmax(1).tolist() == [4, 3]


@pytest.mark.parametrize(
    ("mask", "options", "words"),
    [
        ([[1, 1], [1, 0]], {}, "row 1 has no token left besides the first"),
        ([[1, 1], [0, 0]], {"pooling": "last"}, "row 1"),
        ([[1, 2]], {}, "row 0"),
        ([1, 1], {}, "rows x tokens"),
        ([[1, 1]], {"pooling": "max"}, "mean"),
        ([[1, 1]], {"special": [[1]]}, "alike"),
        (np.ones((2, 0)), {}, "row 0"),
    ],
)
def test_pooling_refuses(mask, options, words):
    with pytest.raises(ValueError, match=words):
        pooling_weights(mask, **options)


def test_pool_ignores_padding_and_its_side():
    h = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    right = pool(h, pooling_weights(RIGHT))
    moved = h.copy()
    moved[0] = np.roll(h[0], 2, axis=0)
    moved[0, :2] = math.nan
    np.testing.assert_allclose(pool(moved, pooling_weights(LEFT)), right)
    np.testing.assert_allclose(right[0], h[0, 1:3].mean(0, dtype=float))
    h[1, 3, 0] = math.inf
    with pytest.raises(ValueError, match="row 1, token 3"):
        pool(h, pooling_weights(RIGHT))
    with pytest.raises(ValueError, match="agree"):
        pool(h, np.ones((2, 4)))


def test_sink_layers():
    assert sink_layers([21, 19, 0], [1, 1, 0]).tolist() == [True, False, False]
    with pytest.raises(ValueError, match="shapes"):
        sink_layers([1], [1, 2])


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_length_flag(seed, scale):
    rng = np.random.default_rng(seed)
    y = np.arange(60) % 2
    lengths = 8 + y + rng.integers(0, 6, 60)
    sink = np.outer(1 / lengths, rng.normal(size=5)) * 100 * scale
    noisy = sink + 0.01 * scale * rng.normal(size=(60, 5))
    found = length_correlation(noisy, y, lengths)
    assert found.flagged == (abs(found.r) > 0.5)
    if np.linalg.norm(np.ptp(sink, axis=0)) > 2 * scale:
        assert abs(found.r) > 0.9
    # The unit and the origin do not matter; with the classes swapped the direction turns round.
    assert length_correlation(noisy * 3 + 4 * scale, y, lengths).r == pytest.approx(found.r, abs=1e-6)
    assert length_correlation(noisy, 1 - y, lengths).r == pytest.approx(-found.r, abs=1e-9)
    cleaned = residualise(sink, {"inverse": 1 / lengths})
    assert np.abs(cleaned - cleaned.mean(0)).max() < 1e-9 * np.abs(sink).max()


def test_length_correlation_by_hand():
    x, y, lengths = [[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1], [1, 2, 4, 5]
    expected = np.corrcoef(np.ravel(x), 1 / np.array(lengths))[0, 1]
    assert length_correlation(x, y, lengths).r == pytest.approx(expected)
    still = length_correlation(x, y, [3, 3, 3, 3])
    assert math.isnan(still.r)
    assert not still.flagged
    with pytest.raises(ValueError, match="row 2"):
        length_correlation(x, y, [1, 1, 0, 1])


def test_residuals():
    rng = np.random.default_rng(0)
    h, length, dot = rng.normal(size=(30, 2, 4)), rng.integers(3, 20, 30), rng.integers(0, 2, 30)
    h += length[:, None, None] * 2.0 - dot[:, None, None]
    found = residualise(h, {"length": length, "final_punct": dot})
    design = np.column_stack([np.ones(30), length, dot])
    flat = h.reshape(30, -1)
    expected = flat - design @ np.linalg.lstsq(design, flat, rcond=None)[0] + flat.mean(0)
    np.testing.assert_allclose(found.reshape(30, -1), expected, atol=1e-10)
    np.testing.assert_allclose(residualise(found, {"length": length, "final_punct": dot}), found, atol=1e-10)
    np.testing.assert_array_equal(residualise(h, {"length": np.ones(30)}), h)
    np.testing.assert_array_equal(residualise(h, {"length": length}, []), h)
    twice = residualise(h, {"a": length, "b": length * 2.0 + 1})
    np.testing.assert_allclose(twice, residualise(h, {"a": length}), atol=1e-9)
    with pytest.raises(ValueError, match="final_punct"):
        residualise(h, {"length": length}, ["final_punct"])


def test_labels():
    assert read_labels(["Safe", " no ", True, False, 1, 0, "TRUE", 1.0]).tolist() == [1, 0, 1, 0, 1, 0, 1, 1]
    assert read_labels(np.array([0, 1])).tolist() == [0, 1]
    for bad in ("sfae", None, 2, "", 0.5):
        with pytest.raises(ValueError, match=r"row 1: the label is .*safety_label"):
            read_labels(["safe", bad])
    assert find_column(["id", "prompt", "text"], "input") == "text"
    with pytest.raises(ValueError, match="is_safe"):
        find_column(["id"], "safety_label")


def test_halves():
    n = 84
    ids, y = [f"lm{i:03}" for i in range(n)], np.arange(n) % 2
    axiom = np.array(list("abcdefg"))[np.arange(n) // 12]
    fit = fit_half(ids, y, axiom)
    for a in "abcdefg":
        for label in (0, 1):
            assert fit[(axiom == a) & (y == label)].sum() == 3
    order = np.random.default_rng(0).permutation(n)
    np.testing.assert_array_equal(fit_half([ids[i] for i in order], y[order], axiom[order]), fit[order])
    pairs = fit_half(ids, y, axiom, [f"p{i // 2}" for i in range(n)])
    np.testing.assert_array_equal(pairs[::2], pairs[1::2])
    assert pairs.sum() == n // 2
    with pytest.raises(ValueError, match="row 1 has the id 'a' of row 0"):
        fit_half(["a", "a"], [0, 1], ["x", "x"])
    with pytest.raises(ValueError, match="2 ids"):
        fit_half(["a", "b"], [0], ["x", "x"])


def study(seed=0, gap=2.0, layers=5, dims=8, n=84):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    axiom = [f"axiom {i // 12}" for i in range(n)]
    h = rng.normal(size=(n, layers, dims)) * np.arange(1, layers + 1)[:, None]
    h[:, 2, 0] += gap * 3 * y
    lengths = rng.integers(5, 20, n)
    return LayerStates(h, [f"r{i}" for i in range(n)], lengths, rng.integers(0, 2, n)), y, axiom


def test_score():
    states, y, axiom = study()
    found = score(states, y, axiom, n_boot=100, n_null=100, baseline=np.random.default_rng(1).normal(size=(84, 4)))
    assert found.alpha[2] > 0.5
    assert found.alpha.sum() == pytest.approx(1)
    assert (found.n_fit, found.n, found.dropped, len(found.axioms)) == (42, 42, 0, 7)
    held = found.scored
    scale = np.sqrt(((states.states[~held] - states.states[~held].mean(0)) ** 2).sum(2).mean(0))
    mixture = np.einsum("l,nld->nd", found.alpha / scale, states.states[held])
    assert found.overall.indices.xbi == pytest.approx(cluster_indices(mixture, y[held]).xbi)
    assert found.overall.score == composite(found.overall.indices)
    assert found.ci[0] < found.overall.score < found.ci[1]
    assert found.p == found.p_best_layer == pytest.approx(1 / 101)
    assert found.overall.score > found.others["uniform"]
    assert found.others["best_single"] > found.others["last"]
    assert found.mean == pytest.approx(np.mean([row.score for row in found.axioms]))
    assert found.baseline.score < found.overall.score
    assert found.null_kind == "labels shuffled within axioms"
    assert not found.length.flagged


def test_score_does_not_know_the_order_or_the_unit():
    states, y, axiom = study()
    first = score(states, y, axiom, n_boot=0, n_null=10)
    order = np.random.default_rng(3).permutation(84)
    moved = LayerStates(states.states[order] * 2.0, [states.ids[i] for i in order])
    again = score(moved, y[order], [axiom[i] for i in order], n_boot=0, n_null=10)
    assert again.overall.score == pytest.approx(first.overall.score, rel=1e-6)
    assert all(map(math.isnan, first.ci))


@pytest.mark.parametrize("variant", ["dbs_di", "ss_chi", "ss_xb", "xb_chi"])
def test_variants(variant):
    found = score(*study(), variant=variant, n_boot=0, n_null=5)
    assert 0 <= found.overall.score <= (100 if variant == "xb_chi" else 1)
    if variant == "xb_chi":
        joint = score(
            *study(), variant=variant, normalise="joint", reference=found.reference.__dict__, n_boot=0, n_null=5
        )
        assert joint.mean == pytest.approx(found.mean)
        assert isinstance(joint.reference, Reference)


def test_rows_that_cannot_be_scored():
    states, y, axiom = study()
    axiom = ["few" if i < 6 else "one side" if i < 24 and y[i] else a for i, a in enumerate(axiom)]
    found = score(states, y, axiom, n_boot=0, n_null=5)
    reasons = {row.name: row.excluded for row in found.axioms}
    assert "5 are needed" in reasons["few"]
    assert "only safe" in reasons["one side"]
    assert found.dropped > 0
    assert found.n + found.n_fit + found.dropped == 84
    assert not math.isnan(found.mean)


def test_pairs_and_options():
    states, y, axiom = study()
    paired = LayerStates(
        states.states, states.ids, states.lengths, states.final_punct, [f"p{i // 2}" for i in range(84)],
        np.array([False, True, True, True, True]), [0, 3, 6, 9, 12],
    )  # fmt: skip
    found = score(paired, y, axiom, center="pair", residualise=("length", "final_punct"), n_boot=10, n_null=50)
    assert found.null_kind == "labels flipped inside pairs"
    assert found.alpha[0] == 0
    assert [row.layer for row in found.per_layer] == [0, 3, 6, 9, 12]
    assert found.pair_accuracy > 0.9
    assert found.p < 0.05


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gamma": 2.0}, "gamma"),
        ({"variant": "best"}, "separation"),
        ({"variant": "xb_chi", "normalise": "joint"}, "fit_reference"),
        ({"reference": Reference(0, 1, 0, 1)}, "only variant xb_chi"),
        ({"center": "pair"}, "pair_id"),
        ({"residualise": ("colour",)}, "colour"),
        ({"layer_scale": "max"}, "rms"),
        ({"reduce": "umap"}, "tsne"),
        ({"y": ["safe"] * 84}, "two classes"),
        ({"y": ["safe"] * 83 + ["sfae"]}, "row 83"),
        ({"axiom": ["a"] * 83}, "83 axioms"),
        ({"axiom": [str(i // 4) for i in range(84)]}, "no axiom has 5"),
        ({"baseline": np.zeros((3, 2))}, "3 rows"),
    ],
)
def test_score_refuses(change, words):
    states, y, axiom = study()
    with pytest.raises(ValueError, match=words):
        score(**{"states": states, "y": y, "axiom": axiom, "n_boot": 0, "n_null": 5, **change})


def test_not_finite_names_layer_and_id():
    states, y, axiom = study()
    states.states[7, 3, 1] = math.nan
    with pytest.raises(ValueError, match=r"row 7 \(id r7\), layer 3, column 1"):
        score(states, y, axiom)


def test_reductions():
    x = np.random.default_rng(0).normal(size=(12, 6)) * [9, 5, 3, 0, 0, 0]
    flat = reduced(x, "pca")
    assert flat.shape == (12, 3)
    np.testing.assert_allclose(flat @ flat.T, (x - x.mean(0)) @ (x - x.mean(0)).T, atol=1e-9)
    assert reduced(x, "none") is x
    assert reduced(x[:6], "tsne").shape == (6, 3)
