"""Nudging without a model: the reference's recorded runs, and a literal transcription of the sheet on random tables."""

import itertools
import json
import math
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boresight.lm.base import ContextFull
from boresight.steer.nudging import (
    METHOD,
    Completed,
    cut_repetitions,
    need_nudging,
    nudge_loop,
    repeats_earlier,
    word_boundaries,
)

FIXTURES = Path(__file__).parents[1] / "fixtures" / "nudging"
SCRIPTED = json.loads((FIXTURES / "scripted.json").read_text())
HELPERS = json.loads((FIXTURES / "helpers.json").read_text())
PAIRS = sorted(path.stem for path in FIXTURES.glob("pair_*.json"))


def words(text: str) -> int:
    return len(text.split())


def table_lm(table, default, prefix="P:", calls=None, name=""):
    """The fixtures' table language model: the next piece depends on the last space-separated word."""

    def complete(prompt: str, max_tokens: int) -> Completed:
        assert prompt.startswith(prefix)
        start = text = prompt[len(prefix) :]
        tokens, logprobs, reason = [], [], "length"
        while len(tokens) < max_tokens and reason == "length":
            piece, p = table.get(text.split(" ")[-1] if text else "<s>", default)
            reason = "stop" if piece == "<eos>" else "length"
            tokens.append("" if piece == "<eos>" else piece)
            logprobs.append(math.log(p))
            text += tokens[-1]
        done = Completed("".join(tokens), tokens, logprobs, reason)
        if calls is not None:
            calls.append((name, start, max_tokens, done))
        return done

    return complete


def nudges(result) -> list[str]:
    return [s.text for s in result.segments if s.source == "nudge"]


@pytest.mark.parametrize("case", SCRIPTED, ids=range(len(SCRIPTED)))
def test_scripted_runs_are_the_reference_s(case):
    calls = []
    result = nudge_loop(
        table_lm(case["base_table"], case["base_default"], calls=calls, name="base"),
        table_lm(case["nudging_table"], case["nudging_default"], calls=calls, name="nudging"),
        "P:",
        "P:",
        gamma=case["gamma"],
        base_chunk=case["L_base"],
        draft_tokens=case["L_nudge"],
        max_new_tokens=case["max_token_total"],
        count_tokens=words,
        repetition_cut="reference",
    )
    assert result.text == case["raw_answer"]
    assert result.stop_reason == case["stop_reason"]
    assert nudges(result) == [n for n in case["all_nudging_words"] if n]
    assert result.raw_text == "".join(case["all_completions"])
    got = [(name, start, d.text, list(d.tokens), d.finish_reason) for name, start, _, d in calls]
    keys = ("model", "text_after_prefix", "text", "tokens", "finish_reason")
    assert got == [tuple(call[k] for k in keys) for call in case["calls"]]
    assert {limit for name, _, limit, _ in calls if name == "base"} <= {case["L_base"]}
    assert {limit for name, _, limit, _ in calls if name == "nudging"} <= {case["L_nudge"]}


def test_helpers_are_the_reference_s():
    for case in HELPERS["remove_redundant_repetitions"]:
        assert cut_repetitions(case["in"], "reference") == case["out"]
    for case in HELPERS["repetition_check"]:
        assert repeats_earlier(case["new"], case["prefix"], case["subseq_len"]) is case["out"]
    for case in HELPERS["need_nudging"]:
        assert need_nudging(case["top1_logprob"], case["threshold"]) is case["need_nudging"]


@pytest.mark.parametrize("name", PAIRS)
def test_recorded_calls_of_the_real_pair_replay_exactly(name):
    case = json.loads((FIXTURES / f"{name}.json").read_text())
    config, calls = case["config"], iter(case["calls"])

    def replay(model, prefix):
        def complete(prompt, max_tokens):
            call = next(calls)
            assert (call["model"], prefix + call["text_after_prefix"]) == (model, prompt)
            assert call["max_tokens"] == max_tokens
            return Completed(call["text"], call["tokens"], call["top1_logprob"], call["finish_reason"])

        return complete

    prompts = case["full_prefix_base"], case["full_prefix_nudging"]
    result = nudge_loop(
        replay("base", prompts[0]),
        replay("nudging", prompts[1]),
        *prompts,
        gamma=config["gamma"],
        base_chunk=config["L_base"],
        draft_tokens=config["L_nudge"],
        max_new_tokens=config["max_token_total"],
        max_rounds=config["max_round"],
        count_tokens=case["token_counts"].__getitem__,
        repetition_cut="reference",
    )
    assert next(calls, None) is None
    assert result.text == case["raw_answer"]
    assert result.stop_reason == case["stop_reason"]
    assert nudges(result) == [n for n in case["all_nudging_words"] if n]
    assert result.forwards == {"base": case["cost"]["base_forwards"], "nudger": case["cost"]["nudging_forwards"]}


