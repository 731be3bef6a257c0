import json

import pytest

from boresight.errors import DataError
from boresight.report.results import ComparisonRow, MeasureRow, Results, SubjectRow, number, read_results


def results(**changes):
    data = {
        "created": "2026-01-01T00:00:00+00:00",
        "seed": 0,
        "seconds": 1.5,
        "subjects": [SubjectRow(name="base", model="m")],
        "measures": [
            MeasureRow(
                method="toy",
                metric="toy.right",
                subject="base",
                value=0.5,
                ci=(0.2, 0.8),
                n=10,
                unit="fraction",
                better="higher",
                grader="rule:x",
            )
        ],
        "comparisons": [
            ComparisonRow(
                metric="toy.right", a="base", b="x", difference=0.1, ci=(None, None), n=10, p=None, test="paired"
            )
        ],
    }
    return Results(**{**data, **changes})


def test_the_schema_is_that_of_the_design(tmp_path):
    data = json.loads(results().to_json())
    assert data["schema"] == "boresight.results/1"
    assert list(data) == ["schema", "created", "seed", "seconds", "subjects", "measures", "comparisons"]
    assert {
        "method",
        "metric",
        "subject",
        "value",
        "ci",
        "level",
        "n",
        "unit",
        "better",
        "grader",
        "dropped",
        "notes",
    } == set(data["measures"][0])
    (tmp_path / "results.json").write_text(results().to_json())
    assert read_results(tmp_path) == read_results(tmp_path / "results.json") == results()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "schema"),
        ('{"schema": "other/1"}', "schema boresight.results/1"),
        ('{"schema": "boresight.results/1"}', "created"),
    ],
)
def test_what_is_not_a_results_file_is_refused(tmp_path, text, message):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_results(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nothing.* does not exist"):
        read_results(tmp_path / "nothing")


def test_unknown_keys_are_errors(tmp_path):
    data = json.loads(results().to_json())
    data["measures"][0]["colour"] = "red"
    (tmp_path / "results.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match=r"measures\.0\.colour"):
        read_results(tmp_path)


def test_nan_is_written_as_null():
    assert number(float("nan")) is None
    assert number(0.1 + 0.2) == 0.3
