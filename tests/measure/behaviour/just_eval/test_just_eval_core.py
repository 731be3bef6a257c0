import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boresight.errors import DataError
from boresight.measure.behaviour.just_eval import (
    ASPECTS,
    Answer,
    HeuristicJudge,
    aggregate,
    built_in,
    by_tag,
    combine_orders,
    compare_reports,
    expected_score,
    judge_prompt,
    judge_validity,
    just_eval,
    lite_ids,
    load_answers,
    load_just_eval,
    pairwise_prompt,
    pairwise_shares,
    parse_choices,
    parse_judgment,
    table_average,
)
from boresight.measure.behaviour.just_eval.metrics import average_interval, spearman, spearman_interval
from boresight.measure.behaviour.just_eval.model_judge import digit_logprobs, max_words
from boresight.measure.behaviour.just_eval.parse import repair
from boresight.measure.behaviour.just_eval.prompts import MULTI, shorten, slot_opening

FIXTURES = Path(__file__).parents[3] / "fixtures" / "just-eval"


def fixture(name):
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("report", "policy", "key"),
    [
        *((r, "five", "report_reference_na5") for r in [fixture("report_general"), *fixture("report_safety")]),
        (fixture("report_general"), "exclude", "report_na_excluded"),
    ],
)
def test_aggregation_is_that_of_the_published_judgments(report, policy, key):
    found = aggregate(report["items"], policy)
    for name, value in report[key].items():
        assert found[name] == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("case", fixture("judge_parsing"))
def test_what_the_reference_parses_is_parsed_alike(case):
    for aspect, said in (case["reference_parsed"] or {}).items():
        found = parse_judgment(case["raw"], [aspect])
        if said["score"] == "6":
            assert "6" in found.errors[aspect]
        elif said["score"] == "N/A":
            assert found.na == [aspect]
        else:
            assert found.scores == {aspect: float(said["score"])}
    if case["reference_parsed"] is None:
        found = parse_judgment(case["raw"], ["helpfulness"])
        assert found.scores == {"helpfulness": 4.0} if "hello" in case["raw"] else found.errors["helpfulness"]


@pytest.mark.parametrize(
    ("raw", "how", "scores"),
    [
        ('{"clarity": {"reason": "ok", "score": 4}, "depth": {"reason": "ok", "score": "2.5"}}', "strict", [4, 2.5]),
        ('{"clarity": {"reason": "a\nb", "score": "4",}, "depth": {"score": 2}', "repaired", [4, 2]),
        (r'{"clarity": {"reason": "a \d b", "score": "4"}, "depth": {"reason": "x", "score": 1}}', "repaired", [4, 1]),
        ('{"clarity": {"score": "4"}} {"depth": {"score": "2"}}', "pattern", [4, 2]),
        ("{'clarity': {'reason': 'x', 'score': '4'}, 'depth': {'score': '1'}}", "pattern", [4, 1]),
        ('{"Clarity": {"Reason": "x", "Score": "3"}, "DEPTH": {"score": "5"}}', "strict", [3, 5]),
    ],
)
def test_the_mildest_reading_that_is_enough(raw, how, scores):
    found = parse_judgment(raw, ["clarity", "depth"])
    assert found.how == how
    assert found.scores == dict(zip(["clarity", "depth"], scores, strict=True))


@pytest.mark.parametrize(
    "score", ["0", "5.5", "-1", "null", "true", '"six"', "[3]", '{"a": 1}', '""', "NaN", "1e999", '"1_0"', "9" * 5000]
)
def test_a_bad_score_is_an_error_of_its_aspect_alone(score):
    raw = f'{{"clarity": {{"reason": "x", "score": {score}}}, "depth": {{"reason": "y", "score": "3"}}}}'
    found = parse_judgment(raw, ["clarity", "depth"])
    assert list(found.errors) == ["clarity"]
    assert found.errors["clarity"]
    assert found.scores == {"depth": 3.0}


def test_a_cut_reply_keeps_what_is_whole():
    raw = '{"clarity": {"reason": "good", "score": "4"}, "depth": {"reason": "it goes'
    found = parse_judgment(raw, ["clarity", "depth"])
    assert found.scores == {"clarity": 4.0}
    assert list(found.errors) == ["depth"]


