"""The language model `Urial`: a local base model behind a prompt whose cache is frozen and shared by all rows."""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boresight.chat import Chat, split_system, validate
from boresight.errors import ModelError
from boresight.lm.base import Completion, OnDone, OnStep, Sampling, Span, Trace, per_row
from boresight.steer.urial.frame import (
    STOPS,
    EmptyQuery,
    FrameEnd,
    answer_stopper,
    checked_turns,
    clean,
    clean_reference,
    render_prompt,
    template_of,
)
from boresight.steer.urial.prompt import UrialPrompt, most_similar

if TYPE_CHECKING:
    from boresight.lm.decode import Decoder
    from boresight.lm.kv import Prefix
    from boresight.lm.local import LocalModel
    from boresight.lm.session import SharedPool

ROOM = 64  # tokens that a context must have left after the prefix, and for which old turns are given up
_FINISH = {"stop_string": "stop_string", "length": "length", "context": "context"}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """An answer. stop_reason: "frame_end", "stop_string", "eos", "length" or "context".

    n_prefix_cached: prompt tokens read from the shared cache; tokens_forwarded: tokens that this answer sent through
    the model, those of the prefix included where it was the first to need it.
    """

    text: str
    stop_reason: str
    n_prefix_cached: int
    tokens_forwarded: int


@dataclass(frozen=True)
class _Row:
    """A prompt ready to run: its tokens, how many of them are the prefix and how many of those are cached."""

    ids: list[int]
    n_prefix: int
    n_cached: int
    prompt: UrialPrompt
    dropped: int


