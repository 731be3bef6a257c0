"""Decoding written one row at a time and run many rows at a time.

A decoder is a generator: it yields asks (extend this session by these tokens) and is sent as many steps (what the model
says next). `drive` runs many decoders at once: it collects their asks, gives each model one packed pass with
everything that waits for it, and lets a waiting decoder in as soon as one ends. So plain decoding, URIAL and Nudging
are each written as for a single prompt, and rows that are in different states (drafting, verifying, writing) advance in
separate sub-batches without knowing of each other.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from boresight.lm.base import Completion, Sampling, Span, Trace

if TYPE_CHECKING:
    import torch

    from boresight.lm.local import LocalModel, Session

T = TypeVar("T")
REPLACEMENT = "\ufffd"
SLICE = 512  # tokens of a pass from which on prompts wait, so that rows that write are not held up for long


@dataclass
class Ask:
    """Extend `session` by `ids` (at least one) and tell what follows the positions in `keep` (indices into ids)."""

    session: "Session"
    ids: Sequence[int]
    keep: Sequence[int]


@dataclass
class Step:
    """What the model says after each kept position: top-1 id and its natural-log probability, and the raw logits.

    logits: (len(keep), vocabulary) in the model's dtype.
    """

    top_ids: list[int]
    top_logprobs: list[float]
    logits: "torch.Tensor"


Decoder = Generator[list[Ask], list[Step], T]
"""Yields asks, all of one pool (mostly one), is sent a step for each, and returns its result.