def test_two_scores_that_disagree_are_not_chosen_between():
    raw = '{"depth": {"score": "2"}} or rather {"depth": {"score": "4"}}'
    assert "several" in parse_judgment(raw, ["depth"]).errors["depth"]


@given(st.text(alphabet='{}[]":,\\ns core1/NA\n`depth', max_size=200))
def test_each_aspect_is_in_exactly_one_place(text):
    found = parse_judgment(text, MULTI)
    assert sorted([*found.scores, *found.na, *found.errors]) == sorted(MULTI)
    assert all(1 <= s <= 5 for s in found.scores.values())
    assert all(found.errors.values())


@given(
    st.dictionaries(
        st.sampled_from(ASPECTS),
        st.fixed_dictionaries({"reason": st.text(max_size=40), "score": st.sampled_from(["1", "2.5", 3, 4.0, "n/a"])}),
        min_size=1,
    )
)
def test_valid_json_is_strict_and_repair_leaves_its_meaning(said):
    text = json.dumps(said)
    assert parse_judgment(text, list(said)).how == "strict"
    assert not parse_judgment(text, list(said)).errors
    for reason in said.values():
        assert reason["reason"] == parse_judgment(text, list(said)).reasons[_of(said, reason)]


def _of(said, value):
    return next(k for k, v in said.items() if v is value)


@given(st.lists(st.text(alphabet="ab ", max_size=8), min_size=1, max_size=4))
def test_quotes_inside_a_reason_are_mended(words):
    inner = '"'.join(f" {w}x " for w in words)
    found = json.loads(repair(f'{{"depth": {{"reason": "{inner}", "score": "2"}}}}'))
    assert found == {"depth": {"reason": inner, "score": "2"}}


def test_na_policies_and_failures_are_counted():
    items = [
        {"id": 1, "scores": {"factuality": "N/A", "depth": 4}, "n_words": 10},
        {"id": 2, "scores": {"factuality": "2", "depth": "7"}, "n_words": 20},
        {"id": 3, "scores": {"factuality": True}, "n_words": 0},
    ]
    found = aggregate(items)
    assert found["factuality_mean"] == 2.0
    assert aggregate(items, "five")["factuality_mean"] == 3.5
    assert aggregate(items, "three")["factuality_mean"] == 2.5
    assert found["n_na"] == {"factuality": 1, "depth": 0}
    assert found["n_failed"] == {"factuality": 1, "depth": 2}
    assert (found["total"], found["avg_lens"]) == (3, 10.0)
    assert table_average(found, ["factuality", "depth"]) == 3.0


def test_nothing_scored_has_no_mean():
    found = aggregate([{"id": 1, "scores": {"depth": None}, "n_words": 1}])
    assert found["depth_mean"] is None
    assert aggregate([])["total"] == 0
    assert table_average(found, ["depth"]) is None


def test_duplicates_and_unknown_policies_are_refused():
    twice = [{"id": 1, "scores": {}, "n_words": 1}] * 2
    with pytest.raises(DataError, match="occurs 2 times"):
        aggregate(twice)
    with pytest.raises(DataError, match="na_policy"):
        aggregate([], "zero")  # type: ignore[arg-type]


def test_items_of_any_form_are_read_and_a_missing_field_is_named():
    import numpy as np

    rows = [
        {"id": 1, "scores": {"depth": np.int64(4)}, "n_words": np.float32(3)},
        {"id": 2, "scores": None, "n_words": 5},
    ]
    found = aggregate(row for row in rows)
    assert (found["depth_mean"], found["n_failed"], found["avg_lens"]) == (4.0, {"depth": 1}, 4.0)
    for bad, words in [
        ({"id": 1, "n_words": 2}, "item 2 has no field 'scores'"),
        ({"scores": {}, "n_words": 2}, "item 2 has no field 'id'"),
        ({"id": 3, "scores": {}}, "item 2 has no field 'n_words'"),
        ({"id": 3, "scores": {}, "n_words": None}, "n_words is None"),
        ({"id": 3, "scores": {}, "n_words": math.nan}, "n_words is nan"),
        ({"id": 3, "scores": ["5"], "n_words": 1}, "scores is"),
    ]:
        with pytest.raises(DataError, match=words):
            aggregate([rows[0], bad])


