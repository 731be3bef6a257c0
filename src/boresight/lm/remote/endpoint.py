"""A model behind an OpenAI-compatible server: llama.cpp, vLLM and others, reached at http(s)://HOST[:PORT]/v1."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from boresight.chat import Chat, validate
from boresight.errors import ModelError
from boresight.lm.base import Completed, Completion, ContextFull, OnDone, OnStep, Sampling, per_row
from boresight.lm.remote import wire
from boresight.lm.remote.background import answer_all, call
from boresight.lm.remote.cache import AnswerCache, key_of, wanted
from boresight.lm.remote.retry import Patience, Refused, TooLong, Transient
from boresight.lm.remote.transport import Transport, is_loopback
from boresight.lm.remote.usage import Usage, price_of

CONCURRENCY = 8
BYTES_A_TOKEN = 4  # of English in current vocabularies; only used where a server does not count
T = TypeVar("T")


class Endpoint:
    """A LanguageModel: a model that an OpenAI-compatible server offers.

    spec: "http(s)://HOST[:PORT]/v1", or ".../v1#MODEL" for one of several models or a name of your own.
    concurrency: requests under way at once (BORESIGHT_REMOTE_CONCURRENCY, else 8). patience: how long a request is
    tried. cache: whether answers are kept on the disk (None: unless BORESIGHT_REMOTE_CACHE is off). prices: see
    `price_of`.

    name: how reports call it. served: what the server calls the model that answers. context: tokens that model can
    attend to, None if the server does not tell. server: "llamacpp", "vllm" or what else it says it is, None if it says
    nothing. usage: what was asked and what it cost.

    The API key is BORESIGHT_API_KEY, or OPENAI_API_KEY for servers of this machine, api.openai.com and the address in
    OPENAI_BASE_URL. Raises ModelError if the server does not answer or does not say which model is meant.
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
        self.url, self.model = parse(spec)
        self.usage = Usage()
        self.patience = patience or Patience()
        self._wire = Transport(
            self.url,
            key=key_for(self.url),
            patience=self.patience,
            concurrency=concurrency or concurrency_asked(),
            usage=self.usage,
        )
        about = call(self._look())
        self.context: int | None = _context(about)
        self.server: str | None = about.get("owned_by")
        self.name, self.served = _without_folder(self.model), _without_folder(str(about.get("id") or self.model))
        self.usage.price = price_of((self.model, self.name), prices)
        self._known = [about.get(k) for k in ("id", "root", "meta")]  # a part of the key of every answer
        self._cache = AnswerCache() if wanted(cache) else None
        self._counter = lru_cache(4096)(self._count)
        self._counts = self.server in wire.KNOWN

    # -- what every language model does -----------------------------------------------------------------------------

    def generate(
        self,
        chats: Sequence[Chat],
        sampling: Sampling | Sequence[Sampling] | None = None,
        *,
        on_done: OnDone | None = None,
        on_step: OnStep | None = None,
    ) -> list[Completion]:
        """Answer every chat with the server's chat template, in order.

        on_done hears of each answer as it comes, on_step of its tokens, and of 0 tokens five times a second while none
        comes. Raises SomeFailed, a ModelError, when all others are answered, if some could not be.
        """
        for i, chat in enumerate(chats, 1):
            validate(chat, f"chat {i}")
        bodies = [{"messages": [{"role": m["role"], "content": m["content"]} for m in chat]} for chat in chats]
        return self._answers("/chat/completions", bodies, sampling, on_done, on_step)

    def complete(
        self,
        prompts: Sequence[str],
        sampling: Sampling | Sequence[Sampling] | None = None,
        *,
        on_done: OnDone | None = None,
        on_step: OnStep | None = None,
    ) -> list[Completion]:
        """Continue every text as it stands, without a chat template; otherwise as `generate`."""
        return self._answers("/completions", [{"prompt": p} for p in prompts], sampling, on_done, on_step)

    def describe(self) -> dict[str, Any]:
        """Where and what it is, for the run record; nothing secret."""
        return {
            "model": self.name,
            "policy": None,
            "revision": None,
            "endpoint": self.url,
            "served": self.served,
            "server": self.server,
            "context": self.context,
            "token_counts": "server" if self._counts else f"approximate: {BYTES_A_TOKEN} bytes a token",
            "answers_kept": self._cache is not None,
        }

    # -- what text methods need -------------------------------------------------------------------------------------

    def chunk(self, prompt: str, max_tokens: int) -> Completed:
        """Continue a text greedily by at most `max_tokens` tokens; with their texts and top-1 log-probabilities.

        Raises ContextFull if the model's context has no room, ModelError if the server gives no log-probabilities.
        """
        if max_tokens < 1:
            raise ValueError(f"max_tokens is {max_tokens}; it must be at least 1")
        how = Sampling(max_new_tokens=max_tokens)
        body = {"prompt": prompt, "logprobs": 1, **wire.drawing(how, 0, self.server)}
        try:
            return call(self._ask("/completions", body, wire.completed))
        except TooLong as error:
            raise ContextFull(str(error)) from error

    def render_template(self, chat: Chat) -> str:
        """The chat in the model's own template, the answer opened; ModelError unless the server renders (llama.cpp)."""
        validate(chat)
        messages = [{"role": m["role"], "content": m["content"]} for m in chat]
        try:
            return call(
                self._post("/apply-template", {"messages": messages}, lambda said: str(said["prompt"]), root=True)
            )
        except Refused as error:
            raise ModelError(
                f"{self.url} does not render chats (llama.cpp's /apply-template does: {error}); "
                "give the model's template as a file: chat_template=FILE.jinja"
            ) from error

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` without special tokens, as the server counts them (llama.cpp and vLLM).

        Where it cannot be asked: a token for every 4 bytes, rounded up, which `describe` says.
        """
        return self._counter(text)

    def logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[list[float]]:
        """Log-probability (nats) of each token of each continuation after its prompt.

        Needs a server that gives back the prompt with its log-probabilities (`echo`; vLLM does, llama.cpp does not,
        which is a ModelError). A token that begins in the prompt and ends in the continuation belongs to the latter.
        """
        pairs = list(zip(prompts, continuations, strict=True))

        async def all_of_them() -> list[list[float]]:
            import asyncio

            return list(await asyncio.gather(*(one(*pair) for pair in pairs)))

        async def one(prompt: str, text: str) -> list[float]:
            body = {"prompt": prompt + text, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0.0}
            return await self._ask("/completions", body, lambda answer: wire.continuation(answer, prompt, text))

        return call(all_of_them())

    # -- requests ---------------------------------------------------------------------------------------------------

    def _answers(
        self,
        path: str,
        bodies: Sequence[dict[str, Any]],
        sampling: Sampling | Sequence[Sampling] | None,
        on_done: OnDone | None,
        on_step: OnStep | None,
    ) -> list[Completion]:
        how = per_row(sampling, len(bodies))
        jobs = [
            lambda i=i, body=body: self._answer(path, {**body, **wire.drawing(how[i], i, self.server)}, how[i])
            for i, body in enumerate(bodies)
        ]
        return answer_all(jobs, on_done, on_step)

    async def _answer(self, path: str, body: dict[str, Any], how: Sampling) -> Completion:
        if how.stop and self.server == "llamacpp":  # which shows whether an end-of-sequence token came last
            body = {**body, "logprobs": True if path.startswith("/chat") else 1}
        if how.alternatives:
            chat = path.startswith("/chat")
            body |= {"logprobs": True, "top_logprobs": how.alternatives} if chat else {"logprobs": how.alternatives}
        try:
            return await self._ask(path, body, lambda answer: wire.completion(answer, how, self.context))
        except TooLong:
            room = await self._room(body)
            if not 0 < room < how.max_new_tokens:
                raise
        short = {**body, "max_tokens": room}
        return await self._ask(path, short, lambda answer: wire.completion(answer, how, self.context))

    async def _room(self, body: dict[str, Any]) -> int:
        """Tokens left after a prompt: vLLM refuses a request whose budget goes beyond the context."""
        if self.server != "vllm" or self.context is None:
            return 0
        asked = {"model": self.model, **{k: v for k, v in body.items() if k in ("prompt", "messages")}}
        return self.context - await self._post("/tokenize", asked, lambda said: int(said["count"]), root=True)

    async def _ask(self, path: str, body: dict[str, Any], read: Callable[[Any], T]) -> T:
        """The answer to a request, from the disk if it was given before; counted once."""
        body = {"model": self.model, **body}
        key = key_of(self.url, self._known, path, body) if self._cache else ""
        if self._cache and (kept := self._cache.get(key)) is not None:
            self.usage.cached += 1
            return read(kept)

        def checked(answer: Any) -> tuple[T, dict[str, Any]]:
            return read(answer), answer

        result, answer = await self._post(path, body, checked)
        self.usage.count(*wire.counts(answer))
        if self._cache:
            self._cache.put(key, {k: answer[k] for k in ("choices", "usage") if k in answer})
        return result

    async def _post(self, path: str, body: dict[str, Any], read: Callable[[Any], T], root: bool = False) -> T:
        base = self.url.removesuffix("/v1") if root else self.url
        return await self._wire.request("POST", base + path, body, read)

    def _count(self, text: str) -> int:
        if not text:
            return 0
        if self._counts:
            llama = self.server == "llamacpp"
            body = {"content": text} if llama else {"model": self.model, "prompt": text, "add_special_tokens": False}
            try:
                return call(self._post("/tokenize", body, lambda said: len(said["tokens"]), root=True))
            except Refused as error:
                if error.status not in (404, 405):
                    raise
                self._counts = False  # a proxy that lets only the API itself through
        return -(-len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN)

    async def _look(self) -> dict[str, Any]:
        """What the server says about the model that is meant; sets `model`."""
        try:
            said = await self._wire.once("GET", self.url + "/models")
            listed = {str(entry["id"]): dict(entry) for entry in said["data"]}
        except Transient as error:
            raise ModelError(f"{self.url} does not answer as an OpenAI-compatible server: {error}") from error
        except (Refused, KeyError, TypeError, ValueError) as error:
            if isinstance(error, Refused) and error.status in (401, 403):
                raise
            if self.model:
                return {}
            raise ModelError(f"{self.url} does not list its models; name one: {self.url}#MODEL") from error
        if not self.model:
            if len(listed) != 1:
                some = ", ".join(sorted(listed)[:8]) or "none"
                raise ModelError(f"{self.url} offers {len(listed)} models ({some}); name one: {self.url}#MODEL")
            (self.model,) = listed
        owners = {str(entry.get("owned_by")) for entry in listed.values()}
        # A server with a single model answers to any name; one with several is known by its models' common owner.
        alone = next(iter(listed.values())) if len(listed) == 1 else {}
        return listed.get(self.model) or alone or {"owned_by": owners.pop() if len(owners) == 1 else None}


def parse(spec: str) -> tuple[str, str]:
    """(address, model or "") of a spec; ModelError if it is not of the form http(s)://HOST[:PORT]/PATH#MODEL."""
    try:
        parts = urlsplit(spec)
        port = parts.port
    except ValueError:
        raise ModelError(f"{spec!r} is no address; http(s)://HOST[:PORT]/v1#MODEL is needed") from None
    if parts.username is not None or parts.password is not None or parts.query:
        raise ModelError(
            "an endpoint's address holds no user name, key or query; put the key into the variable BORESIGHT_API_KEY"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or (port is not None and not 0 < port < 65536):
        raise ModelError(f"{spec!r} is no address; http(s)://HOST[:PORT]/v1#MODEL is needed")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", parts.fragment


def key_for(url: str) -> str:
    """The API key for an address, out of the environment; "" if there is none. ModelError if it cannot be sent."""
    key = os.environ.get("BORESIGHT_API_KEY", "")
    if not key:
        parts = urlsplit(url)
        own = parts.scheme == "https" and parts.hostname == "api.openai.com"
        named = os.environ.get("OPENAI_BASE_URL", "").rstrip("/") == url
        if own or named or is_loopback(parts.hostname or ""):
            key = os.environ.get("OPENAI_API_KEY", "")
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise ModelError("the API key in the environment holds characters that no key has")
    return key


def concurrency_asked() -> int:
    """Requests under way at once: BORESIGHT_REMOTE_CONCURRENCY, else 8."""
    said = os.environ.get("BORESIGHT_REMOTE_CONCURRENCY", "")
    if not said:
        return CONCURRENCY
    if not said.isdecimal() or int(said) < 1:
        raise ModelError(f"BORESIGHT_REMOTE_CONCURRENCY is {said!r}; a whole number from 1 on is needed")
    return int(said)


def _without_folder(model: str) -> str:
    """A model's name; of a file on the server's disk, which llama.cpp shows, only the file's."""
    return model.rsplit("/", 1)[-1] if model.startswith("/") else model


def _context(about: Mapping[str, Any]) -> int | None:
    """The context that /models tells of: vLLM's max_model_len, llama.cpp's meta.n_ctx (of one slot)."""
    meta = about.get("meta")
    for found in (about.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, Mapping) else None):
        if isinstance(found, int) and found > 0:
            return found
    return None