class Urial:
    """A LanguageModel: `model`, a local base model, answers behind a constant prompt.

    prompt: a shipped prompt, a variant (`VARIANTS`), a file (see `UrialPrompt.load`) or a UrialPrompt. template: how
    turns are written, "backticks", "v5" or "v6". penalize_prefix: let the repetition penalty count the tokens of the
    prompt too, as the published scripts do; list numbers are among them. reference_postprocess: stop strings and
    cleaning of the published code, which go on past the frame's end and delete code fences.

    A context that leaves less than 64 tokens after the prefix gets the prompt's first example only, or none, with a
    warning. A system message of a chat stands before its first query that is kept, since the prefix is constant.
    Raises ValueError for settings out of range, DataError for a prompt that does not exist, ModelError for a model
    without decode sessions or with too short a context.
    """

    def __init__(
        self,
        model: "LocalModel",
        *,
        prompt: str | Path | UrialPrompt = "boresight-3shot-v1",
        template: str = "backticks",
        max_new_tokens: int = 1024,
        temperature: float = 0.0,
        repetition_penalty: float = 1.1,
        penalize_prefix: bool = False,
        reference_postprocess: bool = False,
    ) -> None:
        if not hasattr(model, "session"):
            raise ModelError(f"urial needs a local model; {model.name} has no decode sessions")
        self.base, self.template, self._frame = model, template, template_of(template)
        self.sampling = Sampling(max_new_tokens, temperature, repetition_penalty=repetition_penalty, stop=STOPS)
        self.penalize_prefix, self.reference_postprocess = penalize_prefix, reference_postprocess
        self.name = f"{model.name}+urial"
        self.embed: Callable[[Sequence[str]], Any] = _embed
        if model.has_chat_template:
            warnings.warn(
                f"{model.name} has a chat template: URIAL is for base models, and the template is not used",
                stacklevel=2,
            )
        wanted = prompt if isinstance(prompt, UrialPrompt) else UrialPrompt.load(prompt)
        self.prompt = self._fitting(wanted)
        if self.prompt is not wanted:
            warnings.warn(
                f"{model.name} reads {model.context} tokens, too few for the prompt {wanted.name}: "
                f"it is shown {self.prompt.shown} of its examples",
                stacklevel=2,
            )
        self._prefix_ids = model.encode(self.prompt.prefix(template))
        self._shared_ids = self._constant()
        self._prefix: Prefix | None = None
        self._pool_vectors: Any = None

    def _fitting(self, prompt: UrialPrompt) -> UrialPrompt:
        """The prompt, or as much of it as leaves ROOM tokens of the context."""
        least = 0
        for tried in (prompt, *(prompt.first(k) for k in (1, 0) if k < prompt.shown)):
            least = len(self.base.encode(tried.longest(self.template))) + ROOM
            if least <= self.base.context:
                return tried
        raise ModelError(
            f"{self.base.name} reads {self.base.context} tokens, but the prompt {prompt.name} needs at least {least}; "
            "take a shorter prompt or a model with a longer context"
        )

    def _constant(self) -> list[int]:
        """The tokens that every prompt begins with: those of the prefix that stay when a turn follows."""
        from boresight.lm.session import common_prefix

        text = self.prompt.prefix(self.template)
        ids = self.base.encode(render_prompt(text, ["?"], self.template))
        return ids[: common_prefix(self._prefix_ids, ids)] if text else []

    # -- what users call ----------------------------------------------------------------------------------------

    def reply(self, turns: str | Sequence[str], sampling: Sampling | None = None) -> Reply:
        """Answer one conversation: texts, the user's first and last (one text alone is one query)."""
        return self.batch([turns], sampling)[0]

    def batch(
        self,
        conversations: Sequence[str | Sequence[str]],
        sampling: Sampling | Sequence[Sampling] | None = None,
    ) -> list[Reply]:
        """Answer many conversations at once; every reply is what `reply` gives for its conversation alone."""
        done = self._run([("", checked_turns(turns)) for turns in conversations], sampling)
        return [
            Reply(c.text, c.trace.stop_reason, c.trace.detail["n_prefix_cached"], c.trace.detail["tokens_forwarded"])
            for c in done
        ]

    def generate(
        self,
        chats: Sequence[Chat],
        sampling: Sampling | Sequence[Sampling] | None = None,
        *,
        on_done: OnDone | None = None,
        on_step: OnStep | None = None,
    ) -> list[Completion]:
        """Answer every chat; `sampling` takes the place of the policy's own settings.

        Two things stay: the frame's stop strings, to which those of `sampling` are added, and the policy's repetition
        penalty where `sampling` has none (1.0); Urial(..., repetition_penalty=1.0) switches it off.
        """
        return self._run([_conversation(chat) for chat in chats], sampling, on_done, on_step)

    def describe(self) -> dict[str, Any]:
        """Base, policy with its settings and the hash of its prompt, and the revision."""
        s = self.sampling
        policy = (
            f"urial(prompt={self.prompt.name}, prefix={self.prompt.hash(self.template)}, template={self.template}, "
            f"max_new_tokens={s.max_new_tokens}, temperature={s.temperature:g}, "
            f"repetition_penalty={s.repetition_penalty:g}, penalize_prefix={self.penalize_prefix}, "
            f"reference_postprocess={self.reference_postprocess})"
        )
        return {**self.base.describe(), "policy": policy, "template": f"urial-{self.template}"}

    # -- the run ------------------------------------------------------------------------------------------------

    def _run(
        self,
        conversations: Sequence[tuple[str, list[str]]],
        sampling: Sampling | Sequence[Sampling] | None,
        on_done: OnDone | None = None,
        on_step: OnStep | None = None,
    ) -> list[Completion]:
        """Answer conversations, each a system message ("": none) and its turns."""
        from boresight.lm.decode import drive
        from boresight.lm.session import SharedPool

        if sampling is None:
            how = [self.sampling] * len(conversations)
        else:
            how = [self._settings(s) for s in per_row(sampling, len(conversations))]
        prompts = self._prompts([turns[-1] for _, turns in conversations])
        rows = [self._row(*args) for args in zip(conversations, prompts, how, strict=True)]
        first = self._prefix is None and any(row.n_cached for row in rows)
        pools = {n: SharedPool(self._cached(n) if n else None) for n in {row.n_cached for row in rows}}
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))
        paid = next((i for i in order if rows[i].n_cached), None) if first else None
        makers = [
            lambda i=i: self._answer(rows[i], how[i], i, pools[rows[i].n_cached], len(self._shared_ids) * (i == paid))
            for i in order
        ]
        done = (lambda k, c: on_done(order[k], c)) if on_done else None
        results = drive(makers, self.base.width, done, on_step)
        return [c for _, c in sorted(zip(order, results, strict=True), key=lambda pair: pair[0])]

    def _settings(self, given: Sampling) -> Sampling:
        own = self.sampling
        penalty = own.repetition_penalty if given.repetition_penalty == 1.0 else given.repetition_penalty
        return replace(given, repetition_penalty=penalty, stop=tuple(dict.fromkeys((*STOPS, *given.stop))))

    def _prompts(self, queries: list[str]) -> list[UrialPrompt]:
        """The prompt of each query: always the same one, unless its examples are retrieved."""
        if not self.prompt.retrieve or not queries:
            return [self.prompt] * len(queries)
        if self._pool_vectors is None:
            self._pool_vectors = self.embed([query for query, _ in self.prompt.examples])
        return [
            self.prompt.show(most_similar(self._pool_vectors, vector, self.prompt.retrieve))
            for vector in self.embed(queries)
        ]

    def _row(self, conversation: tuple[str, list[str]], prompt: UrialPrompt, how: Sampling) -> _Row:
        """Tokenize a conversation, without as many of its oldest turns as the context has no room for."""
        from boresight.lm.session import common_prefix

        room = min(ROOM, how.max_new_tokens)
        system, turns = conversation
        kept = turns
        while True:
            first = f"{system}\n\n{kept[0]}" if system else kept[0]
            ids = self.base.encode(prompt.render([first, *kept[1:]], self.template))
            if len(ids) + room <= self.base.context or len(kept) == 1:
                break
            kept = kept[2:]
        if len(ids) >= self.base.context:
            raise ModelError(
                f"the prompt {prompt.name} and the last query have {len(ids)} tokens and {self.base.name} reads at "
                f"most {self.base.context}; shorten the query or take a shorter prompt"
            )
        if dropped := len(turns) - len(kept):
            log.warning("%s: the %d oldest turns of a conversation were dropped: no room", self.name, dropped)
        alone = self._prefix_ids if prompt is self.prompt else self.base.encode(prompt.prefix(self.template))
        return _Row(ids, common_prefix(alone, ids), common_prefix(self._shared_ids, ids), prompt, dropped)

    def _cached(self, n: int) -> "Prefix":
        """The frozen cache of the first n constant tokens: computed once, views of it where a row's tokens differ."""
        from boresight.lm.kv import Prefix

        if self._prefix is None:
            self._prefix = self.base.prefix(self._shared_ids)
            log.info(
                "urial prefix %s (%s) of %d tokens read by %s",
                self.prompt.hash(self.template),
                self.prompt.name,
                len(self._shared_ids),
                self.base.name,
            )
        if n == len(self._prefix):
            return self._prefix
        return Prefix(self._prefix.ids[:n], tuple((k[:, :n], v[:, :n]) for k, v in self._prefix.layers))

    def _answer(self, row: _Row, how: Sampling, index: int, pool: "SharedPool", paid: int) -> "Decoder[Completion]":
        """Write one answer. paid: tokens of the prefix that were forwarded for this row's sake."""
        from boresight.lm.decode import write
        from boresight.lm.session import Session

        session = Session(self.base, pool)
        counted = row.ids if self.penalize_prefix else row.ids[row.n_prefix :]
        stopper = answer_stopper(how.stop, self._frame.fenced and not self.reference_postprocess)
        raw = yield from write(session, row.ids, how, row=index, stopper=stopper, seen=counted)
        text, reason = self._finish(raw)
        forwarded = session.forwarded + paid
        log.debug("urial answer: %d tokens from the cache, %d forwarded, %s", row.n_cached, forwarded, reason)
        return replace(
            raw,
            text=text,
            finish_reason=_FINISH.get(reason, "stop"),
            trace=Trace(
                spans=tuple(Span(self.base.name, text, s.prob, "base") for s in raw.trace.spans if text),
                stop_reason=reason,
                mean_top1_prob=raw.trace.mean_top1_prob,
                detail={
                    "prompt": row.prompt.name,
                    "prefix": row.prompt.hash(self.template),
                    "prefix_tokens": row.n_prefix,
                    "n_prefix_cached": row.n_cached,
                    "tokens_forwarded": forwarded,
                    "cache_hit": bool(row.n_cached) and not paid,
                    "dropped_turns": row.dropped,
                },
            ),
        )

    def _finish(self, raw: Completion) -> tuple[str, str]:
        """(answer, stop reason) of what was written."""
        if self.reference_postprocess:
            return clean_reference(raw.text), raw.trace.stop_reason
        if not self._frame.fenced:
            return raw.text.strip(), raw.trace.stop_reason
        closed = FrameEnd().find(raw.text, final=True) is not None  # a last line "```" was waiting for more
        return clean(raw.text), "frame_end" if closed else raw.trace.stop_reason


def _conversation(chat: Chat) -> tuple[str, list[str]]:
    """System message ("": none) and turns of a chat; EmptyQuery or DataError if it is not one."""
    for message in chat if isinstance(chat, Sequence) else ():
        is_query = isinstance(message, Mapping) and message.get("role") == "user"
        if is_query and not str(message.get("content", "?")).strip():
            raise EmptyQuery("a user turn is an empty query")
    return split_system(validate(chat))


def _embed(texts: Sequence[str]) -> Any:
    from boresight.lm.embed import embed

    return embed(texts)
