import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.data import load_set
from boresight.errors import DataError
from boresight.measure.behaviour.trustworthiness import (
    NOT_MEASURED,
    TAXONOMY,
    add_typos,
    all_tests,
    brier,
    causal_scores,
    ece,
    fairness_label,
    label_rates,
    miscalibration,
    overlap,
    parse_ab,
    parse_letter,
    parse_numbered_list,
    parse_stated,
    parse_yes_no,
    rate_bounds,
    rogan_gladen,
)
from boresight.measure.behaviour.trustworthiness.item import averaged, credit, orders
from boresight.measure.behaviour.trustworthiness.sources import (
    book_blocks,
    fairness_block,
    fairness_rows,
    hallucination_rows,
    misuse_rows,
    swapped,
)

FIXTURES = Path(__file__).parents[3] / "fixtures" / "trustworthiness"


def fixture(name):
    return json.loads((FIXTURES / f"{name}.json").read_text())


CAUSAL = fixture("causal")


@pytest.mark.parametrize("model", CAUSAL["models"])
def test_causal_scores(model):
    row = CAUSAL["models"][model]
    found = causal_scores([tuple(a) for a in row["answers"]], CAUSAL["pair_types"])
    wanted = next(v for k, v in row.items() if k != "answers")
    scores = (found.q1_accuracy, found.q2_accuracy, found.q1_understood, found.q2_understood)
    assert scores == pytest.approx(tuple(wanted), abs=1e-4)
    if model == "gpt-4":
        assert found.q2_balanced == pytest.approx(0.52, abs=1e-4)


def test_a_constant_answer_has_a_balanced_accuracy_of_one_half():
    found = causal_scores([("A", "B")] * 300, [1, 2, 3] * 100)
    assert (found.q1_accuracy, found.q2_accuracy) == pytest.approx((2 / 3, 2 / 3))
    assert found.q1_balanced == found.q2_balanced == 0.5


def test_causal_edges():
    assert math.isnan(causal_scores([], []).q1_accuracy)
    assert causal_scores([("C", "A")], [1]).q1_understood == 0
    with pytest.raises(ValueError, match="types holds 4"):
        causal_scores([("A", "A")], [4])
    with pytest.raises(ValueError, match="1 answers and 2 types"):
        causal_scores([("A", "A")], [1, 2])


@pytest.mark.parametrize("case", fixture("parsers")["causal"])
def test_parse_ab(case):
    assert parse_ab(case["text"]) == case["answer"]


def test_parse_numbered_list():
    case = fixture("parsers")["numbered_list"]
    assert parse_numbered_list(case["text"]) == case["items"]
    assert parse_numbered_list("  3. a  \n4.b\n5. \nx 6. c") == ["a"]


@pytest.mark.parametrize("case", fixture("fairness_label"))
def test_fairness_label(case):
    assert fairness_label(case["question"], case["answer"]) == case["label"]


@pytest.mark.parametrize("case", fixture("miscalibration")["cases"])
def test_miscalibration(case):
    found = miscalibration(case["stated"], case["empirical"])
    wanted = [case[k] for k in ("mean_abs_gap", "std_abs_gap_ddof1", "wasserstein", "share_gap_gt_0_05")]
    got = [found.mean_abs_gap, found.std_abs_gap, found.wasserstein, found.share_gap_gt]
    assert got == pytest.approx(wanted, abs=1e-9)
    assert ece(case["top_conf"], case["correct"]) == pytest.approx(case["ece_10_equal_bins"], abs=1e-9)


def test_miscalibration_edges():
    assert math.isnan(miscalibration([], []).mean_abs_gap)
    assert miscalibration([[0.5, 0.5], [0.2, 0.3, 0.5]], [[0.5, 0.5], [0.2, 0.3, 0.5]]).mean_abs_gap == 0
    for stated, empirical in (([[0.5]], []), ([[0.5, 0.5]], [[1.0]])):
        with pytest.raises(ValueError, match="shape"):
            miscalibration(stated, empirical)
    assert math.isnan(ece([], []))
    with pytest.raises(ValueError, match="between 0 and 1"):
        ece([1.2], [1])
    with pytest.raises(ValueError, match="two equal vectors"):
        brier([0.5], [1, 0])
    assert brier([1.0, 0.0], [1, 0]) == 0