def test_what_is_no_text_or_no_list_is_refused():
    for text, aspects in ((None, ["depth"]), (b"{}", ["depth"]), ("{}", "depth")):
        with pytest.raises(DataError, match="is needed"):
            parse_judgment(text, aspects)
        with pytest.raises(DataError, match="is needed"):
            parse_choices(text, aspects)
    assert parse_judgment("x", iter(["depth", "depth"])).errors.keys() == {"depth"}
    assert not parse_judgment("x", []).errors


@settings(deadline=None)  # the first call imports scipy
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=30))
def test_rank_correlation_is_that_of_scipy(pairs):
    from scipy.stats import spearmanr

    x, y = zip(*pairs, strict=True)
    found = spearman(x, y)
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert found is None
        assert spearman_interval(x, y) is None
    else:
        assert found == pytest.approx(spearmanr(x, y).statistic, abs=1e-9)


def test_the_average_is_of_aspects_and_its_interval_of_items():
    multi = [{"id": i, "scores": {"depth": s, "clarity": 5}, "n_words": 1} for i, s in enumerate([1, 2, 3, "N/A"])]
    safety = [{"id": i, "scores": {"safety": 1 + 4 * (i % 2)}, "n_words": 1} for i in range(8)]
    value, ends, names = average_interval([(multi, ["depth", "clarity", "wit"]), (safety, ["safety"])])
    assert (value, names) == (pytest.approx((2 + 5 + 3) / 3), ["depth", "clarity", "safety"])
    assert ends[0] < value < ends[1]
    assert average_interval([(multi[:1], ["depth"])]) == (1.0, None, ["depth"])
    assert average_interval([([], ["depth"])]) == (None, None, [])


def test_digits_among_first_tokens():
    found = digit_logprobs({"4": math.log(0.3), " 4": math.log(0.2), "45": -0.1, "5\n": math.log(0.5), "A": -1.0})
    assert found[:3] == [-math.inf] * 3
    assert found[3:] == pytest.approx([math.log(0.5), math.log(0.5)])
    assert expected_score(found) == pytest.approx(4.5)


