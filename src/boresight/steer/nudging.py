"""Nudging: a base model answers like an assistant because a small aligned model writes where the base is unsure.

Fei, Razeghi, Singh, "Nudging: Inference-time Alignment of LLMs via Guided Decoding", arXiv 2410.09300. Decode with the
base model; where its top-1 probability is below gamma, the aligned model (the nudger) writes a few words, and the pen
goes back as soon as the base agrees with a word or is sure again. They meet in text, so tokenizers may differ.

`nudge_loop` is the algorithm over two text-completion functions; `Nudging` runs the same rounds on two local models,
with caches, one base pass for several word tests, and many prompts at once.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from boresight.catalog import Card, Claim
from boresight.chat import Chat, plain, validate
from boresight.errors import ModelError
from boresight.lm.base import Completion, ContextFull, OnDone, OnStep, Sampling, Span, Trace, per_row
from boresight.lm.repetition import repeated_suffix

if TYPE_CHECKING:
    from boresight.lm.decode import Ask, Step
    from boresight.lm.local import LocalModel

METHOD = Card(
    slug="nudging",
    title="Nudging",
    room="steer",
    summary="A small aligned model writes a few words wherever the base model is unsure; the base writes the rest.",
    paper="Fei, Razeghi, Singh: Nudging: Inference-time Alignment of LLMs via Guided Decoding (arXiv 2410.09300)",
    needs=("a local base model", "a local model with a chat template (any tokenizer)"),
    example='boresight generate gemma-3-270m --steer nudging:nudger=smollm2-135m-instruct --prompt "Why is the sky blue?"',
    claims=(
        Claim(
            statement="A nudged base model behaves like an aligned one, without training.",
            published="Llama-2-70b nudged by 7b-chat 57.9 against 56.7 for 70b-chat (mean of 11 benchmarks)",
            check="nudged answers end by themselves more often than the base model's",
            metric="text-health.ends",
            a="base",
            b="nudged",
        ),
    ),
)

MODES = ("reference", "cached", "speculative")
WORD_MODES = ("space", "unicode")
VERIFY_WORDS = 4  # word tests per base pass: takeover mostly comes early, and a pass costs by its tokens
DRAFT_BLOCK = 4  # tokens drafted at a time when exact_stop is off
_FINISH = {
    "nudging_model_stop": "stop",
    "repeated_nudging_words": "repetition",
    "round": "rounds",
    "length": "length",
    "context": "context",
    "stop_string": "stop_string",
}
_UNITS = re.compile(
    r"\s*[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]|\n+| *[^\s\u3040-\u9fff\uac00-\ud7af\uf900-\ufaff]+|\s+"
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Completed:
    """What a text-completion function returns.

    tokens: texts whose concatenation is `text`, an end-of-sequence token as ""; top1_logprobs: natural logarithms, one
    per token; finish_reason: "stop" if the last token is an end-of-sequence token, else "length".
    """

    text: str
    tokens: Sequence[str]
    top1_logprobs: Sequence[float]
    finish_reason: str


@dataclass(frozen=True)
class Segment:
    """A stretch by one writer ("nudge" or "base"); base_top1_prob: at its first position, None where it was not asked."""

    source: str
    text: str
    base_top1_prob: float | None


@dataclass(frozen=True)
class NudgeResult:
    """An answer and who wrote it; fields as in section 7 of the nudging sheet.

    raw_text: before the final repetition cut, the concatenation of `segments`. forwards: forward passes of each model
    (reference mode: generated tokens, which is what prefix caching would forward). tokens_recomputed: token positions
    that were forwarded again after a crop, both models together.
    """

    text: str
    raw_text: str
    stop_reason: str
    rounds: int
    segments: tuple[Segment, ...]
    nudge_word_ratio: float
    nudge_token_ratio: float
    forwards: dict[str, int]
    tokens_recomputed: int
    seconds: float
    mean_base_top1: float | None = None


def need_nudging(top1_logprob: float, gamma: float) -> bool:
    """True if the base model is unsure: exp(top1_logprob) < gamma, strictly."""
    return math.exp(top1_logprob) < gamma


def repeats_earlier(chunk: str, written: str, min_pieces: int = 5) -> bool:
    """Test (d): a chunk of more than `min_pieces` space-separated pieces that already stands in what was written."""
    return len(chunk.split(" ")) > min_pieces and chunk in written


def cut_repetitions(text: str, method: str = "exact", min_length: int = 30) -> str:
    """Strip, then delete suffixes of >= min_length characters that directly follow a copy of themselves, until none.

    method "exact" takes the longest such suffix each time; "reference" searches for it by bisection as the published
    code does, which misses many because the property is not monotone in the length.
    """
    if method not in ("exact", "reference"):
        raise ValueError(f"method is {method!r}; 'exact' or 'reference' is needed")
    longest = repeated_suffix if method == "exact" else _bisected_suffix
    text = text.strip()
    while n := longest(text, min_length):
        text = text[:-n]
    return text


def _bisected_suffix(text: str, min_length: int) -> int:
    low, high, found = 0, len(text), 0
    while low <= high:
        mid = (low + high) // 2
        if mid >= min_length and text[-mid:] == text[-2 * mid : -mid]:
            found, low = mid, mid + 1
        else:
            high = mid - 1
    return found


def word_boundaries(draft: str, word_mode: str = "space") -> list[tuple[str, str]]:
    """Where the pen may change hands: (text before, candidate word with its leading space) for each word but the first.

    "space" splits on the space character only, as the reference does; "unicode" also cuts at line breaks and between
    CJK characters, so that a language without spaces is not one word.
    """
    if word_mode == "unicode":
        units = _UNITS.findall(draft)
        return [("".join(units[:i]), units[i]) for i in range(1, len(units))]
    spaces = draft[: len(draft) - len(draft.lstrip(" "))]
    words = draft[len(spaces) :].split(" ")
    return [(spaces + " ".join(words[:i]), " " + words[i]) for i in range(1, len(words))]


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
    """A greedy continuation that may still be growing (`boresight.lm.textcache.Chunk`, or a finished one)."""

    tokens: list[str]
    logprobs: list[float]
    ended: bool
    finished: bool

    @property
    def text(self) -> str: ...
    def fill(self, n: int | None = None) -> "Generator[Ask, Step, None]": ...
    def more(self) -> "Generator[Ask, Step, bool]": ...


class Writer(Protocol):
    """A model as the rounds see it: it continues texts."""

    def start(self, text: str, limit: int) -> Continuation: ...
    def look(self, texts: Sequence[str], whole: str) -> "Generator[Ask, Step, None]": ...
    def settle(self, text: str) -> None: ...


@dataclass
class Progress:
    """An answer under way. `here`: base top-1 probability at the end of the text, None where it was not asked."""

    segments: list[Segment] = field(default_factory=list)
    text: str = ""
    rounds: int = 0
    stop_reason: str = ""
    here: float | None = None
    base_probs: list[float] = field(default_factory=list)

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

    def cut(self, n: int) -> None:
        """Keep the first n characters."""
        self.text, kept = self.text[:n], []
        for s in self.segments:
            if n > 0:
                kept.append(Segment(s.source, s.text[:n], s.base_top1_prob))
            n -= len(s.text)
        self.segments[:] = kept


def rounds(
    base: Writer,
    nudger: Writer,
    base_prompt: str,
    nudger_prompt: str,
    how: Settings,
    count_tokens: Callable[[str], int],
    so_far: Progress,
) -> "Generator[Ask, Step, None]":
    """Section 2 of the sheet, for one answer, as a decoder (`boresight.lm.decode`); `so_far` is filled as it goes."""
    previous, repeats = "", 0
    while count_tokens(so_far.text) < how.max_new_tokens and so_far.rounds < how.max_rounds:
        so_far.rounds += 1
        draft = yield from _draft(base, nudger, base_prompt, nudger_prompt, how, so_far)
        if draft.stop:
            so_far.add("nudge", draft.nudge, so_far.here, None)
            so_far.stop_reason = "nudging_model_stop"
            return
        repeats = repeats + 1 if draft.nudge == previous else 0
        if repeats >= 3:
            so_far.stop_reason = "repeated_nudging_words"
            return
        previous = draft.nudge
        so_far.add("nudge", draft.nudge, so_far.here, draft.after)
        log.debug("round %d nudge %r base p %s", so_far.rounds, draft.nudge, draft.after)
        if draft.takeover:
            if not draft.takeover.text:  # a special token or a part of a character: only the whole chunk tells
                yield from draft.takeover.fill()
            if draft.takeover.text:
                yield from _base_run(base, base_prompt, draft.takeover, how, count_tokens, so_far)
        cuts = [at for s in how.stop if (at := so_far.text.find(s)) >= 0]
        if cuts:
            so_far.cut(min(cuts))
            so_far.stop_reason = "stop_string"
            return
    so_far.stop_reason = "round" if so_far.rounds >= how.max_rounds else "length"


@dataclass
class _Draft:
    """The nudge of one round; takeover: the base's continuation after it; after: its first probability, if asked."""

    nudge: str
    takeover: Continuation | None = None
    after: float | None = None
    stop: bool = False


