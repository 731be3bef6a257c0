"""Our models under Inspect: the provider `boresight/<subject>`, and the engine that keeps a model busy behind it.

Inspect asks for one answer at a time from many coroutines; a local model is fast only in large batches. So the engine
is told every prompt of the run up front (`submit`), works through them in batches of its own in a thread, and a
coroutine that asks for one of them (`ask`) gets the answer when it is there. What was not announced, such as the second
turn of a dialogue, is gathered and answered in the same way.
"""

import asyncio
import hashlib
import json
import logging
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, replace

from inspect_ai import Task
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageUser,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    StopReason,
    TopLogprob,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from boresight.chat import Chat
from boresight.errors import BoresightError, ModelError
from boresight.lm.base import Completion, LanguageModel, Sampling, SomeFailed
from boresight.measure.base import TRACE
from boresight.measure.likelihood import scorer_of

log = logging.getLogger(__name__)

SCORED = 64  # chats whose options are scored in one call
GATHER = 0.02  # seconds to wait for company before a batch of unannounced requests starts
_STOP_REASONS: dict[str, StopReason] = {"length": "max_tokens", "rounds": "max_tokens", "context": "model_length"}


class Stopped(Exception):
    """The engine was closed while the model was at work."""


Slot = tuple[str, int]
"""Which answer of a run: the hash of its prompt and sampling, and its number among those that are equal."""


class _Request:
    def __init__(self, slot: Slot, chat: Chat, sampling: Sampling) -> None:
        self.slot, self.chat, self.sampling = slot, chat, sampling
        self.answer: Future[Completion] = Future()


class _Scoring:
    """How likely each of some texts is as the answer to a chat."""

    def __init__(self, chat: Chat, texts: Sequence[str]) -> None:
        self.chat, self.texts = chat, list(texts)
        self.answer: Future[list[list[float]]] = Future()


