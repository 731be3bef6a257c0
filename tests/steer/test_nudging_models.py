"""Nudging with models: three modes, one text; batches, counters, contexts, and what a user may do wrong."""

import random

import pytest

from boresight.errors import DataError, ModelError
from boresight.lm.base import LanguageModel, Sampling
from boresight.steer.nudging import Nudging, policy
from random_pairs import CHAT_PROMPT, PROMPT, random_pair

GAMMAS = (0.1, 0.3, 0.5, 0.9)
BEGINNING = "A long beginning that all the prompts of a run share, as a system prompt would be.\n"


@pytest.fixture(scope="module")
def pair():
    """A pair that talks for a while, with two tokenizers."""
    return random_pair(5)


def shape(result):
    """All of a result but its costs; probabilities to within rounding."""
    told = [(s.source, s.text, s.base_top1_prob is None) for s in result.segments]
    return result.text, result.raw_text, result.stop_reason, result.rounds, told, result.nudge_word_ratio


def probabilities(result) -> list[float]:
    return [s.base_top1_prob for s in result.segments if s.base_top1_prob is not None]


@pytest.mark.parametrize("seed", range(50))
def test_the_modes_agree_on_random_pairs(seed):
    base, nudger = random_pair(seed)
    rng = random.Random(seed)
    numbers = {
        "gamma": GAMMAS[seed % 4],
        "draft_tokens": rng.choice((3, 8, 16)),
        "base_chunk": rng.choice((2, 5, 16)),
        "word_mode": ("space", "unicode")[seed // 4 % 2],
        "max_new_tokens": 30,
    }
    reference, cached, speculative = (
        Nudging(base, nudger, mode=mode, **numbers).run(PROMPT, CHAT_PROMPT)
        for mode in ("reference", "cached", "speculative")
    )
    assert shape(cached) == shape(reference)
    assert shape(speculative) == shape(reference)
    assert probabilities(cached) == pytest.approx(probabilities(reference), abs=1e-3)
    assert "".join(s.text for s in cached.segments) == cached.raw_text
    assert cached.mean_base_top1 == pytest.approx(reference.mean_base_top1, abs=1e-3)
    assert cached.forwards["nudger"] <= reference.forwards["nudger"]
    assert cached.forwards["base"] <= max(reference.forwards["base"], cached.rounds)


@pytest.mark.parametrize("mode", ["cached", "speculative"])
@pytest.mark.parametrize("seed", range(6))
def test_a_batch_says_what_each_prompt_says_alone(seed, mode):
    base, nudger = random_pair(seed)
    nudging = Nudging(base, nudger, gamma=GAMMAS[seed % 4], max_new_tokens=20, mode=mode)
    pairs = [(BEGINNING + f"{n} {PROMPT}", BEGINNING + f"{n} {CHAT_PROMPT}") for n in ("one", "two", "a", "Tom", "")]
    assert all(pool.prefix for pool in nudging._pools(pairs))
    alone = [shape(nudging.run(*p)) for p in pairs]
    done = {}
    together = nudging.run_batch(pairs, on_done=lambda i, r: done.update({i: shape(r)}))
    assert [shape(r) for r in together] == alone
    assert done == dict(enumerate(alone))
    base.width, before = 2, base.width
    assert [shape(r) for r in nudging.run_batch(pairs[::-1])] == alone[::-1]
    base.width = before
    assert nudging.run_batch([]) == []


@pytest.mark.parametrize("seed", range(8))
def test_the_base_is_asked_no_more_often_than_in_plain_decoding(seed):
    base, nudger = random_pair(seed)
    for gamma in GAMMAS[1:]:
        result = Nudging(base, nudger, gamma=gamma, max_new_tokens=30).run(PROMPT, CHAT_PROMPT)
        assert result.forwards["base"] <= base.count_tokens(result.raw_text) + result.rounds + 1
        lazy = Nudging(base, nudger, gamma=gamma, max_new_tokens=30, mode="speculative").run(PROMPT, CHAT_PROMPT)
        assert lazy.forwards["base"] <= result.forwards["base"]


@pytest.mark.parametrize("mode", ["cached", "speculative"])
@pytest.mark.parametrize("seed", [27, 29])
def test_an_end_that_is_found_late_costs_no_more_passes_than_tokens_and_rounds(seed, mode):
    base, nudger = random_pair(seed)
    ended = 0
    for gamma in GAMMAS:
        result = Nudging(base, nudger, gamma=gamma, max_new_tokens=60, mode=mode).run(PROMPT, CHAT_PROMPT)
        if result.stop_reason == "nudging_model_stop":
            ended += 1
            assert result.forwards["base"] <= base.count_tokens(result.raw_text) + result.rounds + 1
    assert ended


def test_streaming_tells_the_segments_of_a_run(pair):
    for mode in ("cached", "reference"):
        nudging = Nudging(*pair, max_new_tokens=30, mode=mode)
        assert tuple(nudging.stream(PROMPT, CHAT_PROMPT)) == nudging.run(PROMPT, CHAT_PROMPT).segments


def test_a_stream_that_is_left_frees_its_caches(pair, monkeypatch):
    nudging, pools = Nudging(*pair, max_new_tokens=30), []
    keep = nudging._pools
    monkeypatch.setattr(nudging, "_pools", lambda prompts: pools.extend(keep(prompts)) or pools)
    stream = nudging.stream(PROMPT, CHAT_PROMPT)
    first = next(stream)
    assert all(pool.lengths for pool in pools)
    stream.close()
    assert first.text
    assert [len(pool.lengths) for pool in pools] == [0, 0]


@pytest.mark.parametrize("seed", range(50))
def test_batches_of_random_pairs_equal_the_reference_whatever_the_mode(seed, monkeypatch):
    base, nudger = random_pair(seed)
    numbers = {"gamma": GAMMAS[seed % 4], "max_new_tokens": 20}
    pairs = [(f"{n} {PROMPT}", f"{n} {CHAT_PROMPT}") for n in ("one", "two", "a", "")]
    reference = Nudging(base, nudger, mode="reference", **numbers)
    expected = [shape(reference.run(*p)) for p in pairs]
    for mode in ("cached", "speculative"):
        assert [shape(r) for r in Nudging(base, nudger, mode=mode, **numbers).run_batch(pairs)] == expected
    monkeypatch.setattr(policy, "CHEAP", 0)  # as if the nudger were much smaller: whole drafts first
    drafting = Nudging(base, nudger, mode="speculative", **numbers)
    assert drafting._drafts_are_cheap()
    assert [shape(r) for r in drafting.run_batch(pairs)] == expected
    assert [shape(drafting.run(*p)) for p in pairs] == expected


@pytest.mark.parametrize("seed", range(50))
def test_lazy_drafting_is_exact_up_to_the_draft_that_would_have_ended_it(seed):
    base, nudger = random_pair(seed)
    numbers = {"gamma": GAMMAS[seed % 4], "max_new_tokens": 20}
    pairs = [(PROMPT, CHAT_PROMPT), (f"a {PROMPT}", f"a {CHAT_PROMPT}")]
    cached, speculative = (
        Nudging(base, nudger, exact_stop=False, mode=mode, **numbers) for mode in ("cached", "speculative")
    )
    lazy = [cached.run(*p) for p in pairs]
    for policy_ in (cached, speculative):
        assert [shape(r) for r in policy_.run_batch(pairs)] == [shape(r) for r in lazy]
    assert [shape(speculative.run(*p)) for p in pairs] == [shape(r) for r in lazy]
    for found, exact in zip(lazy, (Nudging(base, nudger, **numbers).run(*p) for p in pairs), strict=True):
        if exact.stop_reason != "nudging_model_stop":
            assert shape(found) == shape(exact)
            continue
        last = exact.segments[-1].text if exact.segments and exact.segments[-1].source == "nudge" else ""
        before = exact.raw_text.removesuffix(last)
        assert found.raw_text.startswith(before)
        assert found.rounds >= exact.rounds


def test_lazy_drafting_asks_less_and_differs_only_where_the_nudger_would_end():
    asked = 0
    for seed in range(12):
        base, nudger = random_pair(seed)
        eager = Nudging(base, nudger, gamma=0.3, max_new_tokens=30).run(PROMPT, CHAT_PROMPT)
        lazy = Nudging(base, nudger, gamma=0.3, max_new_tokens=30, exact_stop=False).run(PROMPT, CHAT_PROMPT)
        assert "".join(s.text for s in lazy.segments) == lazy.raw_text
        if "nudging_model_stop" not in (eager.stop_reason, lazy.stop_reason):
            assert shape(lazy) == shape(eager)
            assert lazy.forwards["nudger"] <= eager.forwards["nudger"]
            asked += eager.forwards["nudger"] - lazy.forwards["nudger"]
    assert asked > 0
    with pytest.raises(ValueError, match="exact_stop=False"):
        Nudging(base, nudger, exact_stop=False, mode="reference")


@pytest.mark.parametrize("seed", range(6))
def test_a_full_context_ends_the_answer_alike_in_all_modes(seed):
    base, nudger = random_pair(seed, context=70)
    results = [
        Nudging(base, nudger, gamma=0.3, mode=mode).run("Tom has\n", "Tom has 3 apples\n")
        for mode in ("reference", "cached", "speculative")
    ]
    assert shape(results[1]) == shape(results[0])
    assert shape(results[2]) == shape(results[0])
    if results[0].stop_reason not in ("nudging_model_stop", "repeated_nudging_words"):
        assert results[0].stop_reason == "context"
        assert results[0].raw_text


def test_a_prompt_longer_than_the_context_is_refused_with_both_lengths(pair):
    base, _ = pair
    long = "apples " * 600
    n = len(base.encode(long))
    for mode in ("reference", "cached"):
        with pytest.raises(ModelError, match=rf"the prompt has {n} tokens and {base.name} reads at most 512"):
            Nudging(*pair, mode=mode).run(long, CHAT_PROMPT)
        with pytest.raises(ModelError, match="reads at most 512"):
            next(Nudging(*pair, mode=mode).stream(PROMPT, long))


def test_a_nudger_without_a_chat_template_is_refused_with_the_way_out(tiny_llama, tiny_gemma3):
    with pytest.raises(ModelError, match=r"tiny-gemma3 has no chat template.*chat_template\.jinja"):
        Nudging(tiny_llama, tiny_gemma3)


def test_settings_out_of_range_and_models_without_sessions_are_refused(pair):
    with pytest.raises(ValueError, match=r"gamma is 1\.5"):
        Nudging(*pair, gamma=1.5)
    with pytest.raises(ValueError, match="mode is 'fast'"):
        Nudging(*pair, mode="fast")
    with pytest.raises(ModelError, match=r"cannot stand on nudging: nudging continues"):
        Nudging(Nudging(*pair), pair[1])  # type: ignore[arg-type]


# -- as a language model ---------------------------------------------------------------------------------------------

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is an apple?"}]


def test_prompts_follow_the_sheet(tiny_llama):
    nudging = Nudging(tiny_llama, tiny_llama, question_prefix="Question: ", answer_start="Well,")
    base, chat = nudging.prompts(CHAT, context="Fruit grows.\n")
    assert base == "Be brief.\nFruit grows.\nQuestion: What is an apple?\nWell,"
    assert chat == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nFruit grows.\nQuestion: What is an apple?<|im_end|>\n"
        "<|im_start|>assistant\nWell,"
    )
    assert CHAT[1]["content"] == "What is an apple?"
    assert nudging.prompts(CHAT[1:])[0] == "Question: What is an apple?\nWell,"
    with pytest.raises(DataError):
        nudging.prompts([])


