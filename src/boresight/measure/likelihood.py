"""How likely a model finds given answers: closed questions without generation.

One pass reads a prompt with all its options, nothing has to be parsed, and the result does not depend on luck. Models
that do not tell probabilities (most providers, a nudged pair) have to be asked and read instead.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from boresight.chat import Chat

if TYPE_CHECKING:
    from inspect_ai.model import Model


Scorer = tuple[Callable[[Chat], str], Callable[[Sequence[str], Sequence[str]], list[list[float]]]]
"""(chat to prompt text, log-probabilities of continuations after prompts)."""


def scorer_of(model: Any) -> Scorer | None:
    """How a model on this machine, an endpoint that renders chats, or URIAL over one scores given texts; else None."""
    if getattr(model, "step", "urial") != "urial":
        return None
    base = model if hasattr(model, "logprobs") else getattr(model, "base", None)
    render = getattr(model, "render", None) or getattr(model, "prompt_text", None)
    return (render, base.logprobs) if render and base is not None and hasattr(base, "logprobs") else None


def tells(model: "Model") -> bool:
    """Whether an Inspect model is one of ours that can say how likely given texts are."""
    engine = getattr(model.api, "engine", None)
    return bool(engine and engine.tells_likelihoods)


async def token_logprobs(model: "Model", chat: Chat, texts: Sequence[str]) -> list[list[float]]:
    """Log-probability (nats) of each token of each text as the answer to a chat; ModelError if it cannot be told."""
    engine = getattr(model.api, "engine", None)
    if engine is None:
        from boresight.errors import ModelError

        raise ModelError(f"{model} does not tell how likely a given text is; a model on this machine does")
    return await asyncio.wrap_future(engine.likelihoods(chat, texts))


async def option_logprobs(model: "Model", chat: Chat, options: Sequence[str], prior: Chat | None = None) -> list[float]:
    """Log-probability (nats) of each option as the answer, summed over its tokens.

    prior: a chat without content whose own log-probabilities are subtracted (pointwise mutual information), which takes
    away what a small model prefers whatever it is asked.
    """
    scores = [sum(tokens) for tokens in await token_logprobs(model, chat, options)]
    if prior is None:
        return scores
    before = [sum(tokens) for tokens in await token_logprobs(model, prior, options)]
    return [a - b for a, b in zip(scores, before, strict=True)]


async def first_token(model: "Model", chat: Chat, k: int = 20, seed: int = 0) -> dict[str, float] | None:
    """The k likeliest first tokens of a model's answer to a chat: text -> log-probability (nats).

    None where the model does not tell: many providers leave log-probabilities out without a word.
    """
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, GenerateConfig

    kinds: dict[str, Any] = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    how = GenerateConfig(max_tokens=1, temperature=0.0, logprobs=True, top_logprobs=k, seed=seed)
    output = await model.generate([kinds[m["role"]](content=m["content"]) for m in chat], config=how)
    said = output.choices[0].logprobs if output.choices else None
    told = said.content[0].top_logprobs if said and said.content else None
    return {t.token: t.logprob for t in told} if told else None


def shares(logprobs: Sequence[float]) -> list[float]:
    """Probabilities of options among themselves: softmax of their log-probabilities."""
    top = max(logprobs)
    weights = [math.exp(x - top) for x in logprobs]
    return [w / sum(weights) for w in weights]
