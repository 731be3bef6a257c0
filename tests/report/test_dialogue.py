"""Audits with more than one turn, a grader, epochs, clusters and numbers that are no means."""

import json
import shutil

import pytest
from dialogue import dialogue  # noqa: F401 - a fixture
from test_run import untimed
from typer.testing import CliRunner

from boresight.cli import app
from boresight.errors import DataError
from boresight.measure.battery import measure, options_of
from boresight.report.compare import compare
from boresight.report.records import read_records
from boresight.report.resume import resume
from boresight.report.run import Silent, audit
from boresight.report.validation import Validated, keep

RULES = ("rule:length-v1", "model:likelihood-v1")
pytestmark = pytest.mark.usefixtures("dialogue")


@pytest.fixture
def run(tiny_gemma3, tiny_llama, tmp_path):
    subjects = {"base": tiny_gemma3, "other": tiny_llama}
    options = {"dialogue": {"questions": 6}}
    return audit(subjects, out=tmp_path / "run", measures=["dialogue"], roles={"grader": tiny_llama}, options=options)


def test_every_epoch_is_a_record_with_its_turns(run):
    records = read_records(run.directory)
    assert len(records) == 2 * 6 * 2
    assert {(r.id, r.epoch) for r in records} == {(f"q{i}", e) for i in range(6) for e in (1, 2)}
    assert {r.detail["turns"] for r in records} == {2}
    answers = {r.completion.text for r in records if r.id == "q0"}
    assert len(answers) > 1, "the epochs of one sample are drawn anew"


def test_intervals_and_graders_of_the_numbers(run):
    by = {(m.metric, m.subject): m for m in run.results.measures}
    long = by["dialogue.long", "base"]
    assert (long.n, long.grader) == (12, "rule:length-v1")
    assert "2 clusters" in long.notes
    yes = by["dialogue.yes", "base"]
    assert (yes.n, "6 clusters" in yes.notes) == (12, True)
    assert 0 < yes.value < 1
    gap = by["dialogue.gap", "other"]
    assert gap.ci[0] < gap.value < gap.ci[1]
    for row in run.results.measures:
        assert row.grader == "model:tiny-llama" if row.metric == "dialogue.good" else row.grader in RULES
    pairs = {c.metric: c for c in run.results.comparisons}
    assert set(pairs) >= {"dialogue.long", "dialogue.gap"}
    assert pairs["dialogue.gap"].difference == pytest.approx(gap.value - by["dialogue.gap", "base"].value)


def test_an_unread_verdict_is_no_score_and_was_tried_twice(run):
    records = read_records(run.directory)
    unread = [r for r in records if "good" not in r.scores]
    assert unread, "random weights seldom write a digit first"
    assert all(r.detail["tries"] == 2 for r in unread)
    good = next((m for m in run.results.measures if m.metric == "dialogue.good" and m.subject == "base"), None)
    assert (good.n if good else 0) == sum("good" in r.scores for r in records if r.subject == "base")


def test_the_page_shows_blocks_and_says_who_graded(run):
    page = (run.directory / "report.html").read_text()
    assert "Turns of each" in page
    assert "tiny-llama graded is its opinion" in page or "All graders of this audit are rules" in page
    env = json.loads((run.directory / "env.json").read_text())
    assert env["roles"]["grader"]["model"] == "tiny-llama"


def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(run, tiny_gemma3, tiny_llama, tmp_path):
    class Cut(Exception):
        pass

    class Impatient(Silent):
        heard = 0

        def answered(self):
            self.heard += 1
            if self.heard == 17:
                raise Cut

    subjects, roles = {"base": tiny_gemma3, "other": tiny_llama}, {"grader": tiny_llama}
    how = {"measures": ["dialogue"], "options": {"dialogue": {"questions": 6}}}
    with pytest.raises(Cut):
        audit(subjects, out=tmp_path / "cut", roles=roles, progress=Impatient(), **how)
    resume(tmp_path / "cut", subjects, roles=roles)
    assert untimed(tmp_path / "cut") == untimed(run.directory)
    (tmp_path / "cut" / "results.json").unlink()
    with pytest.raises(DataError, match="had a model of its own as grader"):
        resume(tmp_path / "cut", subjects)