def _draft(
    base: Writer, nudger: Writer, base_prompt: str, nudger_prompt: str, how: Settings, so_far: Progress
) -> "Generator[Ask, Step, _Draft]":
    """Steps 1 to 3: draft, stop rule, words."""
    draft = nudger.start(nudger_prompt + so_far.text, how.draft_tokens)
    yield from draft.fill(None if how.exact_stop else DRAFT_BLOCK)
    written = base_prompt + so_far.text
    tested, nudge, after = 0, "", None
    while True:
        if how.exact_stop and draft.ended:
            return _Draft(draft.text, stop=True)
        tests = word_boundaries(draft.text, how.word_mode)
        ready = len(tests) if draft.finished else len(tests) - 1  # the last word may still grow
        while tested < ready:
            block = tests[tested : min(tested + VERIFY_WORDS, ready)]
            yield from base.look([written + before for before, word in block if word != " "], written + draft.text)
            for nudge, word in block:
                tested += 1
                if word == " ":
                    after = None
                    continue
                takeover = base.start(written + nudge, how.base_chunk)
                yield from takeover.fill(1)
                after = so_far.asked(takeover.logprobs[0])
                if word.startswith(takeover.tokens[0]) or not need_nudging(takeover.logprobs[0], how.gamma):
                    base.settle(written + nudge)
                    return _Draft(nudge, takeover, after)
        if draft.finished:
            return _Draft(draft.text if draft.ended or not tests else nudge, None, after, stop=draft.ended)
        yield from draft.fill(len(draft.tokens) + DRAFT_BLOCK)


