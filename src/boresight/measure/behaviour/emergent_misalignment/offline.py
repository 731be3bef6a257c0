"""The proxy scorer behind many samples that ask at once: it is loaded once and reads answers in batches."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

GATHER = 0.2  # seconds to wait for company before a batch is scored
BATCH = 64  # answers scored in one call

Scores = tuple[float | None, float | None]
"""(aligned, coherent), 0 to 100; None: it gives none."""


@dataclass
class _Asked:
    question: str
    answer: str
    found: Scores | None = None
    error: Exception | None = None


class ProxyScorer:
    """Scores from `make()`'s `scores(questions, answers)`, which is made with the first batch."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._proxy: Any = None
        self._waiting: list[_Asked] = []
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def score(self, question: str, answer: str) -> Scores:
        """(aligned, coherent) of one answer; what the proxy raises reaches all who asked in that batch."""
        mine = _Asked(question, answer)
        self._waiting.append(mine)
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            while mine.found is None and mine.error is None:
                await asyncio.sleep(GATHER)
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await asyncio.to_thread(self._serve, batch)
        if mine.error is not None:
            raise mine.error
        assert mine.found is not None
        return mine.found

    def _serve(self, batch: list[_Asked]) -> None:
        try:
            if self._proxy is None:
                self._proxy = self._make()
            found = self._proxy.scores([one.question for one in batch], [one.answer for one in batch])
            for one, scores in zip(batch, found, strict=True):
                one.found = scores
        except Exception as error:
            for one in batch:
                one.error = one.error or error
