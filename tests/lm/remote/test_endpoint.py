"""The endpoint against a real llama.cpp server."""

import threading
import time

import pytest

from boresight.chat import user
from boresight.errors import DataError, ModelError
from boresight.lm.base import ContextFull, LanguageModel, Sampling, SomeFailed
from boresight.lm.load import load_model
from boresight.lm.remote.endpoint import Endpoint

pytestmark = pytest.mark.model
FRANCE = "The capital of France is"
SHORT = Sampling(max_new_tokens=8)


def test_it_is_a_language_model_and_says_what_it_is(endpoint, server):
    assert isinstance(endpoint, LanguageModel)
    about = endpoint.describe()
    assert (about["model"], about["server"], about["context"]) == ("smollm2", "llamacpp", 1024)
    assert about["endpoint"] == f"{server.address}/v1"
    assert (about["token_counts"], about["policy"], about["revision"]) == ("server", None, None)


def test_load_finds_it_by_its_address(server, monkeypatch):
    monkeypatch.setenv("BORESIGHT_REMOTE_CACHE", "off")
    model = load_model(f"{server.address}/v1/#smollm2")
    assert isinstance(model, Endpoint)
    assert model.name == "smollm2"
    assert load_model(f"{server.address}/v1").name == "smollm2-135m-instruct.gguf", (
        "a file's folder is nobody's business"
    )
    assert model.complete([FRANCE], SHORT)[0].text.startswith(" Paris")


def test_a_batch_answers_in_order_whatever_comes_first(endpoint):
    chats = [user(f"What is {n} plus {n}?") for n in range(9)]
    lengths = [Sampling(max_new_tokens=24 - 2 * n) for n in range(9)]
    told: dict[int, object] = {}
    steps: list[int] = []
    answers = endpoint.generate(chats, lengths, on_done=lambda i, c: told.update({i: c}), on_step=steps.append)
    assert [told[i] for i in range(9)] == answers
    assert sum(steps) == sum(a.tokens for a in answers)
    assert all(a.tokens <= s.max_new_tokens for a, s in zip(answers, lengths, strict=True))
    assert endpoint.usage.requests == 9
    assert endpoint.usage.completion_tokens == sum(a.tokens for a in answers)
    assert endpoint.usage.prompt_tokens == sum(a.prompt_tokens for a in answers)


def test_how_an_answer_ended(endpoint):
    ended, cut = endpoint.generate(
        [user("Say the word yes.")] * 2, [Sampling(max_new_tokens=64), Sampling(max_new_tokens=2)]
    )
    assert (ended.finish_reason, cut.finish_reason, cut.tokens) == ("stop", "length", 2)
    stop = ("\n", "never")
    row = endpoint.complete([FRANCE], Sampling(max_new_tokens=30, stop=stop))[0]
    assert (row.finish_reason, "\n" in row.text) == ("stop_string", False)
    own = endpoint.complete(
        ["<|im_start|>user\nSay the word yes.<|im_end|>\n<|im_start|>assistant\n"], Sampling(stop=("#",))
    )[0]
    assert own.finish_reason == "stop", "an end of the model's own is none by a stop string"
    full = endpoint.complete(["x " * 1000], Sampling(max_new_tokens=100))[0]
    assert (full.finish_reason, full.prompt_tokens + full.tokens) == ("context", 1024)


def test_sampling_follows_its_seed_and_row(endpoint):
    hot = Sampling(max_new_tokens=12, temperature=1.0, seed=3)
    first = [a.text for a in endpoint.complete([FRANCE] * 4, hot)]
    assert [a.text for a in endpoint.complete([FRANCE] * 4, hot)] == first
    assert len(set(first)) > 1
    assert [
        a.text for a in endpoint.complete([FRANCE] * 4, Sampling(max_new_tokens=12, temperature=1.0, seed=4))
    ] != first


def test_a_repetition_penalty_reaches_the_server(endpoint):
    prompt = ["ha ha ha ha ha ha ha ha ha ha ha ha"]
    plain = endpoint.complete(prompt, SHORT)[0].text
    assert plain == " ha" * 8
    assert endpoint.complete(prompt, Sampling(max_new_tokens=8, repetition_penalty=2.0))[0].text != plain


def test_a_chunk_is_what_the_nudging_loop_needs(endpoint):
    chunk = endpoint.chunk(FRANCE, 6)
    assert chunk.text == "".join(chunk.tokens) == endpoint.complete([FRANCE], Sampling(max_new_tokens=6))[0].text
    assert len(chunk.tokens) == len(chunk.top1_logprobs) == 6
    assert all(p <= 0 for p in chunk.top1_logprobs)
    assert chunk.finish_reason == "length"
    ended = endpoint.chunk("<|im_start|>user\nSay the word yes.<|im_end|>\n<|im_start|>assistant\n", 16)
    assert (ended.finish_reason, ended.tokens[-1]) == ("stop", "")
    assert ended.text == "".join(ended.tokens)
    with pytest.raises(ValueError, match="max_tokens is 0"):
        endpoint.chunk(FRANCE, 0)


def test_characters_of_several_tokens(endpoint):
    for n in range(3, 9):
        chunk = endpoint.chunk("Japanese: 日本の首都は", n)
        assert chunk.text == "".join(chunk.tokens)
        assert len(chunk.tokens) == len(chunk.top1_logprobs) <= n


def test_prompts_that_do_not_fit(endpoint):
    with pytest.raises(ContextFull):
        endpoint.chunk("x " * 2000, 4)
    heard = []
    with pytest.raises(SomeFailed, match=r"does not fit the model's context.*\(1 of 3 requests failed\)") as caught:
        endpoint.complete([FRANCE, "x " * 2000, "One, two,"], SHORT, on_done=lambda i, c: heard.append(i))
    assert sorted(heard) == [0, 2]
    assert list(caught.value.failures) == [1]
    assert "\n" not in str(caught.value)
    assert (endpoint.usage.requests, endpoint.usage.retries) == (2, 0), "what cannot pass is not tried again"


def test_tokens_are_counted_as_the_model_does(endpoint, smollm):
    for text in ("", "The capital", "naïve 日本 🙂\n\n  x"):
        assert endpoint.count_tokens(text) == smollm.count_tokens(text)


def test_this_server_does_not_score_given_texts(endpoint):
    with pytest.raises(ModelError, match="no log-probabilities of a text that it is given"):
        endpoint.logprobs([FRANCE], [" Paris"])


def test_a_bad_chat_is_refused_before_anything_is_sent(endpoint):
    with pytest.raises(DataError, match="chat 2: turn 1 is an empty user message"):
        endpoint.generate([user("Hi"), user(" ")])
    assert endpoint.usage.requests == 0


def test_many_threads_share_one_endpoint(endpoint):
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(endpoint.chunk(FRANCE, 4).text)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [texts[0]] * 12


def test_stopping_cancels_what_is_under_way(endpoint):
    class Enough(Exception):
        pass

    def stop(tokens: int) -> None:
        raise Enough

    began = time.monotonic()
    with pytest.raises(Enough):
        endpoint.complete(["Once upon a time"] * 24, Sampling(max_new_tokens=900), on_step=stop)
    assert time.monotonic() - began < 3
    assert endpoint.usage.requests == 0
    began = time.monotonic()
    endpoint.chunk(FRANCE, 4)
    assert time.monotonic() - began < 5, "the server goes on writing for nobody"