# -- the sheet, word by word -----------------------------------------------------------------------------------------


def literal(base, nudger, gamma, base_chunk, draft_tokens, max_new_tokens, max_rounds):  # noqa: C901 (as the sheet has it)
    """Section 2 of the sheet in its own words and letters; returns (raw text, stop reason, rounds, nudges)."""
    out, r, previous, count, accepted, reason = "", 0, "", 0, [], None
    while words(out) < max_new_tokens and r < max_rounds:
        r += 1
        d = nudger("P:" + out, draft_tokens)
        if d.finish_reason == "stop":
            out += d.text
            accepted.append(d.text)
            reason = "nudging_model_stop"
            break
        s = len(d.text) - len(d.text.lstrip(" "))
        w = d.text[s:].split(" ")
        takeover, completion = False, None
        if len(w) == 1:
            nudge = d.text
        else:
            i = 0
            while not takeover and i < len(w) - 1:
                i += 1
                cand = " " + w[i]
                if cand == " ":
                    continue
                completion = base("P:" + out + " " * s + " ".join(w[:i]), base_chunk)
                takeover = cand.startswith(completion.tokens[0]) or math.exp(completion.top1_logprobs[0]) >= gamma
            nudge = " " * s + " ".join(w[:i])
        if nudge == previous:
            count += 1
            if count >= 3:
                reason = "repeated_nudging_words"
                break
        else:
            count = 0
        previous = nudge
        out += nudge
        accepted.append(nudge)
        if not takeover or completion.text == "":
            continue
        run, fresh = completion.tokens[0], False
        chunk = (completion.tokens[1:], completion.top1_logprobs[1:], completion.finish_reason)
        while words(run) < max_new_tokens - words(out):
            if chunk is None:
                done = base("P:" + out + run, base_chunk)
                chunk, fresh = (done.tokens, done.top1_logprobs, done.finish_reason), True
            tokens, logprobs, finish = chunk
            text = "".join(tokens)
            if text == "" or text in run:
                break
            j = next((k for k, lp in enumerate(logprobs) if math.exp(lp) < gamma), len(tokens))
            piece = "".join(tokens[:j])
            if len(piece.split(" ")) > 5 and piece in out + run:
                break
            run += piece
            if j < len(tokens) or (fresh and finish == "stop"):
                break
            chunk = None
        out += run
    return out, reason or ("round" if r >= max_rounds else "length"), r, accepted


def random_table(rng: random.Random, vocabulary: list[str]):
    pieces = [" " + w for w in vocabulary] + ["<eos>", " ", "\n", "x", " a  b", ".\n\n"]
    weights = [4] * len(vocabulary) + [3, 1, 1, 2, 1, 1]
    loop = rng.random() < 0.3  # few continuations: loops, which tests (c) and (d) are for

    def entry():
        return rng.choices(pieces, weights)[0], rng.choice((0.05, 0.2, 0.3, 0.5, 0.9, 0.99))

    table = {w: entry() for w in [*vocabulary, "<s>", ""]}
    if loop:
        for a, b in zip(vocabulary, vocabulary[1:] + vocabulary[:1], strict=True):
            table[a] = (" " + b, 0.95)
    return table, entry()


