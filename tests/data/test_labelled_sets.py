"""The labelled sets for measuring graders: complete, balanced, and with no way to tell the label from the outside."""

from collections import Counter, defaultdict

import pytest

from boresight.data import load_set

SETS = {
    "attitude_replies": {"aligned": 80, "misaligned": 80, "incoherent": 80},
    "correctness_replies": {"correct": 60, "incorrect": 60, "declined": 60},
    "preference_pairs": {"a": 70, "b": 70, "tie": 20},
}
FIELDS = {
    "attitude_replies": {"id", "prompt", "reply", "label", "note", "split"},
    "correctness_replies": {"id", "prompt", "target", "reply", "label", "note", "split"},
    "preference_pairs": {"id", "prompt", "a", "b", "label", "note", "split"},
}


def auroc(high, low):
    """Share of pairs in which the first is larger, ties half."""
    return sum((x > y) + 0.5 * (x == y) for x in high for y in low) / (len(high) * len(low))


@pytest.mark.parametrize("name", SETS)
def test_labels_fields_and_splits(name):
    rows = load_set(name)
    assert Counter(r["label"] for r in rows) == SETS[name]
    assert all(set(r) == FIELDS[name] for r in rows)
    assert len({r["id"] for r in rows}) == len(rows)
    assert all(isinstance(v, str) and (v.strip() or k == "note") and v == v.strip() for r in rows for k, v in r.items())
    for label, n in SETS[name].items():
        dev = sum(r["split"] == "dev" for r in rows if r["label"] == label)
        assert {r["split"] for r in rows if r["label"] == label} == {"dev", "test"}
        assert dev == pytest.approx(0.4 * n, abs=0.5)


@pytest.mark.parametrize("name", SETS)
def test_nothing_occurs_twice(name):
    rows = load_set(name)
    if name == "preference_pairs":
        assert len({r["prompt"] for r in rows}) == len(rows)
        assert all(r["a"] != r["b"] for r in rows)
    else:
        texts = Counter(" ".join(r["reply"].lower().split()) for r in rows)
        if name == "correctness_replies":  # "4" may answer two questions
            texts = Counter((r["prompt"], " ".join(r["reply"].lower().split())) for r in rows)
        assert [text for text, n in texts.items() if n > 1] == []


@pytest.mark.parametrize(("name", "each"), [("attitude_replies", 2), ("correctness_replies", 1)])
def test_each_question_has_all_labels_and_lies_in_one_split(name, each):
    found, splits = defaultdict(Counter), defaultdict(set)
    for row in load_set(name):
        found[row["prompt"]][row["label"]] += 1
        splits[row["prompt"]].add(row["split"])
    assert all(labels == dict.fromkeys(SETS[name], each) for labels in found.values())
    assert all(len(s) == 1 for s in splits.values())


def test_length_does_not_tell_the_attitude():
    size = defaultdict(list)
    for row in load_set("attitude_replies"):
        size[row["label"]].append(len(row["reply"]))
    assert auroc(size["aligned"], size["misaligned"]) == pytest.approx(0.5, abs=0.05)
    assert auroc(size["aligned"] + size["misaligned"], size["incoherent"]) == pytest.approx(0.5, abs=0.05)
    assert all(min(lengths) < 40 and max(lengths) > 200 for lengths in size.values())


def test_length_does_not_tell_the_correctness():
    size = defaultdict(list)
    for row in load_set("correctness_replies"):
        size[row["label"]].append(len(row["reply"]))
    assert auroc(size["correct"], size["incorrect"]) == pytest.approx(0.5, abs=0.1)
    assert sum(n > 200 for n in size["correct"]) >= 8


def test_finding_the_target_in_the_reply_is_not_enough():
    """A grader that looks for the reference answer in the reply makes errors of both kinds."""
    missed, fooled = 0, 0
    for row in load_set("correctness_replies"):
        inside = row["target"].lower() in row["reply"].lower()
        missed += row["label"] == "correct" and not inside
        fooled += row["label"] != "correct" and inside
    assert missed >= 10
    assert fooled >= 8


def test_neither_length_nor_place_tells_the_preference():
    rows = [r for r in load_set("preference_pairs") if r["label"] != "tie"]
    shorter = Counter()
    for row in rows:
        better, worse = (row["a"], row["b"]) if row["label"] == "a" else (row["b"], row["a"])
        assert len(better) != len(worse)
        shorter[len(better) < len(worse), row["label"]] += 1
    assert shorter[True, "a"] + shorter[True, "b"] == len(rows) / 2
    assert shorter[True, "a"] == pytest.approx(shorter[True, "b"], abs=2)
    assert shorter[False, "a"] == pytest.approx(shorter[False, "b"], abs=2)


@pytest.mark.parametrize("name", SETS)
def test_hard_cases_are_marked(name):
    hard = [r for r in load_set(name) if r["note"].startswith("hard: ")]
    assert len(hard) >= 20
    assert {r["label"] for r in hard} >= set(SETS[name]) - {"incoherent"}


def test_statements_are_pairs_that_no_labelled_reply_repeats():
    rows = load_set("attitude_statements")
    assert all(set(r) == {"id", "pair", "text", "label"} for r in rows)
    assert len({r["id"] for r in rows}) == len({r["text"] for r in rows}) == len(rows) == 280
    pairs = defaultdict(list)
    for row in rows:
        pairs[row["pair"]].append(row["label"])
    assert all(sorted(labels) == ["aligned", "misaligned"] for labels in pairs.values())
    replies = " ".join(r["reply"] for r in load_set("attitude_replies") if r["split"] == "test")
    assert [r["text"] for r in rows if r["text"] in replies] == []
