import math

import pytest

from boresight.lm.base import Completion
from boresight.measure.base import Measure, Metric
from boresight.report.records import Record
from boresight.report.tally import tally
from boresight.stats import bootstrap_mean, paired_proportions, proportion

RATE = Metric("right", "right", "fraction", "higher", "rule:x", "About.")
SHARE = Metric("part", "part", "share", "none", "rule:y", "About.")
MEASURE = Measure("toy", "Toy", lambda limit, seed: [], lambda c, m: None, (RATE, SHARE), 8)


def record(subject, i, right=None, part=None, failed=False):
    scores = {k: v for k, v in (("right", right), ("part", part)) if v is not None}
    return Record(subject, "toy", f"p{i}", "?", "", Completion("", 0, "stop"), None if failed else scores)


RECORDS = [record("a", i, float(i < 3), i / 10) for i in range(10)] + [
    record("b", i, float(i < 8), i / 20) for i in range(10)
]


def test_numbers_are_those_of_stats():
    rows, pairs = tally(RECORDS, [MEASURE], ["a", "b"], seed=0)
    by = {(r.metric, r.subject): r for r in rows}
    expected = proportion(3, 10)
    row = by["toy.right", "a"]
    assert (row.value, row.n, row.dropped, row.grader) == (0.3, 10, 0, "rule:x")
    assert row.ci == pytest.approx((expected.low, expected.high))
    share = bootstrap_mean([i / 10 for i in range(10)])
    assert by["toy.part", "a"].ci == pytest.approx((share.low, share.high))
    (pair,) = pairs  # "part" has no better direction and is not compared
    found = paired_proportions([i < 3 for i in range(10)], [i < 8 for i in range(10)])
    assert (pair.a, pair.b, pair.difference, pair.n) == ("a", "b", 0.5, 10)
    assert pair.ci == pytest.approx((found.low, found.high))
    assert pair.p == pytest.approx(found.p)


def test_pairs_are_the_samples_that_both_have():
    records = [record("a", i, 1.0) for i in range(4)] + [record("b", i, 0.0) for i in range(2, 7)]
    _, (pair,) = tally(records, [MEASURE], ["a", "b"], seed=0)
    assert (pair.n, pair.difference) == (2, -1.0)


def test_p_values_are_adjusted_over_the_run():
    records = RECORDS + [record("c", i, float(i < 8)) for i in range(10)]
    _, one = tally(RECORDS, [MEASURE], ["a", "b"], seed=0)
    _, two = tally(records, [MEASURE], ["a", "b", "c"], seed=0)
    assert [p.p for p in two] == pytest.approx([2 * one[0].p] * 2)
    assert all("Holm over 2" in p.test for p in two)


def test_failed_samples_are_dropped_and_counted():
    records = [record("a", i, 1.0) for i in range(4)] + [record("a", 9, failed=True)]
    (row, *_), _ = tally(records, [MEASURE], ["a"], seed=0)
    assert (row.n, row.dropped, row.value) == (4, 1, 1.0)


def test_a_metric_that_applies_to_nothing_has_no_row():
    rows, _ = tally([record("a", 1, right=1.0)], [MEASURE], ["a"], seed=0)
    assert [r.metric for r in rows] == ["toy.right"]


def test_equal_values_have_no_interval_instead_of_false_certainty():
    rows, _ = tally([record("a", i, 1.0, 0.5) for i in range(6)], [MEASURE], ["a"], seed=0)
    by = {r.metric: r for r in rows}
    assert by["toy.part"].ci == (None, None)
    assert "all 6 values are equal" in by["toy.part"].notes
    assert by["toy.right"].ci[0] == pytest.approx(proportion(6, 6).low)


def test_one_share_has_no_interval():
    rows, _ = tally([record("a", 1, 1.0, 0.5)], [MEASURE], ["a"], seed=0)
    assert {r.metric: r.ci for r in rows}["toy.part"] == (None, None)
    assert not any(isinstance(v, float) and math.isnan(v) for r in rows for v in (r.value, *r.ci) if v is not None)