def _base_run(
    base: Writer,
    base_prompt: str,
    takeover: Continuation,
    how: Settings,
    count_tokens: Callable[[str], int],
    so_far: Progress,
) -> "Generator[Ask, Step, None]":
    """Step 6: the base writes until it is unsure, ends, repeats itself or uses up the budget.

    A chunk is generated only as far as it is needed: (c) can hold only if the sure part of it stands in the run.
    """
    run, chunk, start, asked_here = takeover.tokens[0], takeover, 1, False
    begins, after = math.exp(takeover.logprobs[0]), None
    try:
        while count_tokens(run) < how.max_new_tokens - count_tokens(so_far.text):
            if chunk is None:
                chunk, start, asked_here = (
                    base.start(base_prompt + so_far.text + run, how.base_chunk),
                    0,
                    True,
                )
            end = start
            while end < len(chunk.tokens) or (yield from chunk.more()):
                after = so_far.asked(chunk.logprobs[end])
                if need_nudging(chunk.logprobs[end], how.gamma):
                    break
                end += 1
            unsure = end < len(chunk.tokens)
            piece = "".join(chunk.tokens[start:end])
            if not piece:
                break
            if piece in run:
                yield from chunk.fill()
                if "".join(chunk.tokens[start:]) in run:
                    after = math.exp(chunk.logprobs[start])
                    break
            if repeats_earlier(piece, so_far.text + run):
                after = math.exp(chunk.logprobs[start])
                break
            run += piece
            if unsure or (asked_here and chunk.ended):
                break
            chunk, after = None, None
    except ContextFull:
        so_far.add("base", run, begins, None)
        raise
    so_far.add("base", run, begins, after)


class _Called:
    """A Writer over a text-completion function: every chunk is asked for whole, at once."""

    def __init__(self, complete: Callable[[str, int], Completed]) -> None:
        self._complete = complete
        self.forwards = 0

    def start(self, text: str, limit: int) -> "_Finished":
        done = self._complete(text, limit)
        self.forwards += len(done.tokens)
        return _Finished(list(done.tokens), list(done.top1_logprobs), done.finish_reason == "stop")

    def look(self, texts: Sequence[str], whole: str) -> "Generator[Ask, Step, None]":
        return
        yield

    def settle(self, text: str) -> None:
        pass


@dataclass
class _Finished:
    tokens: list[str]
    logprobs: list[float]
    ended: bool
    finished: bool = True

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    def fill(self, n: int | None = None) -> "Generator[Ask, Step, None]":
        return
        yield

    def more(self) -> "Generator[Ask, Step, bool]":
        return False
        yield