class Engine:
    """Answers many askers with one model. Close it, or use it as a context manager.

    Equal prompts are told apart by a number, and a sampled answer is seeded with its slot: it does not depend on who
    else is in its batch, nor on what was answered before an interruption.

    known: answers that are there already; they are handed out and the model is not asked again. on_done(slot, answer)
    is called before each new answer is handed out and on_step(rows) after each forward pass, in the engine's thread.
    What on_done raises closes the engine and is kept as `trouble`.
    """

    def __init__(
        self,
        model: LanguageModel,
        *,
        known: Mapping[Slot, Completion] | None = None,
        on_done: Callable[[Slot, Completion], None] | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        self.model = model
        self.trouble: Exception | None = None
        self._known = known or {}
        self._on_done, self._on_step = on_done, on_step
        self._announced: dict[str, deque[_Request]] = {}
        self._numbers: Counter[str] = Counter()
        self._queue: queue.Queue[list[_Request | _Scoring] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"boresight {model.name}", daemon=True)
        self._thread.start()

    def submit(self, prompts: Sequence[tuple[Chat, Sampling]]) -> None:
        """Announce prompts; they are worked on at once, and each is handed to one later `ask`."""
        with self._lock:
            requests = [self._request(_key(chat, sampling), chat, sampling) for chat, sampling in prompts]
            for request in requests:
                self._announced.setdefault(request.slot[0], deque()).append(request)
            self._enqueue(requests)

    def ask(self, chat: Chat, sampling: Sampling) -> Future[Completion]:
        """The answer to a prompt, announced or not."""
        key = _key(chat, sampling)
        with self._lock:
            waiting = self._announced.get(key)
            if waiting:
                return waiting.popleft().answer
            request = self._request(key, chat, sampling)
            self._enqueue([request])
        return request.answer

    @property
    def tells_likelihoods(self) -> bool:
        """Whether the model can say how likely given texts are (see `likelihoods`)."""
        return scorer_of(self.model) is not None

    def likelihoods(self, chat: Chat, texts: Sequence[str]) -> "Future[list[list[float]]]":
        """Log-probabilities (nats) of the tokens of each of `texts` as the answer to a chat, teacher-forced.

        What many askers want is scored together. They are computed anew after an interruption: nothing is drawn.
        """
        asked = _Scoring(chat, texts)
        with self._lock:
            self._enqueue([asked])
        return asked.answer

    def _request(self, key: str, chat: Chat, sampling: Sampling) -> _Request:
        number = self._numbers[key]
        self._numbers[key] += 1
        if sampling.temperature and sampling.row is None:
            sampling = replace(sampling, row=_row(key, number))
        request = _Request((key, number), chat, sampling)
        if request.slot in self._known:
            request.answer.set_result(self._known[request.slot])
        return request

    def _enqueue(self, requests: "Sequence[_Request | _Scoring]") -> None:
        """Hand requests to the thread. The lock is held, so that none comes after `close` has put the end."""
        new = [r for r in requests if not r.answer.done()]
        if self._closed:
            for request in new:
                request.answer.set_exception(Stopped("the engine is closed"))
        elif new:
            self._queue.put(new)

    def close(self) -> None:
        """Stop after the forward pass that is under way, and free the caches."""
        with self._lock:
            self._closed = True
            self._queue.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        while (batch := self._queue.get()) is not None:
            while True:
                try:
                    more = self._queue.get(timeout=GATHER)
                except queue.Empty:
                    break
                if more is None:
                    self._queue.put(None)
                    break
                batch = batch + more
            wanted = [r for r in batch if r.answer.set_running_or_notify_cancel()]
            if scored := [r for r in wanted if isinstance(r, _Scoring)]:
                self._score(scored)
            if asked := [r for r in wanted if isinstance(r, _Request)]:
                self._serve(asked)

    def _score(self, batch: list[_Scoring]) -> None:
        try:
            scorer = scorer_of(self.model)
            if self._closed:
                raise Stopped("the engine is closed")
            if scorer is None:
                raise ModelError(f"{self.model.name} does not tell how likely a given text is")
            render, logprobs = scorer
            for some in (batch[i : i + SCORED] for i in range(0, len(batch), SCORED)):
                pairs = [(render(one.chat), text) for one in some for text in one.texts]
                found = iter(logprobs([p for p, _ in pairs], [t for _, t in pairs]))
                for one in some:
                    one.answer.set_result([next(found) for _ in one.texts])
                if self._on_step:
                    self._on_step(len(pairs))
        except Exception as error:
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(error)

    def _serve(self, batch: list[_Request]) -> None:
        def done(i: int, completion: Completion) -> None:
            if self._on_done:
                try:
                    self._on_done(batch[i].slot, completion)
                except Exception as error:
                    self.trouble, self._closed = error, True
                    raise Stopped(str(error)) from error
            batch[i].answer.set_result(completion)

        def step(rows: int) -> None:
            if self._closed:
                raise Stopped("the engine was closed")
            if self._on_step:
                self._on_step(rows)

        try:
            if self._closed:
                raise Stopped("the engine is closed")
            self.model.generate([r.chat for r in batch], [r.sampling for r in batch], on_done=done, on_step=step)
        except Exception as error:
            for i, why in _given_up(error).items():
                batch[i].answer.set_exception(why)
            left = [r for r in batch if not r.answer.done()]
            if len(left) > 1 and isinstance(error, BoresightError | ValueError) and not self._closed:
                # One prompt that the model refuses (too long, say) must not take the others with it.
                self._serve(left[: len(left) // 2])
                self._serve(left[len(left) // 2 :])
            else:
                for request in left:
                    request.answer.set_exception(error)


def _given_up(error: Exception) -> Mapping[int, ModelError]:
    """Rows that a remote model has tried long enough; it has answered the others."""
    return error.failures if isinstance(error, SomeFailed) else {}


def _key(chat: Chat, sampling: Sampling) -> str:
    asked = json.dumps([[[m["role"], m["content"]] for m in chat], asdict(sampling)])
    return hashlib.sha256(asked.encode()).hexdigest()[:32]


def _row(key: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{key}:{number}".encode()).digest()[:6], "big")


class BoresightAPI(ModelAPI):
    """Inspect's view of an Engine. Tools and media are not supported and are refused, not ignored."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - the signature Inspect calls
        *,
        engine: Engine,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        self.engine = engine
        self._warned: set[str] = set()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """The answers that were asked for (one, or `num_choices`), from the engine."""
        if tools and tool_choice != "none":
            raise ModelError(f"{self.model_name} takes no tools, but the task offers {tools[0].name!r}")
        chat, how = as_chat(input), as_sampling(config)
        self._warn(config)
        asked = [asyncio.wrap_future(self.engine.ask(chat, how)) for _ in range(config.num_choices or 1)]
        return as_output(self.model_name, *await asyncio.gather(*asked))

    def _warn(self, config: GenerateConfig) -> None:
        """Say once which settings mean nothing to these models."""
        new = [name for name in _IGNORED if getattr(config, name) is not None and name not in self._warned]
        self._warned.update(new)
        for name in new:
            log.warning("%s has no use for the setting %s; it is ignored", self.model_name, name)

    def max_connections(self) -> int:
        """As many as there are: the engine makes its own batches."""
        return 1_000_000

    def close(self) -> None:
        """Stop the engine."""
        self.engine.close()

    def connection_key(self) -> str:
        """Requests to different engines do not wait for each other."""
        return str(id(self.engine))


def as_chat(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """Inspect's messages as plain dicts, neighbours of one role joined; ModelError for anything but text."""
    chat: list[dict[str, str]] = []
    for message in messages:
        parts = [] if isinstance(message.content, str) else [part.type for part in message.content]
        if message.role == "tool" or any(part != "text" for part in parts):
            raise ModelError(f"a {message.role} message holds more than text; only text is supported")
        if chat and chat[-1]["role"] == message.role:
            chat[-1]["content"] += f"\n{message.text}"
        else:
            chat.append({"role": message.role, "content": message.text})
    return chat


_REFUSED = (
    "prompt_logprobs",
    "logit_bias",
    "response_schema",
    "modalities",
    "frequency_penalty",
    "presence_penalty",
)
_IGNORED = (
    "reasoning_effort",
    "reasoning_mode",
    "reasoning_tokens",
    "reasoning_summary",
    "effort",
    "verbosity",
    "extra_body",
    "extra_headers",
)


def as_sampling(config: GenerateConfig) -> Sampling:
    """Inspect's generation settings as ours; what is not set is greedy and at most 256 tokens.

    Raises ModelError for a setting that would change the answers and is not supported.
    """
    wrong = [name for name in _REFUSED if getattr(config, name)]
    wrong += ["best_of"] if (config.best_of or 1) > 1 else []
    if (config.logprobs or config.top_logprobs) and config.max_tokens != 1:
        wrong.append("logprobs")  # told of the first token only
    if wrong:
        raise ModelError(f"boresight models do not support the generation setting {wrong[0]!r}; leave it out")
    return Sampling(
        max_new_tokens=config.max_tokens or 256,
        temperature=config.temperature or 0.0,
        top_p=1.0 if config.top_p is None else config.top_p,
        stop=tuple(config.stop_seqs or ()),
        seed=config.seed or 0,
        top_k=max(0, config.top_k or 0),
        alternatives=max(1, config.top_logprobs or 0) if config.logprobs else 0,
    )


def as_output(name: str, *completions: Completion) -> ModelOutput:
    """Completions of one prompt as Inspect's model output, the trace of the first in the metadata."""
    first = completions[0]
    record = asdict(first)
    del record["text"]
    written = sum(c.tokens for c in completions)
    usage = ModelUsage(
        input_tokens=first.prompt_tokens, output_tokens=written, total_tokens=first.prompt_tokens + written
    )
    return ModelOutput(
        model=name,
        choices=[
            ChatCompletionChoice(
                message=ChatMessageAssistant(content=c.text, model=name, source="generate"),
                stop_reason=_STOP_REASONS.get(c.finish_reason, "stop"),
                logprobs=_first_token(c),
            )
            for c in completions
        ],
        usage=usage,
        metadata={TRACE: record},
    )


def _first_token(completion: Completion) -> Logprobs | None:
    """What the model tells of the likeliest first tokens (`Sampling.alternatives`)."""
    told = [TopLogprob(token=t, logprob=p) for t, p in completion.trace.detail.get("first", {}).items()]
    return (
        Logprobs(content=[Logprob(token=told[0].token, logprob=told[0].logprob, top_logprobs=told)]) if told else None
    )


def announced(task: Task) -> list[tuple[Chat, Sampling]]:
    """The first prompt of every sample of a task, once per epoch, with the sampling that the task asks for."""
    how = as_sampling(task.config)
    chats = ([ChatMessageUser(content=s.input)] if isinstance(s.input, str) else s.input for s in task.dataset)
    return [(as_chat(chat), how) for chat in chats for _ in range(task.epochs or 1)]
