"""A model at a provider that Inspect knows: "openai/gpt-x", "anthropic/...", "vllm/...", "openai-api/SERVICE/MODEL"."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from boresight.chat import Chat, validate
from boresight.errors import ModelError
from boresight.lm.base import Completed, Completion, OnDone, OnStep, Sampling, Trace, per_row
from boresight.lm.remote.background import answer_all, call
from boresight.lm.remote.cache import AnswerCache, key_of, wanted
from boresight.lm.remote.endpoint import concurrency_asked
from boresight.lm.remote.retry import Patience
from boresight.lm.remote.usage import Usage, price_of
from boresight.lm.remote.wire import before_stop, seed_of

_REASONS = {"stop": "stop", "max_tokens": "length", "model_length": "context", "content_filter": "stop"}


class InspectRemote:
    """A LanguageModel: any Inspect model string. It answers chats; texts and log-probabilities need an `Endpoint`.

    Requests and their retries are Inspect's, within `patience`; API keys and addresses are the provider's own
    environment variables. concurrency, cache, prices, usage: as for `Endpoint`; Inspect does not tell of its retries.

    Raises ModelError if the provider cannot be used here (a package or a key is missing, say).
    """

    def __init__(
        self,
        spec: str,
        *,
        concurrency: int | None = None,
        patience: Patience | None = None,
        cache: bool | None = None,
        prices: Mapping[str, Any] | str | Path | None = None,
    ) -> None:
        self.name = spec
        self.context: int | None = None
        self.patience = patience or Patience()
        self.usage = Usage(price_of((spec, spec.partition("/")[2]), prices))
        self._concurrency = concurrency or concurrency_asked()
        self._slots = asyncio.Semaphore(self._concurrency)
        self._cache = AnswerCache() if wanted(cache) else None
        self._model: Any = call(self._get())

    def generate(
        self,
        chats: Sequence[Chat],
        sampling: Sampling | Sequence[Sampling] | None = None,
        *,
        on_done: OnDone | None = None,
        on_step: OnStep | None = None,
    ) -> list[Completion]:
        """Answer every chat, in order; callbacks and errors as for `Endpoint.generate`."""
        for i, chat in enumerate(chats, 1):
            validate(chat, f"chat {i}")
        how = per_row(sampling, len(chats))
        if any(s.repetition_penalty != 1.0 for s in how):
            raise ModelError(f"{self.name} takes no repetition penalty; a local model or an endpoint does")
        jobs = [lambda i=i, chat=chat: self._answer(chat, how[i], i) for i, chat in enumerate(chats)]
        return answer_all(jobs, on_done, on_step)

    def describe(self) -> dict[str, Any]:
        """Name and provider, for the run record; nothing secret."""
        return {
            "model": self.name,
            "policy": None,
            "revision": None,
            "server": f"inspect:{self.name.partition('/')[0]}",
            "answers_kept": self._cache is not None,
        }

    def complete(self, prompts: Sequence[str], sampling: Any = None, **_: Any) -> NoReturn:
        """Always a ModelError: Inspect's models take chats, no plain text."""
        self._no("continues no plain text")

    def chunk(self, prompt: str, max_tokens: int) -> Completed:
        """Always a ModelError: Inspect's models take chats, no plain text."""
        self._no("continues no plain text with log-probabilities")

    def logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[list[float]]:
        """Always a ModelError: Inspect's models do not score a text that they are given."""
        self._no("gives no log-probabilities of a text")

    def _no(self, what: str) -> NoReturn:
        raise ModelError(
            f"{self.name} answers chats through Inspect and {what}; name the server's address instead "
            "(http://HOST:PORT/v1#MODEL), or a model on this machine"
        )

    async def _get(self) -> Any:
        from inspect_ai.model import GenerateConfig, get_model

        how = GenerateConfig(
            max_connections=self._concurrency,
            max_retries=self.patience.attempts - 1,
            timeout=max(1, round(self.patience.seconds)),
            attempt_timeout=max(1, round(self.patience.attempt)),
        )
        try:
            return get_model(self.name, config=how, memoize=False)
        except Exception as error:
            raise ModelError(f"Inspect cannot use {self.name}: {_line(error)}") from error

    async def _answer(self, chat: Chat, how: Sampling, row: int) -> Completion:
        request = {
            "messages": [[m["role"], m["content"]] for m in chat],
            "max_tokens": how.max_new_tokens,
            "temperature": how.temperature,
            "stop_seqs": list(how.stop) or None,
        }
        if how.temperature:
            request |= {"top_p": how.top_p, "seed": seed_of(how.seed, how.row_at(row))}
            request |= {"top_k": how.top_k} if how.top_k else {}
        if how.alternatives:
            request |= {"logprobs": True, "top_logprobs": how.alternatives}
        key = key_of("inspect", self.name, request) if self._cache else ""
        if self._cache and (kept := self._cache.get(key)) is not None:
            self.usage.cached += 1
            return _completion(kept, how)
        async with self._slots:
            said = await self._ask(request)
        self.usage.count(said["prompt_tokens"], said["tokens"])
        if self._cache:
            self._cache.put(key, said)
        return _completion(said, how)

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        from inspect_ai.model import (
            ChatMessage,
            ChatMessageAssistant,
            ChatMessageSystem,
            ChatMessageUser,
            GenerateConfig,
        )

        kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
        chat: list[ChatMessage] = [kinds[role](content=content) for role, content in request["messages"]]
        settings = {k: v for k, v in request.items() if k != "messages"}
        try:
            output = await self._model.generate(chat, config=GenerateConfig(**settings))
            if output.error or not output.choices:
                raise RuntimeError(output.error or "it gave no answer")
        except Exception as error:
            self.usage.failed += 1
            raise ModelError(f"{self.name} gave no answer: {_line(error)}") from error
        used = output.usage
        return {
            "text": output.completion,
            "reason": output.stop_reason,
            "prompt_tokens": _prompt_tokens(used) if used else None,
            "tokens": used.output_tokens if used else None,
            **_first(output.choices[0].logprobs),
        }


def _completion(said: Mapping[str, Any], how: Sampling) -> Completion:
    text, cut = before_stop(said["text"], how.stop)
    reason = "stop_string" if cut else _REASONS.get(said["reason"], "stop")
    trace = Trace(stop_reason=said["reason"], detail={"first": said["first"]} if said.get("first") else {})
    return Completion(text, said["tokens"] or 0, reason, said["prompt_tokens"] or 0, trace)


def _first(said: Any) -> dict[str, Any]:
    """The likeliest first tokens of an answer, where the provider tells of them."""
    told = said.content[0].top_logprobs if said and said.content else None
    return {"first": {t.token: t.logprob for t in told}} if told else {}


def _prompt_tokens(used: Any) -> int:
    """All of a prompt's tokens: what a provider found in its own cache is not among Inspect's input tokens."""
    return used.input_tokens + (used.input_tokens_cache_read or 0) + (used.input_tokens_cache_write or 0)


def _line(error: BaseException) -> str:
    """What went wrong at the bottom of an error of Inspect's, on one line and without markup."""
    last = getattr(error, "last_attempt", None)  # what its retries raise holds the real error
    if last is not None and last.done() and last.exception():
        error = last.exception()
    error = error.__cause__ or error  # Inspect's own message repeats the whole request
    text = " ".join(re.sub(r"\[/?[a-z ]+\]", "", str(error)).split()).removeprefix("ERROR: ") or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