@settings(max_examples=400, deadline=None)
@given(
    st.integers(0, 10**9),
    st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.95, 1.0]),
    st.integers(2, 9),
    st.integers(1, 9),
    st.sampled_from([1, 5, 20, 60]),
    st.sampled_from([1, 3, 30]),
)
def test_the_loop_is_the_sheet_s_word_by_word(seed, gamma, base_chunk, draft_tokens, budget, max_rounds):
    rng = random.Random(seed)
    vocabulary = ["the", "answer", "is", "we", "add", "two", "so", "five"][: rng.randint(2, 8)]
    tables = [random_table(rng, vocabulary) for _ in range(2)]
    numbers = (gamma, base_chunk, draft_tokens, budget, max_rounds)
    ours, theirs = [], []
    want = literal(*(table_lm(*t, calls=theirs, name=n) for t, n in zip(tables, "bn", strict=True)), *numbers)
    result = nudge_loop(
        *(table_lm(*t, calls=ours, name=n) for t, n in zip(tables, "bn", strict=True)),
        "P:",
        "P:",
        gamma=gamma,
        base_chunk=base_chunk,
        draft_tokens=draft_tokens,
        max_new_tokens=budget,
        max_rounds=max_rounds,
        count_tokens=words,
    )
    assert (result.raw_text, result.stop_reason, result.rounds) == want[:3]
    assert nudges(result) == [n for n in want[3] if n]
    assert ours == theirs
    assert "".join(s.text for s in result.segments) == result.raw_text
    assert result.text == cut_repetitions(result.raw_text)
    assert result.raw_text.strip().startswith(result.text)
    assert all(s.text for s in result.segments)
    assert all(s.base_top1_prob is None or 0 <= s.base_top1_prob <= 1 for s in result.segments)
    assert all(s.base_top1_prob is not None for s in result.segments if s.source == "base")
    assert 0 <= result.nudge_word_ratio <= 1
    assert 0 <= result.nudge_token_ratio <= 1
    assert result.forwards["base"] == sum(len(d.tokens) for name, _, _, d in ours if name == "b")
    assert result.forwards["nudger"] == sum(len(d.tokens) for name, _, _, d in ours if name == "n")


# -- edges -----------------------------------------------------------------------------------------------------------


def says(text: str, p: float = 0.9, stop: bool = False):
    """A completion function that always answers with the same words."""

    def complete(prompt: str, max_tokens: int) -> Completed:
        tokens = re.findall(r" ?\S+", text)[:max_tokens]
        ended = stop and len(tokens) < max_tokens
        tokens += [""] if ended else []
        return Completed("".join(tokens), tokens, [math.log(p)] * len(tokens), "stop" if ended else "length")

    return complete


def loop(base, nudger, **settings):
    return nudge_loop(base, nudger, **{"count_tokens": words, **settings})


def test_an_end_at_once_gives_an_empty_answer():
    end = Completed("", [""], [-0.1], "stop")
    result = loop(says("never asked"), lambda prompt, n: end)
    assert (result.text, result.stop_reason, result.rounds, result.segments) == ("", "nudging_model_stop", 1, ())
    assert (result.nudge_word_ratio, result.nudge_token_ratio, result.mean_base_top1) == (0, 0, None)
    assert result.forwards == {"base": 0, "nudger": 1}


def test_the_base_model_s_own_end_never_ends_the_answer():
    end = Completed("", [""], [-0.01], "stop")
    result = loop(lambda prompt, n: end, says("one two three"), max_rounds=2, max_new_tokens=50)
    assert (result.raw_text, result.stop_reason) == ("oneone", "round")
    assert [s.source for s in result.segments] == ["nudge", "nudge"]


def test_the_last_word_of_a_chunk_is_dropped_when_no_word_hands_over():
    result = loop(says(" zzz", 0.1), says("one two three four"), draft_tokens=4, max_rounds=1)
    assert result.raw_text == "one two three"


def test_the_fourth_equal_nudge_ends_the_answer_and_is_not_appended():
    result = loop(says(" zzz", 0.1), says("so we"), draft_tokens=2, max_new_tokens=99)
    assert (result.raw_text, result.stop_reason, result.rounds) == ("sososo", "repeated_nudging_words", 4)


def test_empty_nudges_count_from_the_first_because_the_one_before_was_empty():
    result = loop(says("x"), lambda prompt, n: Completed("", ["", ""], [-1.0, -1.0], "length"))
    assert (result.raw_text, result.stop_reason, result.rounds) == ("", "repeated_nudging_words", 3)


def test_an_answer_may_pass_its_budget_but_a_run_does_not_begin_beyond_it():
    result = loop(says(" a b c d e f g h"), says("one two three four"), max_new_tokens=1, max_rounds=9)
    assert (result.raw_text, result.stop_reason) == ("one a", "length")  # of the chunk only the first token counts
    result = loop(says(" a b c d e f g h"), says("one two three four"), max_new_tokens=3, max_rounds=9)
    assert (result.raw_text, result.stop_reason) == ("one a b c d e f g h", "length")


def test_a_full_context_keeps_what_was_written():
    def base(prompt, n):
        if len(prompt) > 12:
            raise ContextFull
        return says(" five six")(prompt, n)

    result = loop(base, says("one two three"), max_new_tokens=99)
    assert result.stop_reason == "context"
    assert result.raw_text == "one five six"
    assert "".join(s.text for s in result.segments) == result.raw_text


