"""What every method is given: a language model, how to sample from it, and what it answers.

Nothing here loads torch; a steered model and a remote one implement the same protocol as a local one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from boresight.chat import Chat
from boresight.errors import ModelError

FINISH_REASONS = ("stop", "stop_string", "length", "context", "repetition", "rounds")
"""Why an answer ended. `stop`: the model (or the policy that steers it) ended it by itself; `stop_string`: it ran on
into a stop string and was cut there; `length` and `context`: a budget was used up; `repetition` and `rounds`: a guard
of the policy ended it."""


@dataclass(frozen=True)
class Sampling:
    """How to draw an answer.

    max_new_tokens: >= 1, tokens of the model that writes.
    temperature: 0 is greedy (ties go to the lowest token id); otherwise logits are divided by it.
    top_p: in (0, 1], the nucleus kept when temperature > 0. top_k: only so many of the best tokens are kept; 0 is off.
    repetition_penalty: > 0; logits of tokens seen before are divided (if positive) or multiplied by it; 1 is off.
    stop: strings that end the answer, not included in it; found across token borders.
    seed: row i of a call draws from its own generator seeded with (seed, i), so batches do not change draws.
    row: the row number that stands for i where the call is a part of something larger, such as the rest of a run.
    alternatives: how many of the likeliest first tokens to tell of, before temperature, in `trace.detail["first"]`:
    text -> log-probability (nats). Policies and servers that do not tell leave it out.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    row: int | None = None
    top_k: int = 0
    alternatives: int = 0

    def row_at(self, index: int) -> int:
        """The number that draws are seeded with, besides `seed`, for row `index` of a call."""
        return index if self.row is None else self.row

    def __post_init__(self) -> None:
        """Refuse values outside the documented ranges."""
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}; it must be at least 1")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}; it must be 0 or greater")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must lie in (0, 1]")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; it must be 0 (off) or greater")
        if self.alternatives < 0:
            raise ValueError(f"alternatives is {self.alternatives}; it must be 0 (none) or greater")
        if not 0 < self.repetition_penalty < float("inf"):
            raise ValueError(f"repetition_penalty is {self.repetition_penalty}; it must be greater than 0")
        if isinstance(self.stop, str) or any(not s for s in self.stop):
            raise ValueError(f"stop is {self.stop!r}; it must be a tuple of non-empty strings")


class SomeFailed(ModelError):
    """Some rows of a call failed for good; the others were answered, and `on_done` was told of each.

    failures: index of the row -> why. The message is that of the first.
    """

    def __init__(self, failures: Mapping[int, ModelError], rows: int) -> None:
        self.failures = dict(failures)
        first = next(iter(self.failures.values()))
        others = f" ({len(self.failures)} of {rows} requests failed)" if rows > 1 else ""
        super().__init__(f"{first}{others}")


class ContextFull(Exception):
    """A model's context has no room for another token; policies turn it into the finish reason `context`."""


@dataclass(frozen=True)
class Span:
    """A stretch of an answer: the model that wrote it, its text, the base model's top-1 probability where it began
    (None: not asked), and the role in which it was written ("base", "nudge", ...)."""

    source: str
    text: str
    prob: float | None = None
    role: str = "base"


@dataclass(frozen=True)
class Trace:
    """Who wrote what and why: spans in order, the method's own stop reason, and its counters.

    mean_top1_prob: mean over decoding steps of the un-tempered top-1 probability of the model that was asked (0-1),
    None where it is not known.
    """

    spans: tuple[Span, ...] = ()
    stop_reason: str = ""
    mean_top1_prob: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Completion:
    """An answer. `tokens`: number of tokens generated; `finish_reason`: one of FINISH_REASONS."""

    text: str
    tokens: int
    finish_reason: str
    prompt_tokens: int = 0
    trace: Trace = field(default_factory=Trace)


def completion_from(record: Mapping[str, Any]) -> Completion:
    """The Completion that `dataclasses.asdict` turned into `record`, perhaps by way of JSON."""
    trace = record["trace"]
    spans = tuple(Span(**span) for span in trace["spans"])
    return Completion(**{**record, "trace": Trace(**{**trace, "spans": spans})})


@dataclass(frozen=True)
class Completed:
    """What a text-completion function `complete(prompt, max_tokens)` returns.

    tokens: texts whose concatenation is `text`, an end-of-sequence token as ""; top1_logprobs: natural logarithms, one
    per token; finish_reason: "stop" if the last token is an end-of-sequence token, else "length". opening: what the
    word test compares with, where it is not the first token's text (a replacement character for a part of one).
    """

    text: str
    tokens: Sequence[str]
    top1_logprobs: Sequence[float]
    finish_reason: str
    opening: str | None = None


OnDone = Callable[[int, Completion], None]
"""Called with (index of the chat, its completion) as soon as an answer is complete, in any order."""

OnStep = Callable[[int], None]
"""Called after every forward pass with the number of rows it served; what it raises stops the generation."""


def per_row(sampling: "Sampling | Sequence[Sampling] | None", rows: int) -> "list[Sampling]":
    """One Sampling for each of `rows` chats: one for all, one each, or the default."""
    if sampling is None or isinstance(sampling, Sampling):
        return [sampling or Sampling()] * rows
    if len(sampling) != rows:
        raise ValueError(f"there are {len(sampling)} samplings for {rows} chats; one for all or one each is needed")
    return list(sampling)


@runtime_checkable
class LanguageModel(Protocol):
    """Anything that answers chats: a local model, a remote one, or a policy that steers one."""

    name: str

    def generate(
        self,
        chats: Sequence[Chat],
        sampling: Sampling | Sequence[Sampling] | None = None,
        *,
        on_done: OnDone | None = None,
        on_step: OnStep | None = None,
    ) -> list[Completion]:
        """Answer every chat, in order. sampling: one for all chats, or one each (answers of different length in one
        batch). `on_done` hears of each answer as it is finished, `on_step` of every forward pass.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What a run record needs to name this model: at least `model`, `policy` and `revision`."""
        ...
