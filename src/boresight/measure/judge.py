"""Judges: a model in the role of the grader reads an answer by a rubric and gives a verdict that can be counted.

A verdict that cannot be read is asked again with a reminder of the form, and in the end it is None: unparsed, counted,
never guessed. Judges are fallible: a report names the one that was used and says that it was not validated.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from boresight.errors import DataError

if TYPE_CHECKING:
    from inspect_ai.model import Model
    from pydantic import BaseModel

T = TypeVar("T")
M = TypeVar("M", bound="BaseModel")
TRIES = 3
REMINDER = "That could not be read. Give the verdict again, in exactly the form that was asked for and nothing else."


@dataclass(frozen=True)
class Verdict(Generic[T]):
    """What a judge said. value None: it could not be read after all `tries`, and `error` says why.

    raw: its last reply, as it came.
    """

    value: T | None
    raw: str
    tries: int
    error: str = ""


class Judge:
    """A judge over an Inspect model. name: of the model, for the grader column."""

    def __init__(self, model: "Model") -> None:
        self.model = model
        self.name = model.name

    async def ask(
        self,
        prompt: str,
        read: Callable[[str], T],
        *,
        tries: int = TRIES,
        max_tokens: int = 512,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Verdict[T]:
        """Ask, and read the reply; what `read` raises ValueError for is asked again with a reminder."""
        from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, GenerateConfig

        how = GenerateConfig(max_tokens=max_tokens, temperature=temperature, seed=seed)
        messages: list[Any] = [ChatMessageUser(content=prompt)]
        raw = error = ""
        for tried in range(1, tries + 1):
            output = await self.model.generate(messages, config=how)
            raw = output.completion
            try:
                return Verdict(read(raw), raw, tried)
            except ValueError as unread:
                error = str(unread)
            messages = [messages[0], ChatMessageAssistant(content=raw or " "), ChatMessageUser(content=REMINDER)]
        return Verdict(None, raw, tries, error)

    async def json(self, prompt: str, schema: type[M], **how: Any) -> Verdict[M]:
        """Ask for a JSON object of this pydantic model."""
        return await self.ask(prompt, lambda raw: read_json(raw, schema), **how)

    async def word(self, prompt: str, words: Sequence[str], **how: Any) -> Verdict[str]:
        """Ask for one of `words`; the reply may have punctuation around it and go on after it."""
        return await self.ask(prompt, lambda raw: read_word(raw, words), **{"max_tokens": 32, **how})

    async def majority(
        self, prompt: str, read: Callable[[str], T], *, votes: int, seed: int = 0, temperature: float = 0.7, **how: Any
    ) -> tuple[T | None, list[Verdict[T]]]:
        """Self-consistency: the strict majority of several sampled verdicts (None where there is none), and all votes.

        Verdicts must be hashable.
        """
        said = [
            await self.ask(prompt, read, temperature=temperature, seed=seed * 1009 + i, **how) for i in range(votes)
        ]
        counts = Counter(v.value for v in said if v.value is not None)
        best, n = counts.most_common(1)[0] if counts else (None, 0)
        return (best if 2 * n > votes else None), said

    async def prefers(
        self, ask_about: Callable[[str, str], str], a: str, b: str, read: "Callable[[str], Side]", **how: Any
    ) -> "Preference":
        """Which of two texts is better, asked in both orders. ask_about(first, second): the prompt."""
        first = await self.ask(ask_about(a, b), read, **how)
        swapped = await self.ask(ask_about(b, a), read, **how)
        return Preference(combine(first.value, swapped.value), first, swapped)


Side = Literal["A", "B", "tie"]


@dataclass(frozen=True)
class Preference:
    """winner: "a", "b" or "tie"; None if a verdict could not be read. first: order a, b; swapped: order b, a."""

    winner: Literal["a", "b", "tie"] | None
    first: Verdict[Side]
    swapped: Verdict[Side]

    @property
    def flipped(self) -> bool:
        """Whether the two orders name different texts: position decided."""
        return {self.first.value, self.swapped.value} in ({"A"}, {"B"})


def combine(first: Side | None, swapped: Side | None) -> Literal["a", "b", "tie"] | None:
    """The text that both orders name; a tie if they name different ones or either says so; None if one is unread."""
    if first is None or swapped is None:
        return None
    if first == "A" and swapped == "B":
        return "a"
    if first == "B" and swapped == "A":
        return "b"
    return "tie"


def given(role: str = "grader") -> Judge | None:
    """The judge in a role, inside a task; None if nobody has it. Never the evaluated model in its place."""
    from inspect_ai.model import model_roles

    held = model_roles().get(role)
    model: Any = held[0] if isinstance(held, list) else held
    return None if model is None else Judge(model)


def required(role: str = "grader") -> Judge:
    """The judge in a role; DataError if nobody has it."""
    judge = given(role)
    if judge is None:
        raise DataError(
            f"this measure needs a model in the role {role!r}: --grader MODEL (boresight) or "
            f"--model-role {role}=MODEL (inspect)"
        )
    return judge


def panel(role: str = "grader") -> list[Judge]:
    """All judges in a role; empty if nobody has it."""
    from inspect_ai.model import model_roles

    held: Any = model_roles().get(role)
    return [Judge(m) for m in (held if isinstance(held, list) else [held] if held is not None else [])]


def read_json(raw: str, schema: type[M]) -> M:
    """The object between the first { and the last }, of the schema's form; ValueError saying what is wrong."""
    from pydantic import ValidationError

    start, end = raw.find("{"), raw.rfind("}")
    if start < 0 or end < start:
        raise ValueError("there is no JSON object in it")
    try:
        return schema.model_validate(json.loads(raw[start : end + 1], strict=False))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"not valid JSON ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'the object'}: {first['msg']}") from error


def read_word(raw: str, words: Sequence[str]) -> str:
    """The one of `words` that the reply begins with, whatever its case; ValueError if it begins with none of them."""
    said = re.sub(r"^[^\w]+", "", raw).lower()
    for word in sorted(words, key=len, reverse=True):
        if re.match(rf"{re.escape(word.lower())}(?!\w)", said):
            return word
    raise ValueError(f"it does not begin with one of {', '.join(words)}")
