"""Stated confidence against correctness."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.stats import calibration, calibration_difference, expected_calibration_error


def test_calibration_by_hand():
    # bin (0.7, 0.8]: 4 answers, stated 0.8, 2 right; bin (0.2, 0.3]: 1 answer, stated 0.3, wrong
    found = calibration([0.8] * 4 + [0.3], [True, True, False, False, False])
    assert found.ece == pytest.approx((4 * 0.3 + 1 * 0.3) / 5)
    assert found.points == [(pytest.approx(0.3), 0, 1), (pytest.approx(0.8), 0.5, 4)]
    assert found.ci[0] <= found.ece <= found.ci[1]
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0
    assert expected_calibration_error([0.7, 0.65], [True, True]) == pytest.approx(0.325)  # one bin: (0.6, 0.7]
    assert math.isnan(expected_calibration_error([], []))
    assert calibration([], []).points == []


@pytest.mark.parametrize(
    ("stated", "correct", "words"),
    [
        ([0.5], [], "as many are needed"),
        ([1.2], [True], "outside"),
        ([math.nan], [True], "outside"),
        ([0.5], [2], "neither true nor false"),
        ([0.5], [math.nan], "neither true nor false"),
        (["much"], [True], "must be numbers"),
        ([None], [True], "outside"),
    ],
)
def test_calibration_refuses(stated, correct, words):
    with pytest.raises(ValueError, match=words):
        calibration(stated, correct)


def test_calibration_is_compared_over_the_questions_of_both():
    first = {i: (0.9, i % 2 == 0) for i in range(40)}
    other = {i: (0.5, i % 2 == 0) for i in range(40)}
    value, low, high, p = calibration_difference(first, other)
    assert value == pytest.approx(-0.4)
    assert low < -0.2
    assert high < 0
    assert p < 0.05
    assert calibration_difference(first, first) == (0, 0, 0, 1)
    assert calibration_difference(first, {}) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_calibration_loses_nobody_and_lies_in_the_unit_interval(rows):
    found = calibration([c for c, _ in rows], [r for _, r in rows], resamples=0)
    assert sum(n for *_, n in found.points) == found.n == len(rows)
    assert 0 <= found.ece <= 1
    assert sum(stated * n for stated, _, n in found.points) == pytest.approx(sum(c for c, _ in rows))