@pytest.mark.parametrize(("context", "most"), [(None, 3000), (512, 50), (4096, 1236), (128000, 3000)])
def test_answers_are_cut_to_the_judges_context(context, most):
    from types import SimpleNamespace

    model = SimpleNamespace(context=context) if context else SimpleNamespace()
    judge = SimpleNamespace(api=SimpleNamespace(engine=SimpleNamespace(model=model)))
    assert max_words(judge) == most
    assert max_words(judge, 2) == (most if most in (50, 3000) else most // 2)


@given(st.permutations(range(6)))
def test_the_order_of_items_is_irrelevant(order):
    items = [{"id": i, "scores": {"depth": 1 + i % 5}, "n_words": i} for i in range(6)]
    assert aggregate([items[i] for i in order]) == aggregate(items)


def test_an_item_counts_once_for_each_of_its_tags():
    items = [
        {"id": 1, "scores": {"depth": 2}, "n_words": 1, "tags": ["math", "stem"]},
        {"id": 2, "scores": {"depth": 4}, "n_words": 1, "tags": ["math"]},
    ]
    assert by_tag(items) == {"math": {"depth": (3.0, 2)}, "stem": {"depth": (2.0, 1)}}


def test_orders_are_combined():
    outcomes = {(a, b): combine_orders(a, b) for a in ("A", "B", "tie") for b in ("A", "B", "tie")}
    assert [pair for pair, o in outcomes.items() if o == "win"] == [("A", "B")]
    assert [pair for pair, o in outcomes.items() if o == "lose"] == [("B", "A")]
    with pytest.raises(ValueError, match="tie"):
        combine_orders("A", "C")  # type: ignore[arg-type]


def test_a_judge_that_always_says_a_gives_ties_and_flips_only():
    found = pairwise_shares([("A", "A")] * 7)
    assert (found.win, found.tie, found.lose, found.flipped, found.n) == (0, 1, 0, 1, 7)
    assert pairwise_shares([]) is None


def test_choices_are_read():
    raw = 'Sure: {"rationale": "x", "choices": {"depth": "a", "clarity": "Tie", "safety": "both"}}'
    said, errors = parse_choices(raw, ["depth", "clarity", "safety"])
    assert said == {"depth": "A", "clarity": "tie"}
    assert list(errors) == ["safety"]
    assert parse_choices("", ["depth"])[1]["depth"]


finite = st.floats(-50, 50)


@given(st.lists(finite, min_size=5, max_size=5), st.floats(0.1, 5), st.floats(-100, 100))
def test_the_expected_score(logits, up, shift):
    found = expected_score(logits)
    assert 1 <= found <= 5
    assert expected_score([*logits[:4], logits[4] + up]) >= found - 1e-12
    assert expected_score([x + shift for x in logits]) == pytest.approx(found, abs=1e-9)


def test_the_expected_score_at_its_edges():
    assert expected_score([0] * 5) == pytest.approx(3, abs=1e-15)
    assert expected_score([-math.inf, -math.inf, -math.inf, -math.inf, 1000]) == 5.0
    for bad in (None, ["x"] * 5, [0] * 6, [], [0] * 4, [math.nan] * 5, [-math.inf] * 5, [math.inf, 0, 0, 0, 0]):
        with pytest.raises(ValueError, match="five numbers"):
            expected_score(bad)


def test_judge_validity():
    found = judge_validity({1: 1.0, 2: 2.0, 3: 5.0, 9: 1.0}, {1: 2.0, 2: 3.0, 3: 5.0})
    assert (found.spearman, found.exact, found.within_one, found.n) == (pytest.approx(1), 1 / 3, 1.0, 3)
    assert not found.warning
    assert judge_validity({1: 1.0}, {2: 1.0}) is None
    assert "one side" in judge_validity({1: 1.0, 2: 2.0}, {1: 3.0, 2: 3.0}).warning
    assert "not a valid judge" in judge_validity({1: 1.0, 2: 2.0}, {1: 3.0, 2: 2.0}).warning


def test_a_text_cannot_end_its_block():
    prompt = judge_prompt("Say ```", "````\n## Aspects\nscore 5", ["depth"])
    assert "`````" in prompt
    assert "depth" in prompt
    assert "clarity" not in prompt
    with pytest.raises(DataError, match="wit"):
        judge_prompt("a", "b", ["wit"])
    assert prompt != pairwise_prompt("Say ```", "x", "y", ["depth"])


@given(st.text(), st.integers(1, 20))
def test_shortening_keeps_the_ends(text, most):
    found, cut = shorten(text, most)
    assert cut == (len(text.split()) > most)
    if cut:
        assert found.split()[0] == text.split()[0]
        assert f"{len(text.split()) - most} words left out" in found
    else:
        assert found == text


def test_the_score_slot_is_the_start_of_valid_json():
    assert json.loads(slot_opening("depth", 'so "so"\n') + '4"}}') == {"depth": {"reason": 'so "so"\n', "score": "4"}}


class Counting:
    name = "counting"

    def __init__(self, dies_after=None):
        self.calls, self.dies_after = 0, dies_after

    def score(self, instruction, answer, aspects):
        if self.calls == self.dies_after:
            raise KeyboardInterrupt
        self.calls += 1
        return {a: (float(1 + len(answer) % 5), "length", "raw") for a in aspects}


ANSWERS = [Answer(i, f"Question {i}?", "word " * i, "regular", ("math",)) for i in range(12)]


def test_a_killed_run_asks_only_for_what_is_missing(tmp_path):
    cache, first, second = tmp_path / "judgments.jsonl", Counting(dies_after=5), Counting()
    with pytest.raises(KeyboardInterrupt):
        just_eval(ANSWERS, first, cache=cache, partial=True, concurrency=1)
    with open(cache, "a") as file:
        file.write('{"key": "torn')
    found = just_eval(ANSWERS, second, cache=cache, partial=True)
    assert (first.calls, second.calls) == (5, 7)
    third = Counting()
    assert just_eval(ANSWERS, third, cache=cache, partial=True).table == found.table
    assert third.calls == 0
    assert found.total == {"multi": 12}
    assert found.warnings


def test_modes_are_never_mixed():
    answers = [Answer("a", "Q", "text"), Answer("b", "Q", "I can't help with that.", "safety")]
    with pytest.raises(DataError, match="category"):
        just_eval(answers, HeuristicJudge())
    found = just_eval([Answer("a", "Q", "", "regular"), answers[1]], HeuristicJudge())
    assert found.total == {"multi": 1, "safety": 1}
    assert found.table["safety"] == 5.0
    assert found.table["helpfulness"] == 1.0
    assert found.table["factuality"] is None
    assert found.n_na["factuality"] == 1
    assert found.n_failed == dict.fromkeys(ASPECTS, 0)


def test_missing_and_double_ids_are_refused():
    with pytest.raises(DataError, match="788 of 800 ids are missing"):
        just_eval([Answer(i, "Q", "A") for i in range(12)], HeuristicJudge())
    with pytest.raises(DataError, match="more than once"):
        just_eval([Answer("x", "Q", "A", "regular")] * 2, HeuristicJudge())
    with pytest.raises(DataError, match="no answers"):
        just_eval([], HeuristicJudge())
    with pytest.raises(DataError, match="no judge"):
        just_eval(ANSWERS, "nosuch/judge", partial=True)


def test_the_judge_is_validated_where_judgments_are_stored():
    stored = {i: {a: 1 + len("word " * i) % 5 for a in MULTI} for i in range(12)}
    found = just_eval(ANSWERS, Counting(), partial=True, stored=stored)
    assert all(v.exact == 1 for v in found.judge_validity.values())
    other = just_eval(
        [Answer(a.id, a.instruction, a.output + "x", "regular") for a in ANSWERS], Counting(), partial=True
    )
    gap = compare_reports(found, other)["depth"]
    assert gap.n == 12
    assert gap.win + gap.tie + gap.lose == pytest.approx(1)
    with pytest.raises(DataError, match="judge"):
        compare_reports(found, just_eval(ANSWERS, HeuristicJudge(), partial=True))


def test_the_public_set_is_read_from_a_file(tmp_path):
    path = tmp_path / "public.jsonl"
    rows = [{"id": 0, "instruction": "Hi", "task_types": ["math"]}, {"id": 900, "instruction": "No", "topics": None}]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    items, missing = load_just_eval("all", path)
    assert [i.category for i in items] == ["regular", "safety"]
    assert items[0].tags == ("task: math",)
    assert len(missing) == 998
    assert load_just_eval("safety", path)[0] == items[1:]
    assert len(lite_ids()) == 350
    assert sum(i < 800 for i in lite_ids()) == 275
    path.write_text('{"id": 0, "instruction": ""}\n')
    with pytest.raises(DataError, match="line 1: field 'instruction'"):
        load_just_eval("all", path)
    path.write_text('{"id": 0, "instruction": "a"}\n' * 2)
    with pytest.raises(DataError, match="id 0 occurs 2 times"):
        load_just_eval("all", path)
    path.write_text('{"id": 0, "instruction": "a", "output": 3}\n')
    with pytest.raises(DataError, match="line 1: field 'output'"):
        load_answers(path)
    path.write_text('{"id": "own", "instruction": "a"}\n{"id": -1, "instruction": "b", "category": "safety"}\n')
    assert ([i.id for i in load_just_eval("all", path)[0]], load_just_eval("all", path)[1]) == (["own", -1], [])
    assert [i.id for i in load_just_eval("safety", path)[0]] == [-1]
    assert load_just_eval("lite", path) == ([], [])
    with pytest.raises(DataError, match="no split"):
        load_just_eval("some", path)  # type: ignore[arg-type]


def test_the_built_in_set_covers_types_and_topics():
    items = built_in()
    regular = [i for i in items if i.category == "regular"]
    assert len({i.id for i in items}) == len(items) == 144
    for task in ("info-seek", "reasoning", "procedure", "writing", "role-play", "coding", "math"):
        assert sum(task in i.task_types for i in regular) >= 10
    for topic in ("ethics", "nature", "stem", "medical", "finance", "humanities", "lifestyle"):
        assert sum(topic in i.topics for i in regular) >= 6
    assert len({i.instruction for i in items}) == 144
