"""A real server behind a proxy that does something wrong on purpose: no answer lost or doubled, cost counted once."""

import random
import threading
import time

import pytest

from boresight.chat import user
from boresight.errors import ModelError
from boresight.lm.base import Sampling, SomeFailed
from boresight.lm.remote.endpoint import Endpoint
from boresight.lm.remote.retry import Patience
from boresight.lm.remote.usage import Price
from boresight.measure.engine import Engine
from hurried import HURRIED

pytestmark = pytest.mark.model
SHORT = Sampling(max_new_tokens=6)
PASSING = ["429", "408", "500", "503_html", "reset", "drop", "garbled", "form", "list", "error_inside"]


def chats(n: int) -> list:
    return [user(f"What is {i} plus {i}?") for i in range(n)]


@pytest.fixture(scope="module")
def expected(server) -> list[str]:
    """What the server answers when nothing goes wrong."""
    return [a.text for a in Endpoint(f"{server.address}/v1#smollm2", cache=False).generate(chats(12), SHORT)]


def exactly_once(model, heard, answers, proxy) -> None:
    """Every answer was told once, counted once and costs what its tokens cost."""
    assert sorted(heard) == list(range(len(answers)))
    assert model.usage.requests == len(answers)
    assert model.usage.prompt_tokens == sum(a.prompt_tokens for a in answers)
    assert model.usage.completion_tokens == sum(a.tokens for a in answers)
    assert list(proxy.passed.values()) == [1] * len(answers), "an answer that came was asked for again"
    assert proxy.tokens == [model.usage.prompt_tokens, model.usage.completion_tokens]
    model.usage.price = Price(input=2.0, output=5.0)
    assert model.usage.cost == pytest.approx((2 * proxy.tokens[0] + 5 * proxy.tokens[1]) / 1e6)


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes(fault, proxy, behind, expected):
    proxy.faults.extend([fault, "", fault])
    heard: list[int] = []
    answers = behind.generate(chats(4), SHORT, on_done=lambda i, c: heard.append(i))
    assert [a.text for a in answers] == expected[:4]
    assert (behind.usage.retries, behind.usage.failed, len(proxy.seen)) == (2, 0, 6)
    exactly_once(behind, heard, answers, proxy)


@pytest.mark.parametrize("fault", ["stall", "slow"])
def test_a_stream_that_stalls_is_abandoned(fault, proxy, expected):
    how = Patience(attempts=4, seconds=30, attempt=2.0, first=0.05, longest=0.2)
    model = Endpoint(f"{proxy.address}/v1#smollm2", cache=False, patience=how)
    proxy.faults.append(fault)
    heard: list[int] = []
    began = time.monotonic()
    answers = model.generate(chats(2), SHORT, on_done=lambda i, c: heard.append(i))
    assert 1.9 < time.monotonic() - began < 5
    assert [a.text for a in answers] == expected[:2]
    assert model.usage.retries == 1
    exactly_once(model, heard, answers, proxy)


def test_a_storm(proxy, behind, expected):
    draw = random.Random(5)
    proxy.faults.extend(draw.choice([*PASSING[1:], ""]) for _ in range(18))
    heard: list[int] = []
    answers = behind.generate(chats(12), SHORT, on_done=lambda i, c: heard.append(i))
    assert [a.text for a in answers] == expected
    assert behind.usage.retries > 6
    exactly_once(behind, heard, answers, proxy)


@pytest.mark.parametrize(("fault", "seconds"), [("429", 1.0), ("429_date", 0.9)])
def test_the_server_says_when_to_come_back(fault, seconds, proxy, behind, expected):
    proxy.faults.append(fault)
    assert behind.generate(chats(1), SHORT)[0].text == expected[0]
    (first, *_), (second, *_) = proxy.seen
    assert seconds <= second - first < 4


