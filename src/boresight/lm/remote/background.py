"""Many requests at once for callers that know nothing of asyncio: one event loop in a thread of its own.

Network clients live in this loop, so their connections are reused between calls. Callbacks run in the caller's thread;
when one of them raises, or the caller is interrupted, the requests that are under way are cancelled.
"""

import asyncio
import os
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from boresight.errors import ModelError
from boresight.lm.base import Completion, OnDone, OnStep, SomeFailed

HEARTBEAT = 0.2  # seconds between calls of on_step while no answer comes, so that a caller who wants to stop can

T = TypeVar("T")
_Ended = queue.SimpleQueue[tuple[int, Completion | BaseException]]
_lock = threading.Lock()
_running: tuple[int, asyncio.AbstractEventLoop] | None = None


def _loop() -> asyncio.AbstractEventLoop:
    """The process's loop; a forked child gets its own, because threads do not survive a fork."""
    global _running
    with _lock:
        if _running is None or _running[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="boresight remote", daemon=True).start()
            _running = os.getpid(), loop
        return _running[1]


def call(job: Coroutine[Any, Any, T]) -> T:
    """The result of one coroutine."""
    future = asyncio.run_coroutine_threadsafe(job, _loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def answer_all(
    jobs: Sequence[Callable[[], Awaitable[Completion]]], on_done: OnDone | None = None, on_step: OnStep | None = None
) -> list[Completion]:
    """Run all jobs, tell of each answer as it comes, and return them in order.

    on_step hears of an answer's tokens, and of 0 tokens while nothing comes. Jobs that end in a ModelError do not stop
    the others; when all have ended, SomeFailed says which they were. Any other error stops everything.
    """
    ended: _Ended = queue.SimpleQueue()
    loop = _loop()
    answers: dict[int, Completion] = {}
    failures: dict[int, ModelError] = {}
    tasks = [asyncio.run_coroutine_threadsafe(_run(i, job, ended), loop) for i, job in enumerate(jobs)]
    try:
        for i, result in _as_they_come(ended, len(jobs), on_step):
            if isinstance(result, ModelError):
                failures[i] = result
                continue
            if isinstance(result, BaseException):
                raise result
            answers[i] = result
            if on_done:
                on_done(i, result)
            if on_step:
                on_step(max(1, result.tokens))
    finally:
        for task in tasks:
            task.cancel()
    if failures:
        raise SomeFailed(dict(sorted(failures.items())), len(jobs))
    return [answers[i] for i in range(len(jobs))]


async def _run(i: int, job: Callable[[], Awaitable[Completion]], ended: _Ended) -> None:
    try:
        ended.put((i, await job()))
    except BaseException as error:
        ended.put((i, error))
        if isinstance(error, asyncio.CancelledError):
            raise


def _as_they_come(ended: _Ended, n: int, on_step: OnStep | None) -> Iterator[tuple[int, Completion | BaseException]]:
    while n:
        try:
            came = ended.get(timeout=HEARTBEAT)
        except queue.Empty:
            if on_step:
                on_step(0)
            continue
        yield came
        n -= 1
