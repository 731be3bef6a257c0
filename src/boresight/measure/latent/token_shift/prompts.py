"""What both sides of a token shift read, and the tokens of the answers (token-shift sheet, sections 2 and 3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from boresight.catalog import METHODS
from boresight.chat import Chat
from boresight.errors import DataError, ModelError
from boresight.lm.base import LanguageModel, OnStep

if TYPE_CHECKING:
    from boresight.lm.decode import Decoder
    from boresight.lm.local import LocalModel
    from boresight.lm.session import SharedPool

BASE_TEMPLATES = ("query", "raw", "chat", "urial")


class UnfitArgument(DataError, ValueError):
    """An argument of `token_shift` is not what it needs."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a local model and how a chat is put to it."""

    engine: "LocalModel"
    prompt_text: Callable[[Chat], str]
    is_policy: bool


def side_of(model: LanguageModel) -> Side:
    """The local model behind `model` and how a chat becomes its prompt; ModelError if it has no logits to compare."""
    given: Any = model
    if hasattr(given, "extend") and hasattr(given, "render"):
        return Side(given, given.render, False)
    if hasattr(given, "nudger"):
        raise ModelError(
            f"{model.name}: two models write in turns, so there is no one distribution to compare; take the base model "
            "as the aligned side and give the nudged texts as answers"
        )
    if hasattr(given, "prompt_text") and hasattr(given, "base"):
        return Side(side_of(given.base).engine, given.prompt_text, True)
    raise ModelError(f"token shift needs logits at every position, and {model.name} is not a local model")


def base_prompts(side: Side, chats: Sequence[Chat], template: str) -> list[list[int]]:
    """tau_B of every chat (sheet, section 3)."""
    if side.is_policy:
        return [side.engine.encode(side.prompt_text(chat)) for chat in chats]
    for i, chat in enumerate(chats, 1):
        if len(chat) != 1:
            raise UnfitArgument(f"prompt {i} has {len(chat)} messages; base_template {template!r} takes one question")
    frame = {"query": query_frame, "raw": "{}\n".format, "urial": _urial}[template]
    return [side.engine.encode(frame(chat[0]["content"])) for chat in chats]


def query_frame(question: str) -> str:
    """The frame in which the published code puts a question to a base model (sheet, section 3)."""
    return f"# Query: \n ```{question}``` \n\n \n# Answer: \n ```"


def _urial(question: str) -> str:
    return import_module(METHODS["urial"]).UrialPrompt.load("urial").render([question])


def write(
    engine: "LocalModel", prompts: Sequence[list[int]], limit: int, on_step: OnStep | None = None
) -> list[list[int]]:
    """Greedy answers as token ids, the end token included."""
    from boresight.lm.decode import drive

    pool = engine.pool(list(prompts))
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    done = drive([lambda i=i: _greedy(engine, pool, prompts[i], limit) for i in order], engine.width, None, on_step)
    return [ids for _, ids in sorted(zip(order, done, strict=True))]


def _greedy(engine: "LocalModel", pool: "SharedPool", prompt: list[int], limit: int) -> "Decoder[list[int]]":
    from boresight.lm.decode import Ask
    from boresight.lm.session import Session

    with Session(engine, pool) as session:
        ids: list[int] = []
        feed = prompt[len(session) :]
        while len(ids) < min(limit, engine.context - len(prompt)):
            (step,) = yield [Ask(session, feed, (len(feed) - 1,))]
            feed = [step.top_ids[0]]
            ids += feed
            if feed[0] in engine.eos_ids:
                break
    return ids


def answer_tokens(
    engine: "LocalModel", text: str, ids: list[int], answer: str | Sequence[int], number: int
) -> list[int]:
    """Token ids of a given answer. text, ids: its prompt.

    An answer in words is cut into tokens behind its prompt, where that leaves the prompt's own tokens as they are.
    """
    if isinstance(answer, str):
        whole = engine.encode(text + answer)
        if whole[: len(ids)] == ids:
            return whole[len(ids) :]
        return list(engine.tokenizer(answer, add_special_tokens=False)["input_ids"])
    listed = [int(i) for i in answer]
    size = _readable(engine)
    for i in listed:
        if not 0 <= i < size:
            raise UnfitArgument(f"answer {number} holds the token id {i}; {engine.name} knows 0 to {size - 1}")
    return listed


def _readable(engine: "LocalModel") -> int:
    """Token ids that a model can read."""
    return engine.model.get_input_embeddings().weight.shape[0]


def room_for(sides: tuple[Side, Side], prompts: tuple[list[int], list[int]], ids: list[int]) -> int:
    """Tokens of an answer that fit both contexts; a token that one side cannot read may only be the last."""
    room = min(side.engine.context - len(prompt) for side, prompt in zip(sides, prompts, strict=True))
    size = min(_readable(side.engine) for side in sides)
    return min([room, *(i + 1 for i, token in enumerate(ids) if token >= size)])
