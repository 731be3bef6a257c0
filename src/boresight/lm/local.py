"""A model on this machine: transformers weights behind the packed-cache engine of `lm.kv` and `lm.decode`."""

import os
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from boresight.chat import Chat, plain, validate
from boresight.errors import ModelError
from boresight.lm.base import Completion, OnDone, OnStep, Sampling, per_row
from boresight.lm.decode import Ask, Decoder, Step, drive, stop_at, write
from boresight.lm.hidden import Pooling, hidden_states
from boresight.lm.kv import PASS, Pass, Prefix
from boresight.lm.machine import fastest_dtype, return_memory, speed_up_linears
from boresight.lm.scoring import answer_logits
from boresight.lm.selfcheck import check_engine
from boresight.lm.session import Reading, Session, SharedPool, common_prefix
from boresight.lm.sizes import cached_numbers, context_of

PASS_TOKENS = 2048  # longest packed pass; bounds activations while prompts are read
HEAD_ROWS = 8  # rows of logits turned to float32 at once: a 262,144-word head at 32 rows would be 34 MB a step
TIDY = 64  # passes after which freed memory is handed back
CACHE_BYTES = 2 << 30  # caches of more rows than `width` may take as much
MIN_SHARED = 16  # a common beginning of at least this many tokens is worth a shared prefix


