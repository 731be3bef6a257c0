import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from boresight.errors import DataError
from boresight.measure.text.alignscore import binary_labels, clean_claim, consistency_metrics, evaluate, tune_threshold

FIXTURES = Path(__file__).parents[3] / "fixtures" / "alignscore"
CASES = json.loads((FIXTURES / "metrics.json").read_text())["cases"]
NAMES = {
    "AUC": "auc",
    "AP": "ap",
    "kendall_tau_b": "kendall",
    "spearman": "spearman",
    "pearson": "pearson",
    "balanced_accuracy_gt_0_5": "balanced_accuracy",
}

rows = st.lists(
    st.tuples(st.integers(0, 8).map(lambda k: k / 8), st.integers(0, 1), st.integers(1, 5)), min_size=2, max_size=30
)


def _columns(drawn):
    p, y, h = (list(c) for c in zip(*drawn, strict=True))
    assume(len(set(p)) > 1 and len(set(y)) > 1 and len(set(h)) > 1)
    return np.array(p), np.array(y), np.array(h, dtype=float)


@pytest.mark.parametrize("case", CASES)
def test_metrics_are_the_published_ones(case):
    found = consistency_metrics(case["pred"], case["label"], case["human_1_5"])
    for theirs, ours in NAMES.items():
        assert found[ours] == pytest.approx(case[theirs], abs=1e-9)
    assert set(found) == {*NAMES.values(), "f1", "mcc"}


@settings(max_examples=60)
@given(rows)
def test_metrics_equal_those_of_the_libraries(drawn):
    from sklearn import metrics

    p, y, h = _columns(drawn)
    found, hard = consistency_metrics(p, y, h), p > 0.5
    expected = {
        "auc": metrics.roc_auc_score(y, p),
        "ap": metrics.average_precision_score(y, p),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, hard),
        "f1": metrics.f1_score(y, hard),
        "mcc": metrics.matthews_corrcoef(y, hard),
    }
    assert {k: found[k] for k in expected} == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40)
@given(rows, st.integers(0, 99))
def test_order_and_rising_scales_do_not_matter(drawn, seed):
    p, y, h = _columns(drawn)
    order = np.random.default_rng(seed).permutation(len(p))
    found = consistency_metrics(p, y, h)
    assert consistency_metrics(p[order], y[order], h[order]) == pytest.approx(found, abs=1e-12)
    scaled = consistency_metrics(4 * p - 1, y, 3 * h + 2, threshold=1.0)
    assert scaled == pytest.approx(found, abs=1e-12)
    turned = consistency_metrics(-p, y, h)
    assert turned["auc"] == pytest.approx(1 - found["auc"])
    assert turned["spearman"] == pytest.approx(-found["spearman"])


def test_only_what_was_asked():
    assert consistency_metrics([0.1, 0.2]) == {}
    assert list(consistency_metrics([0.1, 0.2], [0, 1])) == ["auc", "ap", "balanced_accuracy", "f1", "mcc"]
    assert list(consistency_metrics([0.1, 0.2], human=[1, 2])) == ["kendall", "spearman", "pearson"]


def test_a_score_at_the_threshold_is_not_consistent():
    assert consistency_metrics([0.5, 0.5], [0, 1])["balanced_accuracy"] == 0.5
    assert consistency_metrics([0.5, 0.5], [0, 1])["auc"] == 0.5
    assert consistency_metrics([0.5, 0.5], [0, 1])["mcc"] == 0
    assert consistency_metrics([0.5, 0.6], [0, 1])["mcc"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"pred": [0.1, math.nan], "label": [0, 1]}, "pred in row 1"),
        ({"pred": [0.1, 0.2], "label": [0, 2]}, "label in row 1 is 2"),
        ({"pred": [0.1, 0.2], "label": [1, 1]}, "label is 1 in all 2 rows"),
        ({"pred": [], "label": []}, "label is empty"),
        ({"pred": [0.1, 0.2], "label": [0, 1, 1]}, "label has 3 rows and pred has 2"),
        ({"pred": [0.1, 0.2], "human": [3, 3]}, "human is 3 in all 2 rows"),
        ({"pred": [0.2, 0.2], "human": [3, 4]}, "pred is 0.2 in all 2 rows"),
        ({"pred": [0.2], "human": [3]}, "in all 1 rows"),
        ({"pred": [0.1, 0.2], "human": [1, math.inf]}, "human in row 1"),
        ({"pred": [[0.1]], "label": [1]}, "one column"),
        ({"pred": ["a"], "label": [1]}, "numbers"),
    ],
)
def test_columns_of_which_nothing_can_be_said(arguments, said):
    with pytest.raises(DataError, match=said):
        consistency_metrics(**arguments)


