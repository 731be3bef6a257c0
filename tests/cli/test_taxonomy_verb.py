import json
from dataclasses import replace

from boresight import taxonomy


def test_every_leaf_of_a_survey_is_printed(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, text, _ = cli("taxonomy", "--survey", "liu2023")
    assert code == 0
    assert "7 branches, 29 leaves: 27 ready, 2 planned" in text
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert "miscalibration" in flat


def test_the_command_of_a_leaf_and_reasons_are_shown(cli):
    code, text, _ = cli("taxonomy", "--survey", "shen2023", "--status", "ready")
    assert code == 0
    assert "--measure refusal" in " ".join(text.split())
    assert "planned" not in text
    assert "not offered:" in cli("taxonomy", "--status", "not offered")[1]


def test_json(cli):
    code, text, _ = cli("taxonomy", "--json")
    assert code == 0
    rows = json.loads(text)
    assert len(rows) == len(taxonomy.leaves())
    assert {"survey", "branch", "name", "feature", "entry", "status", "reason"} <= rows[0].keys()


def test_an_unknown_survey_is_one_line(one_line):
    assert "did you mean" in one_line("taxonomy", "--survey", "shen20")
    assert "did you mean" in one_line("taxonomy", "--status", "redy")


def test_a_ready_leaf_that_cannot_be_imported_is_a_failed_check(cli, monkeypatch):
    real = taxonomy.leaves("shen2024", "ready")
    wrong = replace(real[0], entry="boresight.steer:NoSuchMethod")
    monkeypatch.setattr(taxonomy, "leaves", lambda *_: [wrong, *real[1:]])
    code, text, err = cli("taxonomy")
    assert code == 1
    assert "NoSuchMethod" in err
    assert "broken" in text
