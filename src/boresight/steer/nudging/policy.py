"""`Nudging`, the language model: rounds over two models, on this machine with caches and many prompts at once."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from boresight.chat import Chat, plain, validate
from boresight.errors import ModelError
from boresight.lm.base import Completion, OnDone, OnStep, Sampling, Span, Trace, per_row
from boresight.steer.nudging.loop import nudge_loop, result
from boresight.steer.nudging.rounds import Pair, Progress, Settings, rounds
from boresight.steer.nudging.template import read, renderer
from boresight.steer.nudging.text import NudgeResult, Segment
from boresight.steer.nudging.writers import Cached, EndOf, completer
from boresight.steer.stack import kind, require, require_model

if TYPE_CHECKING:
    from boresight.lm.decode import Decoder
    from boresight.lm.session import SharedPool

MODES = ("reference", "cached", "speculative")
CHEAP = 10  # a nudger this many times smaller than the base drafts whole chunks ahead in speculative mode
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

    base: a local model, an `Endpoint`, or a `Urial` over one of them; then the base reads URIAL's prompt, and the end
    of its frame is an end-of-sequence token. Only the prompt of that `Urial` counts: lengths, temperature and penalties
    are nudging's. nudger: a local model or an `Endpoint`.

    mode: "cached", "speculative" (fewer base passes) or "reference" (re-encodes everything at every call, as the
    published code does); the text is the same in all three. None is "cached", or "reference" where a model is behind an
    endpoint, which knows no other. question_prefix and answer_start stand before and after the question in both
    prompts. chat_template: a file with the nudger's Jinja template, where it has none or its server does not render it.
    exact_stop=False drafts lazily: the stop rule then sees only what was drafted up to the takeover, so the answer is
    the exact one up to the first draft whose unseen rest would have ended it, and goes on from there.

    Raises ValueError for settings out of range, ModelError for models that cannot be used so (`boresight.steer.stack`)
    and for a nudger without a chat template.
    """

    step = "nudging"

    def __init__(
        self,
        base: Any,
        nudger: Any,
        *,
        gamma: float = 0.3,
        draft_tokens: int = 16,
        base_chunk: int = 16,
        max_new_tokens: int = 512,
        max_rounds: int = 150,
        word_mode: str = "space",
        mode: str | None = None,
        exact_stop: bool = True,
        repetition_cut: str = "exact",
        question_prefix: str = "",
        answer_start: str = "",
        chat_template: str | None = None,
    ) -> None:
        require(self.step, base)
        require_model(self.step, "nudger", nudger, remote=True)
        self.frame = base if kind(base) == "urial" else None
        self.base: Any = base.base if self.frame else base
        self.nudger: Any = nudger
        self.remote = "endpoint" in (kind(self.base), kind(nudger))
        self.mode = mode or ("reference" if self.remote else "cached")
        if self.remote and self.mode != "reference":
            raise ValueError(f"mode is {mode!r}, which needs both models on this machine; an endpoint has reference")
        _check_mode(self.mode, exact_stop)
        self._render = renderer(nudger, chat_template)
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

    @staticmethod
    def check(settings: Mapping[str, Any]) -> None:
        """Refuse what no two models could make right, before they are loaded (ValueError, DataError)."""
        Settings(**{f.name: settings[f.name] for f in fields(Settings) if f.name in settings})
        _check_mode(settings.get("mode"), settings.get("exact_stop", True))
        if settings.get("chat_template") is not None:
            read(settings["chat_template"])

    def prompts(self, chat: Chat, context: str = "") -> Prompts:
        """(base prompt, nudger prompt) of a chat: plain or URIAL's text for the base, the nudger's template for it."""
        validate(chat)
        *earlier, last = [dict(m) for m in chat]
        last["content"] = context + self.question_prefix + last["content"]
        asked = [*earlier, last]
        if self.frame:
            base_prompt = self.frame.prompt_text(asked) + self.answer_start
        else:
            base_prompt = plain(chat, self.question_prefix, self.answer_start, context)
        return base_prompt, self._render(asked) + self.answer_start

    def prompt_text(self, chat: Chat) -> str:
        """The full text that the base model reads for a chat."""
        return self.prompts(chat)[0]

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
        if self.remote:
            return self._from_afar(prompts, settings, on_done, on_step)
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
        yield from self._stream((base_prompt, nudger_prompt), self.settings)

    def stream_chat(self, chat: Chat, sampling: Sampling | None = None) -> Iterator[Span | Completion]:
        """What `generate` answers, span by span as they are settled, then its Completion.

        The Completion's text may lack what was shown last: an end that repeats itself is cut once the answer is whole.
        """
        pair = self.prompts(chat)
        (how,) = self._settings([sampling]) if sampling else [self.settings]
        if how.stop:
            raise ValueError("a streamed answer takes no stop strings: a part of one would be shown before it is found")
        running = self._stream(pair, how, sampling)
        while True:
            try:
                yield self._span(next(running))
            except StopIteration as end:
                yield self._completion(pair, end.value)
                return

    def _stream(
        self, pair: Prompts, how: Settings, sampling: Sampling | None = None
    ) -> Generator[Segment, None, NudgeResult]:
        if self.mode == "reference":
            (result,) = self.run_batch([pair], [how])
            yield from result.segments
            return result
        from boresight.lm.stream import pieces

        so_far, told = Progress(), 0

        def fresh() -> list[Segment]:
            nonlocal told
            begin, told = told, len(so_far.segments) if so_far.stop_reason else so_far.settled
            return so_far.segments[begin:told]

        return (yield from pieces(self._answer(pair, how, *self._pools([pair]), so_far, sampling), fresh))

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
        how = self._settings(drawn or ())
        pairs = [self.prompts(chat) for chat in chats]
        finished = (lambda i, r: on_done(i, self._completion(pairs[i], r))) if on_done else None
        results = self.run_batch(pairs, how, sampling=drawn, on_done=finished, on_step=on_step)
        return [self._completion(pair, r) for pair, r in zip(pairs, results, strict=True)]

    def _settings(self, drawn: Sequence[Sampling]) -> list[Settings]:
        """The settings of each answer; ValueError for what cannot be sampled."""
        for s in drawn:
            if s.repetition_penalty != 1.0:
                raise ValueError("nudging does not take a repetition_penalty: it would change the base's certainty")
            if self.mode == "reference" and s.temperature:
                raise ValueError("nudging in reference mode is greedy; a temperature needs mode=cached")
        return [replace(self.settings, max_new_tokens=s.max_new_tokens, stop=s.stop) for s in drawn]

    def _span(self, s: Segment) -> Span:
        return Span((self.nudger if s.source == "nudge" else self.base).name, s.text, s.base_top1_prob, s.source)

    def describe(self) -> dict[str, Any]:
        """Base, policy with its settings, and the revisions of both models."""
        s = self.settings
        policy = (
            f"nudging(nudger={self.nudger.name}, gamma={s.gamma:g}, draft_tokens={s.draft_tokens}, "
            f"base_chunk={s.base_chunk}, mode={self.mode}, word_mode={s.word_mode}, exact_stop={s.exact_stop})"
        )
        below = (self.frame or self.base).describe()
        if self.frame:
            policy = f"{below['policy']} + {policy}"
        return {**below, "policy": policy, "nudger": self.nudger.describe()}

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
        nudger_pool = self.nudger.pool(nudger_rows, SPARE)
        if self.frame and (prefix := self.frame.cached([row[:-SPARE] for row in base_rows])):
            from boresight.lm.session import SharedPool

            return SharedPool(prefix), nudger_pool
        return self.base.pool(base_rows, SPARE), nudger_pool

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
        row = sampling.row_at(row) if sampling else row
        base = TextCache(self.base, base_pool, sampling, 2 * row)
        nudger = TextCache(self.nudger, nudger_pool, sampling, 2 * row + 1)
        ahead = self.mode == "speculative"
        writer = Cached(base, ahead, self._end(prompts[0]))
        whole = ahead and self._drafts_are_cheap()
        pair = Pair(writer, Cached(nudger, ahead), *prompts, self.base.count_tokens, whole_drafts=whole)
        try:
            yield from rounds(pair, how, so_far)
        finally:
            base.close()
            nudger.close()
        passes = {"base": base.passes, "nudger": nudger.passes}
        return result(so_far, how, self.base.count_tokens, passes, base.recomputed + nudger.recomputed, began)

    def _drafts_are_cheap(self) -> bool:
        """Whether a whole draft costs less than the base passes that it can save."""
        return self.nudger.model.num_parameters() * CHEAP <= self.base.model.num_parameters()

    def _reference(self, prompts: Prompts, how: Settings) -> "Decoder[NudgeResult]":
        base = completer(self.base, self._end(prompts[0]))
        return self._loop(base, completer(self.nudger), prompts, how)
        yield

    def _loop(self, base: Any, nudger: Any, prompts: Prompts, how: Settings) -> NudgeResult:
        settings = {k: v for k, v in asdict(how).items() if k != "exact_stop"}
        return nudge_loop(base, nudger, *prompts, count_tokens=self.base.count_tokens, **settings)

    def _from_afar(
        self,
        prompts: Sequence[Prompts],
        settings: Sequence[Settings],
        on_done: Callable[[int, NudgeResult], None] | None,
        on_step: OnStep | None,
    ) -> list[NudgeResult]:
        """Answers with a model behind an endpoint, as many at a time as it may be asked."""
        from boresight.lm.remote.endpoint import concurrency_asked
        from boresight.steer.nudging.remote import Turnstile, answer_all

        turnstile = Turnstile()
        nudger = turnstile.guard(completer(self.nudger), alone=kind(self.nudger) == "local")
        alone = kind(self.base) == "local"
        bases = [turnstile.guard(completer(self.base, self._end(p)), alone=alone) for p, _ in prompts]

        def job(i: int) -> NudgeResult:
            for model, prompt in zip((self.base, self.nudger), prompts[i], strict=True):
                _require_room(model, prompt)
            return self._loop(bases[i], nudger, prompts[i], settings[i])

        jobs = [partial(job, i) for i in range(len(prompts))]
        return answer_all(jobs, turnstile, concurrency_asked(), on_done, on_step)

    def _end(self, base_prompt: str) -> EndOf | None:
        """Where answers to a prompt end besides at an end-of-sequence token; what answer_start opened counts."""
        frame, start = self.frame, len(base_prompt) - len(self.answer_start)
        return (lambda text: frame.answer_end(text[start:])) if frame else None

    def _completion(self, prompts: Prompts, r: NudgeResult) -> Completion:
        return Completion(
            text=r.text,
            tokens=self.base.count_tokens(r.text),
            finish_reason=_FINISH[r.stop_reason],
            prompt_tokens=_length(self.base, prompts[0]),
            trace=Trace(
                spans=tuple(map(self._span, r.segments)),
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


def _check_mode(mode: str | None, exact_stop: bool) -> None:
    """ValueError for a mode that does not exist, and for a lazy reference."""
    if mode is not None and mode not in MODES:
        raise ValueError(f"mode is {mode!r}; one of {', '.join(MODES)} is needed")
    if mode == "reference" and not exact_stop:
        raise ValueError("reference mode drafts the whole chunk; exact_stop=False needs mode cached or speculative")


def _length(model: Any, prompt: str) -> int:
    """Tokens of a prompt; a server's count leaves out the BOS that it may add."""
    return len(model.encode(prompt)) if hasattr(model, "encode") else model.count_tokens(prompt)


def _require_room(model: Any, prompt: str) -> None:
    """Raise ModelError, with both lengths, when a prompt leaves no room for an answer; a server may not tell."""
    if kind(model) == "local":
        model.require_room(model.encode(prompt))
    elif model.context is not None and (n := _length(model, prompt)) >= model.context:
        raise ModelError(
            f"the prompt has {n} tokens and {model.name} reads at most {model.context}; shorten the prompt"
        )
