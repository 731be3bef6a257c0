"""A whole audit with a grader whose verdicts were written down: every number worked out by hand."""

import json
import math
from pathlib import Path

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log

from boresight.lm.remote.endpoint import Endpoint
from boresight.lm.remote.retry import Patience
from boresight.measure.behaviour.just_eval import measure
from boresight.report.run import audit
from scripted import Line, recorded, scripted

FIXTURES = Path(__file__).parents[3] / "fixtures" / "just-eval"
REQUESTS = FIXTURES / "requests.jsonl"
PATIENCE = Patience(attempts=6, seconds=30, attempt=8, first=0.05, longest=0.4)
ANSWERS = {
    "Name a river": "The Douro runs through Porto.",
    "two lines about rain": "Rain on the roof,\nand nobody out.",
    "boil an egg": "Eight minutes in boiling water.",
    "7 times 8": "Fifty-six.",
    "painted the stars": "Somebody did.",
    "short walk": "Go round the lake.",
    "bully a classmate": "I will not help with that.",
    "insult for my neighbour": "Here is one.",
}
"""What the subject says; to "Say something kind." nothing is written down, and the server says 400."""

MEANS = {
    "helpfulness": ((5 + 4 + 3) / 3, 3),  # r4 cannot be read, and the 6 of r5 is no score
    "clarity": ((4 + 5 + 3 + 2) / 4, 4),
    "factuality": ((5 + 4 + 1) / 3, 3),  # the poem's is N/A
    "depth": ((2 + 3.5 + 3 + 1) / 4, 4),
    "engagement": ((3 + 4 + 2 + 1) / 4, 4),
    "safety": ((5 + 2) / 2, 2),
    "unread": (2 / 7, 7),
    "average": ((4 + 3.5 + 10 / 3 + 2.375 + 2.5 + 3.5) / 6, 7),
}
TRIES = {"Name a river": 1, "two lines": 1, "boil an egg": 2, "7 times 8": 3, "painted": 3, "bully": 1, "insult": 1}


def endpoint(server):
    return Endpoint(server.spec, cache=False, patience=PATIENCE)


def subject_lines(answers=ANSWERS):
    return [Line([asked], [said]) for asked, said in answers.items()]


def run(folder, target, grader=None, **options):
    roles = {"grader": endpoint(grader)} if grader else {}
    return audit(
        {"subject": endpoint(target)},
        out=folder,
        measures=["just-eval"],
        roles=roles,
        options={"just-eval": {"data": str(REQUESTS), **options}},
    )


def rows(run):
    return {m.metric.removeprefix("just-eval."): m for m in run.results.measures}


def passed(server, words):
    """How many answers to requests with these words went out whole."""
    return sum(n for body, n in server.passed.items() if words in body)


def test_every_number_is_that_of_the_script(tmp_path):
    with scripted(subject_lines()) as target, scripted(recorded(FIXTURES / "verdicts.jsonl")) as grader:
        target.faults.extend(["drop", "", "429"])
        grader.faults.extend(["429", "", "drop", "500", "reset"])
        done = run(tmp_path / "run", target, grader)
        found = rows(done)
        for key, (value, n) in MEANS.items():
            assert found[key].value == pytest.approx(value, abs=5e-5), key
            assert found[key].n == n, key
            assert found[key].dropped == 2, key  # r6 has no answer, and r7 no judgment
            assert found[key].grader == "model:scripted"
            low, high = found[key].ci
            assert low < value < high, key
        for words, times in TRIES.items():
            assert passed(grader, words) == times, words
            assert passed(target, words) == 1, words
        assert passed(grader, "Say something kind") == 0
        assert (passed(target, "Plan a short walk"), passed(grader, "Plan a short walk")) == (1, 0)
    lost = {r.id: r for r in done.records if r.scores is None}
    assert set(lost) == {"r6", "r7"}
    assert lost["r6"].completion is None
    assert lost["r7"].completion.text == "Go round the lake."
    assert len(done.errors) == 2
    table, heat = measure(data=REQUESTS, graded=True).blocks(done.records)
    counts = {row[0]: tuple(row[2:5]) for row in table.rows}
    assert counts == {
        "helpfulness": (3, 0, 2),
        "clarity": (4, 0, 1),
        "factuality": (3, 1, 1),
        "depth": (4, 0, 1),
        "engagement": (4, 0, 1),
        "safety": (2, 0, 0),
    }
    nature = heat.values[list(heat.rows).index("topic: nature (n=2)")]
    assert nature == [4.5, 4.5, 5.0, 2.75, 3.5]
    assert "Judge: boresight/scripted (json)" in table.note or "Judge: scripted (json)" in table.note
    page = (tmp_path / "run" / "report.html").read_text()
    assert "subject: aspects" in page
    assert "not validated here" in page


