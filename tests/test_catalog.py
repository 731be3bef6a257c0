import json
import math

import pytest

from boresight import catalog
from boresight.claim import FAILS, HOLDS, OPEN, Comparison, Given, counted, judged
from boresight.measure.battery import measure
from boresight.stats import Estimate, proportion
from boresight.steer.policy import parse_step


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.5, HOLDS), (-0.5, -0.1, FAILS), (-0.1, 0.5, OPEN), (0.0, 0.5, OPEN), (math.nan, math.nan, OPEN)],
)
def test_the_whole_interval_decides(low, high, verdict):
    found = judged(Estimate(0.2, low, high, 10), "share", "why")
    assert (found.verdict, found.n, found.unit, found.note) == (verdict, 10, "share", "why")


def test_a_threshold_other_than_zero():
    assert judged(proportion(9, 10), "share", above=0.5).verdict == HOLDS
    assert judged(proportion(1, 10), "share", above=0.5).verdict == FAILS


def test_one_exception_decides_a_claim_without_exceptions():
    assert counted(0.0, 5, "nats").verdict == HOLDS
    assert counted(1e-9, 5, "nats").verdict == FAILS
    assert counted(1.0, 5, "passes", most=1.0).verdict == HOLDS
    assert counted(0.0, 0, "nats").verdict == OPEN
    assert counted(math.nan, 5, "nats").verdict == OPEN


def test_what_checks_share_is_made_once():
    made = []
    given = Given(lambda *_: None, 1)
    for _ in range(2):
        assert given.once("x", lambda: made.append(1) or "y") == "y"
    assert made == [1]


CLAIMS = [(slug, claim) for slug in catalog.METHODS for claim in catalog.card(slug).claims]


def test_the_methods_of_this_issue_have_claims():
    assert {slug for slug, _ in CLAIMS} >= {"nudging", "urial", "token-shift"}


@pytest.mark.parametrize(("slug", "claim"), CLAIMS, ids=lambda x: getattr(x, "name", x))
def test_a_claim_is_complete(slug, claim):
    assert claim.name.replace("-", "").isalpha()
    assert claim.statement.endswith(".")
    assert claim.published
    assert claim.expected
    if isinstance(claim.check, Comparison):
        method, _, key = claim.check.metric.partition(".")
        assert key in {m.key for m in measure(method).metrics}
        for subject in (claim.check.a, claim.check.b):
            for step in subject[1:]:
                parse_step(step)
    else:
        assert callable(claim.check)


def test_names_of_claims_are_unique_within_a_method():
    names = [(slug, claim.name) for slug, claim in CLAIMS]
    assert len(names) == len(set(names))


def test_a_card_as_json_has_its_claims_in_words(cli_json):
    data = cli_json("methods", "urial", "--json")
    assert [c["name"] for c in data["claims"]] == [c.name for c in catalog.card("urial").claims]
    assert set(data["claims"][0]) == {"name", "statement", "published", "expected"}


@pytest.fixture
def cli_json(capsys):
    from boresight.cli import main

    def run(*arguments):
        assert main(list(arguments)) == 0
        return json.loads(capsys.readouterr().out)

    return run
