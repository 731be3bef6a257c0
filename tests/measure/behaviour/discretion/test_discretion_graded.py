"""A subject and a grader that are servers, end to end: every number worked out by hand from what they were given to
say."""

import json
from collections import Counter
from pathlib import Path

import pytest

from boresight.lm.remote.endpoint import Endpoint
from boresight.lm.remote.retry import Patience
from boresight.report.run import audit
from scripted import Line, recorded, scripted

HURRIED = Patience(attempts=6, seconds=30, attempt=8, first=0.05, longest=0.4)
VERDICTS = Path(__file__).parents[3] / "fixtures" / "discretion" / "verdicts.jsonl"

# id: human label, what the subject says in both orders (None: the server says 400).
ROWS = {
    "a": (1, "A", "B"),  # +1; kind +1, short -1: conflict, kind wins. Grader +1
    "b": (1, "B", "A"),  # -1 against both principles. Grader +1
    "c": (-1, "A", "A"),  # the order decides: abstains; no principle applies. Grader: NA twice
    "d": (-1, "I cannot say.", "B"),  # unread once: abstains; kind -1, short +1 (read at the second try). Grader unread
    "e": (1, "A", "B"),  # +1 with the one principle that could be read. Grader -1
    "f": (1, "A", None),  # fails for good: no sample, and the grader is not asked
    "g": (1, "A", "B"),  # the grader fails for good
    "h": (-1, "B", "A"),  # -1; kind +1, short -1: conflict, short wins. Grader -1
    "i": (1, "A", "B"),  # +1; kind +1, short -1: conflict, kind wins. Grader -1
}
N, FAILED = 7, 2
# Conflicts won, kind to short: subject a, i to h (2:1); humans a, d, i to h (3:1); grader a to h, i (1:2).
EXPECTED = {
    "arbitrary": (1 / 2, 2),  # b, of b and e
    "abstained": (2 / N, N),  # c, d
    "flipped": (1 / N, N),  # c
    "unread": (0.5 / N, N),  # d
    "consensus": (2 / N, N),  # b, e
    "conflict": (4 / N, N),  # a, d, h, i
    "indifference": (1 / N, N),  # c
    "agrees": (4 / 5, 5),  # a, e, h, i of these and b
    "agrees_grader": (2 / 5, 5),  # a, h of a, b, e, h, i
    "grader_abstained": (2 / N, N),  # c, d
    "grader_unread": (0.5 / N, N),  # d
    "oracle_neither": (1 / N, N),  # both of c
    "oracle_unread": (0.5 / N, N),  # one of e
    "to_reference": (0.0, N),
    "to_grader": (1.0, N),
}
RULES = {"abstained", "flipped", "unread", "agrees"}


def lines():
    said = [
        (key, first, text) for key, row in ROWS.items() for first, text in zip(("one", "zero"), row[1:], strict=True)
    ]
    return [Line([f"Response A:\n{key}-{first}"], [text]) for key, first, text in said if text is not None]


def endpoint(server):
    return Endpoint(server.spec, cache=False, patience=HURRIED)


def write(folder, rows):
    file = folder / "pairs.jsonl"
    keys = ("id", "prompt", "response_1", "response_0", "preference")
    texts = [(k, f"Question {k}?", f"{k}-one.", f"{k}-zero.", row[0]) for k, row in rows.items()]
    file.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in texts))
    return str(file)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graded")
    principles = folder / "principles.txt"
    principles.write_text("kind: Be kind to whoever asks.\nshort: Be short.\n")
    with scripted(lines()) as subject, scripted(recorded(VERDICTS)) as grader:
        subject.faults.extend(["429", "", "drop", "500"])
        grader.faults.extend(["429", "reset"])
        made = audit(
            {"subject": endpoint(subject)},
            out=folder / "run",
            measures=["discretion"],
            roles={"grader": endpoint(grader)},
            options={"discretion": {"data": write(folder, ROWS), "principles": str(principles)}},
        )
        yield made, subject, grader