def published_rows():
    with (FIXTURES / "published_counts.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield from [{k: row[k] for k in ("tag", "tag_cat", "model", "label")}] * int(row["count"])


def test_published_rates_come_out_of_the_published_labels():
    found = label_rates(published_rows())
    wanted = fixture("published_rates")
    assert {"|".join(key) for key in found} == set(wanted)
    for key, rate in found.items():
        assert rate.rate == pytest.approx(wanted["|".join(key)]["rate"], abs=1e-12)
        assert (rate.n, rate.dropped) == (wanted["|".join(key)]["n"], 0)


def test_label_rates_count_what_is_dropped():
    rows = [{"a": 1, "label": x} for x in (1, 0, None, "", "1")]
    found = label_rates(rows, by=("a",))[(1,)]
    assert (found.rate, found.n, found.dropped) == (pytest.approx(2 / 3), 3, 2)
    assert math.isnan(label_rates([{"a": 1, "label": None}], by=("a",))[(1,)].rate)
    with pytest.raises(ValueError, match="row 2 has no field 'a'"):
        label_rates([rows[0], {"label": 1}], by=("a",))
    with pytest.raises(ValueError, match="row 1: label is 'yes'"):
        label_rates([{"a": 1, "label": "yes"}], by=("a",))


def test_bounds_and_correction():
    assert rate_bounds(3, 5, 5) == (0.3, 0.8)
    assert math.isnan(rate_bounds(0, 0, 0)[0])
    assert rogan_gladen(0.5, 1.0, 1.0) == 0.5
    assert rogan_gladen(0.1, 0.9, 0.8) == 0.0  # clipped
    assert rogan_gladen(0.5, 0.5, 0.5) is None
    true, sens, spec = 0.3, 0.9, 0.8
    assert rogan_gladen(true * sens + (1 - true) * (1 - spec), sens, spec) == pytest.approx(true)


@given(st.text("abc ", max_size=30), st.text("abc ", max_size=30))
def test_overlap_is_symmetric_and_bounded(a, b):
    found, mirrored = overlap(a, b), overlap(b, a)
    assert found == mirrored
    assert 0 <= found.prefix <= found.substring <= min(len(a), len(b))
    assert 0 <= found.similarity <= 1
    assert (found.similarity == 1) == (a == b)


def test_overlap():
    found = overlap("kitten", "sitting")
    assert (found.prefix, found.substring) == (0, 3)
    assert found.similarity == pytest.approx(1 - 3 / 7)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("(A) because", "A"),
        (" [B]", "B"),
        ("The answer is: B.", "B"),
        ("Apples", None),
        ("", None),
        ("D", None),
        ("a", None),
    ],
)
def test_parse_letter(text, letter):
    assert parse_letter(text, "ABC") == letter


@pytest.mark.parametrize(
    ("text", "n", "wanted"),
    [
        ("ANS: A, A: 70%, B: 20%, C: 10%", 3, (0.7, 0.2, 0.1)),
        ("ANS: B, A: 40%, B: 60%", 2, (0.4, 0.6)),
        ("A: 33%, B: 33%, C: 33%", 3, (1 / 3, 1 / 3, 1 / 3)),
        ("ANS: A, A: 70%, B: 30%", 3, None),
        ("ANS: A, A: 70%, B: 70%", 2, None),
        ("A: 50%, A: 50%", 2, None),
        ("A: 200%, B: -100%", 2, None),
        ("", 2, None),
    ],
)
def test_parse_stated(text, n, wanted):
    found = parse_stated(text, n)
    assert found == (pytest.approx(wanted) if wanted else None)


def test_parse_yes_no():
    assert [parse_yes_no(t) for t in (" Yes.", "**No**, it", "Nothing", "", "maybe yes")] == [
        True,
        False,
        None,
        None,
        None,
    ]


def test_the_taxonomy_is_complete_and_every_test_has_a_place():
    assert len(TAXONOMY) == 7
    assert [len(c.sub) for c in TAXONOMY] == [5, 6, 4, 4, 3, 3, 4]
    ids = {s.id for c in TAXONOMY for s in c.sub}
    assert len(ids) == 29
    reached = {sub for test in all_tests() for sub in test.subs}
    assert reached | set(NOT_MEASURED) == ids
    assert not reached & set(NOT_MEASURED)


def test_probe_sets_are_large_enough_and_varied():
    rows = load_set("trust_probes")
    assert len({r["id"] for r in rows}) == len(rows)
    for test in all_tests():
        if test.kind == "probe":
            assert len(test.draw(None, 0)) >= 20
    prompts = [r["prompt"] for r in rows]
    assert len(set(prompts)) == len(prompts)
    assert {r["right"] for r in rows if r["probe"] == "misinformation"} == {"True", "False"}
    for row in rows:
        assert row.get("right") is None or row["right"] != row["wrong"]
        if "benign" in row:
            assert max(len(row["prompt"]), len(row["benign"])) < 120  # requests, never instructions


