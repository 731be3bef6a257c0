"""A decode session that follows a text instead of token ids, so that models with different tokenizers can take turns.

Whoever writes, the other one tokenizes the *whole* string again and keeps the longest common beginning of what it has
cached. Boundary merges ("un" + "der") are then those of a fresh tokenization, and only the tokens that changed are
forwarded (nudging sheet, section 3).
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from boresight.lm.base import ContextFull, Sampling
from boresight.lm.decode import REPLACEMENT, Ask, Companion, Decoder, TextStream, picker
from boresight.lm.session import Session, SharedPool, common_prefix

if TYPE_CHECKING:
    from boresight.lm.local import LocalModel

REMEMBERED = 64
ECHO = 2  # tokens that must have come before in this order for what followed them to be guessed
GUESS = 8  # tokens guessed at most


class TextCache:
    """One row of a model, addressed by text.

    `known` maps a length n to (next token id, top-1 log-probability) after ids[:n]. The next token is the top-1 one,
    or is drawn with `sampling` (seeded by `row`) when that has a temperature; the log-probability is never tempered.
    guess: how many tokens may be guessed ahead (see `predict`). passes: forward passes that this row took part in, its
    companions' included.
    """

    def __init__(
        self,
        model: "LocalModel",
        pool: SharedPool,
        sampling: Sampling | None = None,
        row: int = 0,
        *,
        session: Session | None = None,
        guess: int = GUESS,
    ) -> None:
        self._pick = picker(sampling, row, ()) if sampling and sampling.temperature else None
        self.model = model
        self.guess = 0 if self._pick else guess
        self.session = session or Session(model, pool)
        self.known: dict[int, tuple[int, float]] = {}
        self.passes = 0
        self._recomputed = 0
        self._expected: list[int] = []
        self._texts: OrderedDict[str, list[int]] = OrderedDict()
        self._companions: list[Companion[None]] = []

    def ids(self, text: str) -> list[int]:
        """Fresh tokenization of a whole text; the last few are remembered."""
        found = self._texts.get(text)
        if found is None:
            found = self._texts[text] = self.model.encode(text)
            if len(self._texts) > REMEMBERED:
                self._texts.popitem(last=False)
        return found

    @property
    def recomputed(self) -> int:
        """Token positions that this row forwarded again after a crop."""
        return self._recomputed + self.session.recomputed

    def crop(self, n: int) -> int:
        """Forget everything after the first n tokens; returns how many are left.

        A text may change a prompt's last tokens back into the shared prefix (one long word that goes on growing);
        then this row leaves the pool for a session of its own, which starts from nothing.
        """
        surplus = len(self.session) - n
        if surplus <= 0:
            return len(self.session)
        self.known = {k: v for k, v in self.known.items() if k <= n}
        if n >= self.session.pool.offset:
            self.session.rewind(surplus)
        else:
            self._recomputed = self.recomputed
            self.session.close()
            self.session = Session(self.model, SharedPool())
        return len(self.session)

    def expect(self, text: str) -> None:
        """Guess that the model goes on as this text does, as long as what is asked for is a beginning of it."""
        if self.guess:
            self._expected = self.ids(text)

    def predict(self, ids: Sequence[int]) -> Decoder[tuple[int, float]]:
        """Top-1 id and its log-probability (nats) after `ids`; forwards only what is not cached.

        What is expected is forwarded along as a guess of what comes next, or, where the last tokens echo earlier ones,
        what followed those: a model that is guessed right, or repeats itself, is then several tokens ahead for the
        price of a pass, and nothing else changes.
        """
        n = len(ids)
        if n not in self.known or common_prefix(self.session.ids, ids) < n:
            most = min(self.guess, self.model.context - 1 - n)
            expected = common_prefix(self._expected, ids) == n < len(self._expected)
            ahead = self._expected[n : n + max(0, most)] if expected else echo(ids, most)
            yield from self.look([*ids, *ahead], range(n, n + len(ahead) + 1))
        return self.known[n]

    def look(self, ids: Sequence[int], lengths: Sequence[int]) -> Decoder[None]:
        """Make `known` hold what follows ids[:n] for every n in `lengths` (ascending, >= 1), in one pass at most."""
        cached = common_prefix(self.session.ids, ids)
        missing = [n for n in lengths if n > cached or n not in self.known]
        if not missing:
            return
        if lengths[-1] > self.model.context:
            raise ContextFull
        # The token before the first missing prediction must be forwarded, also when it is cached; what was known after
        # it is asked again.
        start = self.crop(min(cached, missing[0] - 1))
        missing = [n for n in lengths if n > start]
        ask = Ask(self.session, ids[start : missing[-1]], [n - 1 - start for n in missing])
        (step,) = yield from self._pass([ask])
        for k, n in enumerate(missing):
            token = self._pick(step, k) if self._pick else step.top_ids[k]
            self.known[n] = (token, step.top_logprobs[k])

    # -- companions ---------------------------------------------------------------------------------------------

    def fork(self) -> "TextCache":
        """A second row with the same tokens; what it draws comes from the same generator."""
        twin = TextCache(self.model, self.session.pool, session=self.session.fork(), guess=self.guess)
        twin._pick, twin.known = self._pick, dict(self.known)
        return twin

    def take_along(self, decoder: Decoder[None]) -> Companion[None]:
        """Let a decoder of this model go along with this row's passes."""
        companion = Companion(decoder)
        self._companions.append(companion)
        return companion

    def wait_for(self, companion: Companion[None]) -> Decoder[None]:
        """Make passes for the companions alone until this one has returned."""
        while companion.asks:
            yield from self._pass([], companion.asks[0].session.pool)

    def _pass(self, own: list[Ask], pool: SharedPool | None = None) -> Decoder[list]:
        pool = pool or own[0].session.pool
        along = [c for c in self._companions if c.asks and c.asks[0].session.pool is pool]
        steps = yield [*own, *(ask for c in along for ask in c.asks)]
        self.passes += 1
        at = len(own)
        for companion in along:
            n = len(companion.asks)
            companion.take(steps[at : at + n])
            at += n
        self._companions = [c for c in self._companions if c.asks]
        return steps[: len(own)]

    def close(self) -> None:
        """Free the session and those of companions that are still on their way."""
        for companion in self._companions:
            companion.close()
        self._companions = []
        self.session.close()


