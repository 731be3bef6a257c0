"""The rounds of nudging: section 2 of the sheet, for one answer, over two writers.

`rounds` is a decoder (`boresight.lm.decode`): it yields what it asks of the models, so that many answers share passes.
Over writers that answer at once it never yields. It asks for no more than a decision needs, and later rather than now,
which changes nothing in the result:

- A draft grows token by token, and each word is tested as soon as it is complete: mostly the first one hands over.
- The stop rule needs the whole draft. Its rest is written along with later passes of the nudger; if it turns out to
  end, the answer goes back to where that draft began and ends there. The base does not run ahead so far that this could
  cost more than one pass a token and one a round: then the rest is waited for.
- A base chunk grows token by token, until the base is unsure.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from boresight.lm.base import ContextFull
from boresight.steer.nudging.text import Segment, need_nudging, repeats_earlier, word_boundaries

if TYPE_CHECKING:
    from boresight.lm.decode import Decoder

WORD_MODES = ("space", "unicode")
VERIFY_WORDS = 4  # word tests per base pass: takeover mostly comes early, and a pass costs by its tokens
OPEN_DRAFTS = 8  # rounds that may wait for the rest of their draft
SAME_NUDGES = 3  # a nudge that follows itself this often ends the answer
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters of the loop; names and defaults as in section 2 of the sheet."""

    gamma: float = 0.3
    base_chunk: int = 16
    draft_tokens: int = 16
    max_new_tokens: int = 512
    max_rounds: int = 150
    word_mode: str = "space"
    exact_stop: bool = True
    repetition_cut: str = "exact"
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values outside their ranges, naming them."""
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma is {self.gamma}; it must lie in [0, 1]")
        if self.base_chunk < 2:
            raise ValueError(f"base_chunk is {self.base_chunk}; it must be at least 2")
        for name in ("draft_tokens", "max_new_tokens", "max_rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name, allowed in (("word_mode", WORD_MODES), ("repetition_cut", ("exact", "reference"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {', '.join(allowed)} is needed")


class Continuation(Protocol):
    """A greedy continuation that may still be growing (`boresight.lm.textcache.Chunk`, or a finished one).

    opening: text of its first token as the word test sees it. leave: let it grow to its end along with later passes.
    """

    tokens: list[str]
    logprobs: list[float]
    opening: str
    ended: bool
    finished: bool

    @property
    def text(self) -> str: ...
    def fill(self, n: int | None = None) -> "Decoder[None]": ...
    def more(self) -> "Decoder[bool]": ...
    def leave(self) -> Any: ...


class Writer(Protocol):
    """A model as the rounds see it: it continues texts.

    look: the texts in `texts`, beginnings of `whole`, will be continued by a token each. expect: a guess of how a text
    goes on. settle: the text that was decided on. wait_for: go on until what `leave` returned is at its end. forwards:
    passes so far. Raises ContextFull when its context has no room for a token.
    """

    @property
    def forwards(self) -> int: ...
    def start(self, text: str, limit: int) -> Continuation: ...
    def look(self, texts: Sequence[str], whole: str) -> "Decoder[None]": ...
    def expect(self, text: str) -> None: ...
    def settle(self, text: str) -> None: ...
    def wait_for(self, left: Any) -> "Decoder[None]": ...


@dataclass(frozen=True)
class Mark:
    """Where an answer stood: how many segments, characters and base probabilities it had, and `here`."""

    segments: int
    characters: int
    probs: int
    here: float | None


@dataclass
class Progress:
    """An answer under way.

    here: base top-1 probability at the end of the text, None where it was not asked. unsure: the base's unsure token
    there, if any. base_probs: those that decisions were taken on. nudge, repeats: the last nudge and how often it has
    followed itself. settled: segments that no end of a draft can take back any more. open_drafts: those whose rest is
    still to come, oldest first.
    """

    segments: list[Segment] = field(default_factory=list)
    text: str = ""
    rounds: int = 0
    stop_reason: str = ""
    here: float | None = None
    unsure: str = ""
    base_probs: list[float] = field(default_factory=list)
    nudge: str = ""
    repeats: int = 0
    settled: int = 0
    open_drafts: "deque[_Open]" = field(default_factory=deque)

    def mark(self) -> Mark:
        """Where the answer stands."""
        return Mark(len(self.segments), len(self.text), len(self.base_probs), self.here)

    def end_with(self, draft: str, mark: Mark, rounds: int) -> None:
        """Step 2: go back to where the draft of round `rounds` began and end the answer with all of it."""
        del self.segments[mark.segments :], self.base_probs[mark.probs :]
        self.text, self.rounds = self.text[: mark.characters], rounds
        self.add("nudge", draft, mark.here, None)
        self.stop_reason = "nudging_model_stop"

    def add(self, source: str, text: str, prob: float | None, after: float | None) -> None:
        """Append a stretch (nothing if it is empty) and remember the probability known after it."""
        if text:
            self.segments.append(Segment(source, text, prob))
            self.text += text
        self.here = after

    def asked(self, logprob: float) -> float:
        """Note a base probability that a decision was taken on."""
        self.base_probs.append(math.exp(logprob))
        return self.base_probs[-1]

    def repeated(self, nudge: str) -> bool:
        """Step 4: note a nudge; True when it has come too often in a row to be used again."""
        self.repeats = self.repeats + 1 if nudge == self.nudge else 0
        self.nudge = nudge
        return self.repeats >= SAME_NUDGES

    def cut_before(self, stops: Sequence[str]) -> bool:
        """Cut the text before the earliest of `stops`; False if there is none."""
        n = min((at for s in stops if (at := self.text.find(s)) >= 0), default=None)
        if n is None:
            return False
        self.text, kept = self.text[:n], []
        for s in self.segments:
            if n > 0:
                kept.append(Segment(s.source, s.text[:n], s.base_top1_prob))
            n -= len(s.text)
        self.segments[:] = kept
        return True


@dataclass(frozen=True)
class Pair:
    """The two models with their prompts, and the length of a text in the units of max_new_tokens.

    whole_drafts: the base wants the whole draft before the first test.
    """

    base: Writer
    nudger: Writer
    base_prompt: str
    nudger_prompt: str
    count_tokens: Callable[[str], int]
    whole_drafts: bool = False


@dataclass(frozen=True)
class _Open:
    """A draft whose rest is still to come: the round it belongs to, and where the answer stood before it.

    passes: of the base, which an answer up to there may have cost: one a token and one a round.
    """

    draft: Continuation
    left: Any
    rounds: int
    mark: Mark
    passes: int


class _Over(Exception):
    """A draft that was open has ended the answer."""


def rounds(pair: Pair, how: Settings, so_far: Progress) -> "Decoder[None]":
    """Write one answer; `so_far` is filled as it goes, its stop_reason at the end."""
    while not so_far.stop_reason:
        so_far.rounds += 1
        try:
            reason = yield from _round(pair, how, so_far)
        except ContextFull:
            reason = "context"
        except _Over:
            break
        if any(s in so_far.text for s in how.stop):
            reason = "stop_string"
        elif not reason and so_far.rounds >= how.max_rounds:
            reason = "round"
        elif not reason and pair.count_tokens(so_far.text) >= how.max_new_tokens:
            reason = "length"
        yield from _settle(pair, so_far, 0 if reason else OPEN_DRAFTS)
        so_far.stop_reason = so_far.stop_reason or reason
    if so_far.cut_before(how.stop):
        so_far.stop_reason = "stop_string"


def _settle(pair: Pair, so_far: Progress, most: int) -> "Decoder[None]":
    """The stop rule for drafts whose rest has come, oldest first; at most `most` may stay open."""
    waiting = so_far.open_drafts
    while waiting and (waiting[0].draft.finished or len(waiting) > most):
        oldest = waiting.popleft()
        yield from pair.nudger.wait_for(oldest.left)
        if oldest.draft.ended:
            so_far.end_with(oldest.draft.text, oldest.mark, oldest.rounds)
            waiting.clear()
    so_far.settled = waiting[0].mark.segments if waiting else len(so_far.segments)


def _ahead(pair: Pair, so_far: Progress) -> "Decoder[None]":
    """Before a pass of the base: wait for open drafts that could still end an answer which has cost too many.

    Raises _Over if one does.
    """
    while waiting := so_far.open_drafts:
        left = min(one.passes + pair.count_tokens(one.draft.text) for one in waiting) - pair.base.forwards
        if left >= 1 and not waiting[0].draft.finished:
            break
        yield from _settle(pair, so_far, len(waiting) - 1)
        if so_far.stop_reason:
            raise _Over


def _round(pair: Pair, how: Settings, so_far: Progress) -> "Decoder[str]":
    """Steps 1 to 6; returns the reason to stop, "" to go on."""
    mark = so_far.mark()
    draft = yield from _draft(pair, how, so_far)
    if draft.stop:
        so_far.end_with(draft.nudge, mark, so_far.rounds)
        return so_far.stop_reason
    if draft.rest:
        passes = pair.count_tokens(so_far.text) + so_far.rounds
        so_far.open_drafts.append(_Open(draft.rest, draft.rest.leave(), so_far.rounds, mark, passes))
    if so_far.repeated(draft.nudge):
        return "repeated_nudging_words"
    so_far.add("nudge", draft.nudge, so_far.here, draft.after)
    _log(pair, so_far, "nudge", draft.nudge, draft.after)
    chunk = draft.takeover
    if chunk:
        while not chunk.text and (yield from _more(pair, so_far, chunk)):
            pass  # it opens with a part of a character or a special token: only the text counts
        if chunk.text:
            run = yield from _base_run(pair, how, chunk, so_far)
            _log(pair, so_far, "base", run, so_far.here)
    return ""


def _more(pair: Pair, so_far: Progress, chunk: Continuation) -> "Decoder[bool]":
    """Let a chunk of the base grow by a token."""
    yield from _ahead(pair, so_far)
    return (yield from chunk.more())


def _log(pair: Pair, so_far: Progress, source: str, text: str, after: float | None) -> None:
    passes = pair.base.forwards, pair.nudger.forwards
    log.debug("round %d: %s %r, base top-1 after it %s, passes %s", so_far.rounds, source, text, after, passes)


@dataclass
class _Draft:
    """The nudge of one round.

    takeover: the base's continuation after it; after: its first probability, if asked; stop: the draft ended, and the
    nudge is all of it; rest: the draft, if it must still be written to its end.
    """

    nudge: str
    takeover: Continuation | None = None
    after: float | None = None
    stop: bool = False
    rest: Continuation | None = None


def _draft(pair: Pair, how: Settings, so_far: Progress) -> "Decoder[_Draft]":
    """Steps 1 to 3: draft, stop rule, words."""
    base, written = pair.base, pair.base_prompt + so_far.text
    pair.nudger.expect(pair.nudger_prompt + so_far.text + so_far.unsure)  # they may agree after all
    so_far.unsure = ""
    draft = pair.nudger.start(pair.nudger_prompt + so_far.text, how.draft_tokens)
    if pair.whole_drafts:
        yield from draft.fill()
    at, nudge, after, takeover = 0, "", None, None
    while True:
        if draft.ended and how.exact_stop:
            return _Draft(draft.text, stop=True)
        tests = word_boundaries(draft.text, how.word_mode)
        growing = at == len(tests) - 1 and not draft.finished
        if at == len(tests) or (growing and tests[at][1] == " "):
            if not (yield from draft.more()):
                return _Draft(draft.text if draft.ended or not tests else nudge, None, after, stop=draft.ended)
            continue
        nudge, word = tests[at]
        if word == " ":
            at, after = at + 1, None
            continue
        if takeover is None:
            ahead = [written + before for before, word in tests[at : at + VERIFY_WORDS] if word != " "]
            takeover = base.start(written + nudge, how.base_chunk)
            yield from _ahead(pair, so_far)
            try:
                yield from base.look(ahead, written + draft.text)
                yield from takeover.fill(1)
            except ContextFull:
                yield from _unless_it_ends(draft, how)
                continue
            after = so_far.asked(takeover.logprobs[0])
        if word.startswith(takeover.opening) or not need_nudging(takeover.logprobs[0], how.gamma):
            base.settle(written + nudge)
            return _Draft(nudge, takeover, after, rest=None if draft.finished or not how.exact_stop else draft)
        if growing and takeover.opening.startswith(word):
            yield from draft.more()  # they may still agree
        else:
            at, takeover = at + 1, None


def _unless_it_ends(draft: Continuation, how: Settings) -> "Decoder[None]":
    """The base has no room, which ends the answer, unless the draft ends: the stop rule comes before the words."""
    if how.exact_stop:
        yield from draft.fill()
    if not (how.exact_stop and draft.ended):
        raise ContextFull


def _base_run(pair: Pair, how: Settings, takeover: Continuation, so_far: Progress) -> "Decoder[str]":
    """Step 6: the base writes until it is unsure, ends, repeats itself or uses up the budget. Returns what it wrote.

    A chunk is generated only as far as it is needed: (c) can hold only if the sure part of it stands in the run.
    """
    run, chunk, start = takeover.tokens[0], takeover, 1
    begins, after = math.exp(takeover.logprobs[0]), None
    try:
        while pair.count_tokens(run) < how.max_new_tokens - pair.count_tokens(so_far.text):
            if chunk is None:
                chunk, start = pair.base.start(pair.base_prompt + so_far.text + run, how.base_chunk), 0
            end = start
            while end < len(chunk.tokens) or (yield from _more(pair, so_far, chunk)):
                so_far.asked(chunk.logprobs[end])
                if need_nudging(chunk.logprobs[end], how.gamma):
                    break
                end += 1
            piece = "".join(chunk.tokens[start:end])
            if (yield from _nothing_new(pair, so_far, chunk, start, piece, run)):
                after = math.exp(chunk.logprobs[start]) if start < len(chunk.logprobs) else None
                break
            run += piece
            if end < len(chunk.tokens) or (chunk is not takeover and chunk.ended):
                after = math.exp(chunk.logprobs[min(end, len(chunk.tokens) - 1)])
                so_far.unsure = chunk.tokens[min(end, len(chunk.tokens) - 1)]
                break
            chunk = None
    except ContextFull:
        so_far.add("base", run, begins, None)
        raise
    so_far.add("base", run, begins, after)
    return run


def _nothing_new(
    pair: Pair, so_far: Progress, chunk: Continuation, start: int, piece: str, run: str
) -> "Decoder[bool]":
    """Tests (c) and (d), and nothing to keep. (c) asks for the rest of the chunk as long as it stands in the run."""
    if not piece:
        return True
    while (rest := "".join(chunk.tokens[start:])) in run and (yield from _more(pair, so_far, chunk)):
        pass
    return rest in run or repeats_earlier(piece, so_far.text + run)