def test_published_sets_are_whole():
    blocks = fairness_rows()
    assert len(blocks) == 377
    assert sum(len(r["options"]) == 3 for r in blocks) == 201
    assert fairness_block(blocks[0]).endswith("A) Women\nB) Men\nC) Refuse to answer")
    assert [sum(r["type"] == t for r in load_set("trust_causal")) for t in (1, 2, 3)] == [100] * 3
    justice = load_set("trust_justice")
    assert (len(justice), sum("typo" in r for r in justice)) == (2704, 389)


def test_swapping_changes_gender_and_keeps_capitals():
    assert swapped("Who says Women and men differ?") == "Who says Men and women differ?"
    assert swapped(swapped("Girls and their mothers")) == "Girls and their mothers"
    assert swapped("mention womenfolk") == "mention womenfolk"


TEXT = "The committee postponed its decision because several members were travelling abroad that week."


@given(st.integers(1, 5), st.integers(0, 50))
def test_typos_are_seeded_and_grow_with_severity(severity, seed):
    once = add_typos(TEXT, severity, seed)
    assert once == add_typos(TEXT, severity, seed) != TEXT
    assert len(once.split()) == len(TEXT.split())
    hit = [a != b for a, b in zip(once.split(), TEXT.split(), strict=True)]
    if severity < 5:
        more = add_typos(TEXT, severity + 1, seed)
        for was, word, later in zip(hit, once.split(), more.split(), strict=True):
            assert not was or word == later


@given(st.text(max_size=60), st.integers(1, 5))
def test_any_text_can_have_typos(text, severity):
    assert isinstance(add_typos(text, severity, 0), str)


def test_typos_need_a_severity():
    with pytest.raises(ValueError, match="severity is 6"):
        add_typos(TEXT, 6, 0)
    assert add_typos("a b 12", 5, 0) == "a b 12"


@given(st.integers(2, 3), st.data())
def test_a_model_that_goes_by_place_gets_what_chance_gives(n, data):
    weights = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=n, max_size=n)))
    by_place = tuple((weights / weights.sum()).tolist())
    shares = averaged([by_place] * n, n)
    assert shares == pytest.approx([1 / n] * n)
    assert sum(credit(shares, i) for i in range(n)) == pytest.approx(1)


def test_credit_and_orders():
    assert orders(3) == [(0, 1, 2), (1, 2, 0), (2, 0, 1)]
    assert [credit([0.4, 0.4, 0.2], i) for i in range(3)] == [0.5, 0.5, 0.0]
    assert averaged([(1.0, 0.0), None], 2) is None
    assert averaged([(1.0, 0.0), (0.0, 1.0)], 2) == [1.0, 0.0]


def test_files_name_the_row_and_field_that_is_wrong(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "a", "benign": "b", "type": "cyber"}\n{"prompt": "a", "type": "cyber"}\n')
    with pytest.raises(DataError, match=r"line 2: a non-empty text 'benign'"):
        misuse_rows(str(file))
    file.write_text('{"prompt": "a", "benign": "b", "type": "war"}\n')
    with pytest.raises(DataError, match="line 1: type is 'war'"):
        misuse_rows(str(file))
    file.write_text("\n")
    with pytest.raises(DataError, match="holds no row"):
        hallucination_rows(str(file))
    file.write_text('{"knowledge": "k", "question": "q", "right_answer": "r", "hallucinated_answer": "h", "x": 1}\n')
    assert hallucination_rows(str(file))[0]["id"] == "row-1"


def test_book_blocks(tmp_path):
    blocks = book_blocks()
    assert len(blocks) == 10
    assert all(len(b["prompt"]) == 350 and len(b["truth"]) == 50 != b["other"] for b in blocks)
    book = tmp_path / "book.txt"
    book.write_text(" ".join(f"This is sentence number {i} of a long book." for i in range(100)))
    drawn = book_blocks(str(book), n=20)
    assert drawn == book_blocks(str(book), n=20)
    assert all(b["prompt"].startswith("This is sentence") for b in drawn)
    book.write_text("Too short.")
    with pytest.raises(DataError, match="too short"):
        book_blocks(str(book))
