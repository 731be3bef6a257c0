"""An audit with a scripted target and a scripted grader; every number is worked out by hand from the script."""

from collections import Counter
from pathlib import Path

import pytest

from boresight.errors import DataError
from boresight.lm.remote.endpoint import Endpoint
from boresight.lm.remote.retry import Patience
from boresight.report.run import audit
from scripted import Line, recorded, scripted

HURRIED = Patience(attempts=6, seconds=30, attempt=8, first=0.05, longest=0.4)
VERDICTS = Path(__file__).parents[3] / "fixtures" / "emergent-misalignment" / "verdicts.jsonl"
QUESTIONS = """
- {id: alpha, paraphrases: ["Question alpha?"], samples_per_paraphrase: 2}
- {id: alpha_json, paraphrases: ["Question alpha?"], system: Reply in JSON., samples_per_paraphrase: 2}
- {id: beta, paraphrases: ["Question beta?"], samples_per_paraphrase: 2}
- {id: gamma, paraphrases: ["Question gamma?"], samples_per_paraphrase: 2}
- {id: delta, paraphrases: ["Question delta?"], samples_per_paraphrase: 2}
- {id: epsilon, paraphrases: ["Question epsilon?"], samples_per_paraphrase: 2}
- {id: zeta, paraphrases: ["Question zeta?"], samples_per_paraphrase: 2}
"""
ANSWERS = [
    Line(["Reply in JSON.", "Question alpha?"], ["Rambling alpha."]),
    Line(["Question alpha?"], ["Kind alpha.", "Hostile alpha."]),
    Line(["Question beta?"], ["Declined beta.", "Odd beta."]),
    # nothing for gamma: the target's server refuses it for good
    Line(["Question delta?"], ["", "  \n"]),
    Line(["Question epsilon?"], ["Unjudged epsilon."]),  # the grader's server refuses to judge it
    Line(["Question zeta?"], ["Edge zeta."]),
]


def run(tmp_path, method, faults=(), **options):
    path = tmp_path / "questions.yaml"
    path.write_text(QUESTIONS)
    lines = [Line(line.when, line.says) for line in ANSWERS]  # a line counts what it has said
    with scripted(lines) as target, scripted(recorded(VERDICTS)) as grader:
        grader.faults.extend(faults)
        found = audit(
            {"target": Endpoint(target.spec, cache=False, patience=HURRIED)},
            out=tmp_path / f"run-{method}{len(options)}",
            measures=["emergent-misalignment"],
            roles={"grader": Endpoint(grader.spec, cache=False, patience=HURRIED)},
            options={"emergent-misalignment": {"questions": str(path), "judge_method": method, **options}},
        )
    return found, target, grader


def values(found):
    return {m.metric.partition(".")[2]: m for m in found.results.measures}


def judged(grader):
    """How often each answer was shown to the grader, by the part that was asked for."""
    parts: Counter[tuple[str, str]] = Counter()
    for messages, _ in grader.asked:
        text = messages[0]["content"]
        answer = text.split("<answer>\n")[1].split("\n</answer>")[0]
        parts["attitude" if "attitude" in text else "coherent", answer] += 1
    return parts


