"""Our models under Inspect: the provider `boresight/<subject>`, and the engine that keeps a model busy behind it.

Inspect asks for one answer at a time from many coroutines; a local model is fast only in large batches. So the engine
is told every prompt of the run up front (`submit`), works through them in batches of its own in a thread, and a
coroutine that asks for one of them (`ask`) gets the answer when it is there. What was not announced, such as the second
turn of a dialogue, is gathered and answered in the same way.
"""

import asyncio
import json
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict

from inspect_ai import Task
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageUser,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    StopReason,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from boresight.chat import Chat
from boresight.errors import BoresightError, ModelError
from boresight.lm.base import Completion, LanguageModel, Sampling
from boresight.measure.base import TRACE

GATHER = 0.02  # seconds to wait for company before a batch of unannounced requests starts
_STOP_REASONS: dict[str, StopReason] = {"length": "max_tokens", "rounds": "max_tokens", "context": "model_length"}


class Stopped(Exception):
    """The engine was closed while the model was at work."""


class _Request:
    def __init__(self, chat: Chat, sampling: Sampling) -> None:
        self.chat, self.sampling = chat, sampling
        self.answer: Future[Completion] = Future()


class Engine:
    """Answers many askers with one model. Close it, or use it as a context manager.

    on_done() is called after each answer and on_step(rows) after each forward pass, in the engine's thread.
    """

    def __init__(
        self,
        model: LanguageModel,
        *,
        on_done: Callable[[], None] | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        self.model = model
        self._on_done, self._on_step = on_done, on_step
        self._announced: dict[str, deque[_Request]] = {}
        self._queue: queue.Queue[list[_Request] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"boresight {model.name}", daemon=True)
        self._thread.start()

    def submit(self, prompts: Sequence[tuple[Chat, Sampling]]) -> None:
        """Announce prompts; they are worked on at once, and each is handed to one later `ask`."""
        requests = [_Request(chat, sampling) for chat, sampling in prompts]
        with self._lock:
            for request in requests:
                self._announced.setdefault(_key(request.chat, request.sampling), deque()).append(request)
        self._queue.put(requests)

    def ask(self, chat: Chat, sampling: Sampling) -> Future[Completion]:
        """The answer to a prompt, announced or not."""
        with self._lock:
            waiting = self._announced.get(_key(chat, sampling))
            if waiting:
                return waiting.popleft().answer
        request = _Request(chat, sampling)
        if self._closed:
            request.answer.set_exception(Stopped("the engine is closed"))
        else:
            self._queue.put([request])
        return request.answer

    def close(self) -> None:
        """Stop after the forward pass that is under way, and free the caches."""
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
            self._serve([r for r in batch if r.answer.set_running_or_notify_cancel()])
        while not self._queue.empty():
            for request in self._queue.get_nowait() or ():
                request.answer.set_exception(Stopped("the engine is closed"))

    def _serve(self, batch: list[_Request]) -> None:
        def done(i: int, completion: Completion) -> None:
            batch[i].answer.set_result(completion)
            if self._on_done:
                self._on_done()

        def step(rows: int) -> None:
            if self._closed:
                raise Stopped("the engine was closed")
            if self._on_step:
                self._on_step(rows)

        try:
            self.model.generate([r.chat for r in batch], [r.sampling for r in batch], on_done=done, on_step=step)
        except Exception as error:
            left = [r for r in batch if not r.answer.done()]
            if len(left) > 1 and isinstance(error, BoresightError | ValueError) and not self._closed:
                # One prompt that the model refuses (too long, say) must not take the others with it.
                self._serve(left[: len(left) // 2])
                self._serve(left[len(left) // 2 :])
            else:
                for request in left:
                    request.answer.set_exception(error)


def _key(chat: Chat, sampling: Sampling) -> str:
    return json.dumps([[m["role"], m["content"]] for m in chat]) + repr(sampling)


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

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """One answer, from the engine."""
        if tools:
            raise ModelError(f"{self.model_name} takes no tools, but the task offers {tools[0].name!r}")
        completion = await asyncio.wrap_future(self.engine.ask(as_chat(input), as_sampling(config)))
        return as_output(self.model_name, completion)

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
    """Inspect's messages as plain dicts; ModelError for anything but text."""
    for message in messages:
        if message.role == "tool" or (not isinstance(message.content, str) and len(message.content) != 1):
            raise ModelError(f"a {message.role} message holds more than text; only text is supported")
    return [{"role": message.role, "content": message.text} for message in messages]


def as_sampling(config: GenerateConfig) -> Sampling:
    """Inspect's generation settings as ours; what is not set is greedy and at most 256 tokens."""
    return Sampling(
        max_new_tokens=config.max_tokens or 256,
        temperature=config.temperature or 0.0,
        top_p=config.top_p or 1.0,
        stop=tuple(config.stop_seqs or ()),
        seed=config.seed or 0,
    )


def as_output(name: str, completion: Completion) -> ModelOutput:
    """A completion as Inspect's model output, its trace in the metadata."""
    record = asdict(completion)
    del record["text"]
    total = completion.prompt_tokens + completion.tokens
    return ModelOutput(
        model=name,
        choices=[
            ChatCompletionChoice(
                message=ChatMessageAssistant(content=completion.text, model=name, source="generate"),
                stop_reason=_STOP_REASONS.get(completion.finish_reason, "stop"),
            )
        ],
        usage=ModelUsage(input_tokens=completion.prompt_tokens, output_tokens=completion.tokens, total_tokens=total),
        metadata={TRACE: record},
    )


def announced(task: Task) -> list[tuple[Chat, Sampling]]:
    """The first prompt of every sample of a task, with the sampling that the task asks for."""
    how = as_sampling(task.config)
    chats = ([ChatMessageUser(content=s.input)] if isinstance(s.input, str) else s.input for s in task.dataset)
    return [(as_chat(chat), how) for chat in chats]