def test_two_subjects_of_a_run_are_compared_from_its_logs(run):
    found = compare(run.directory)
    assert [m.metric for m in found.measures] == [m.metric for m in run.results.measures]
    assert {m.n for m in found.measures if m.metric == "dialogue.long"} == {12}


def test_runs_with_other_options_or_another_grader_are_not_compared(run, tiny_gemma3, tiny_llama, tmp_path):
    options = {"dialogue": {"questions": 6, "topics": ["a", "b", "c"]}}
    roles, how = {"grader": tiny_llama}, {"measures": ["dialogue"], "limit": 2}
    other = audit({"base": tiny_gemma3}, out=tmp_path / "o", roles=roles, options=options, **how)
    with pytest.raises(DataError, match="ran dialogue with different options"):
        compare(run.directory, other.directory)
    shutil.copytree(run.directory, tmp_path / "g")
    results = tmp_path / "g" / "results.json"
    results.write_text(results.read_text().replace("rule:length-v1", "rule:length-v2"))
    with pytest.raises(
        DataError, match=r"long was graded by rule:length-v1 in one run and by rule:length-v2 in the other"
    ):
        compare(run.directory, tmp_path / "g")
    graders = {m.metric: m.grader for m in run.results.measures}
    assert {m.metric: m.grader for m in compare(run.directory).measures}.items() <= graders.items()


def test_the_page_says_how_good_the_grader_was_found_to_be(run, tiny_gemma3, tiny_llama, tmp_path, monkeypatch):
    unknown = "tiny-llama as a judge of attitude: not validated against labels"
    assert unknown in (run.directory / "report.html").read_text()
    assert unknown in run.judges["dialogue"]
    monkeypatch.setenv("BORESIGHT_CACHE", str(tmp_path / "cache"))
    found = Validated(
        "attitude", "attitude-v1-x", "mine.jsonl", 40, 2, 0.75, (0.6, 0.86), 0.5, None, "2026-01-02T00:00"
    )
    keep(tiny_llama.describe(), found)
    options = {"dialogue": {"questions": 2}}
    roles = {"grader": tiny_llama}
    again = audit({"base": tiny_gemma3}, out=tmp_path / "a", measures=["dialogue"], options=options, roles=roles)
    said = (
        "tiny-llama as a judge of attitude: agreed with 75% (60% to 86%) of 40 labels of mine.jsonl, kappa 0.50;"
        " 2 verdicts not readable (validated 2026-01-02)."
    )
    assert again.judges["dialogue"].startswith(said)
    assert said in (again.directory / "report.html").read_text()


def test_what_is_missing_is_said_before_anything_is_loaded(tmp_path):
    with pytest.raises(DataError, match="dialogue needs a model as its grader: name one with --grader MODEL"):
        audit(["no-such-model"], out=tmp_path / "run", measures=["dialogue"])
    assert not (tmp_path / "run").exists()
    done = CliRunner().invoke(app, ["audit", "no-such-model", "--measure", "dialogue", "--out", str(tmp_path / "run")])
    assert isinstance(done.exception, DataError)
    with pytest.raises(DataError, match="no role is called 'judge'"):
        audit(["no-such-model"], out=tmp_path / "run", measures=["facts"], roles={"judge": "x"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"question": 3}, "no option 'question'; its options are questions, topics"),
        ({"questions": "many"}, "option questions is 'many'"),
        ({"questions": 1}, "dialogue: at least 2 questions are needed"),
    ],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(DataError, match=words):
        measure("dialogue", options)
    with pytest.raises(DataError, match="facts has no option 'x'; it has no options"):
        measure("facts", {"x": 1})


def test_options_of_the_command_line():
    slugs = ["facts", "dialogue"]
    assert options_of(slugs, ["questions=3", "dialogue.topics=[a, b]"]) == {
        "dialogue": {"questions": 3, "topics": ["a", "b"]}
    }
    for bad in ("questions", "nothing=1", "facts.questions=1", "questions=[1"):
        with pytest.raises(DataError, match="-T "):
            options_of(slugs, [bad])