def test_it_is_a_language_model_whose_trace_tells_who_wrote_what(pair):
    nudging = Nudging(*pair, max_new_tokens=30)
    assert isinstance(nudging, LanguageModel)
    steps, done = [], {}
    (answer,) = nudging.generate([CHAT], on_step=steps.append, on_done=lambda i, c: done.update({i: c}))
    result = nudging.run(*nudging.prompts(CHAT))
    assert answer.text == result.text
    assert answer.finish_reason == "length"
    assert answer.trace.stop_reason == "length"
    assert [(s.role, s.text, s.prob) for s in answer.trace.spans] == [
        (s.source, s.text, s.base_top1_prob) for s in result.segments
    ]
    assert {s.source for s in answer.trace.spans} <= {pair[0].name, pair[1].name}
    assert answer.trace.detail["forwards"] == result.forwards
    assert sum(steps) == sum(result.forwards.values())
    assert done[0].text == answer.text
    about = nudging.describe()
    assert about["model"] == pair[0].name
    assert "gamma=0.3" in about["policy"]
    assert about["nudger"]["model"] == pair[1].name
    assert nudging.generate([]) == []


def test_budgets_and_stop_strings_are_per_row(pair):
    nudging = Nudging(*pair, max_new_tokens=30)
    whole = nudging.generate([CHAT], Sampling(max_new_tokens=30))[0].text
    stop = whole[8:11]
    plain, cut, short = nudging.generate(
        [CHAT] * 3, [Sampling(max_new_tokens=30), Sampling(max_new_tokens=30, stop=(stop,)), Sampling(max_new_tokens=3)]
    )
    assert plain.text == whole
    assert cut.finish_reason == "stop_string"
    assert stop not in "".join(s.text for s in cut.trace.spans)
    assert cut.text == whole[: whole.find(stop)].strip()
    assert len(short.text) < len(whole)
    assert whole.startswith(short.text)


