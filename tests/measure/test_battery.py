import pytest

from boresight.errors import DataError
from boresight.measure.battery import BATTERIES, chosen, planned


@pytest.mark.parametrize("name", BATTERIES)
def test_every_battery_can_be_run_without_another_model(name):
    for one in chosen(name):
        assert one.samples(2, 0)
        assert not one.roles


def test_a_battery_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("measures:\n  - refusal\n  - facts: {}\n")
    assert planned(str(path)) == (["refusal", "facts"], {})
    assert [m.slug for m in chosen(str(path))] == ["refusal", "facts"]
    assert planned(str(path), ["facts", "facts"]) == (["facts"], {})
    assert planned("quick", (), {"facts": {"a": 1}})[1] == {"facts": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("measures: refusal\n", "a list of measures, is needed"),
        ("measures: []\n", "a list of measures, is needed"),
        ("measures: [refusal]\nname: x\n", "and nothing else"),
        ("- refusal\n", "a list of measures, is needed"),
        ("measures: [refusal, refusal]\n", "each measure once"),
        ("measures: [{refusal: 3}]\n", "not {'refusal': 3}"),
        ("measures: [refusals]\n", "no measure is called 'refusals'"),
        ("measures: [", "not valid YAML"),
    ],
)
def test_what_is_wrong_with_a_battery_file(text, words, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=words.replace("{", r"\{")):
        planned(str(path))


def test_names_that_are_none():
    with pytest.raises(DataError, match="no battery is called 'slow'; there are quick"):
        planned("slow")
    with pytest.raises(DataError, match="does not exist"):
        planned("no/such.yaml")
