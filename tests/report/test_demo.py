import pytest

from boresight.report.demo import ALIGNED, BASE, demo, demo_subjects

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def subjects(gemma, smollm):
    return demo_subjects()


def test_the_demo_measures_four_subjects_alike(subjects, tmp_path, monkeypatch):
    monkeypatch.setattr("boresight.report.demo.FAST_LIMIT", 4)
    monkeypatch.setattr("boresight.report.demo.FAST_TOKENS", 20)
    run = demo(subjects, tmp_path / "demo", fast=True, seed=0)
    assert [(s.name, s.model) for s in run.results.subjects] == [
        ("base", BASE),
        ("urial", BASE),
        ("nudged", BASE),
        ("aligned", ALIGNED),
    ]
    assert run.errors == []
    counts = {(r.metric, r.n) for r in run.results.measures if r.unit == "fraction"}
    assert {n for _, n in counts} == {2, 4}  # refusal counts pairs
    assert all(r.grader and r.ci[0] is not None for r in run.results.measures if r.unit == "fraction")
    nudged = [r for r in run.records if r.subject == "nudged" and r.completion]
    assert any(span.role == "nudge" for r in nudged for span in r.completion.trace.spans)
    page = (tmp_path / "demo" / "report.html").read_text()
    for name in ("base", "urial", "nudged", "aligned"):
        assert name in page
    assert "nudging(nudger=smollm2-135m-instruct" in page
