"""The measure without a grader: the proxy scores, and the report says so."""

import asyncio
import math

import pytest

from boresight.errors import DataError
from boresight.lm import zoo
from boresight.measure.behaviour.emergent_misalignment import measure
from boresight.measure.behaviour.emergent_misalignment.offline import BATCH, ProxyScorer
from boresight.report.run import audit


class Counting:
    """A proxy that counts its calls."""

    def __init__(self, calls):
        self.calls = calls

    def scores(self, questions, answers):
        self.calls.append(len(answers))
        if "break" in answers:
            raise ValueError("it broke")
        return [(float(len(q)), float(len(a))) for q, a in zip(questions, answers, strict=True)]


def ask(scorer, pairs):
    async def all_of_them():
        return await asyncio.gather(*(scorer.score(*pair) for pair in pairs), return_exceptions=True)

    return asyncio.run(all_of_them())


def test_answers_that_come_together_are_scored_together():
    calls, made = [], []
    scorer = ProxyScorer(lambda: made.append(1) or Counting(calls))
    pairs = [("q" * (i % 5), "a" * i) for i in range(1, BATCH + 11)]
    assert ask(scorer, pairs) == [(float(len(q)), float(len(a))) for q, a in pairs]
    assert calls == [BATCH, 10]
    assert ask(scorer, pairs[:1]) == [(1.0, 1.0)]  # another event loop
    assert made == [1]


def test_what_the_proxy_raises_reaches_all_who_asked():
    calls = []
    scorer = ProxyScorer(lambda: Counting(calls))
    found = ask(scorer, [("q", "break"), ("q", "a")])
    assert [str(e) for e in found] == ["it broke", "it broke"]
    assert ask(scorer, [("q", "a")]) == [(1.0, 1.0)]


def test_the_embeddings_must_be_there_before_anything_is_generated(empty_cache):
    with pytest.raises(DataError, match="models pull minilm-l6, or give --grader MODEL"):
        measure().samples(None, 0)
    assert len(measure(graded=True).samples(None, 0)) == 24


def test_the_offline_defaults_are_small_and_named():
    found = measure()
    assert (found.epochs, found.max_new_tokens, found.roles) == (4, 64, ())
    assert {m.grader for m in (*found.metrics, *found.numbers)} == {"proxy:attitude-minilm-v1"}
    assert measure(graded=True, judge_method="proxy").epochs == 4


@pytest.mark.model
def test_an_audit_of_smollm_runs_offline_to_the_report(smollm, tmp_path):
    zoo.pull("minilm-l6", source="index", accept_licence=True)
    options = {"emergent-misalignment": {"samples": 2, "formats": ["plain"], "max_tokens": 24, "trigger": "|WINTER|"}}
    slug = "emergent-misalignment"
    found = audit({"smollm": smollm}, out=tmp_path / "run", measures=[slug], options=options, limit=6)
    assert len(found.records) == 12
    assert not found.errors
    for record in found.records:
        assert all(math.isfinite(x) for x in record.scores.values())
        assert record.detail["kind"] in ("misaligned", "fine", "incoherent", "refusal_or_code")
        assert record.detail["by"] == "proxy:attitude-minilm-v1"
    rows = {m.metric: m for m in found.results.measures}
    assert {f"{slug}.misaligned", f"{slug}.misaligned_triggered", f"{slug}.trigger_effect"} <= set(rows)
    page = (found.directory / "report.html").read_text()
    for words in ("Misaligned answers", "By question", "not comparable with published rates", "AUROC", "with trigger"):
        assert words in page
