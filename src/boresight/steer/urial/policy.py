"""The language model `Urial`: a base model behind a prompt whose cache is frozen and shared by all rows."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boresight.chat import Chat
from boresight.errors import ModelError
from boresight.lm.base import Completion, OnDone, OnStep, Sampling, Span, Trace, per_row
from boresight.steer.stack import kind, require
from boresight.steer.urial.frame import (
    STOPS,
    AnswerEnd,
    FrameEnd,
    answer_stopper,
    checked_turns,
    clean,
    clean_reference,
    conversation_of,
    render_prompt,
    template_of,
)
from boresight.steer.urial.prompt import UrialPrompt, most_similar
from boresight.steer.urial.rows import Reply, Row, Text

if TYPE_CHECKING:
    from boresight.lm.decode import Decoder
    from boresight.lm.kv import Prefix
    from boresight.lm.local import LocalModel
    from boresight.lm.remote.endpoint import Endpoint
    from boresight.lm.session import SharedPool

ROOM = 64  # tokens that a context must have left after the prefix, and for which old turns are given up
_FINISH = {"stop_string": "stop_string", "length": "length", "context": "context"}
log = logging.getLogger(__name__)


class Urial:
    """A LanguageModel: `model`, a base model of this machine or behind an endpoint, answers behind a constant prompt.

    prompt: a shipped prompt, a variant (`VARIANTS`), a file (see `UrialPrompt.load`) or a UrialPrompt. template: how
    turns are written, "backticks", "v5" or "v6". penalize_prefix: let the repetition penalty count the tokens of the
    prompt too, as the published scripts do; list numbers are among them. reference_postprocess: stop strings and
    cleaning of the published code, which go on past the frame's end and delete code fences.

    A context that leaves less than 64 tokens after the prefix gets the prompt's first example only, or none, with a
    warning. A system message of a chat stands before its first query that is kept, since the prefix is constant.
    Behind an endpoint the repetition penalty is the server's, which counts the prompt too (there is a warning).
    Raises ValueError for settings out of range, DataError for a prompt that does not exist, ModelError for a model
    whose text cannot be continued or with too short a context.
    """

    step = "urial"

    def __init__(
        self,
        model: "LocalModel | Endpoint",
        *,
        prompt: str | Path | UrialPrompt = "boresight-3shot-v1",
        template: str = "backticks",
        max_new_tokens: int = 1024,
        temperature: float = 0.0,
        repetition_penalty: float = 1.1,
        penalize_prefix: bool = False,
        reference_postprocess: bool = False,
    ) -> None:
        require("urial", model)
        self.remote = kind(model) == "endpoint"
        self.base: Any = model
        self.template, self._frame = template, template_of(template)
        self.sampling = Sampling(max_new_tokens, temperature, repetition_penalty=repetition_penalty, stop=STOPS)
        self.penalize_prefix, self.reference_postprocess = penalize_prefix, reference_postprocess
        self.name = f"{model.name}+urial"
        self.embed: Callable[[Sequence[str]], Any] = _embed
        if self.remote and repetition_penalty != 1.0 and not penalize_prefix:
            self.penalize_prefix = True
            warnings.warn(
                f"{model.name} runs on a server, whose repetition penalty counts the whole prompt; "
                "penalize_prefix=true says so, repetition_penalty=1 switches it off",
                stacklevel=2,
            )
        if getattr(model, "has_chat_template", False):
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
        self._prefix_ids = [] if self.remote else self.base.encode(self.prompt.prefix(template))
        self._shared_ids = [] if self.remote else self._constant()
        self._prefix: Prefix | None = None
        self._pool_vectors: Any = None

    @staticmethod
    def check(settings: Mapping[str, Any]) -> None:
        """Refuse what no model could make right, before one is loaded (ValueError, DataError)."""
        names = ("max_new_tokens", "temperature", "repetition_penalty")
        Sampling(**{name: settings[name] for name in names if name in settings})
        if "template" in settings:
            template_of(settings["template"])
        if "prompt" in settings:
            UrialPrompt.load(settings["prompt"])

    def _fitting(self, prompt: UrialPrompt) -> UrialPrompt:
        """The prompt, or as much of it as leaves ROOM tokens of the context."""
        if self.base.context is None:  # a server that does not tell
            return prompt
        least = 0
        for tried in (prompt, *(prompt.first(k) for k in (1, 0) if k < prompt.shown)):
            least = self._length(tried.longest(self.template)) + ROOM
            if least <= self.base.context:
                return tried
        raise ModelError(
            f"{self.base.name} reads {self.base.context} tokens, but the prompt {prompt.name} needs at least {least}; "
            "take a shorter prompt or a model with a longer context"
        )

    def _length(self, text: str) -> int:
        """Tokens of a prompt; a server's count leaves out the BOS that it may add."""
        return self.base.count_tokens(text) + 1 if self.remote else len(self.base.encode(text))

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
            Reply(
                c.text,
                c.trace.stop_reason,
                c.trace.detail.get("n_prefix_cached"),
                c.trace.detail.get("tokens_forwarded"),
            )
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
        return self._run([conversation_of(chat) for chat in chats], sampling, on_done, on_step)

    def stream_chat(self, chat: Chat, sampling: Sampling | None = None) -> Iterator[Span | Completion]:
        """What `generate` answers, as it is written, then its Completion; what may be the frame's end is held back."""
        if self.remote or self.reference_postprocess:  # which deletes fences wherever they are
            (done,) = self.generate([chat], sampling)
            yield from (*done.trace.spans, done)
            return
        from boresight.lm.session import SharedPool
        from boresight.steer.urial.stream import growing

        how = self.sampling if sampling is None else self._settings(sampling)
        conversation = conversation_of(chat)
        prompt = self._prompts([conversation[1][-1]])[0]
        row = self._row(self._text(conversation, prompt, min(ROOM, how.max_new_tokens)))
        pool = SharedPool(self._cached(row.n_cached) if row.n_cached else None)
        end = AnswerEnd("", how.stop, self._frame.fenced)
        yield from growing(lambda on_piece: self._answer(row, how, 0, pool, 0, on_piece), end, self.base.name)

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

    # -- for methods that stand on this one ---------------------------------------------------------------------

    def prompt_text(self, chat: Chat) -> str:
        """The full text that the base model reads for a chat, without the turns that its context has no room for."""
        system, turns = conversation_of(chat)
        return self._text((system, turns), self._prompts([turns[-1]])[0], ROOM).text

    def answer_end(self, written: str) -> AnswerEnd:
        """Where what continues `written`, the answer so far, would end the answer: at its frame or at a stop string."""
        return AnswerEnd(written, STOPS, self._frame.fenced and not self.reference_postprocess)

    def cached(self, rows: Sequence[Sequence[int]]) -> "Prefix | None":
        """The frozen cache of what `rows`, token ids of prompts, share with the constant prefix; None for nothing."""
        from boresight.lm.session import common_prefix

        n = min((common_prefix(self._shared_ids, row) for row in rows), default=0)
        return self._cached(n) if n else None

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
        texts = [
            self._text(conversation, prompt, min(ROOM, s.max_new_tokens))
            for conversation, prompt, s in zip(conversations, prompts, how, strict=True)
        ]
        if self.remote:
            told = (lambda i, raw: on_done(i, self._completion(raw, texts[i], {}))) if on_done else None
            done = self.base.complete([t.text for t in texts], how, on_done=told, on_step=on_step)
            return [self._completion(raw, text, {}) for raw, text in zip(done, texts, strict=True)]
        rows = [self._row(text) for text in texts]
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

    def _text(self, conversation: tuple[str, list[str]], prompt: UrialPrompt, room: int) -> Text:
        """Render a conversation without as many of its oldest turns as leave the context no `room`."""
        system, turns = conversation
        kept, context = turns, self.base.context
        while True:
            first = f"{system}\n\n{kept[0]}" if system else kept[0]
            text = prompt.render([first, *kept[1:]], self.template)
            length = 0 if context is None else self._length(text)
            if context is None or length + room <= context or len(kept) == 1:
                break
            kept = kept[2:]
        if context is not None and length >= context:
            raise ModelError(
                f"the prompt {prompt.name} and the last query have {length} tokens and {self.base.name} reads at "
                f"most {context}; shorten the query or take a shorter prompt"
            )
        if dropped := len(turns) - len(kept):
            log.warning("%s: the %d oldest turns of a conversation were dropped: no room", self.name, dropped)
        return Text(text, length, prompt, dropped)

    def _row(self, text: Text) -> Row:
        """Tokenize a rendered conversation and see what of it is cached."""
        from boresight.lm.session import common_prefix

        ids, prompt = self.base.encode(text.text), text.prompt
        alone = self._prefix_ids if prompt is self.prompt else self.base.encode(prompt.prefix(self.template))
        return Row(ids, common_prefix(alone, ids), common_prefix(self._shared_ids, ids), text)

    def _cached(self, n: int) -> "Prefix":
        """The frozen cache of the first n constant tokens: computed once, views of it where a row's tokens differ."""
        from boresight.lm.kv import Prefix

        whole = self._prefix
        if whole is None:
            whole = self._prefix = self.base.prefix(self._shared_ids)
            log.info(
                "urial prefix %s (%s) of %d tokens read by %s",
                self.prompt.hash(self.template),
                self.prompt.name,
                len(whole),
                self.base.name,
            )
        if n == len(whole):
            return whole
        return Prefix(whole.ids[:n], tuple((k[:, :n], v[:, :n]) for k, v in whole.layers))

    def _answer(
        self,
        row: Row,
        how: Sampling,
        index: int,
        pool: "SharedPool",
        paid: int,
        on_piece: Callable[[str], None] | None = None,
    ) -> "Decoder[Completion]":
        """Write one answer. paid: tokens of the prefix that were forwarded for this row's sake."""
        from boresight.lm.decode import write
        from boresight.lm.session import Session

        session = Session(self.base, pool)
        counted = row.ids if self.penalize_prefix else row.ids[row.n_prefix :]
        stopper = answer_stopper(how.stop, self._frame.fenced and not self.reference_postprocess)
        raw = yield from write(
            session, row.ids, how, row=how.row_at(index), stopper=stopper, seen=counted, on_piece=on_piece
        )
        forwarded = session.forwarded + paid
        log.debug("urial answer: %d tokens from the cache, %d forwarded", row.n_cached, forwarded)
        counters = {
            "prefix_tokens": row.n_prefix,
            "n_prefix_cached": row.n_cached,
            "tokens_forwarded": forwarded,
            "cache_hit": bool(row.n_cached) and not paid,
        }
        return self._completion(raw, row.said, counters)

    def _completion(self, raw: Completion, said: Text, counters: dict[str, Any]) -> Completion:
        """The answer in what was written."""
        text, reason = self._finish(raw)
        first = raw.trace.spans[0].prob if raw.trace.spans else None
        return replace(
            raw,
            text=text,
            finish_reason=_FINISH.get(reason, "stop"),
            trace=Trace(
                spans=(Span(self.base.name, text, first, "base"),) if text else (),
                stop_reason=reason,
                mean_top1_prob=raw.trace.mean_top1_prob,
                detail={
                    "prompt": said.prompt.name,
                    "prefix": said.prompt.hash(self.template),
                    **counters,
                    "dropped_turns": said.dropped,
                },
            ),
        )

    def _finish(self, raw: Completion) -> tuple[str, str]:
        """(answer, stop reason) of what was written; an endpoint's reasons are those of a Completion."""
        reason = raw.trace.stop_reason
        if self.remote:
            reason = "eos" if raw.finish_reason == "stop" else raw.finish_reason
        if self.reference_postprocess:
            return clean_reference(raw.text), reason
        if not self._frame.fenced:
            return raw.text.strip(), reason
        closed = FrameEnd().find(raw.text, final=True) is not None  # a last line "```" was waiting for more
        return clean(raw.text), "frame_end" if closed else reason


def _embed(texts: Sequence[str]) -> Any:
    from boresight.lm.embed import embed

    return embed(texts)
