"""The likeliest first tokens of an answer, from models here and behind an address."""

import asyncio
import math

import pytest
import torch

from boresight.chat import user
from boresight.errors import ModelError
from boresight.inspect import inspect_model
from boresight.lm.base import Sampling
from boresight.lm.decode import Ask
from boresight.lm.remote.endpoint import Endpoint
from boresight.measure.engine import Engine
from boresight.measure.likelihood import first_token
from scripted import Line, scripted

CHATS = [user("Give a number from 0 to 100."), user("Is it day or night? One word."), user("Say A or B.")]


def told(model, chats, k):
    async def ask():
        with Engine(model) as engine:
            judge = inspect_model("judge", engine)
            return await asyncio.gather(*(first_token(judge, chat, k) for chat in chats))

    return asyncio.run(ask())


@pytest.mark.parametrize("k", [1, 5, 20])
def test_a_local_model_tells_what_its_logits_say(tiny_llama, k):
    for chat, first in zip(CHATS, told(tiny_llama, CHATS, k), strict=True):
        ids = tiny_llama.encode(tiny_llama.render(chat))
        with tiny_llama.session() as session:
            (step,) = tiny_llama.extend([Ask(session, ids, (len(ids) - 1,))])
        values, tokens = step.logits[0].log_softmax(-1).topk(k)
        expected: dict[str, float] = {}
        for value, token in zip(values.tolist(), tokens.tolist(), strict=True):
            text = tiny_llama.tokenizer.decode([token])
            expected[text] = math.log(math.exp(expected[text]) + math.exp(value)) if text in expected else value
        assert first == pytest.approx(expected, abs=1e-4)


def test_they_do_not_change_the_answer_nor_depend_on_the_batch(tiny_llama):
    plain, asked = Sampling(max_new_tokens=4), Sampling(max_new_tokens=4, alternatives=8)
    without, together = tiny_llama.generate(CHATS, plain), tiny_llama.generate(CHATS, asked)
    assert [c.text for c in without] == [c.text for c in together]
    assert all("first" not in c.trace.detail for c in without)
    for chat, c in zip(CHATS, together, strict=True):
        (alone,) = tiny_llama.generate([chat], asked)
        assert alone.trace.detail["first"] == pytest.approx(c.trace.detail["first"], abs=1e-4)
        assert sum(map(math.exp, c.trace.detail["first"].values())) <= 1 + 1e-6
        assert torch.tensor(list(c.trace.detail["first"].values())).diff().le(0).all()


def test_an_endpoint_tells_what_its_server_says():
    top = {"85": -0.2, "9": -2.0, "CODE": -3.0, "never": -math.inf}
    with scripted(
        [Line(["number"], ["85"], {k: v for k, v in top.items() if v > -math.inf}), Line([], ["no"])]
    ) as server:
        model = Endpoint(server.spec, cache=False)
        first, silent = told(model, CHATS[:2], 20)
        assert first == {"85": -0.2, "9": -2.0, "CODE": -3.0}
        assert silent is None
        (_, _, _, body), *_ = server.seen
    assert (body["max_tokens"], body["temperature"], body["logprobs"], body["top_logprobs"]) == (1, 0.0, True, 20)


def test_of_later_tokens_nothing_is_told(tiny_llama):
    from inspect_ai.model import GenerateConfig

    from boresight.measure.engine import as_sampling

    assert as_sampling(GenerateConfig(max_tokens=1, logprobs=True, top_logprobs=20)).alternatives == 20
    assert as_sampling(GenerateConfig(max_tokens=1, logprobs=True)).alternatives == 1
    with pytest.raises(ModelError, match="logprobs"):
        as_sampling(GenerateConfig(max_tokens=2, logprobs=True, top_logprobs=20))
    with pytest.raises(ValueError, match="alternatives"):
        Sampling(alternatives=-1)