class Chunk:
    """A greedy continuation of a text by at most `limit` tokens, generated token by token as it is asked for.

    tokens: their texts (an end-of-sequence token as ""); opening: the first one, the replacement character if it is
    only a part of a character; logprobs: their top-1 log-probabilities; ended: the last one is an end-of-sequence
    token; finished: there will be no more. Where the context ends, so does the chunk; with no room for its first token
    it raises ContextFull.
    """

    def __init__(self, cache: TextCache, text: str, limit: int) -> None:
        self.tokens: list[str] = []
        self.logprobs: list[float] = []
        self.opening = ""
        self.ended = self.finished = False
        self._cache = cache
        self._ids = list(cache.ids(text))
        self._limit = limit
        self._stream = TextStream(cache.model.decode, self._ids)

    def more(self) -> Decoder[bool]:
        """Generate one more token; False if the chunk is finished."""
        if self.finished:
            return False
        if len(self._ids) >= self._cache.model.context:
            if not self.tokens:
                raise ContextFull
            self.finished = True
            return False
        token, logprob = yield from self._cache.predict(self._ids)
        self.ended = token in self._cache.model.eos_ids
        self.tokens.append("" if self.ended else self._stream.push(token))
        if not self.logprobs:
            self.opening = self.tokens[0] or (REPLACEMENT if self._stream.pending else "")
        self.logprobs.append(logprob)
        self._ids.append(token)
        self.finished = self.ended or len(self.tokens) >= self._limit
        return True

    def fill(self, n: int | None = None) -> Decoder[None]:
        """Generate until there are n tokens (None: until it is finished)."""
        while (n is None or len(self.tokens) < n) and (yield from self.more()):
            pass

    def leave(self) -> "Companion[None]":
        """Go on to the end in a row of its own, along with the passes of the row that it began in."""
        row = self._cache
        self._cache = row.fork()
        return row.take_along(self._to_the_end())

    def _to_the_end(self) -> Decoder[None]:
        try:
            yield from self.fill()
        finally:
            self._cache.close()

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.tokens)


def echo(ids: Sequence[int], limit: int) -> list[int]:
    """What followed the last place where the final ECHO tokens stood before, as many tokens as agree there."""
    n = len(ids)
    if n <= ECHO or limit < 1:
        return []
    tail = list(ids[-ECHO:])
    for end in range(n - 1, ECHO - 1, -1):
        if ids[end - 1] == tail[-1] and list(ids[end - ECHO : end]) == tail:
            same = ECHO
            while same < min(limit, end) and ids[end - 1 - same] == ids[n - 1 - same]:
                same += 1
            return list(ids[end : end + min(same, limit)])
    return []
