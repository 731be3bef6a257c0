"""The writers of nudging over real models: cached rows of a local one, and text completion by any of them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from boresight.lm.base import Completed
from boresight.steer.nudging.rounds import Continuation

if TYPE_CHECKING:
    from boresight.lm.decode import Companion, Decoder
    from boresight.lm.textcache import TextCache

LOOK = 8  # tokens beyond a chunk that may be read to tell whether its last ones begin the end of the answer


class End(Protocol):
    """Tells how far a growing continuation belongs to the answer: (characters, whether the answer ends after them)."""

    def safe(self, text: str, final: bool = False) -> tuple[int, bool]: ...


EndOf = Callable[[str], End]
"""From the whole text so far, prompt included, to where what follows would end the answer."""


class Framed:
    """A continuation as far as it belongs to the answer, for a base model that writes in a frame (URIAL's).

    The frame's end becomes an end-of-sequence token, the text "", with the probability of the token that it begins in.
    Tokens that may still turn out to begin it are held back, so the tokens do not depend on how far `chunk`, which may
    go LOOK tokens beyond `limit`, is generated.
    """

    def __init__(self, chunk: Continuation, end: End, limit: int) -> None:
        self.tokens: list[str] = []
        self.logprobs: list[float] = []
        self.opening = ""
        self.ended = self.finished = False
        self._chunk, self._end, self._limit = chunk, end, limit
        self._at = 0  # characters of the chunk that were let through

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    def more(self) -> "Decoder[bool]":
        """Let at least one more token through; False if there is none."""
        before = len(self.tokens)
        while len(self.tokens) == before and not self.finished:
            grew = yield from self._chunk.more()
            self._let_through(final=not grew or self._chunk.finished)
        return len(self.tokens) > before

    def fill(self, n: int | None = None) -> "Decoder[None]":
        while (n is None or len(self.tokens) < n) and (yield from self.more()):
            pass

    def leave(self) -> Any:
        raise NotImplementedError("drafts are left to themselves, and a nudger has no frame")

    def _let_through(self, final: bool) -> None:
        chunk = self._chunk
        safe, ends = self._end.safe(chunk.text, final)
        for i in range(len(self.tokens), min(len(chunk.tokens), self._limit)):
            token, logprob = chunk.tokens[i], chunk.logprobs[i]
            if self._at + len(token) > safe:
                if ends:
                    self._cut(chunk.text[self._at : safe], logprob)
                break
            if i == 0:
                self.opening = chunk.opening
            self._add(token, logprob)
            self.ended = chunk.ended and i == len(chunk.tokens) - 1
        self.finished |= final or self.ended or len(self.tokens) >= self._limit

    def _cut(self, rest: str, logprob: float) -> None:
        """The token in which the end begins: what stands before it, if anything, and the end-of-sequence token."""
        if rest:
            self._add(rest, logprob)
        if len(self.tokens) < self._limit:
            self._add("", logprob)
            self.ended = True
        self.finished = True

    def _add(self, token: str, logprob: float) -> None:
        if not self.tokens and self._at == 0 and not self.opening:
            self.opening = token
        self.tokens.append(token)
        self.logprobs.append(logprob)
        self._at += len(token)


class Cached:
    """A Writer over a local model: a TextCache whose chunks grow on demand.

    speculative: each model's words are a guess of the other's. The base keeps the draft in its cache after it has taken
    over, with a prediction after each of its tokens, so that its run is free as far as the two agree; the nudger reads
    the token that the base was unsure of along with what it has to catch up with. end: where answers end besides at an
    end-of-sequence token.
    """

    def __init__(self, cache: "TextCache", speculative: bool = False, end: EndOf | None = None) -> None:
        self.cache = cache
        self._speculative, self._end = speculative, end

    @property
    def forwards(self) -> int:
        return self.cache.passes

    def start(self, text: str, limit: int) -> Continuation:
        from boresight.lm.textcache import Chunk

        if self._end is None:
            return Chunk(self.cache, text, limit)
        return Framed(Chunk(self.cache, text, limit + LOOK), self._end(text), limit)

    def look(self, texts: Sequence[str], whole: str) -> "Decoder[None]":
        """Boundaries whose tokens begin those of the longest text share a pass; `start` asks for the others."""
        if not texts:
            return
        room = self.cache.model.context - 1  # a chunk opens only where a token fits
        ids = self.cache.ids(whole if self._speculative else texts[-1])[:room]
        parts = [self.cache.ids(text) for text in texts]
        lengths = [len(part) for part in parts if ids[: len(part)] == part]
        if lengths and self._speculative:
            lengths = list(range(lengths[0], len(ids) + 1))
        yield from self.cache.look(ids, lengths)

    def expect(self, text: str) -> None:
        if self._speculative:
            self.cache.expect(text)

    def wait_for(self, left: "Companion[None]") -> "Decoder[None]":
        return self.cache.wait_for(left)

    def settle(self, text: str) -> None:
        if not self._speculative:
            self.cache.crop(len(self.cache.ids(text)))


def completer(model: Any, end: EndOf | None = None) -> Callable[[str, int], Completed]:
    """A text-completion function over a local model, which reads the whole prompt anew, or over an endpoint."""
    complete = _local_completer(model) if hasattr(model, "session") else model.chunk
    if end is None:
        return complete

    def framed(prompt: str, limit: int) -> Completed:
        chunk = Framed(Given(complete(prompt, limit + LOOK)), end(prompt), limit)
        for _ in chunk.fill():
            raise AssertionError("a finished chunk never waits for a model")
        reason = "stop" if chunk.ended else "length"
        return Completed(chunk.text, chunk.tokens, chunk.logprobs, reason, chunk.opening)

    return framed


def _local_completer(model: Any) -> Callable[[str, int], Completed]:
    from boresight.lm.decode import drive
    from boresight.lm.textcache import Chunk, TextCache

    def once(prompt: str, limit: int) -> "Decoder[Chunk]":
        cache = TextCache(model, model.pool(), guess=0)
        try:
            chunk = Chunk(cache, prompt, limit)
            yield from chunk.fill()
            return chunk
        finally:
            cache.close()

    def complete(prompt: str, limit: int) -> Completed:
        chunk = drive([lambda: once(prompt, limit)], 1)[0]
        reason = "stop" if chunk.ended else "length"
        return Completed(chunk.text, chunk.tokens, chunk.logprobs, reason, chunk.opening)

    return complete


class Given:
    """A Completed as a continuation that does not grow."""

    finished = True

    def __init__(self, done: Completed) -> None:
        self.tokens, self.logprobs = list(done.tokens), list(done.top1_logprobs)
        self.ended = done.finish_reason == "stop"
        if not self.tokens:  # endpoints that leave the end-of-sequence token out send nothing where it came first
            self.tokens, self.logprobs, self.ended = [""], [0.0], True
        self.opening = self.tokens[0] if done.opening is None else done.opening

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    def fill(self, n: int | None = None) -> "Decoder[None]":
        return
        yield

    def more(self) -> "Decoder[bool]":
        return False
        yield

    def leave(self) -> None:
        pass
