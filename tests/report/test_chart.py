import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.report.chart import MARGIN, WIDTH, Point, chart, fitted_axis, forest, reach_of, shorten
from boresight.report.results import ComparisonRow

numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


def test_rates_stand_on_an_axis_from_nought_to_one():
    c = chart([Point("base", 0, 0.0, (0.0, 0.1)), Point("b", 1, 0.5, (0.25, 1.0), "better", "✓")], "fraction")
    assert (c.axis.low, c.axis.high) == (0, 1)
    assert [label for _, label in c.axis.ticks] == ["0", "25", "50", "75", "100 %"]
    first, second = c.dots
    assert (first.x, first.low) == (MARGIN, MARGIN)
    assert (second.x, second.high) == (WIDTH / 2, WIDTH - MARGIN)
    assert second.label == "50 % (25–100)"
    assert second.sign == "✓"
    assert c.baseline == MARGIN
    assert second.y > first.y
    assert c.height > second.y + 30


def test_what_was_not_measured_has_no_dot():
    c = chart([Point("only", 0, None, (None, None))], "share")
    assert (c.dots[0].x, c.dots[0].low, c.dots[0].label) == (None, None, "not measured")
    assert c.baseline is None
    assert chart([Point("b", 1, 0.5, (0.4, 0.6)), Point("c", 2, 0.5, (0.4, 0.6))], "share").baseline is None
    assert chart([Point("only", 0, 0.5, (None, None))], "share").dots[0].low is None


@given(st.lists(numbers, max_size=6))
def test_a_fitted_axis_holds_all_values_and_few_ticks(values):
    axis = fitted_axis(values)
    assert axis.low < axis.high
    assert all(axis.low <= x <= axis.high or abs(x - axis(x)) < 1e-6 for x in values)
    assert 2 <= len(axis.ticks) <= 8
    assert all(MARGIN <= position <= WIDTH - MARGIN for position, _ in axis.ticks)


def test_a_fitted_axis_starts_at_zero_when_zero_is_near():
    assert fitted_axis([71.6, 165]).low == 0
    assert fitted_axis([1000, 1001]).low > 0


def test_forest_strips_put_zero_in_the_middle():
    row = ComparisonRow(metric="m", a="a", b="b", difference=0.2, ci=(-0.1, 0.5), n=9, p=None, test="t")
    zero, low, dot, high = forest(row, 0.5) or (0, 0, 0, 0)
    assert low < zero < dot < high
    assert zero == pytest.approx(66)
    assert forest(row.model_copy(update={"ci": (None, None)}), 0.5) is None
    assert forest(row, 0.0) is None
    assert reach_of([row]) == 0.5
    assert reach_of([]) == 0


def test_long_names_lose_their_middle():
    assert shorten("nudged") == "nudged"
    assert shorten("abcdefghij", 7) == "abc…hij"