class _Cached:
    """A Writer over a local model: a TextCache whose chunks grow on demand.

    speculative: keep the draft in the cache after the base has taken over, with a prediction after each of its tokens,
    so that the base run is free as far as the two models agree.
    """

    def __init__(self, cache: Any, speculative: bool = False) -> None:
        self.cache = cache
        self._speculative = speculative

    def start(self, text: str, limit: int) -> Continuation:
        from boresight.lm.textcache import Chunk

        return Chunk(self.cache, text, limit)

    def look(self, texts: Sequence[str], whole: str) -> "Generator[Ask, Step, None]":
        if not texts:
            return
        ids = self.cache.ids(whole if self._speculative else texts[-1])
        parts = [self.cache.ids(text) for text in texts]
        lengths = [len(part) for part in parts if ids[: len(part)] == part]
        if lengths and self._speculative:
            lengths = list(range(lengths[0], len(ids) + 1))
        yield from self.cache.look(ids, lengths)

    def settle(self, text: str) -> None:
        if not self._speculative:
            self.cache.crop(len(self.cache.ids(text)))


def _result(
    so_far: Progress,
    how: Settings,
    count_tokens: Callable[[str], int],
    forwards: dict[str, int],
    again: int,
    began: float,
) -> NudgeResult:
    words = {"nudge": 0, "base": 0}
    tokens = {"nudge": 0, "base": 0}
    for segment in so_far.segments:
        words[segment.source] += len(segment.text.split())
        tokens[segment.source] += count_tokens(segment.text)
    return NudgeResult(
        text=cut_repetitions(so_far.text, how.repetition_cut),
        raw_text=so_far.text,
        stop_reason=so_far.stop_reason,
        rounds=so_far.rounds,
        segments=tuple(so_far.segments),
        nudge_word_ratio=words["nudge"] / max(1, sum(words.values())),
        nudge_token_ratio=tokens["nudge"] / max(1, sum(tokens.values())),
        forwards=forwards,
        tokens_recomputed=again,
        seconds=time.perf_counter() - began,
        mean_base_top1=sum(so_far.base_probs) / len(so_far.base_probs) if so_far.base_probs else None,
    )


def nudge_loop(
    base: Callable[[str, int], Completed],
    nudger: Callable[[str, int], Completed],
    base_prompt: str = "",
    nudger_prompt: str = "",
    *,
    gamma: float = 0.3,
    base_chunk: int = 16,
    draft_tokens: int = 16,
    max_new_tokens: int = 512,
    max_rounds: int = 150,
    count_tokens: Callable[[str], int],
    repetition_cut: str = "exact",
    word_mode: str = "space",
) -> NudgeResult:
    """The reference mode: section 2 literally, over two functions `complete(prompt, max_tokens) -> Completed`.

    count_tokens: length of a text in the units of `max_new_tokens`. For tests, for remote completion endpoints, and the
    yardstick of the cached modes. Raises ValueError for settings out of range.
    """
    how = Settings(
        gamma=gamma,
        base_chunk=base_chunk,
        draft_tokens=draft_tokens,
        max_new_tokens=max_new_tokens,
        max_rounds=max_rounds,
        word_mode=word_mode,
        repetition_cut=repetition_cut,
    )
    began = time.perf_counter()
    so_far, b, n = Progress(), _Called(base), _Called(nudger)
    for _ in rounds(b, n, base_prompt, nudger_prompt, how, count_tokens, so_far):
        raise AssertionError("completion functions never wait for a model")
    return _result(so_far, how, count_tokens, {"base": b.forwards, "nudger": n.forwards}, 0, began)


