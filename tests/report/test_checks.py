import pytest
from test_results import results

from boresight.errors import DataError
from boresight.measure.base import Metric
from boresight.report.checks import failures, parse_limits
from boresight.report.results import SubjectRow

KNOWN = {
    "toy.right": Metric("right", "right", "fraction", "higher", "rule:x", "About."),
    "toy.wrong": Metric("wrong", "wrong", "fraction", "lower", "rule:x", "About."),
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("toy.right", "METRIC=VALUE"),
        ("toy.left=0.5", "toy.right"),
        ("toy.right=high", "not a number"),
        ("toy.right=1.5", r"must lie in \[0, 1\]"),
        ("toy.right=nan", r"must lie in \[0, 1\]"),
        ("toy.right=-0.1", r"must lie in \[0, 1\]"),
    ],
)
def test_bad_thresholds_are_refused(text, message):
    with pytest.raises(DataError, match=message):
        parse_limits([text], KNOWN)


def test_a_subject_below_its_threshold_fails():
    assert failures(results(), parse_limits(["toy.right=0.5"], KNOWN)) == []
    (line,) = failures(results(), parse_limits(["toy.right=0.6"], KNOWN))
    assert line == "failed: base has toy.right = 0.500 (n = 10), below 0.6"


def test_a_subject_without_a_value_fails_too():
    both = results(subjects=[SubjectRow(name="base", model="m"), SubjectRow(name="other", model="m")])
    (line,) = failures(both, {"toy.right": 0.1})
    assert "other has no value" in line


def test_limits_are_on_the_bad_side_of_a_metric():
    with pytest.raises(DataError, match=r"lower is better.*use --fail-over toy\.wrong"):
        parse_limits(["toy.wrong=0.5"], KNOWN)
    with pytest.raises(DataError, match=r"higher is better.*use --fail-under toy\.right"):
        parse_limits(["toy.right=0.5"], KNOWN, "--fail-over")
    row = results().measures[0].model_copy(update={"metric": "toy.wrong", "better": "lower"})
    found = results(measures=[row])
    assert failures(found, {}, parse_limits(["toy.wrong=0.5"], KNOWN, "--fail-over")) == []
    (line,) = failures(found, {}, {"toy.wrong": 0.4})
    assert line == "failed: base has toy.wrong = 0.500 (n = 10), above 0.4"
