"""Models at Inspect's providers: the real server again, through Inspect's own client for the OpenAI API."""

import time

import pytest

from boresight.chat import user
from boresight.errors import ModelError
from boresight.lm.base import LanguageModel, Sampling, SomeFailed
from boresight.lm.load import load_model
from boresight.lm.remote.endpoint import Endpoint
from boresight.lm.remote.inspect_model import InspectRemote
from boresight.lm.remote.retry import Patience

CHATS = [[{"role": "system", "content": "Be brief."}, *user(f"What is {i} plus {i}?")] for i in range(5)]
SHORT = Sampling(max_new_tokens=8)


@pytest.fixture
def provider(proxy, monkeypatch):
    """A service that Inspect reaches by the usual two variables."""
    pytest.importorskip("openai")
    monkeypatch.setenv("LOCAL_BASE_URL", f"{proxy.address}/v1")
    monkeypatch.setenv("LOCAL_API_KEY", "sk-local")
    return "openai-api/local/smollm2"


@pytest.mark.model
def test_answers_are_those_of_the_server(provider, proxy, endpoint):
    model = InspectRemote(provider, cache=False, prices={provider: {"input": 1, "output": 1}})
    assert isinstance(model, LanguageModel)
    told: dict[int, object] = {}
    answers = model.generate(CHATS, SHORT, on_done=lambda i, c: told.update({i: c}))
    assert [told[i] for i in range(5)] == answers
    expected = endpoint.generate(CHATS, SHORT)
    assert [(a.text, a.tokens, a.finish_reason) for a in answers] == [
        (a.text, a.tokens, a.finish_reason) for a in expected
    ]
    assert model.usage.cost == pytest.approx(sum(proxy.tokens) / 1e6)
    assert model.usage.requests == 5
    assert model.describe()["server"] == "inspect:openai-api"


@pytest.mark.model
def test_faults_are_retried_and_answers_kept(provider, proxy, empty_cache):
    proxy.faults.extend(["500", "reset"])
    model = load_model(provider)
    assert isinstance(model, InspectRemote)
    answers = model.generate(CHATS[:3], SHORT)
    assert (model.usage.requests, len(proxy.seen), len(proxy.passed)) == (3, 5, 3)
    assert InspectRemote(provider).generate(CHATS[:3], SHORT) == answers
    assert len(proxy.seen) == 5


@pytest.mark.model
def test_one_bad_prompt_does_not_take_the_others_with_it(provider, proxy):
    model = InspectRemote(provider, cache=False, patience=Patience(attempts=2, seconds=20))
    heard: list[int] = []
    long = user("x " * 3000)
    with pytest.raises(SomeFailed, match=r"exceeds the available context size.*1 of 3 requests failed") as caught:
        model.generate([CHATS[0], long, CHATS[1]], SHORT, on_done=lambda i, c: heard.append(i))
    assert (sorted(heard), list(caught.value.failures)) == ([0, 2], [1])
    assert "sk-local" not in str(caught.value)


@pytest.mark.model
def test_a_service_that_is_away_is_given_up(provider, monkeypatch):
    monkeypatch.setenv("LOCAL_BASE_URL", "http://127.0.0.1:9/v1")
    model = InspectRemote(provider, cache=False, patience=Patience(attempts=2, seconds=4))
    began = time.monotonic()
    with pytest.raises(ModelError, match="openai-api/local/smollm2 gave no answer"):
        model.generate(CHATS[:1], SHORT)
    assert time.monotonic() - began < 20


def test_what_inspect_does_not_offer_is_said():
    model = InspectRemote("mockllm/model", cache=False)
    for ask in (
        lambda: model.complete(["x"]),
        lambda: model.chunk("x", 4),
        lambda: model.logprobs(["x"], ["y"]),
    ):
        with pytest.raises(ModelError, match=r"answers chats through Inspect and .*name the server's address instead"):
            ask()
    with pytest.raises(ModelError, match="takes no repetition penalty"):
        model.generate(CHATS[:1], Sampling(repetition_penalty=1.2))


def test_endpoints_and_providers_agree_on_the_interface():
    for name in ("generate", "complete", "chunk", "logprobs", "describe"):
        assert hasattr(InspectRemote, name)
        assert hasattr(Endpoint, name)
