import pytest

from boresight.lm.base import FINISH_REASONS
from boresight.measure.base import Metric
from boresight.report import wording
from boresight.report.results import ComparisonRow, MeasureRow, Results


def comparison(difference=0.2, ci=(0.1, 0.3), p=0.01, metric="m.k"):
    return ComparisonRow(metric=metric, a="a", b="b", difference=difference, ci=ci, n=40, p=p, test="t")


@pytest.mark.parametrize(
    ("x", "unit", "text"),
    [
        (0.625, "fraction", "62.5 %"),
        (0.8, "share", "80 %"),
        (0.0, "fraction", "0 %"),
        (-0.0, "fraction", "0 %"),
        (1.0, "fraction", "100 %"),
        (0.12345, "fraction", "12.3 %"),
        (None, "fraction", "not measured"),
        (71.64, "words", "71.6 words"),
        (12345.6, "tokens", "12,346 tokens"),
        (-3.25, "", "−3.25"),
    ],
)
def test_value(x, unit, text):
    assert wording.value(x, unit) == text


@pytest.mark.parametrize(
    ("ci", "unit", "text"),
    [
        ((0.46, 0.764), "fraction", "46–76 %"),
        ((0.803, 0.87), "share", "80.3–87.0 %"),
        ((0.0, 0.088), "fraction", "0–8.8 %"),
        ((0.0, 0.12), "fraction", "0–12 %"),
        ((0.002, 0.12), "fraction", "0.2–12 %"),
        ((0.7, 0.997), "fraction", "70–99.7 %"),
        ((0.91, 1.0), "fraction", "91.0–100 %"),
        ((None, None), "fraction", "no interval"),
        ((-1.5, 2), "nats", "−1.5 to 2"),
        ((157.2, 173.9), "words", "157–174"),
    ],
)
def test_interval(ci, unit, text):
    assert wording.interval(ci, unit) == text


def test_an_end_near_zero_keeps_its_side():
    assert wording.difference_interval((-0.31, -0.002), "fraction") == "−31 to −0.2"
    assert wording.difference_interval((0.002, 0.31), "fraction") == "0.2 to 31"
    assert wording.difference_interval((None, 0.3), "fraction") == "no interval"


def test_differences_carry_their_sign_and_unit():
    assert wording.difference(0.625, "fraction") == "+62.5 points"
    assert wording.difference(-0.05, "share") == "−5 points"
    assert wording.difference(0.0, "fraction") == "0 points"
    assert wording.difference(-12.34, "words") == "−12.3 words"
    assert wording.difference(None, "words") == "not measured"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0, "< 0.001"), (0.0123, "0.012"), (0.5, "0.50"), (1, "1.00"), (None, "not tested")]
)
def test_p_value(p, text):
    assert wording.p_value(p) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (59, "59 s"), (252.4, "4 min 12 s"), (59.9999, "60 s"), (7260, "2 h 1 min")]
)
def test_duration(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("ci", "better", "verdict"),
    [
        ((0.1, 0.3), "higher", "better"),
        ((0.1, 0.3), "lower", "worse"),
        ((-0.3, -0.1), "lower", "better"),
        ((-0.3, -0.1), "higher", "worse"),
        ((0.1, 0.3), "none", "higher"),
        ((-0.3, -0.1), "none", "lower"),
        ((-0.1, 0.3), "higher", "untold"),
        ((0.0, 0.3), "higher", "untold"),
        ((None, None), "higher", "none"),
    ],
)
def test_verdict_follows_the_interval(ci, better, verdict):
    assert wording.verdict(comparison(ci=ci), better) == verdict


def test_a_sign_has_a_question_mark_unless_the_adjusted_p_supports_it():
    assert wording.sign("better", True) == "✓"
    assert wording.sign("worse", False) == "✗?"
    assert wording.sign("untold", False) == "≈"


def test_significance_is_strict_and_needs_a_p():
    assert wording.is_significant(comparison(p=0.0499))
    assert not wording.is_significant(comparison(p=0.05))
    assert not wording.is_significant(comparison(p=None))


def test_every_finish_reason_has_words():
    assert set(wording.FINISH) == set(FINISH_REASONS)


def test_unknown_metrics_are_described_by_their_rows():
    row = MeasureRow(
        method="x", metric="x.odd_one", subject="a", value=1, ci=(0, 2), n=3, unit="words", better="lower", grader="g"
    )
    known = Metric("k", "known", "fraction", "higher", "rule:k", "")
    results = Results(
        created="", seed=0, seconds=0, subjects=[], measures=[row], comparisons=[comparison(metric="lost.k")]
    )
    found = wording.described(results, {"x.k": known})
    assert list(found) == ["x.odd_one", "lost.k"]
    assert (found["x.odd_one"].title, found["x.odd_one"].unit, found["x.odd_one"].better) == (
        "odd one",
        "words",
        "lower",
    )
    assert found["lost.k"].better == "none"
