"""`Nudging`, the language model: rounds over two local models, cached, verified in batches, many prompts at once."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from boresight.chat import Chat, plain, validate
from boresight.errors import ModelError
from boresight.lm.base import Completion, OnDone, OnStep, Sampling, Span, Trace, per_row
from boresight.steer.nudging.loop import nudge_loop, result
from boresight.steer.nudging.rounds import Continuation, Pair, Progress, Settings, rounds
from boresight.steer.nudging.text import Completed, NudgeResult, Segment

if TYPE_CHECKING:
    from boresight.lm.decode import Companion, Decoder
    from boresight.lm.local import LocalModel
    from boresight.lm.session import SharedPool
    from boresight.lm.textcache import Chunk, TextCache

MODES = ("reference", "cached", "speculative")
SPARE = 4  # tokens at the end of a prompt that may merge with what follows; kept out of the shared prefix
_FINISH = {
    "nudging_model_stop": "stop",
    "repeated_nudging_words": "repetition",
    "round": "rounds",
    "length": "length",
    "context": "context",
    "stop_string": "stop_string",
}
Prompts = tuple[str, str]


class Nudging:
    """A LanguageModel: `base` writes, `nudger` helps where the base is unsure (settings as in `Settings`).

    mode: "cached" (default), "speculative" (fewer base passes) or "reference" (re-encodes everything at every call, as
    the published code does); the text is the same in all three. question_prefix and answer_start stand before and after
    the question in both prompts. exact_stop=False drafts lazily: the stop rule then sees only what was drafted up to
    the takeover, which may let an answer go on where the reference ends it.

    Raises ValueError for settings out of range, ModelError for a model without decode sessions and for a nudger
    without a chat template.
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
        if mode == "reference" and not exact_stop:
            raise ValueError("reference mode drafts the whole chunk; exact_stop=False needs mode cached or speculative")
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

    def prompts(self, chat: Chat, context: str = "") -> Prompts:
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
        prompts: Sequence[Prompts],
        how: Sequence[Settings] | None = None,
        *,
        sampling: Sequence[Sampling] | None = None,
        on_done: Callable[[int, NudgeResult], None] | None = None,
        on_step: OnStep | None = None,
    ) -> list[NudgeResult]:
        """Answer many pairs of full prompts at once; every answer is what `run` gives for its pair alone.

        how, sampling: one for each pair (default: the policy's settings, greedy). Raises ModelError, with both
        lengths, for a prompt that leaves no room in its model's context.
        """
        from boresight.lm.decode import drive

        settings = how or [self.settings] * len(prompts)
        drawn = sampling or [None] * len(prompts)
        pools = self._pools(prompts)
        if self.mode == "reference":
            makers = [lambda i=i: self._reference(prompts[i], settings[i]) for i in range(len(prompts))]
        else:
            makers = [
                lambda i=i: self._answer(prompts[i], settings[i], *pools, Progress(), drawn[i], i)
                for i in range(len(prompts))
            ]
        return drive(makers, self.base.width, on_done, on_step)

    def stream(self, base_prompt: str, nudger_prompt: str) -> Iterator[Segment]:
        """Yield the segments of one answer as they are settled (before the final repetition cut).

        With exact_stop a segment is settled when the drafts up to it are known not to end, a few rounds later.
        """
        pair, so_far, told = (base_prompt, nudger_prompt), Progress(), 0
        pools = self._pools([pair])
        if self.mode == "reference":
            yield from self.run(*pair).segments
            return
        decoder = self._answer(pair, self.settings, *pools, so_far)
        steps = None
        try:
            while True:
                asks = next(decoder) if steps is None else decoder.send(steps)
                yield from so_far.segments[told : so_far.settled]
                told = so_far.settled
                steps = asks[0].session.model.extend(asks)
        except StopIteration:
            yield from so_far.segments[told:]
        finally:
            decoder.close()

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
        drawn = None if sampling is None else per_row(sampling, len(chats))
        for s in drawn or ():
            if s.repetition_penalty != 1.0:
                raise ValueError("nudging does not take a repetition_penalty: it would change the base's certainty")
            if self.mode == "reference" and (s.temperature or s.stop):
                raise ValueError("nudging in reference mode is greedy and takes no stop strings; use mode=cached")
        how = [replace(self.settings, max_new_tokens=s.max_new_tokens, stop=s.stop) for s in drawn or ()]
        pairs = [self.prompts(chat) for chat in chats]
        finished = (lambda i, r: on_done(i, self._completion(pairs[i], r))) if on_done else None
        results = self.run_batch(pairs, how, sampling=drawn, on_done=finished, on_step=on_step)
        return [self._completion(pair, r) for pair, r in zip(pairs, results, strict=True)]

    def describe(self) -> dict[str, Any]:
        """Base, policy with its settings, and the revisions of both models."""
        s = self.settings
        policy = (
            f"nudging(nudger={self.nudger.name}, gamma={s.gamma:g}, draft_tokens={s.draft_tokens}, "
            f"base_chunk={s.base_chunk}, mode={self.mode}, word_mode={s.word_mode}, exact_stop={s.exact_stop})"
        )
        return {**self.base.describe(), "policy": policy, "nudger": self.nudger.describe()}

    # -- how ----------------------------------------------------------------------------------------------------

    def _pools(self, prompts: Sequence[Prompts]) -> "tuple[SharedPool, SharedPool]":
        """Slots for both models; what all prompts begin with is read once."""
        base_rows = [self.base.encode(prompt) for prompt, _ in prompts]
        nudger_rows = [self.nudger.encode(prompt) for _, prompt in prompts]
        for model, rows in ((self.base, base_rows), (self.nudger, nudger_rows)):
            for row in rows:
                model.require_room(row)
        if self.mode == "reference":
            return self.base.pool(), self.nudger.pool()
        return self.base.pool(base_rows, SPARE), self.nudger.pool(nudger_rows, SPARE)

    def _answer(
        self,
        prompts: Prompts,
        how: Settings,
        base_pool: "SharedPool",
        nudger_pool: "SharedPool",
        so_far: Progress,
        sampling: Sampling | None = None,
        row: int = 0,
    ) -> "Decoder[NudgeResult]":
        from boresight.lm.textcache import TextCache

        began = time.perf_counter()
        base = TextCache(self.base, base_pool, sampling, 2 * row)
        nudger = TextCache(self.nudger, nudger_pool, sampling, 2 * row + 1)
        ahead = self.mode == "speculative"
        pair = Pair(_Cached(base, ahead), _Cached(nudger), *prompts, self.base.count_tokens, whole_drafts=ahead)
        try:
            yield from rounds(pair, how, so_far)
        finally:
            base.close()
            nudger.close()
        passes = {"base": base.passes, "nudger": nudger.passes}
        return result(so_far, how, self.base.count_tokens, passes, base.recomputed + nudger.recomputed, began)

    def _reference(self, prompts: Prompts, how: Settings) -> "Decoder[NudgeResult]":
        settings = {k: v for k, v in asdict(how).items() if k not in ("exact_stop", "stop")}
        count = self.base.count_tokens
        return nudge_loop(_completer(self.base), _completer(self.nudger), *prompts, count_tokens=count, **settings)
        yield

    def _completion(self, prompts: Prompts, r: NudgeResult) -> Completion:
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


class _Cached:
    """A Writer over a local model: a TextCache whose chunks grow on demand.

    speculative: keep the draft in the cache after the base has taken over, with a prediction after each of its tokens,
    so that the base run is free as far as the two models agree.
    """

    def __init__(self, cache: "TextCache", speculative: bool = False) -> None:
        self.cache = cache
        self._speculative = speculative

    @property
    def forwards(self) -> int:
        return self.cache.passes

    def start(self, text: str, limit: int) -> Continuation:
        from boresight.lm.textcache import Chunk

        return Chunk(self.cache, text, limit)

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

    def wait_for(self, left: "Companion[None]") -> "Decoder[None]":
        return self.cache.wait_for(left)

    def settle(self, text: str) -> None:
        if not self._speculative:
            self.cache.crop(len(self.cache.ids(text)))


def _completer(model: "LocalModel") -> Callable[[str, int], Completed]:
    """A text-completion function that reads the whole prompt anew at every call."""
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