def test_ratios_count_words_and_tokens_of_each_segment():
    result = loop(says(" five six", 0.9), says("one two"), max_rounds=1, max_new_tokens=9, count_tokens=len)
    assert result.raw_text == "one five six"
    assert [(s.source, s.text) for s in result.segments] == [("nudge", "one"), ("base", " five six")]
    assert result.nudge_word_ratio == pytest.approx(1 / 3)
    assert result.nudge_token_ratio == pytest.approx(3 / 12)
    assert result.segments[0].base_top1_prob is None
    assert result.segments[1].base_top1_prob == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("gamma", -0.1),
        ("gamma", 1.1),
        ("gamma", math.nan),
        ("base_chunk", 1),
        ("draft_tokens", 0),
        ("max_new_tokens", 0),
        ("max_rounds", 0),
        ("word_mode", "letters"),
        ("repetition_cut", "none"),
    ],
)
def test_settings_out_of_range_are_named(setting, value):
    with pytest.raises(ValueError, match=f"{setting} is"):
        loop(says("a"), says("b"), **{setting: value})


# -- pure functions --------------------------------------------------------------------------------------------------


@given(st.text(alphabet=" ab\n", max_size=40))
def test_space_mode_splits_as_the_reference_does(draft):
    spaces = len(draft) - len(draft.lstrip(" "))
    split = draft[spaces:].split(" ")
    want = [(" " * spaces + " ".join(split[:i]), " " + split[i]) for i in range(1, len(split))]
    assert word_boundaries(draft) == want


@given(st.text(alphabet=" ab.\n\t日本語のか한글🙂。", max_size=40))
def test_unicode_mode_loses_nothing_and_only_the_last_word_can_still_grow(draft):
    tests = word_boundaries(draft, "unicode")
    if tests:
        assert tests[-1][0] + tests[-1][1] == draft
        assert all(after.startswith(before + word) for (before, word), (after, _) in itertools.pairwise(tests))
    for cut in range(len(draft)):
        shorter = word_boundaries(draft[:cut], "unicode")[:-1]
        assert tests[: len(shorter)] == shorter


def test_unicode_mode_cuts_at_line_breaks_and_around_cjk():
    assert word_boundaries("Hi there\n\n1. 東京は", "unicode") == [
        ("Hi", " there"),
        ("Hi there", "\n\n"),
        ("Hi there\n\n", "1."),
        ("Hi there\n\n1.", " 東"),
        ("Hi there\n\n1. 東", "京"),
        ("Hi there\n\n1. 東京", "は"),
    ]
    assert word_boundaries("東京は大きい", "space") == []
    assert len(word_boundaries("東京は大きい", "unicode")) == 5


@given(st.text(alphabet="ab ", max_size=60), st.integers(1, 8))
def test_exact_cut_takes_the_longest_doubled_suffix_each_time(text, least):
    want = text.strip()
    while n := max((k for k in range(least, len(want) // 2 + 1) if want[-k:] == want[-2 * k : -k]), default=0):
        want = want[:-n]
    assert cut_repetitions(text, "exact", least) == want


def test_the_reference_cut_misses_what_the_exact_one_finds():
    text = "Once. " + "a" * 31 + "b" + "a" * 31 + "b"
    assert cut_repetitions(text) == "Once. " + "a" * 31 + "b"
    assert cut_repetitions(text, "reference") != cut_repetitions(text)
    with pytest.raises(ValueError, match="method is 'longest'"):
        cut_repetitions(text, "longest")


def test_the_threshold_is_strict():
    assert not need_nudging(math.log(0.5), 0.5)
    assert need_nudging(math.log(0.5), 0.5 + 1e-9)
    assert not need_nudging(-1e9, 0.0)


def test_the_card_names_the_method():
    assert METHOD.slug == "nudging"
    assert METHOD.claims[0].check.metric == "text-health.ends"


def test_a_completion_without_tokens_is_an_end_of_sequence():
    silent = Completed("", [], [], "stop")
    result = nudge_loop(lambda *_: silent, lambda *_: silent, count_tokens=lambda t: len(t.split()))
    assert (result.text, result.stop_reason) == ("", "nudging_model_stop")
    words = Completed("one two three", ["one", " two", " three"], [-0.1] * 3, "length")
    result = nudge_loop(lambda *_: silent, lambda *_: words, count_tokens=lambda t: len(t.split()), max_new_tokens=4)
    assert result.raw_text.startswith("one")
