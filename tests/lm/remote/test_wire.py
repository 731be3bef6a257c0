import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.errors import ModelError
from boresight.lm.base import Sampling
from boresight.lm.remote.wire import align, before_stop, completed, completion, continuation, drawing, seed_of


def entry(token, logprob, top=None, own=None):
    tops = [{"token": own or token, "logprob": logprob if top is None else top}]
    return {"token": token, "bytes": list(token.encode()), "logprob": logprob, "top_logprobs": tops}


def chat_form(text, entries, reason="length"):
    return {"choices": [{"text": text, "finish_reason": reason, "logprobs": {"content": entries}}]}


def old_form(text, tokens, own, tops, reason="length"):
    logprobs = {"tokens": tokens, "token_logprobs": own, "top_logprobs": tops, "text_offset": [0] * len(tokens)}
    return {"choices": [{"text": text, "finish_reason": reason, "logprobs": logprobs}]}


def test_greedy_requests_carry_no_seed_and_sampled_ones_switch_off_what_servers_add():
    assert drawing(Sampling(max_new_tokens=5), 0, None) == {"max_tokens": 5, "temperature": 0.0}
    hot = Sampling(max_new_tokens=5, temperature=0.7, top_p=0.9, seed=1)
    assert drawing(hot, 2, None) == {"max_tokens": 5, "temperature": 0.7, "top_p": 0.9, "seed": seed_of(1, 2)}
    assert drawing(hot, 2, "llamacpp").items() >= {"top_k": -1, "min_p": 0.0, "repeat_penalty": 1.0}.items()
    assert drawing(hot, 2, "vllm").items() >= {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}.items()
    with pytest.raises(ModelError, match="not known to take a repetition penalty"):
        drawing(Sampling(repetition_penalty=1.1), 0, "somebody")
    many = Sampling(stop=tuple("abcdef"))
    assert drawing(many, 0, "vllm")["stop"] == list("abcdef")
    assert drawing(many, 0, None)["stop"] == list("abcd")


def test_seeds_differ_by_row_and_by_seed():
    seeds = {seed_of(s, row) for s in range(30) for row in range(30)}
    assert len(seeds) == 900
    assert all(0 <= s < 2**31 for s in seeds)


