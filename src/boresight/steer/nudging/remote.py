"""Answers with a model behind a server: a thread for each, because each waits for replies most of the time."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TypeVar

from boresight.errors import ModelError
from boresight.lm.base import Completed, OnStep, SomeFailed

HEARTBEAT = 0.2  # seconds between calls of on_step, so that a caller who wants to stop can
T = TypeVar("T")
Complete = Callable[[str, int], Completed]


class Stopped(Exception):
    """The answers were given up; raised in their threads."""


class Turnstile:
    """Text-completion functions for several threads: each passes on its own, or one at a time, until all are stopped.

    asked counts the requests.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.asked = 0
        self._lock = threading.Lock()

    def guard(self, complete: Complete, *, alone: bool) -> Complete:
        """`complete` for many threads. alone: one at a time, as a local model needs it."""
        own = threading.Lock()

        def guarded(prompt: str, limit: int) -> Completed:
            if self.stopped.is_set():
                raise Stopped
            with self._lock:
                self.asked += 1
            if not alone:
                return complete(prompt, limit)
            with own:
                return complete(prompt, limit)

        return guarded


def answer_all(
    jobs: Sequence[Callable[[], T]],
    turnstile: Turnstile,
    workers: int,
    on_done: Callable[[int, T], None] | None = None,
    on_step: OnStep | None = None,
) -> list[T]:
    """Run all jobs, `workers` at a time, and return their results in order.

    on_done hears of each as it comes; on_step, five times a second, of the requests since. What they raise stops
    everything. Jobs that end in a ModelError do not stop the others; SomeFailed tells of them at the end.
    """
    results: dict[int, T] = {}
    failures: dict[int, ModelError] = {}
    told = 0
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="boresight nudging")
    futures = {pool.submit(job): i for i, job in enumerate(jobs)}
    waiting = set(futures)
    try:
        while waiting:
            done, waiting = wait(waiting, HEARTBEAT, FIRST_COMPLETED)
            for future in done:
                i = futures[future]
                try:
                    results[i] = future.result()
                except ModelError as error:
                    failures[i] = error
                    continue
                if on_done:
                    on_done(i, results[i])
            if on_step:
                asked = turnstile.asked
                on_step(asked - told)
                told = asked
    finally:
        turnstile.stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)
    if failures:
        raise SomeFailed(dict(sorted(failures.items())), len(jobs))
    return [results[i] for i in range(len(jobs))]