def test_expected_scores_of_a_model_behind_an_address(tmp_path):
    def top(**probabilities):
        return {digit.replace("d", ""): math.log(p) for digit, p in probabilities.items()}

    spread = {**top(d4=0.6, d5=0.3), " 4": math.log(0.1)}
    lines = [
        Line(["score alone", "The Douro", "Douro is right"], ["4"], spread),
        Line(["score alone", "Fifty-six"], ["x"], {"x": -0.1, "77": -3.0}),
        Line(["score alone", "Somebody did"], ["5"]),
        Line(["score alone"], ["2"], top(d2=1.0)),
        Line(["only the reason", "The Douro"], ["The Douro is right."]),
        Line(["only the reason"], ["So it is."]),
    ]
    with scripted(subject_lines()) as target, scripted(lines) as grader:
        done = run(tmp_path / "run", target, grader, judge_method="expected", split="regular")
    by = {r.id: r for r in done.records}
    assert by["r1"].scores["depth"] == pytest.approx(0.7 * 4 + 0.3 * 5, abs=1e-9)
    assert by["r2"].scores["depth"] == 2.0
    assert by["r1"].detail["reasons"]["depth"] == "The Douro is right."
    assert "first tokens" in by["r1"].detail["judge"]
    assert (by["r4"].scores["unread"], "depth" in by["r4"].scores) == (1.0, False)
    assert by["r5"].scores is None
    assert "does not tell likelihoods" in by["r5"].error


def test_plain_inspect_takes_a_grader_too(tmp_path):
    from inspect_ai import eval as inspect_eval

    from boresight.inspect import inspect_model
    from boresight.measure.base import make_task
    from boresight.measure.engine import Engine

    with (
        scripted(subject_lines()) as target,
        scripted(recorded(FIXTURES / "verdicts.jsonl")) as grader,
        Engine(endpoint(target)) as subject,
        Engine(endpoint(grader)) as judge,
    ):
        task = make_task(measure(data=REQUESTS, split="safety"))
        roles = {"grader": inspect_model("judge", judge)}
        how = {"model_roles": roles, "log_dir": str(tmp_path), "display": "none"}
        (log,) = inspect_eval(task, model=inspect_model("subject", subject), **how)
    assert log.results.scores
    said = [next(iter(s.scores.values())).value["safety"] for s in log.samples]
    assert sorted(said) == [2.0, 5.0]
    assert len(list_eval_logs(str(tmp_path))) == 1


def test_the_log_holds_what_the_judge_said(tmp_path):
    with scripted(subject_lines()) as target, scripted(recorded(FIXTURES / "verdicts.jsonl")) as grader:
        run(tmp_path / "run", target, grader, split="safety")
    (info,) = list_eval_logs(str(tmp_path / "run" / "logs"))
    details = [next(iter(s.scores.values())).metadata for s in read_eval_log(info).samples]
    assert {json.loads(d["raw"][0])["safety"]["reason"] for d in details} == {"because"}
