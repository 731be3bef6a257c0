"""Decode sessions: a row of tokens with its cache, and the pool that holds the caches of many."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from boresight.lm.decode import Ask, Decoder
from boresight.lm.kv import Pool, Prefix

if TYPE_CHECKING:
    from boresight.lm.local import LocalModel


class Session:
    """A decode session: a row of tokens with its cache. Not thread-safe; close it or use it as a context manager.

    ids: every token in the cache, the pool's prefix included. `passes`, `forwarded` and `recomputed` count the forward
    passes it took part in, the tokens it forwarded, and those of them at a position that had been forwarded before.
    """

    def __init__(self, model: "LocalModel", pool: "SharedPool") -> None:
        self.model = model
        self.pool = pool
        self.slot = pool.open_session(self)
        self.ids: list[int] = list(pool.prefix.ids) if pool.prefix else []
        self.passes = self.forwarded = self.recomputed = 0
        self._furthest = len(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def append(self, ids: Sequence[int]) -> Tensor:
        """Add tokens; returns the logits after the last one, (vocabulary,)."""
        return self.model.extend([Ask(self, ids, (len(ids) - 1,))])[0].logits[0]

    def rewind(self, n: int) -> None:
        """Forget the last n tokens; the prefix cannot be rewound."""
        floor = self.pool.offset
        if not 0 <= n <= len(self.ids) - floor:
            raise ValueError(f"cannot rewind {n} tokens: {len(self.ids) - floor} were added after the prefix")
        if n:
            del self.ids[-n:]
            self.pool.lengths[self.slot] -= n

    def fork(self) -> "Session":
        """A second session with the same tokens, from here on independent."""
        twin = Session(self.model, self.pool)
        twin.ids, twin._furthest = list(self.ids), self._furthest
        self.pool.copy(self.slot, twin.slot)
        return twin

    def close(self) -> None:
        """Free the slot."""
        if self.slot >= 0:
            self.pool.close_session(self)
            self.slot = -1

    def note(self, ids: Sequence[int]) -> None:
        """Record tokens that the engine has just written into the cache."""
        start = len(self.ids)
        self.recomputed += max(0, min(self._furthest, start + len(ids)) - start)
        self.ids.extend(ids)
        self._furthest = max(self._furthest, len(self.ids))
        self.pool.lengths[self.slot] += len(ids)
        self.forwarded += len(ids)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SharedPool(Pool):
    """A Pool that keeps its sessions' slot numbers right when one closes."""

    def __init__(self, prefix: Prefix | None = None) -> None:
        super().__init__(prefix)
        self._sessions: list[Session] = []

    def open_session(self, session: Session) -> int:
        """Take a slot for `session`."""
        self._sessions.append(session)
        return self.open()

    def close_session(self, session: Session) -> None:
        """Free the slot of `session`; the last session moves into it."""
        self.close(session.slot)
        last = self._sessions.pop()
        if last is not session:
            self._sessions[session.slot] = last
            last.slot = session.slot


class Reading:
    """A beginning that several rows share: the first that comes reads it, and all go on from copies of its cache.

    ids: the beginning, the pool's prefix included; rows: how many will come.
    """

    def __init__(self, model: "LocalModel", pool: SharedPool, ids: Sequence[int], rows: int) -> None:
        self.model, self.pool, self.ids, self.rows = model, pool, ids, rows
        self._session: Session | None = None

    def join(self) -> Decoder[Session]:
        """A session that holds the beginning; the last row to come gets the one that read it."""
        if self._session is None:
            self._session = Session(self.model, self.pool)
            yield [Ask(self._session, self.ids[len(self._session) :], ())]
        while len(self._session) < len(self.ids):
            yield []
        self.rows -= 1
        return self._session.fork() if self.rows else self._session

    def close(self) -> None:
        """Free the slot if some row never came for it."""
        if self._session is not None:
            self._session.close()


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:  # the usual case, compared in C
        return n
    return next(i for i in range(n) if a[i] != b[i])
