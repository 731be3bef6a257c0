import json

import pytest

from boresight.claim import FAILS, Claim, Measured
from boresight.report import claims


@pytest.fixture
def one_claim(monkeypatch):
    """A single claim that does not hold, so that the verb runs without a model."""
    found = Measured(-0.25, (-0.4, -0.1), 20, "difference of shares", FAILS, "b 5 of 20, a 10 of 20")
    claim = Claim("style", "Style is learnt.", "9 of 10", "more style", lambda given: found)
    monkeypatch.setattr(claims, "claims_of", lambda slugs=(): [("urial", claim)])


@pytest.mark.usefixtures("one_claim")
def test_a_claim_that_does_not_hold_is_printed_and_no_error(cli, tmp_path):
    code, text, err = cli("claims", "--out", tmp_path / "run")
    assert code == 0
    for words in ("Style is learnt.", "9 of 10", "-0.25 (-0.4 to -0.1), n 20", "does not hold", "b 5 of 20"):
        assert words in text
    assert "1 claims: 0 hold, 1 do not hold" in text
    assert "claim 1 of 1, urial: style" in err
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["claims.json", "claims.md"]


@pytest.mark.usefixtures("one_claim")
def test_json(cli):
    code, text, _ = cli("claims", "--json")
    data = json.loads(text)
    assert code == 0
    assert data["schema"] == "boresight.claims/1"
    assert data["claims"][0]["verdict"] == "does not hold"
    assert data["claims"][0]["ci"] == [-0.4, -0.1]


def test_bad_input_is_one_line_and_leaves_nothing(one_line, tmp_path, empty_cache):
    assert "did you mean" in one_line("claims", "nudgin", "--out", tmp_path / "run")
    assert "--limit" in one_line("claims", "--limit", 1)
    assert "models pull" in one_line("claims", "token-shift", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_method_without_claims_says_so(cli):
    code, text, _ = cli("claims", "facts")
    assert code == 0
    assert "0 claims" in text


def test_the_help_says_what_the_exit_code_means(cli):
    assert "exit code is 0 whatever the verdicts" in " ".join(cli("claims", "--help")[1].split())