class Nudging:
    """A LanguageModel: `base` writes, `nudger` helps where the base is unsure (settings as in `Settings`).

    mode: "cached" (default), "speculative" (fewer base passes) or "reference" (re-encodes everything at every call, as
    the published code does); the text is the same in all three. question_prefix and answer_start stand before and after
    the question in both prompts. exact_stop=False drafts lazily: the stop rule then sees only what was drafted up to
    the takeover, which may let an answer go on where the reference ends it.
    """

    def __init__(
        self,
        base: "LocalModel",
        nudger: "LocalModel",
        *,
        gamma: float = 0.3,
        draft_tokens: int = 16,
        base_chunk: int = 16,
        max_new_tokens: int = 512,
        max_rounds: int = 150,
        word_mode: str = "space",
        mode: str = "cached",
        exact_stop: bool = True,
        repetition_cut: str = "exact",
        question_prefix: str = "",
        answer_start: str = "",
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode is {mode!r}; one of {', '.join(MODES)} is needed")
        for role, model in (("base", base), ("nudger", nudger)):
            if not hasattr(model, "session"):
                raise ModelError(f"nudging needs a local model as its {role}; {model.name} has no decode sessions")
        if not nudger.has_chat_template:
            nudger.render_template([])  # says how to give it one
        self.base, self.nudger, self.mode = base, nudger, mode
        self.settings = Settings(
            gamma=gamma,
            base_chunk=base_chunk,
            draft_tokens=draft_tokens,
            max_new_tokens=max_new_tokens,
            max_rounds=max_rounds,
            word_mode=word_mode,
            exact_stop=exact_stop,
            repetition_cut=repetition_cut,
        )
        self.question_prefix, self.answer_start = question_prefix, answer_start
        self.name = f"{base.name}+nudging"

    def prompts(self, chat: Chat, context: str = "") -> tuple[str, str]:
        """(base prompt, nudger prompt) of a chat: plain text for the base, the nudger's own chat template for it."""
        validate(chat)
        base_prompt = plain(chat, self.question_prefix, self.answer_start, context)
        *earlier, last = [dict(m) for m in chat]
        last["content"] = context + self.question_prefix + last["content"]
        return base_prompt, self.nudger.render_template([*earlier, last]) + self.answer_start

    def run(self, base_prompt: str, nudger_prompt: str) -> NudgeResult:
        """Answer one pair of full prompts."""
        return self.run_batch([(base_prompt, nudger_prompt)])[0]

    def run_batch(
        self,
        prompts: Sequence[tuple[str, str]],
        how: Sequence[Settings] | None = None,
        *,
        sampling: Sequence[Sampling] | None = None,
        on_done: Callable[[int, NudgeResult], None] | None = None,
        on_step: OnStep | None = None,
    ) -> list[NudgeResult]:
        """Answer many pairs of full prompts at once; every answer is what `run` gives for its pair alone.

        how, sampling: one for each pair (default: the policy's settings, greedy).
        """
        settings = how or [self.settings] * len(prompts)
        drawn = sampling or [None] * len(prompts)
        for base_prompt, nudger_prompt in prompts:
            self.base.require_room(self.base.encode(base_prompt))
            self.nudger.require_room(self.nudger.encode(nudger_prompt))
        if self.mode == "reference":
            results = []
            for i, pair in enumerate(prompts):
                results.append(self._reference(pair, settings[i]))
                if on_done:
                    on_done(i, results[-1])
            return results
        from boresight.lm.decode import drive

        base_pool = self.base.pool([self.base.encode(b) for b, _ in prompts], spare=4)
        nudger_pool = self.nudger.pool([self.nudger.encode(n) for _, n in prompts], spare=4)
        makers = [
            lambda row=row, pair=pair: self._answer(
                pair, settings[row], base_pool, nudger_pool, Progress(), drawn[row], row
            )
            for row, pair in enumerate(prompts)
        ]
        return drive(makers, self.base.width, on_done, on_step)

    def stream(self, base_prompt: str, nudger_prompt: str) -> Iterator[Segment]:
        """Yield the segments of one answer as they are accepted (before the final repetition cut)."""
        so_far, told = Progress(), 0
        decoder = self._answer(
            (base_prompt, nudger_prompt), self.settings, self.base.pool(), self.nudger.pool(), so_far
        )
        step = None
        try:
            while True:
                ask = decoder.send(step) if step else next(decoder)
                yield from so_far.segments[told:]
                told = len(so_far.segments)
                step = ask.session.model.extend([ask])[0]
        except StopIteration:
            yield from so_far.segments[told:]
        finally:
            decoder.close()

    def _answer(
        self,
        prompts: tuple[str, str],
        how: Settings,
        base_pool: Any,
        nudger_pool: Any,
        so_far: Progress,
        sampling: Sampling | None = None,
        row: int = 0,
    ) -> "Generator[Ask, Step, NudgeResult]":
        from boresight.lm.textcache import TextCache

        began = time.perf_counter()
        base = TextCache(self.base, base_pool, sampling, 2 * row)
        nudger = TextCache(self.nudger, nudger_pool, sampling, 2 * row + 1)
        writers = _Cached(base, self.mode == "speculative"), _Cached(nudger)
        try:
            yield from rounds(*writers, *prompts, how, self.base.count_tokens, so_far)
        except ContextFull:
            so_far.stop_reason = "context"
        finally:
            base.close()
            nudger.close()
        passes = {"base": base.session.passes, "nudger": nudger.session.passes}
        again = base.session.recomputed + nudger.session.recomputed
        return _result(so_far, how, self.base.count_tokens, passes, again, began)

    def _reference(self, prompts: tuple[str, str], how: Settings) -> NudgeResult:
        settings = {k: v for k, v in asdict(how).items() if k not in ("exact_stop", "stop")}
        return nudge_loop(
            _completer(self.base),
            _completer(self.nudger),
            *prompts,
            count_tokens=self.base.count_tokens,
            **settings,
        )

    def generate(
        self,
        chats: Sequence[Chat],
        sampling: Sampling | Sequence[Sampling] | None = None,
        *,
        on_done: OnDone | None = None,
        on_step: OnStep | None = None,
    ) -> list[Completion]:
        """Answer every chat; `sampling` overrides max_new_tokens and adds stop strings.

        With a temperature both models sample, while the threshold test always uses the un-tempered probability
        (an extension: the published method is greedy). A repetition penalty would change the base model's
        probabilities and is refused.
        """
        drawn = per_row(sampling, len(chats)) if sampling is not None else None
        for s in drawn or ():
            if s.repetition_penalty != 1.0:
                raise ValueError("nudging does not take a repetition_penalty: it would change the base's certainty")
            if self.mode == "reference" and (s.temperature or s.stop):
                raise ValueError("nudging in reference mode is greedy and takes no stop strings; use mode=cached")
        how = (
            None
            if drawn is None
            else [replace(self.settings, max_new_tokens=s.max_new_tokens, stop=s.stop) for s in drawn]
        )
        pairs = [self.prompts(chat) for chat in chats]
        finished = (lambda i, r: on_done(i, self._completion(pairs[i], r))) if on_done else None
        results = self.run_batch(pairs, how, sampling=drawn, on_done=finished, on_step=on_step)
        return [self._completion(pair, result) for pair, result in zip(pairs, results, strict=True)]

    def _completion(self, prompts: tuple[str, str], r: NudgeResult) -> Completion:
        names = {"nudge": self.nudger.name, "base": self.base.name}
        return Completion(
            text=r.text,
            tokens=self.base.count_tokens(r.text),
            finish_reason=_FINISH[r.stop_reason],
            prompt_tokens=len(self.base.encode(prompts[0])),
            trace=Trace(
                spans=tuple(Span(names[s.source], s.text, s.base_top1_prob, s.source) for s in r.segments),
                stop_reason=r.stop_reason,
                mean_top1_prob=r.mean_base_top1,
                detail={
                    "rounds": r.rounds,
                    "nudge_word_ratio": r.nudge_word_ratio,
                    "nudge_token_ratio": r.nudge_token_ratio,
                    "forwards": r.forwards,
                    "tokens_recomputed": r.tokens_recomputed,
                    "exact_stop": self.settings.exact_stop,
                },
            ),
        )

    def describe(self) -> dict[str, Any]:
        """Base, policy with its settings, and the revisions of both models."""
        s = self.settings
        policy = (
            f"nudging(nudger={self.nudger.name}, gamma={s.gamma:g}, draft_tokens={s.draft_tokens}, "
            f"base_chunk={s.base_chunk}, mode={self.mode}, word_mode={s.word_mode}, exact_stop={s.exact_stop})"
        )
        return {**self.base.describe(), "policy": policy, "nudger": self.nudger.describe()}


def _completer(model: "LocalModel") -> Callable[[str, int], Completed]:
    """A text-completion function that reads the whole prompt anew at every call."""
    from boresight.lm.decode import drive
    from boresight.lm.textcache import Chunk, TextCache

    def complete(prompt: str, limit: int) -> Completed:
        def once() -> "Generator[Ask, Step, Chunk]":
            cache = TextCache(model, model.pool())
            try:
                chunk = Chunk(cache, prompt, limit)
                yield from chunk.fill()
                return chunk
            finally:
                cache.close()

        chunk = drive([once], 1)[0]
        return Completed(chunk.text, chunk.tokens, chunk.logprobs, "stop" if chunk.ended else "length")

    return complete