No asks at all: it waits for what another decoder is doing, and is sent no steps after the next pass.
"""


class Companion(Generic[T]):
    """A decoder whose asks go along with passes that are made for another one.

    asks: what it waits for, empty when it has returned; result: what it returned.
    """

    def __init__(self, decoder: Decoder[T]) -> None:
        self._decoder = decoder
        self.asks: list[Ask] = []
        self.result: T | None = None
        self.take(None)

    def take(self, steps: list[Step] | None) -> None:
        """Go on with the steps that were asked for."""
        try:
            self.asks = next(self._decoder) if steps is None else self._decoder.send(steps)
        except StopIteration as end:
            self.asks, self.result = [], end.value

    def close(self) -> None:
        """Stop it and let it free what it holds."""
        self._decoder.close()
        self.asks = []


def drive(
    decoders: Iterable[Callable[[], Decoder[T]]],
    width: int,
    on_done: Callable[[int, T], None] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> list[T]:
    """Run decoders, at most `width` at a time, and return their results in order.

    decoders: makers of generators; each is made when its turn comes, so that only `width` hold a cache.
    Each pass serves the model that most rows wait for; the others gather company meanwhile. Rows that add few tokens
    go first, and long prompts are read SLICE tokens at a time beside them. `on_step` hears how many rows each pass
    served; what it or `on_done` raises ends the run and frees every cache.
    """
    waiting = deque(enumerate(decoders))
    results: dict[int, T] = {}
    running: dict[int, tuple[Decoder[T], list[Ask]]] = {}

    def resume(i: int, decoder: Decoder[T], steps: list[Step] | None) -> None:
        try:
            running[i] = (decoder, next(decoder) if steps is None else decoder.send(steps))
        except StopIteration as end:
            running.pop(i, None)
            results[i] = end.value
            if on_done:
                on_done(i, end.value)

    try:
        while running or waiting:
            while waiting and len(running) < width:
                i, make = waiting.popleft()
                resume(i, make(), None)
            idle = [i for i, (_, asks) in running.items() if not asks]
            served, asks = _next_pass({i: asks for i, (_, asks) in running.items() if asks})
            if served or asks:
                steps = iter(asks[0].session.model.extend(asks))
                for i in served:
                    decoder, asked = running[i]
                    resume(i, decoder, list(islice(steps, len(asked))))
                if on_step:
                    on_step(len(served))
            for i in idle:
                resume(i, running[i][0], [])
    finally:
        for decoder, _ in running.values():
            decoder.close()
    return [results[i] for i in range(len(results))]


def _next_pass(asking: dict[int, list[Ask]]) -> tuple[list[int], list[Ask]]:
    """Which rows the next pass serves, and its asks: those of the rows in this order, then perhaps a slice of a longer.

    What a slice reads is taken off the ask it comes from.
    """
    pools: dict[int, dict[int, list[Ask]]] = {}
    for i, asks in asking.items():
        pools.setdefault(id(asks[0].session.pool), {})[i] = asks
    wanted = max(pools.values(), key=len, default={})
    sizes = {i: sum(len(ask.ids) for ask in asks) for i, asks in wanted.items()}
    room, served = SLICE, []
    for i in sorted(wanted, key=sizes.__getitem__):
        if sizes[i] > room:
            ask = wanted[i][0]
            cut = min([room, len(ask.ids) - 1, *ask.keep]) if len(wanted[i]) == 1 else 0
            if cut > 0:
                part = Ask(ask.session, ask.ids[:cut], ())
                ask.ids, ask.keep = ask.ids[cut:], [k - cut for k in ask.keep]
                return served, [*(a for k in served for a in wanted[k]), part]
            if served:
                break
        served.append(i)
        room -= sizes[i]
    return served, [a for k in served for a in wanted[k]]


class TextStream:
    """Token ids to text, one token at a time: piece = decode(ids + [t]) minus decode(ids).

    Decoding an id alone would drop the leading space in some tokenizers, so each token is decoded behind a few earlier
    ones. A character whose bytes are spread over tokens belongs to the token that completes it; bytes that no character
    begins with come out as replacement characters.
    """

    _BEHIND = 6  # tokens
    _LONGEST = 4  # tokens that one character may take

    def __init__(self, decode: Callable[[list[int]], str], context: Sequence[int] = ()) -> None:
        self._decode = decode
        n = self._BEHIND
        while n < min(len(context), 4 * self._BEHIND) and decode(list(context[-n:])).startswith(REPLACEMENT):
            n += 1  # byte tokens in a row are decoded together: a window must not begin inside a character
        self._context = list(context[-n:])
        self.ids: list[int] = []
        self.pieces: list[str] = []
        self.text = ""
        self._complete = [0]  # numbers of tokens after which no character was open, the last ones
        self._waited = 0

    @property
    def pending(self) -> bool:
        """True while the last tokens are a part of a character."""
        return self._complete[-1] < len(self.ids)

    def push(self, token: int) -> str:
        """Add a token and return the text that it completes ("" for special tokens and for part of a character)."""
        self.ids.append(token)
        complete = self._complete[-1]
        while len(self._complete) > 1 and self._complete[1] <= complete - self._BEHIND:
            self._complete.pop(0)
        start = self._complete[0]
        behind = self._context if start == 0 else []
        known = len(self._decode(behind + self.ids[start:complete])) + sum(map(len, self.pieces[complete:]))
        after = self._decode(behind + self.ids[start:])
        open_ = after.endswith(REPLACEMENT)
        piece = (after.rstrip(REPLACEMENT) if open_ else after)[known:]
        self._waited = self._waited + 1 if open_ and not piece else 0
        if self._waited == self._LONGEST:
            piece, open_, self._waited = after[known:], False, 0
        if not open_:
            self._complete.append(len(self.ids))
        self.pieces.append(piece)
        self.text += piece
        return piece


Stopper = Callable[[str, int], tuple[int, str] | None]
"""(text so far, index where the newest piece begins) -> (where to cut, finish reason, see `write`) or None: go on."""


def stop_at(stops: Sequence[str]) -> Stopper:
    """Stop before the earliest of `stops`, also when it spans several tokens."""
    longest = max((len(s) for s in stops), default=0)

    def find(text: str, new: int) -> tuple[int, str] | None:
        hits = [at for s in stops if (at := text.find(s, max(0, new - longest - 8))) >= 0]
        return (min(hits), "stop_string") if hits else None

    return find


def write(
    session: "Session",
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    row: int = 0,
    stopper: Stopper | None = None,
    seen: Sequence[int] | None = None,
    on_piece: Callable[[str], None] | None = None,
) -> Decoder[Completion]:
    """Write one answer to `prompt` (token ids, pool prefix included) and close the session.

    seen: token ids that the repetition penalty counts besides those generated; default the whole prompt (as
    transformers does). The stopper's reason becomes the trace's stop_reason; every reason but "stop_string" means that
    the answer ended by itself.
    """
    model = session.model
    pick = picker(sampling, row, prompt if seen is None else seen)
    stream = TextStream(model.decode)
    logprobs: list[float] = []
    tokens, reason, text = 0, "length", None
    detail: dict[str, Any] = {}
    room = model.context - len(prompt)
    ids: Sequence[int] = prompt[len(session) :]
    try:
        while tokens < sampling.max_new_tokens:
            if tokens >= room:
                reason = "context"
                break
            (step,) = yield [Ask(session, ids, (len(ids) - 1,))]
            logprobs.append(step.top_logprobs[0])
            if sampling.alternatives and not tokens:
                detail["first"] = likeliest(model, step, sampling.alternatives)
            token = pick(step, 0)
            tokens += 1
            if token in model.eos_ids:
                reason = "eos"
                break
            begin = len(stream.text)
            piece = stream.push(token)
            cut = stopper(stream.text, begin) if stopper and piece else None
            if cut:
                text, reason = stream.text[: cut[0]], cut[1]
                break
            if on_piece:
                on_piece(piece)
            ids = [token]
    finally:
        session.close()
    text = stream.text if text is None else text
    return Completion(
        text=text,
        tokens=tokens,
        finish_reason=reason if reason in ("length", "context", "stop_string") else "stop",
        prompt_tokens=len(prompt),
        trace=Trace(
            spans=(Span(model.name, text, math.exp(logprobs[0])),) if text else (),
            stop_reason=reason,
            mean_top1_prob=sum(map(math.exp, logprobs)) / len(logprobs) if logprobs else None,
            detail=detail,
        ),
    )


def likeliest(model: "LocalModel", step: Step, n: int) -> dict[str, float]:
    """The n likeliest tokens of a step's first kept position: text -> log-probability (nats), most likely first.

    Special tokens stand there by name. Tokens of one text are one entry.
    """
    logprobs = step.logits[0].float().log_softmax(-1)
    values, ids = logprobs.topk(min(n, len(logprobs)))
    found: dict[str, float] = {}
    for value, token in zip(values.tolist(), ids.tolist(), strict=True):
        text = model.tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        found[text] = math.log(math.exp(found[text]) + math.exp(value)) if text in found else value
    return dict(sorted(found.items(), key=lambda entry: -entry[1]))


def picker(sampling: Sampling, row: int, seen: Sequence[int]) -> Callable[[Step, int], int]:
    """The rule that turns one kept position of a step into a token (greedy ties: lowest id)."""
    penalty, temperature = sampling.repetition_penalty, sampling.temperature
    if penalty == 1.0 and temperature == 0.0:
        return lambda step, at: step.top_ids[at]
    import torch

    known = set(seen)
    generator = torch.Generator().manual_seed((sampling.seed * 1_000_003 + row) % 2**63)

    def pick(step: Step, at: int) -> int:
        logits = step.logits[at].float()
        if penalty != 1.0 and known:
            used = torch.tensor(sorted(known), device=logits.device)
            old = logits[used]
            logits = logits.clone()
            logits[used] = torch.where(old > 0, old / penalty, old * penalty)
        if 0 < sampling.top_k < len(logits):
            logits = logits.masked_fill(logits < logits.topk(sampling.top_k).values[-1], -torch.inf)
        token = int(logits.argmax()) if temperature == 0.0 else draw(logits, temperature, sampling.top_p, generator)
        known.add(token)
        return token

    return pick


def draw(logits: "torch.Tensor", temperature: float, top_p: float, generator: Any) -> int:
    """Sample a token id from softmax(logits / temperature) cut to the smallest nucleus of mass >= top_p."""
    import torch

    probs = ((logits - logits.max()) / temperature).softmax(-1).cpu()  # a tiny temperature must not overflow
    if top_p < 1.0:
        ordered, order = probs.sort(descending=True, stable=True)
        outside = ordered.cumsum(-1) - ordered >= top_p
        probs = torch.zeros_like(probs).scatter(0, order[~outside], ordered[~outside])
    return int(torch.multinomial(probs, 1, generator=generator))
