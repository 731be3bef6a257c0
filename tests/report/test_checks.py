import pytest
from test_results import results

from boresight.errors import DataError
from boresight.report.checks import failures, parse_thresholds
from boresight.report.results import SubjectRow


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
        parse_thresholds([text], ["toy.right"])


def test_a_subject_below_its_threshold_fails():
    assert failures(results(), parse_thresholds(["toy.right=0.5"], ["toy.right"])) == []
    (line,) = failures(results(), parse_thresholds(["toy.right=0.6"], ["toy.right"]))
    assert line == "failed: base has toy.right = 0.500 (n = 10), below 0.6"


def test_a_subject_without_a_value_fails_too():
    both = results(subjects=[SubjectRow(name="base", model="m"), SubjectRow(name="other", model="m")])
    (line,) = failures(both, {"toy.right": 0.1})
    assert "other has no value" in line