class LocalModel:
    """A causal language model of transformers with a batched, cache-sharing decoder.

    It takes over `model`: its attention implementation becomes the engine's. Raises ModelError if its architecture does
    not run there.

    name: how reports call it. context: tokens it can attend to. revision: hash of its weights or hub revision.
    width: rows decoded at once; up to twice as many where that spares a second round and the caches stay small.
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str, revision: str | None = None, width: int = 64) -> None:
        self.name = name
        self.revision = revision
        self.width = width
        self.tokenizer = tokenizer
        self.model = model.eval()
        self.device = model.device
        self.dtype = model.dtype
        self.context = context_of(model.config.get_text_config())
        ends = model.generation_config.eos_token_id if model.generation_config else None
        listed = ends if isinstance(ends, list) else [ends]
        self.eos_ids = frozenset(i for i in [*listed, tokenizer.eos_token_id] if i is not None)
        self.has_chat_template = bool(getattr(tokenizer, "chat_template", None))
        self._passes = 0
        self._prefixes: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()
        check_engine(self)
        speed_up_linears(self.model)

    # -- text ---------------------------------------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        """Token ids of a whole prompt, with the special tokens that the tokenizer adds (a BOS once, never an EOS)."""
        bos, eos = self.tokenizer.bos_token, self.tokenizer.eos_token_id
        ids = self.tokenizer(text, add_special_tokens=not (bos and text.startswith(bos)), return_attention_mask=False)[
            "input_ids"
        ]
        if ids and ids[-1] == eos and not text.endswith(self.tokenizer.eos_token):
            ids = ids[:-1]
        if not ids:  # a tokenizer without BOS has nothing to say about the empty text
            start = self.tokenizer.bos_token_id
            ids = [start if start is not None else eos]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids; special tokens are left out."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` without special tokens."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def render(self, chat: Chat) -> str:
        """The prompt text of a chat: the model's chat template, or the plain template if it has none."""
        validate(chat)
        if not self.has_chat_template:
            return plain(chat)
        return self.render_template(chat)

    def render_template(self, chat: Chat) -> str:
        """The chat in the model's own template with the answer opened; ModelError if it has none."""
        if not self.has_chat_template:
            raise ModelError(
                f"{self.name} has no chat template; put a chat_template.jinja beside its weights, "
                "or take an instruction-tuned model"
            )
        try:
            return self.tokenizer.apply_chat_template(
                [dict(m) for m in chat], tokenize=False, add_generation_prompt=True
            )
        except Exception as error:  # jinja errors of any kind: the template refused the chat
            raise ModelError(f"the chat template of {self.name} refused the chat: {error}") from error

    # -- the engine ---------------------------------------------------------------------------------------------

    def session(self, prefix: Prefix | None = None) -> Session:
        """A decode session of its own."""
        return Session(self, SharedPool(prefix))

    def prefix(self, ids: Sequence[int]) -> Prefix:
        """The frozen cache of `ids`, computed once and kept (the four used last)."""
        key = tuple(ids)
        if key in self._prefixes:
            self._prefixes.move_to_end(key)
            return self._prefixes[key]
        with self.session() as session:
            self.extend([Ask(session, key, ())])
            frozen = session.pool.freeze(session.slot, key)
        self._prefixes[key] = frozen
        if len(self._prefixes) > 4:
            self._prefixes.popitem(last=False)
        return frozen

    def extend(self, asks: Sequence[Ask]) -> list[Step]:
        """Serve asks of sessions of one pool in as few packed passes as PASS_TOKENS allows; one Step per ask.

        Each session may ask once. Raises ValueError for an ask of no tokens, ModelError past the end of the context.
        """
        if len({id(ask.session) for ask in asks}) < len(asks):
            raise ValueError("a session was asked to extend twice in one pass")
        steps: list[Step | None] = [None] * len(asks)
        batch: list[tuple[int, Ask]] = []
        size = 0
        for i, ask in enumerate(asks):
            if not ask.ids:
                raise ValueError("a session was asked to extend by no tokens")
            ids, keep = ask.ids, ask.keep
            while len(ids) > PASS_TOKENS and (not keep or keep[0] >= PASS_TOKENS):
                self._forward([Ask(ask.session, ids[:PASS_TOKENS], ())])
                ids, keep = ids[PASS_TOKENS:], [k - PASS_TOKENS for k in keep]
            if batch and size + len(ids) > PASS_TOKENS:
                self._serve(batch, steps)
                batch, size = [], 0
            batch.append((i, Ask(ask.session, ids, keep)))
            size += len(ids)
        if batch:
            self._serve(batch, steps)
        return [step for step in steps if step is not None]

    def _serve(self, batch: list[tuple[int, Ask]], steps: list[Step | None]) -> None:
        for (i, _), step in zip(batch, self._forward([ask for _, ask in batch]), strict=True):
            steps[i] = step

    @torch.no_grad()
    def _forward(self, asks: list[Ask]) -> list[Step]:
        self._passes += 1
        if self._passes % TIDY == 0:
            return_memory()
        pool = asks[0].session.pool
        tokens: list[int] = []
        positions: list[int] = []
        kept: list[int] = []
        spans = []
        for ask in asks:
            before, start = pool.lengths[ask.session.slot], len(tokens)
            tokens.extend(ask.ids)
            positions.extend(range(pool.offset + before, pool.offset + before + len(ask.ids)))
            kept.extend(start + k for k in ask.keep)
            spans.append((ask.session.slot, before, start, len(tokens)))
        if max(positions) >= self.context:
            raise ModelError(f"{max(positions) + 1} tokens do not fit the {self.context} of {self.name}")
        pool.reserve(max(before + end - start for _, before, start, end in spans))
        to = self.device
        inputs = {
            "input_ids": torch.tensor([tokens], device=to),
            "position_ids": torch.tensor([positions], device=to),
            "use_cache": False,
        }
        mark = PASS.set(Pass(pool, spans, to))
        try:
            if kept:
                logits = self.model(**inputs, logits_to_keep=torch.tensor(kept, device=to)).logits[0]
            else:
                self.model.base_model(**inputs)
                logits = torch.empty(0, 0)
        finally:
            PASS.reset(mark)
        top_ids, top_logprobs = top1(logits)
        steps, at = [], 0
        for ask in asks:
            ask.session.note(ask.ids)
            ask.session.passes += 1
            end = at + len(ask.keep)
            steps.append(Step(top_ids[at:end], top_logprobs[at:end], logits[at:end]))
            at = end
        return steps

    # -- what users call ----------------------------------------------------------------------------------------

    def generate(
        self,
        chats: Sequence[Chat],
        sampling: Sampling | Sequence[Sampling] | None = None,
        *,
        on_done: OnDone | None = None,
        on_step: OnStep | None = None,
    ) -> list[Completion]:
        """Answer every chat. Prompts are rendered by the chat template, or by the plain one for a base model."""
        return self.complete([self.render(chat) for chat in chats], sampling, on_done=on_done, on_step=on_step)

    def complete(
        self,
        prompts: Sequence[str],
        sampling: Sampling | Sequence[Sampling] | None = None,
        *,
        on_done: OnDone | None = None,
        on_step: OnStep | None = None,
    ) -> list[Completion]:
        """Continue every prompt text.

        Rows run longest prompt first, `width` at a time; a row that ends makes room for the next. A beginning that all
        prompts share (a system prompt) is read once, and so is each of several equal prompts.
        """
        how = per_row(sampling, len(prompts))
        rows = [self.encode(p) for p in prompts]
        for i, row in enumerate(rows, 1):
            self.require_room(row, "the prompt" if len(rows) == 1 else f"prompt {i} of {len(rows)}")
        pool = self.pool(rows)
        readings = self._readings(rows, pool)
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))

        def answer(i: int) -> Decoder[Completion]:
            reading = readings.get(tuple(rows[i]))
            session = (yield from reading.join()) if reading else Session(self, pool)
            stopper = stop_at(how[i].stop) if how[i].stop else None
            return (yield from write(session, rows[i], how[i], row=how[i].row_at(i), stopper=stopper))

        done = (lambda k, c: on_done(order[k], c)) if on_done else None
        try:
            results = drive([partial(answer, i) for i in order], self._at_once(rows, how), done, on_step)
        finally:
            for reading in readings.values():
                reading.close()
        return [c for _, c in sorted(zip(order, results, strict=True), key=lambda pair: pair[0])]

    def _at_once(self, rows: Sequence[list[int]], how: Sequence[Sampling]) -> int:
        """How many rows to decode at once."""
        if not self.width < len(rows) <= 2 * self.width:
            return self.width
        longest = max(len(row) + one.max_new_tokens for row, one in zip(rows, how, strict=True))
        numbers = cached_numbers(self.model.config.get_text_config()) * min(longest, self.context) * len(rows)
        return len(rows) if numbers * self.dtype.itemsize <= CACHE_BYTES else self.width

    def samples(self, chat: Chat, n: int, sampling: Sampling) -> list[Completion]:
        """n answers to one chat, each from a generator of its own; the prompt is read once."""
        return self.generate([chat] * n, sampling)

    def _readings(self, rows: Sequence[list[int]], pool: SharedPool) -> dict[tuple[int, ...], Reading]:
        """For each prompt that comes more than once, who reads it (all but its last token, which every row adds)."""
        counts = Counter(map(tuple, rows))
        return {
            ids: Reading(self, pool, ids[:-1], n) for ids, n in counts.items() if n > 1 and len(ids) - 1 > pool.offset
        }

    def require_room(self, ids: Sequence[int], which: str = "the prompt") -> None:
        """Raise ModelError, with both lengths, when a prompt leaves no room for an answer."""
        if len(ids) >= self.context:
            raise ModelError(
                f"{which} has {len(ids)} tokens and {self.name} reads at most {self.context}; shorten the prompt"
            )

    def pool(self, rows: Sequence[list[int]] = (), spare: int = 1) -> SharedPool:
        """Slots for sessions. A beginning that all `rows` (token ids) share is read once and becomes the pool's prefix.

        spare: tokens at the end of the shortest row that stay out of it (at least one; more where the row's text goes
        on and its last tokens may merge with what follows).
        """
        if len(rows) < 2:
            return SharedPool()
        first, last = min(rows), max(rows)  # what the two extremes share, all share
        n = min(common_prefix(first, last), min(map(len, rows)) - spare)
        return SharedPool(self.prefix(first[:n]) if n >= MIN_SHARED else None)

    def joined(self, prompt: str, continuation: str) -> tuple[list[int], int]:
        """Token ids of prompt + continuation, tokenized as one string, and where the continuation begins (>= 1).

        Its tokens are those after the longest common beginning with the prompt's own tokens.
        """
        ids = self.encode(prompt + continuation)
        return ids, max(1, common_prefix(self.encode(prompt), ids))

    def logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[list[float]]:
        """Log-probability (nats) of each token of each continuation after its prompt, teacher-forced (see `joined`).

        An empty prompt scores the continuation as a text of its own. Nothing stands before the first token of a text,
        so it has no log-probability. Rows are packed many to a pass, prompts that are equal are read once (the options
        of a multiple choice), and logits are computed for the continuations' positions only, a block at a time.
        """
        rows = [self.joined(p, c) for p, c in zip(prompts, continuations, strict=True)]
        scores: list[list[float]] = [[] for _ in rows]
        for i, first, logits in answer_logits(self, rows):
            ids, start = rows[i]
            target = torch.tensor(ids[start + first :][: len(logits)], device=logits.device)
            scores[i] += (logits.gather(1, target[:, None])[:, 0] - logits.logsumexp(-1)).tolist()
        return scores

    def hidden_states(
        self,
        texts: Sequence[str | Sequence[int]],
        *,
        layers: Sequence[int] | None = None,
        pool: Pooling = "mean",
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Pooled hidden states of many texts, streamed as (index, array): see `boresight.lm.hidden.hidden_states`."""
        return hidden_states(self, texts, layers=layers, pool=pool, spans=spans)

    def describe(self) -> dict[str, Any]:
        """Name, revision, dtype and device for the run record."""
        return {
            "model": self.name,
            "policy": None,
            "revision": self.revision,
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": str(self.device),
            "template": "chat" if self.has_chat_template else "plain",
        }


def top1(logits: Tensor) -> tuple[list[int], list[float]]:
    """Top-1 id (ties: lowest) and its log-probability in nats for each row of (rows, vocabulary) logits."""
    ids: list[int] = []
    logprobs: list[float] = []
    for chunk in logits.split(HEAD_ROWS) if len(logits) else ():
        rows = chunk.float()
        best, at = rows.max(-1)
        ids.extend(at.tolist())
        logprobs.extend((-(rows - best[:, None]).exp().sum(-1).log()).tolist())
    return ids, logprobs


def load_local(
    path: str | Path, *, name: str, revision: str | None = None, dtype: str = "auto", device: str = "auto"
) -> LocalModel:
    """Load a transformers model folder (config.json, safetensors, tokenizer).

    dtype: "auto" (bfloat16 on a GPU; on a CPU what `fastest_dtype` measures), "float32", "bfloat16" or "float16".
    device: "auto", "cpu", "cuda", "cuda:1", "mps".
    """
    quiet_libraries()
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = Path(path)
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} is not a model folder: it has no config.json")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        kind = torch.bfloat16 if device != "cpu" else fastest_dtype()
    else:
        kind = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}.get(dtype)
        if kind is None:
            raise ModelError(f"dtype {dtype!r} is not known; auto, float32, bfloat16 or float16 is needed")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        model: Any = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=kind,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="eager",
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path} cannot be loaded as a causal language model: {first}") from error
    return LocalModel(model.to(device), tokenizer, name=name, revision=revision)


def quiet_libraries() -> None:
    """No telemetry, no progress bars of libraries, no tokenizer fork warnings; called before transformers is used."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