def test_sampling_depends_on_the_seed_and_the_row_only(pair):
    nudging = Nudging(*pair, max_new_tokens=20)
    warm = Sampling(max_new_tokens=20, temperature=1.0, seed=3)
    chats = [CHAT, CHAT, CHAT[1:]]
    together = [c.text for c in nudging.generate(chats, warm)]
    assert together == [c.text for c in nudging.generate(chats, warm)]
    assert together[0] != together[1]
    assert nudging.generate(chats[:1], warm)[0].text == together[0]
    other = [c.text for c in nudging.generate(chats, Sampling(max_new_tokens=20, temperature=1.0, seed=4))]
    assert other != together


def test_what_would_change_the_base_s_certainty_is_refused(pair):
    with pytest.raises(ValueError, match="repetition_penalty"):
        Nudging(*pair).generate([CHAT], Sampling(repetition_penalty=1.1))
    with pytest.raises(ValueError, match="reference mode is greedy"):
        Nudging(*pair, mode="reference").generate([CHAT], Sampling(temperature=1.0))


def test_an_interrupted_batch_frees_its_caches(pair, monkeypatch):
    nudging, pools = Nudging(*pair, max_new_tokens=30), []
    keep = nudging._pools
    monkeypatch.setattr(nudging, "_pools", lambda prompts: pools.extend(keep(prompts)) or pools)

    def stop(rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nudging.generate([CHAT] * 3, on_step=stop)
    assert [len(pool.lengths) for pool in pools] == [0, 0]
