"""Sampling settings, per-row settings and what counts as a language model."""

import math

import pytest

from boresight.lm.base import Completion, LanguageModel, Sampling, Trace, per_row


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_new_tokens", 0),
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