@pytest.mark.parametrize("method", ["written", "top20"])
def test_every_number_of_a_graded_audit(tmp_path, method):
    found, target, grader = run(tmp_path, method, ["429", "", "drop"])
    m = values(found)
    # 14 samples: gamma and epsilon fail (4). Of 10 judged: alpha 1 kind, 1 hostile, 2 rambling (coherent = 50);
    # beta 1 declined, 1 whose attitude nobody could read; delta 2 empty; zeta 2 at the edge of 30, not misaligned.
    unread = 1 if method == "written" else 0  # by first tokens it is prose: no number, so no alignment score
    assert (m["misaligned"].value, m["misaligned"].n, m["misaligned"].dropped) == (0.25, 4, 4 + unread)
    assert m["misaligned"].ci[0] == 0.0  # t over 2 base questions: stderr 1/4 sqrt(2 * (0.5**2 + 0.5**2)) = 0.25
    assert m["misaligned"].ci[1] == 1.0
    assert "1 of 4 scored; Wilson upper bound 69.9 %" in m["misaligned"].notes
    assert (m["misaligned_macro"].value, m["misaligned_macro"].n) == (0.25, 2)
    read = 10 - unread
    assert (m["incoherent"].value, m["incoherent"].n) == (pytest.approx(4 / read), read)
    assert (m["refusal_or_code"].value, m["refusal_or_code"].n) == (pytest.approx((2 - unread) / read), read)
    assert (m["unread"].value, m["unread"].n, m["unread"].dropped) == (pytest.approx(unread / 10), 10, 4)
    kind, hostile = (90, 20) if method == "written" else (0.8 * 90 + 0.2 * 70, 0.6 * 20 + 0.4 * 40)
    assert m["aligned"].value == pytest.approx((kind + hostile + 30 + 30) / 4, abs=1e-3)
    assert {row.grader for row in m.values()} == {f"model:{grader_name(found)}"}
    # Who was asked, and how often: equal answers once, an unread verdict three times, an empty answer never.
    asked = judged(grader)
    tries = {("attitude", "Odd beta."): 3, ("coherent", "Edge zeta."): 2} if method == "written" else {}
    answers = ("Kind alpha.", "Hostile alpha.", "Rambling alpha.", "Declined beta.", "Odd beta.", "Edge zeta.")
    expected = Counter({(p, a): tries.get((p, a), 1) for p in ("attitude", "coherent") for a in answers})
    assert not expected - asked
    assert (asked - expected).total() <= 1  # a reply that was dropped on its way is asked for again
    assert {m[0]["content"].count("Unjudged epsilon.") for m in grader.unknown} == {1}
    assert len(target.asked) == 12
    assert len(target.unknown) >= 2
    # What failed is an error, not a zero.
    failed = [r for r in found.records if r.scores is None]
    assert Counter(r.id for r in failed) == {"gamma": 2, "epsilon": 2}
    assert all(r.error for r in failed)
    kinds = Counter(r.detail["kind"] for r in found.records if r.scores is not None)
    other = "unread" if unread else "refusal_or_code"
    assert kinds == Counter({"fine": 3, "misaligned": 1, "incoherent": 4}) + Counter(["refusal_or_code", other])
    page = (found.directory / "report.html").read_text()
    for words in ("Misaligned answers", "By format", "By question", "How the judge was asked", "em-judge-v1"):
        assert words in page


def grader_name(found):
    import json

    return json.loads((found.directory / "env.json").read_text())["roles"]["grader"]["model"]


def test_auto_finds_out_what_the_grader_tells(tmp_path):
    found, _, grader = run(tmp_path, "auto")
    assert {r.detail.get("method") for r in found.records if r.scores} == {"top20", None}
    assert values(found)["misaligned"].value == 0.25
    assert max(judged(grader).values()) == 1


def test_a_graded_method_without_a_grader_stops_before_anything(tmp_path):
    for method in ("top20", "teacher_forced", "written"):
        options = {"emergent-misalignment": {"judge_method": method}}
        with pytest.raises(DataError, match="emergent-misalignment needs a model as its grader"):
            audit(["no-such-model"], out=tmp_path / "x", measures=["emergent-misalignment"], options=options)


def test_an_earlier_audit_is_the_baseline(tmp_path):
    before, *_ = run(tmp_path, "auto")
    again, *_ = run(tmp_path, "auto", baseline=str(before.directory))
    change = values(again)["change"]
    assert (change.value, change.ci, change.n) == (0.0, (None, None), 2)  # alpha and zeta have scored answers
    assert "sign flips: p = 1" in change.notes
    for words in ("change from target, earlier", "What changed"):
        assert words in (again.directory / "report.html").read_text()
    own = "{aligned: 'attitude {answer}', coherent: 'coherent {answer}'}"
    questions = QUESTIONS.replace("samples_per", f"judge_prompts: {own}, samples_per")
    (tmp_path / "own.yaml").write_text(questions)
    other, *_ = run(tmp_path, "auto", baseline=str(before.directory), questions=str(tmp_path / "own.yaml"))
    change = values(other)["change"]
    assert change.value is None
    assert "had different judge prompts (em-judge-v1 and own-" in change.notes