def test_everybody_waits_when_the_server_asks_to(proxy, expected):
    model = Endpoint(f"{proxy.address}/v1#smollm2", cache=False, patience=HURRIED, concurrency=1)
    proxy.faults.append("429")
    assert [a.text for a in model.generate(chats(3), SHORT)] == expected[:3]
    times = [at for at, *_ in proxy.seen]
    assert len(times) == 4
    assert times[1] - times[0] >= 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("429_long", "gave no usable answer: status 429: on purpose; it asks to wait 86400 seconds"),
        ("quota", "refused the request (status 429): you have spent everything"),
        ("refused", "refused the request (status 422): on purpose"),
        ("forbidden", "turned the request away with a wrong API key (status 401): bad key Bearer [key]"),
    ],
)
def test_what_will_not_pass_is_said_at_once(fault, words, proxy, monkeypatch):
    monkeypatch.setenv("BORESIGHT_API_KEY", "sk-very-secret")
    model = Endpoint(f"{proxy.address}/v1#smollm2", cache=False, patience=HURRIED)
    proxy.faults.append(fault)
    with pytest.raises(ModelError) as caught:
        model.generate(chats(1), SHORT)
    assert words in str(caught.value)
    assert "sk-very-secret" not in str(caught.value)
    assert proxy.seen[0][2]["Authorization"] == "Bearer sk-very-secret"
    assert (len(proxy.seen), model.usage.failed, model.usage.requests, model.usage.cost) == (1, 1, 0, None)


def test_one_bad_prompt_does_not_take_the_others_with_it(proxy, behind, expected):
    proxy.poison = lambda body: "What is 2 plus 2?" in body
    heard: list[int] = []
    with pytest.raises(SomeFailed, match=r"status 500: on purpose .tried 6 times.*1 of 6 requests failed") as caught:
        behind.generate(chats(6), SHORT, on_done=lambda i, c: heard.append(i))
    assert sorted(heard) == [0, 1, 3, 4, 5]
    assert list(caught.value.failures) == [2]
    assert (behind.usage.requests, behind.usage.failed, behind.usage.retries) == (5, 1, 5)
    assert sum("What is 2 plus 2?" in str(body) for *_, body in proxy.seen) == HURRIED.attempts


def test_an_engine_gives_every_asker_an_answer_or_a_reason(proxy, behind, expected):
    proxy.poison = lambda body: "What is 2 plus 2?" in body
    prompts = [(chat, SHORT) for chat in chats(6)]
    with Engine(behind) as engine:
        engine.submit(prompts)
        asked = [engine.ask(*prompt) for prompt in prompts]
        assert [f.result(30).text for i, f in enumerate(asked) if i != 2] == expected[:2] + expected[3:6]
        with pytest.raises(ModelError, match="status 500: on purpose"):
            asked[2].result(30)
    assert len(proxy.seen) == 5 + HURRIED.attempts, "what was given up is not asked for again"


def test_a_server_that_is_restarted(server, proxy, behind, expected):
    def restart() -> None:
        time.sleep(0.3)
        server.kill()
        time.sleep(0.3)
        server.start()

    long = Sampling(max_new_tokens=60)
    proxy.upstream = server.address
    calm = Endpoint(f"{server.address}/v1#smollm2", cache=False).generate(chats(12), long)
    model = Endpoint(
        f"{server.address}/v1#smollm2", cache=False, patience=Patience(attempts=30, seconds=40, first=0.1, longest=0.5)
    )
    heard: list[int] = []
    crash = threading.Thread(target=restart)
    crash.start()
    answers = model.generate(chats(12), long, on_done=lambda i, c: heard.append(i))
    crash.join()
    assert [a.text for a in answers] == [a.text for a in calm]
    assert model.usage.retries > 0, "the crash came too late"
    assert sorted(heard) == list(range(12))
    assert model.usage.requests == 12
    assert model.usage.completion_tokens == sum(a.tokens for a in answers)


def test_a_server_that_is_gone_is_given_up_in_bounded_time(server, proxy):
    model = Endpoint(f"{proxy.address}/v1#smollm2", cache=False, patience=HURRIED, concurrency=2)
    proxy.close()
    began = time.monotonic()
    with pytest.raises(SomeFailed, match=r"gave no usable answer: .*40 of 40 requests failed") as caught:
        model.generate(chats(40), SHORT)
    assert time.monotonic() - began < 6, "every request has waited on its own"
    assert len(caught.value.failures) == 40
    assert model.usage.retries <= 2 * (HURRIED.attempts - 1), "only the first two are tried to the end"


def test_a_server_that_never_was():
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"http://127\.0\.0\.1:9/v1 does not answer as an OpenAI-compatible server"):
        Endpoint("http://127.0.0.1:9/v1")
    assert time.monotonic() - began < 2