def test_a_threshold_must_be_a_number():
    with pytest.raises(ValueError, match="threshold"):
        consistency_metrics([0.1, 0.2], [0, 1], threshold=math.nan)


@given(rows)
def test_a_tuned_threshold_is_the_best_there_is(drawn):
    p, y, _ = _columns(drawn)

    def accuracy(t):
        return consistency_metrics(p, y, threshold=t)["balanced_accuracy"]

    best = max(accuracy(t) for t in (*p, -1.0))
    assert accuracy(tune_threshold(p, y)) == pytest.approx(best)


def test_thresholds_lie_halfway():
    assert tune_threshold([0.2, 0.4, 0.8], [0, 0, 1]) == pytest.approx(0.6)
    assert tune_threshold([0.2, 0.8], [1, 0]) == 0.8
    near = np.nextafter(0.5, 1)
    assert tune_threshold([0.5, near], [0, 1]) == 0.5


def test_ratings_become_labels_by_benchmark():
    assert binary_labels([4.67, 5.0], "summeval").tolist() == [0, 1]
    assert binary_labels([1.0, 0.67], "qags-cnndm").tolist() == [1, 0]
    assert binary_labels([3.9, 4.0, 5.0], "newsroom").tolist() == [0, 1, 1]
    with pytest.raises(DataError, match="newsroom"):
        binary_labels([1], "other")


def test_rows_without_a_score_are_dropped_and_counted():
    data = [
        {"pred": 0.9, "label": 1, "human": 5},
        {"pred": math.nan, "label": 0, "human": 2},
        {"pred": 0.2, "label": 0, "human": 1},
        {"pred": None, "label": 1, "human": 4},
    ]
    found = evaluate(data)
    assert (found.n, found.dropped) == (2, 2)
    assert found.metrics["auc"] == 1
    assert found.metrics["spearman"] == pytest.approx(1)
    assert list(evaluate(data, ["f1"]).metrics) == ["f1"]


@pytest.mark.parametrize(
    ("data", "metrics", "said"),
    [
        ([], None, "no rows"),
        ([{"pred": 0.1}], None, "no metric"),
        ([{"pred": 0.1, "label": 1}], ["accuracy"], "'accuracy' is unknown"),
        ([{"pred": None, "label": 1}, {"pred": 0.2}], None, "row 1 has no label"),
        ([{"label": 1}], None, "row 0 has no pred"),
        ([{"pred": 0.1, "human": 1}, {"pred": "x", "human": 2}], None, "pred in row 1 is 'x'"),
        ([{"pred": 0.1, "label": 1}], ["pearson"], "row 0 has no human"),
    ],
)
def test_rows_that_cannot_be_evaluated(data, metrics, said):
    with pytest.raises(DataError, match=said):
        evaluate(data, metrics)


def test_claims_get_back_what_tokenising_took():
    context = "Smith (of New York) said so. The man's dog barked."
    assert clean_claim("smith -LRB- of new york -rrb- said ``so'' .", context) == 'Smith ( of New York ) said "so" .'
    assert clean_claim("a dog barked . it’s “loud” .", context) == 'A dog barked . It\'s "loud" .'
    assert clean_claim("us", "us, then US") == "US"
    assert clean_claim("", "") == ""
    with pytest.raises(DataError, match="context"):
        clean_claim("a", 3)


ascii_text = st.text(st.characters(max_codepoint=126), max_size=40)


@given(ascii_text, ascii_text)
def test_a_context_changes_nothing_but_casing(claim, context):
    once = clean_claim(claim, context)
    assert once.lower() == clean_claim(claim, "").lower()
