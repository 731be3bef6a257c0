"""Judges against labels: the pure numbers, the labelled sets, and whole validations with a scripted judge over HTTP."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from typer.testing import CliRunner

from boresight.cli import app
from boresight.errors import DataError
from boresight.lm.remote.endpoint import Endpoint
from boresight.measure.behaviour.judge_validity import (
    RUBRICS,
    kappa,
    labelled,
    length_pull,
    prompt_of,
    shares_of,
)
from boresight.measure.behaviour.judge_validity.rubrics import SETS
from boresight.measure.judge import REMINDER
from boresight.report.records import read_records
from boresight.report.run import audit
from boresight.report.validation import validated
from boresight.stats import newcombe, wilson
from hurried import HURRIED
from scripted import Line, scripted

WORDS = st.sampled_from(["correct", "incorrect", "declined"])


# -- numbers ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=2, max_size=60))
def test_kappa_is_that_of_scikit_learn_within_its_interval(pairs):
    a, b = zip(*pairs, strict=True)
    value, (low, high) = kappa(a, b)
    if value is None:
        assert len({*a, *b}) == 1
        return
    assert value == pytest.approx(cohen_kappa_score(a, b))
    assert low <= high
    assert -1 <= low <= 1


def test_kappa_without_items_or_with_one_label_is_none():
    assert kappa([], []) == (None, (None, None))
    assert kappa(["x", "x"], ["x", "x"]) == (None, (None, None))
    with pytest.raises(ValueError, match="1 labels and 2 verdicts"):
        kappa(["x"], ["x", "y"])


def test_length_counts_where_everything_is_decided():
    lengths, labels = [(9, 1), (1, 9), (5, 5), (9, 1), (9, 1)], ["a", "a", "a", "tie", "b"]
    assert length_pull(lengths, labels, ["a", "b", "b", "a", "tie"]) == [(1.0, 1.0), (0.0, 1.0)]


def test_shares_of_a_first_token():
    first = {" corr": math.log(0.5), "Incorrect": math.log(0.2), "in": math.log(0.05), "The": math.log(0.25)}
    found = shares_of(first, ["correct", "incorrect", "declined"])
    assert found == pytest.approx({"correct": 0.5 / 0.75, "incorrect": 0.25 / 0.75, "declined": 0.0})
    assert shares_of({"The": math.log(0.9), "A": math.log(0.1)}, ["A", "B", "tie"]) is None, "a tenth is too little"
    assert shares_of({"Answer": 0.0}, ["A", "B", "tie"]) is None, "a word that only begins alike says nothing"
    assert shares_of({"A.": 0.0, "": 0.0}, ["A", "B", "tie"]) == pytest.approx({"A": 1.0, "B": 0.0, "tie": 0.0})
    assert shares_of({"": 0.0}, ["A", "B"]) is None


# -- labelled items ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", SETS)
def test_the_built_in_sets_are_large_enough_and_of_their_family(family):
    name, rubric, items = labelled(family)
    assert (name, rubric) == (SETS[family], RUBRICS[family])
    assert len(items) >= 150
    counts = [sum(i.label == label for i in items) for label in rubric.labels]
    assert min(counts) >= 15
    for item in items:
        assert item.first in prompt_of(rubric, item)


def test_the_other_order_exchanges_the_replies_and_nothing_else():
    _, rubric, items = labelled("preference")
    for item in items:
        there, back = prompt_of(rubric, item), prompt_of(rubric, item, swapped=True)
        assert there.replace(f"[Reply A]\n{item.first}\n\n[Reply B]\n{item.second}", "") == back.replace(
            f"[Reply A]\n{item.second}\n\n[Reply B]\n{item.first}", ""
        )


def test_a_family_is_recognised_by_its_labels(tmp_path):
    rows = [{"question": "Q", "answer": "R", "label": "Refusal"}, {"prompt": "Q", "reply": "R", "label": "compliance"}]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    name, rubric, items = labelled(str(tmp_path / "own.jsonl"))
    assert (name, rubric.name, [i.label for i in items]) == ("own.jsonl", "refusal", ["refusal", "compliance"])
    (tmp_path / "own.csv").write_text("prompt,a,b,label\nQ,x,y,a\n")
    _, rubric, (item,) = labelled(str(tmp_path / "own.csv"))
    assert (rubric.name, item.first, item.second, item.label) == ("preference", "x", "y", "a")


@pytest.mark.parametrize(
    ("rows", "rubric", "complaint"),
    [
        ([{"prompt": "Q", "reply": "R", "label": "good"}], "", "its labels .good. are those of no family"),
        ([{"prompt": "Q", "reply": "R", "label": "good"}], "refusal", "line 1: label is 'good'; one of refusal"),
        ([{"prompt": "Q", "reply": 3, "label": "refusal"}], "refusal", "line 1: 'reply' must be a text, not 3"),
        ([{"reply": "R", "label": "refusal"}], "refusal", "line 1: 'prompt' must be a text, not None"),
        ([{"id": 1, "prompt": "Q", "reply": "R", "label": "refusal"}] * 2, "refusal", "line 2: the id 1 comes twice"),
        ([], "", "holds no labelled item"),
        ([{"prompt": "Q", "a": "R", "label": "a"}], "preference", "line 1: 'b' must be a text"),
        ([{"Prompt": "Q", "Label": "refusal"}], "", "line 1: there is no 'label'; it holds 'Prompt', 'Label'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path, rows, rubric, complaint):
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=complaint):
        labelled(str(tmp_path / "own.jsonl"), rubric)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: x", "name, question and labels"),
        ("name: x\nquestion: q\nlabels: {yes: a, no: b}", "yes and no in quotes"),
        ("name: x\nquestion: q\nlabels: {one: a}", "two words or more"),
        ("{", "not valid YAML"),
        ("name: x\nquestion: q\nlabels: {a: b, c: d}\nmore: 1", "name, question and labels"),
        ("name:\nquestion: q\nlabels: {a: b, c: d}", "name is None; a text is needed"),
        ("name: x\nquestion: [q]\nlabels: {a: b, c: d}", "question is .*; a text is needed"),
        ("name: refusal\nquestion: q\nlabels: {a: b, c: d}", "refusal is the name of a built-in rubric"),
        ("name: x\nquestion: q\nlabels: {Good: b, 'good ': d}", "two labels are one word"),
        ("name: x\nquestion: q\nlabels: {'+': b, '-': d}", "must begin with a letter or a digit"),
        ("name: x\nquestion: q\nlabels: {a: , c: d}", "the label 'a' has no meaning"),
    ],
)
def test_a_rubric_file_is_checked(tmp_path, text, complaint):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(DataError, match=complaint):
        labelled("refusal", str(tmp_path / "r.yaml"))
    with pytest.raises(DataError, match="no rubric is called 'mood'"):
        labelled("refusal", "mood")
    with pytest.raises(DataError, match="no labelled set is called 'mood'"):
        labelled("mood")


def test_labels_of_a_rubric_file_are_read_as_they_are_meant(tmp_path):
    (tmp_path / "own.csv").write_text("\ufeffprompt,a,b,label\r\nQ,x,y, A \r\nQ,x,x,TIE\r\n", "utf-8")
    (tmp_path / "r.yaml").write_text("name: which\nquestion: q\nlabels: {tie: neither, b: second, ' a ': first}")
    _, rubric, items = labelled(str(tmp_path / "own.csv"), str(tmp_path / "r.yaml"))
    assert (rubric.pairs, rubric.labels) == (True, {"a": "first", "b": "second", "tie": "neither"})
    assert [(i.label, i.first, i.second) for i in items] == [("a", "x", "y"), ("tie", "x", "x")]


def test_a_reference_answer_may_be_naught(tmp_path):
    row = {"prompt": "1 - 1?", "reply": "0", "label": "correct", "target": 0}
    (tmp_path / "own.jsonl").write_text(json.dumps(row))
    _, rubric, (item,) = labelled(str(tmp_path / "own.jsonl"), "correctness")
    assert "[Reference answer]\n0\n" in prompt_of(rubric, item)


# -- whole validations ------------------------------------------------------------------------------------------------


def rows_of(run, subject="scripted"):
    return {r.metric.partition(".")[2]: r for r in run.results.measures if r.subject == subject}


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BORESIGHT_CACHE", str(tmp_path / "cache"))


TONE = "name: tone\nquestion: How does it sound?\nlabels: {kind: it is kind, cold: it is cold}\n"


@pytest.mark.usefixtures("own_cache")
def test_a_scripted_judge_gets_the_numbers_worked_out_by_hand(tmp_path):
    """Ten answers, 5 kind, 5 cold: 8 verdicts are read, one at the second try; 6 are right; one is never readable."""
    (tmp_path / "tone.yaml").write_text(TONE)
    lengths = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    items = [
        {
            "id": f"t{i}",
            "prompt": f"Question {i}.",
            "reply": f"<{i}>".ljust(n, "x"),
            "label": "kind" if i < 5 else "cold",
        }
        for i, n in enumerate(lengths)
    ]
    (tmp_path / "tone.jsonl").write_text("\n".join(map(json.dumps, items)))
    said = {0: "kind", 1: "Kind.", 2: "cold", 3: "hm", 4: "hm", 5: "cold", 6: "cold, I think", 7: "kind", 8: "cold"}
    # nothing for 9: the server refuses it
    top = {i: {"kind": math.log(0.8), "cold": math.log(0.2)} for i in range(10)}
    top[4] = {"The": -0.1}
    lines = [Line(["<3>", REMINDER], ["kind"]), *(Line([f"<{i}>"], [says], top[i]) for i, says in said.items())]
    with scripted(lines) as server:
        server.faults.extend(["429", "", "500", "", "reset", "drop"])
        judge = Endpoint(server.spec, cache=False, patience=HURRIED)
        options = {"judge-validity": {"labels": str(tmp_path / "tone.jsonl"), "rubric": str(tmp_path / "tone.yaml")}}
        run = audit({"scripted": judge}, out=tmp_path / "run", measures=["judge-validity"], options=options)
        whole = dict(server.passed)
    found = rows_of(run)
    # read: 0 1 2 3 5 6 7 8, wrong: 2 and 7
    agrees = found["agrees"]
    assert (agrees.n, agrees.value, agrees.dropped) == (8, 6 / 8, 1)
    assert agrees.ci == pytest.approx(wilson(6, 8))
    assert (found["unread"].n, found["unread"].value) == (9, pytest.approx(1 / 9))
    # labels 4 kind 4 cold, verdicts 4 kind 4 cold, 6 agree: (6/8 - 1/2) / (1/2)
    assert found["kappa"].value == pytest.approx(0.5)
    # likeliest: kind at 0.8 for all but 4 (no share) and 9 (failed): right for 0 1 2 3, wrong for 5 6 7 8
    assert (found["likeliest_agrees"].n, found["likeliest_agrees"].value) == (8, 0.5)
    assert found["ece"].value == pytest.approx(0.3)
    # lengths of those read: 10 20 30 40 60 70 80 90, median 40: right 3 of 4 below, 3 of 4 above
    assert found["length_bias"].value == 0
    assert found["length_bias"].ci == pytest.approx(newcombe(3, 4, 3, 4))
    assert len(run.errors) == 1
    assert "t9" in run.errors[0]
    # a verdict and the probabilities of nine items, and the second and third tries; item 4 says "hm" to both, so its
    # second and third requests are the same: no other was answered twice
    assert sorted(whole.values()) == [1] * 19 + [2]
    assert judge.usage.requests == 9 + 9 + 1 + 2
    records = {r.id: r for r in read_records(run.directory)}
    assert records["t3"].detail["tries"] == [2]
    assert records["t9"].scores is None
    page = (run.directory / "report.html").read_text()
    assert "labels and verdicts" in page
    assert "calibration" in page
    assert "All graders of this audit are rules" not in page, "they are labels"
    known = validated(judge.describe(), "tone")
    assert known is not None
    assert (known.n, known.unread, known.accuracy, known.kappa, known.labels) == (8, 1, 0.75, 0.5, "tone.jsonl")


@pytest.mark.usefixtures("own_cache")
def test_pairs_are_asked_in_both_orders(tmp_path):
    """p0: right in both orders; p1: always A; p2: prefers the wrong one; p3: says tie; p4: unread in one order."""
    rows = [("p0", "a", "long text", "s"), ("p1", "b", "long text", "s"), ("p2", "a", "s", "long text")]
    rows += [("p3", "tie", "s", "long text"), ("p4", "a", "long text", "s")]
    pairs = [{"id": i, "prompt": f"<{i}>", "a": a, "b": b, "label": label} for i, label, a, b in rows]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    long_first, short_first = "[Reply A]\nlong text", "[Reply A]\ns"
    lines = [
        Line(["<p0>", long_first], ["A"]),
        Line(["<p0>", short_first], ["B"]),
        Line(["<p1>"], ["A"]),
        Line(["<p2>", long_first], ["A"]),
        Line(["<p2>", short_first], ["B"]),
        Line(["<p3>"], ["tie"]),
        Line(["<p4>", long_first], ["A"]),
        Line(["<p4>", short_first], ["neither can be told"]),
    ]
    with scripted(lines) as server:
        judge = Endpoint(server.spec, cache=False, patience=HURRIED)
        options = {"judge-validity": {"labels": str(tmp_path / "pairs.jsonl"), "rubric": "preference"}}
        run = audit({"scripted": judge}, out=tmp_path / "run", measures=["judge-validity"], options=options)
    found = rows_of(run)
    # verdicts: p0 a (right), p1 tie (wrong), p2 b (wrong), p3 tie (right), p4 unread
    assert (found["agrees"].n, found["agrees"].value, found["unread"].value) == (4, 0.5, 0.2)
    assert (found["flipped"].n, found["flipped"].value) == (4, 0.25)
    # first preferred: p0 1/2, p1 2/2, p2 1/2, p3 none, p4 1/1
    assert (found["first"].n, found["first"].value) == (4, pytest.approx((0.5 + 1 + 0.5 + 1) / 4))
    # decided with decided labels: p0 (longer is better, preferred), p2 (shorter is better, longer preferred)
    assert (found["length_bias"].n, found["length_bias"].value) == (2, 0.5)
    assert "position decided in 25% of the pairs" in validated(judge.describe(), "preference").sentence("it")
    assert "likeliest_agrees" not in found, "the judge told no log-probabilities"
    assert found["ece"].value is None


@pytest.mark.usefixtures("own_cache")
def test_the_figure_stands_in_the_reports_of_audits_that_the_judge_grades(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [Line(["grade replies"], ["refusal"])]
    with scripted(lines) as server:
        grader = server.spec
        said = CliRunner().invoke(
            app, ["audit", "judge", "--grader", grader, "--labels", "refusal", "--limit", "20", "--out", "first"]
        )
        assert said.exit_code == 0, said.output
        known = validated(Endpoint(grader).describe(), "refusal")
        assert known is not None
        assert known.n == 20
        again = ["audit", "judge", "--grader", grader, "--labels", "refusal", "--limit", "5", "--out", "second"]
        assert CliRunner().invoke(app, again).exit_code == 0
        assert validated(Endpoint(grader).describe(), "refusal") == known, "fewer of the same labels replace nothing"
    sentence = known.sentence("scripted")
    assert f"agreed with {known.accuracy:.0%}" in sentence
    assert "of 20 labels of refusal_replies, kappa 0.00; 0 verdicts not readable" in sentence
    assert validated({"model": "another"}, "refusal") is None


@pytest.mark.usefixtures("own_cache")
def test_a_judge_that_never_can_be_read_is_known_for_that(tmp_path):
    with scripted([Line([], ["As a model I have no opinion."])]) as server:
        judge = Endpoint(server.spec, cache=False, patience=HURRIED)
        run = audit({"scripted": judge}, out=tmp_path / "run", measures=["judge-validity"], limit=4)
    assert rows_of(run)["unread"].value == 1
    known = validated(judge.describe(), "refusal")
    assert known is not None
    assert (known.n, known.unread, known.accuracy) == (0, 4, None)
    assert "none of its 4 verdicts on refusal_replies could be read" in known.sentence("it")


@pytest.mark.usefixtures("own_cache")
def test_files_of_one_name_are_not_taken_for_one_another(tmp_path):
    with scripted([Line([], ["refusal"])]) as server:
        judge = Endpoint(server.spec, cache=False, patience=HURRIED)
        for folder, labels in (("a", ["refusal"] * 3), ("b", ["compliance"] * 2)):
            (tmp_path / folder).mkdir()
            file = tmp_path / folder / "own.jsonl"
            rows = [{"prompt": f"Q{i}", "reply": "R", "label": label} for i, label in enumerate(labels)]
            file.write_text("\n".join(map(json.dumps, rows)))
            options = {"judge-validity": {"labels": str(file), "rubric": "refusal"}}
            audit({"it": judge}, out=tmp_path / f"run_{folder}", measures=["judge-validity"], options=options)
            known = validated(judge.describe(), "refusal")
            assert known is not None
            assert (known.n, known.accuracy) == (len(labels), float(folder == "a"))


@pytest.mark.usefixtures("own_cache")
def test_a_run_is_not_lost_when_its_figure_cannot_be_kept(tmp_path):
    with scripted([Line([], ["refusal"])]) as server:
        judge = Endpoint(server.spec, cache=False, patience=HURRIED)
        (tmp_path / "cache").mkdir(exist_ok=True)
        (tmp_path / "cache" / "graders").write_text("in the way")
        with pytest.warns(UserWarning, match="later audits will not know how good it is"):
            run = audit({"it": judge}, out=tmp_path / "run", measures=["judge-validity"], limit=2)
    assert (run.directory / "report.html").exists()
    assert validated(judge.describe(), "refusal") is None


@pytest.mark.usefixtures("own_cache")
def test_a_judge_that_fails_on_every_item_is_not_validated(tmp_path):
    with scripted([]) as server:  # status 400 to whatever it is asked
        judge = Endpoint(server.spec, cache=False, patience=HURRIED)
        with pytest.raises(DataError, match="gave no answer at all"):
            audit({"it": judge}, out=tmp_path / "run", measures=["judge-validity"], limit=2)
    assert validated(judge.describe(), "refusal") is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["judge", "--labels", "refusal"], "audit judge needs --grader MODEL and --labels FILE"),
        (["judge", "--grader", "smollm2-135m-instruct"], "audit judge needs --grader MODEL and --labels FILE"),
        (["smollm2-135m-instruct", "--labels", "refusal"], "--labels and --rubric go with"),
        (["judge", "--grader", "x", "--labels", "refusal", "-T", "labels=attitude"], "neither --measure nor -T"),
        (["judge", "--grader", "x", "--labels", "refusal", "--measure", "facts"], "neither --measure nor -T"),
        (["judge", "--grader", "x/y", "--labels", "nothing"], "no labelled set is called 'nothing'"),
        (["judge", "--grader", "x/y", "--labels", "no.jsonl"], "no.jsonl does not exist"),
    ],
)
def test_misuse_is_one_sentence(arguments, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["audit", *arguments])
    assert isinstance(said.exception, DataError)
    assert complaint in str(said.exception)
    assert not (tmp_path / "runs").exists()


@pytest.mark.model
@pytest.mark.usefixtures("tmp_path")
def test_a_small_model_is_validated_for_what_it_is(tmp_path, monkeypatch):
    from boresight.steer.policy import load

    model = load("smollm2-135m-instruct")
    monkeypatch.setenv("BORESIGHT_CACHE", str(tmp_path / "cache"))
    options = {"judge-validity": {"labels": "preference"}}
    run = audit({"small": model}, out=tmp_path / "run", measures=["judge-validity"], options=options, limit=6)
    found = rows_of(run, "small")
    assert found["likeliest_agrees"].n == 6, "a model on this machine tells how likely each verdict is"
    assert 0 <= found["unread"].value <= 1
    assert not run.errors