@pytest.mark.parametrize(
    ("choice", "usage", "expected"),
    [
        ({"text": "a", "finish_reason": "stop"}, {}, ("a", "stop")),
        ({"message": {"content": "a"}, "finish_reason": "length"}, {}, ("a", "length")),
        ({"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}, {}, ("No.", "stop")),
        ({"message": {"content": None}, "finish_reason": "tool_calls"}, {}, ("", "stop")),
        ({"text": "a", "finish_reason": "length"}, {"prompt_tokens": 9, "completion_tokens": 1}, ("a", "context")),
        ({"text": "a", "finish_reason": "length"}, {"prompt_tokens": 8, "completion_tokens": 1}, ("a", "length")),
        ({"text": "a#b", "finish_reason": "length"}, {}, ("a", "stop_string")),
        ({"text": "a", "finish_reason": "stop", "stop_reason": "#"}, {}, ("a", "stop_string")),
        ({"text": "a", "finish_reason": "stop", "stop_reason": 2}, {}, ("a", "stop")),
        ({"text": "a", "finish_reason": "content_filter"}, {}, ("a", "stop")),
    ],
)
def test_why_an_answer_ended(choice, usage, expected):
    found = completion({"choices": [choice], "usage": usage}, Sampling(stop=("#",)), context=10)
    assert (found.text, found.finish_reason) == expected
    assert found.trace.stop_reason == choice["finish_reason"]
    assert found.trace.mean_top1_prob is None
    assert (found.tokens, found.prompt_tokens) == (usage.get("completion_tokens", 0), usage.get("prompt_tokens", 0))


@pytest.mark.parametrize(
    "answer",
    [
        {}, [], {"choices": []}, {"choices": [{}]}, {"choices": [{"message": None}]}, {"choices": [{"text": 3}]},
        {"choices": [{"message": {"content": ["x"]}}]}, {"choices": None},
    ],
)  # fmt: skip
def test_malformed_answers(answer):
    with pytest.raises((ValueError, KeyError, TypeError, IndexError, AttributeError)):
        completion(answer, Sampling(), None)
    with pytest.raises((ValueError, KeyError, TypeError, IndexError, AttributeError)):
        completed(answer)


def test_before_stop_takes_the_earliest():
    assert before_stop("one two three", ("three", "two")) == ("one ", True)
    assert before_stop("one", ("two",)) == ("one", False)
    assert before_stop("one", ()) == ("one", False)


def test_both_forms_of_log_probabilities():
    one = completed(chat_form("a b", [entry("a", -0.5), entry(" b", -2.0, top=-1.0, own=" c")]))
    two = completed(old_form("a b", ["a", " b"], [-0.5, -2.0], [{"a": -0.5}, {" b": -2.0, " c": -1.0}]))
    assert one == two
    assert (one.tokens, one.top1_logprobs, one.finish_reason, one.opening) == (
        ["a", " b"],
        [-0.5, -1.0],
        "length",
        None,
    )


def test_an_end_of_sequence_token_is_an_empty_text():
    llama = completed(chat_form("Yes", [entry("Yes", -0.5), {**entry("", -0.1), "bytes": []}], "stop"))
    vllm = completed(old_form("Yes", ["Yes", "</s>"], [-0.5, -0.1], [{"Yes": -0.5}, {"</s>": -0.1}], "stop"))
    assert llama.tokens == vllm.tokens == ["Yes", ""]
    nothing = completed(old_form("", ["</s>"], [-0.1], [None], "stop"))
    assert (nothing.tokens, nothing.top1_logprobs, nothing.finish_reason) == ([""], [-0.1], "stop")
    assert completed({"choices": [{"text": "", "finish_reason": "stop", "logprobs": None}]}).tokens == []


def test_a_part_of_a_character_opens_with_the_replacement_character():
    merged = completed(chat_form("日本", [entry("日", -1.0, own="\ufffd"), entry("本", -1.0)]))
    assert (merged.tokens, merged.opening) == (["日", "本"], "\ufffd")
    parts = completed(old_form("日本", ["bytes:\\xe6", "\ufffd", "本"], [-1.0] * 3, [None] * 3))
    assert "".join(parts.tokens) == "日本"
    assert (parts.tokens, parts.opening) == (["", "日", "本"], "\ufffd")


def test_no_log_probabilities_is_said():
    with pytest.raises(ModelError, match="gives no log-probabilities of completions"):
        completed({"choices": [{"text": "a", "finish_reason": "stop", "logprobs": None}]})


@pytest.mark.parametrize("wrong", [math.nan, -math.inf, "x"])
def test_log_probabilities_are_numbers(wrong):
    with pytest.raises((ValueError, TypeError)):
        completed(chat_form("a", [entry("a", wrong)]))


@given(st.lists(st.text("ab 日🙂", min_size=1, max_size=3), max_size=8), st.data())
def test_aligned_parts_add_up_to_the_text(tokens, data):
    text = "".join(tokens)
    assert align(text, tokens) == tokens
    shown = [data.draw(st.sampled_from([t, "\ufffd", "<special>", ""])) for t in tokens]
    parts = align(text, shown)
    assert len(parts) == len(tokens)
    if tokens:
        assert "".join(parts) == text


def test_the_continuation_of_a_repeated_prompt():
    logprobs = {
        "tokens": ["One", " two", " th", "ree", " four"],
        "token_logprobs": [None, -1.0, -2.0, -3.0, -4.0],
        "text_offset": [0, 3, 7, 10, 13],
    }
    answer = {"choices": [{"text": "One two three four", "logprobs": logprobs}]}
    assert continuation(answer, "One two", " three") == [-2.0, -3.0]
    assert continuation(answer, "One two th", "ree") == [-3.0]
    assert continuation(answer, "One two t", "hree") == [-2.0, -3.0], "what straddles belongs to the continuation"
    assert continuation(answer, "", "One two") == [-1.0]
    with pytest.raises(ModelError, match="vLLM does, llama"):
        continuation({"choices": [{"text": " four", "logprobs": logprobs}]}, "One two", " three")
