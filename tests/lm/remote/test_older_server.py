"""The older form of completions, with a prompt's own log-probabilities, over a tiny model."""

import math

import pytest
from older_server import OlderServer

from boresight.chat import user
from boresight.lm.base import ContextFull, Sampling, SomeFailed
from boresight.lm.remote.endpoint import Endpoint
from boresight.steer.nudging import Nudging, nudge_loop

TEXT = "The quick brown fox jumps over the lazy dog"


@pytest.fixture
def served(tiny_llama):
    running = OlderServer(tiny_llama)
    yield running
    running.close()


@pytest.fixture
def remote(served):
    return Endpoint(f"{served.address}/v1", cache=False)


def test_what_the_server_says_of_itself(remote, tiny_llama):
    assert (remote.name, remote.server, remote.context) == ("org/tiny", "vllm", tiny_llama.context)
    for text in ("", TEXT, "naïve 日本"):
        assert remote.count_tokens(text) == tiny_llama.count_tokens(text)


def test_given_texts_are_scored_as_the_model_itself_scores_them(remote, tiny_llama):
    prompts = [TEXT[:n] for n in (4, 16, 20, 40)]
    texts = [TEXT[n:] for n in (4, 16, 20, 40)]
    expected = tiny_llama.logprobs(prompts, texts)
    found = remote.logprobs(prompts, texts)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_answers_are_those_of_the_model(remote, tiny_llama):
    chats = [user(f"Question {i}?") for i in range(5)]
    how = Sampling(max_new_tokens=8)
    assert [a.text for a in remote.generate(chats, how)] == [a.text for a in tiny_llama.generate(chats, how)]


def test_a_budget_beyond_the_context_is_cut_to_what_is_left(remote, served, tiny_llama):
    prompt = TEXT * 9
    left = tiny_llama.context - len(tiny_llama.encode(prompt))
    assert 0 < left < 400
    (answer,) = remote.complete([prompt], Sampling(max_new_tokens=400))
    assert answer.tokens <= left
    assert answer.finish_reason in ("context", "stop")
    assert [path for path, _ in served.asked] == ["/v1/completions", "/tokenize", "/v1/completions"]
    assert (remote.usage.requests, remote.usage.retries) == (1, 0)
    (chat,) = remote.generate([user(prompt)], Sampling(max_new_tokens=400))
    assert chat.finish_reason in ("context", "stop")
    with pytest.raises(SomeFailed, match="maximum context length"):
        remote.complete([TEXT * 40], Sampling(max_new_tokens=4))
    with pytest.raises(ContextFull):
        remote.chunk(TEXT * 40, 4)


def test_chunks_and_nudged_answers_are_those_of_the_model(remote, tiny_llama):
    chunk = remote.chunk(TEXT, 12)
    assert chunk.text == "".join(chunk.tokens)
    assert all(p <= 0 and math.isfinite(p) for p in chunk.top1_logprobs)
    local = Nudging(tiny_llama, tiny_llama, gamma=0.02, max_new_tokens=40)
    for question in ("Why?", "Name three fruits.", "And now?"):
        prompts = local.prompts(user(question))
        expected = local.run(*prompts)
        found = nudge_loop(
            remote.chunk, remote.chunk, *prompts, gamma=0.02, max_new_tokens=40, count_tokens=remote.count_tokens
        )
        assert (found.text, found.stop_reason) == (expected.text, expected.stop_reason)
        assert [s.text for s in found.segments] == [s.text for s in expected.segments]


def test_a_server_that_is_not_known_is_asked_for_nothing_of_its_own(tiny_llama):
    served = OlderServer(tiny_llama, owner="somebody")
    remote = Endpoint(f"{served.address}/v1#other", cache=False)
    remote.complete([TEXT], Sampling(max_new_tokens=2, temperature=1.0))
    ((_, body),) = served.asked
    assert set(body) == {"model", "prompt", "max_tokens", "temperature", "top_p", "seed"}
    assert body["model"] == "other"
    assert remote.describe()["token_counts"] == "approximate: 4 bytes a token"
    assert [remote.count_tokens(t) for t in ("", "a", "abcd", "abcde", "日本")] == [0, 1, 1, 2, 2]
    served.close()