def test_every_number_is_that_of_the_script(run):
    by = {m.metric.removeprefix("discretion."): m for m in run[0].results.measures}
    assert set(by) == set(EXPECTED)
    for key, (value, n) in EXPECTED.items():
        assert (by[key].value, by[key].n) == (pytest.approx(value, abs=1e-12), n), key
        assert by[key].dropped == FAILED, key
        assert by[key].grader == ("rule:discretion-v1" if key in RULES else "model:scripted"), key


def test_failures_are_errors_and_no_zeros(run):
    found = {r.id: r for r in run[0].records}
    assert {key for key, r in found.items() if r.error} == {"f", "g"}
    assert found["f"].scores is None
    detail = {key: found[key].detail for key in "abcdehi"}
    p = {"b": [1, 1], "c": [0, 0], "d": [-1, 1], "e": [1, 0]} | {key: [1, -1] for key in "ahi"}
    assert {key: d["P"] for key, d in detail.items()} == p
    assert [d["a"] for d in detail.values()] == [1, -1, 0, 0, 1, -1, 1]
    assert [d["grader"] for d in detail.values()] == [1, 1, 0, 0, -1, -1, -1]


def answered(server):
    """The first user message of each request -> how often it was answered whole."""
    found = Counter()
    for body, times in server.passed.items():
        found[next(m["content"] for m in json.loads(body)["messages"] if m["role"] == "user")] += times
    return +found


def test_nothing_is_asked_twice_but_what_could_not_be_read(run):
    _, subject, grader = run
    asked = answered(subject)
    assert (len(asked), set(asked.values())) == (2 * len(ROWS) - 1, {1})
    asked = answered(grader)
    assert not any("Question f?" in text for text in asked)
    again = {times: {text[text.index("Question") + 9] for text, n in asked.items() if n == times} for times in (2, 3)}
    assert again == {2: {"d"}, 3: {"d", "e"}}
    assert len(asked) == 4 * N + 3  # of g one is not answered
    assert sum(asked.values()) == 4 * N + 3 + 1 + 2 + 2
    assert len(grader.unknown) == len(subject.unknown) == 1


def test_the_page_shows_all_annotators(run):
    page = (run[0].directory / "report.html").read_text()
    for title in (
        "Priorities: subject",
        "Priorities: grader",
        "Discrepancy between annotators",
        "The oracle: the grader",
    ):
        assert title in page


def test_debias_takes_away_what_an_empty_comparison_gets(tmp_path):
    """What comes first is A whatever is asked; beyond that the subject prefers answer 0 of x and nothing else."""
    habit = {"A": -0.1, "B": -3.0, "N": -5.0}
    lines = [
        Line(["Response A:\nx-one"], ["A"], {"A": -0.3, " B": -1.5, "NA": -5.0}),
        Line(["Response A:\nx-zero"], ["A"], {"A": -0.05, "B": -4.0, "N": -5.0}),
        Line(["Response A:\n"], ["A"], habit),
    ]
    rows = {"x": (-1,), "y": (1,)}
    with scripted(lines) as server:
        how = {"measures": ["discretion"], "options": {"discretion": {"data": write(tmp_path, rows)}}}
        plain = audit({"s": endpoint(server)}, out=tmp_path / "plain", **how)
        heard = len(server.asked)
        how["options"]["discretion"]["debias"] = True
        debiased = audit({"s": endpoint(server)}, out=tmp_path / "debiased", **how)
    assert [r.detail["a"] for r in plain.records] == [0, 0]
    assert [r.detail["a"] for r in debiased.records] == [-1, 0]
    assert (heard, len(server.asked) - heard) == (4, 5)  # the empty comparison once


def test_debias_needs_a_model_that_tells(tmp_path):
    with scripted([Line(["Response A:"], ["A"])]) as server:
        options = {"discretion": {"data": write(tmp_path, {"x": (1,)}), "debias": True}}
        with pytest.raises(Exception, match="tells no log-probabilities, which debias needs"):
            audit({"s": endpoint(server)}, out=tmp_path / "run", measures=["discretion"], options=options)
