"""Sampling settings, per-row settings and what counts as a language model."""

import json
import math
from dataclasses import asdict, replace

import pytest

from boresight.lm.base import Completion, LanguageModel, Sampling, Span, Trace, completion_from, per_row


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_new_tokens", 0),
        ("top_k", -1),
        ("temperature", -0.1),
        ("temperature", math.inf),
        ("temperature", math.nan),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", math.inf),
        ("stop", "a string"),
        ("stop", ("",)),
    ],
)
def test_settings_out_of_range_are_named(setting, value):
    with pytest.raises(ValueError, match=f"{setting} is"):
        Sampling(**{setting: value})


def test_one_sampling_serves_all_rows_or_each_has_its_own():
    one, two = Sampling(seed=1), Sampling(seed=2)
    assert per_row(None, 2) == [Sampling()] * 2
    assert per_row(one, 3) == [one] * 3
    assert per_row([one, two], 2) == [one, two]
    assert per_row(one, 0) == []
    with pytest.raises(ValueError, match="1 samplings for 2 chats"):
        per_row([one], 2)


def test_a_language_model_is_what_generates_and_describes(tiny_llama):
    assert isinstance(tiny_llama, LanguageModel)
    assert not isinstance(object(), LanguageModel)


def test_a_completion_has_an_empty_trace_of_its_own():
    completion = Completion("a", 1, "stop")
    assert completion.trace == Trace()
    assert completion.trace.detail is not Completion("b", 1, "stop").trace.detail


def test_a_completion_comes_back_from_json():
    trace = Trace((Span("m", "a\ud800", 0.1 + 0.2, "nudge"), Span("b", "b")), "eos", 1 / 3, {"rounds": 2, "deep": [1]})
    done = Completion("ab", 2, "stop", 5, trace)
    assert completion_from(json.loads(json.dumps(asdict(done)))) == done


def test_a_row_number_of_its_own_makes_a_draw_independent_of_its_place(tiny_llama):
    hot = Sampling(max_new_tokens=8, temperature=1.0, seed=4)
    prompts = [f"Question {i}" for i in range(4)]
    whole = [c.text for c in tiny_llama.complete(prompts, hot)]
    rest = tiny_llama.complete(prompts[2:], [replace(hot, row=2), replace(hot, row=3)])
    assert [c.text for c in rest] == whole[2:]
    assert [c.text for c in tiny_llama.complete(prompts[2:], hot)] != whole[2:]


def test_top_k_keeps_the_best_tokens_only(tiny_llama):
    hot = Sampling(max_new_tokens=12, temperature=5.0, seed=4)
    (greedy,) = tiny_llama.complete(["Question"], Sampling(max_new_tokens=12))
    (one,) = tiny_llama.complete(["Question"], replace(hot, top_k=1))
    (all_,) = tiny_llama.complete(["Question"], hot)
    (same,) = tiny_llama.complete(["Question"], replace(hot, top_k=10**6))
    assert one.text == greedy.text
    assert same.text == all_.text != greedy.text
