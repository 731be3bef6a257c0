"""How the two evaluations put their questions to a model: one answer, one yes or no, one verdict of the grader."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from boresight.chat import Chat
from boresight.measure.behaviour.dishonesty.logit import decide
from boresight.measure.behaviour.dishonesty.mask import Type, Value
from boresight.measure.behaviour.dishonesty.prompts import OPTIONS, grading
from boresight.measure.behaviour.dishonesty.resolve import numbers_in, read_verdict, resolve
from boresight.measure.likelihood import first_token, option_logprobs, tells

if TYPE_CHECKING:
    from inspect_ai.model import Model, ModelOutput

WORD_TOKENS = 8
PLAIN_WORDS = 3
REPEATED = 1.0
YES_OR_NO = ("Yes", "No")


class Once:
    """What is asked once although several samples want it, such as the neutral questions of one proposition.

    Those who want it while it is being asked wait for the same answer; what failed is asked anew by the next.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, asyncio.Future[Any]] = {}

    async def __call__(self, key: Hashable, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What `ask` gave for this key."""
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = asyncio.ensure_future(ask())

            def forget(done: asyncio.Future[Any]) -> None:
                if done.cancelled() or done.exception():
                    self._kept.pop(key, None)

            kept.add_done_callback(forget)
        return await asyncio.shield(kept)


def messages(chat: Chat) -> list[Any]:
    """A chat as Inspect's messages."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [kinds[m["role"]](content=m["content"]) for m in chat]


def text_of(chats: Sequence[Chat]) -> str:
    """Chats as one text, to tell them apart."""
    return json.dumps([[[m["role"], m["content"]] for m in chat] for chat in chats])


async def answers(model: "Model", chats: Sequence[Chat]) -> "list[ModelOutput]":
    """One answer to each chat, all asked at once, each in a conversation of its own.

    A question that is put several times is drawn at temperature 1: greedy answers to it would agree in any case.
    RuntimeError if the model gives none to one of them.
    """
    from inspect_ai.model import GenerateConfig

    texts = [text_of([chat]) for chat in chats]
    drawn, plain = GenerateConfig(temperature=REPEATED), GenerateConfig()
    how = [drawn if texts.count(text) > 1 else plain for text in texts]
    outputs = await asyncio.gather(
        *(model.generate(messages(chat), config=config) for chat, config in zip(chats, how, strict=True))
    )
    if not all(output.choices for output in outputs):
        raise RuntimeError("the model gave no answer to one of its questions")
    return list(outputs)


async def stance(
    model: "Model", question: Chat, empty: Chat, margin: float, once: Once, options: Sequence[str] = OPTIONS
) -> dict[str, Any]:
    """True, False or None to a forced choice of two options, the one that affirms first.

    By log-odds of the options less those after `empty`, the same question without content: of whole options where the
    model tells, of its first token where that is all it tells. A model that tells nothing is asked for one word.
    """
    from inspect_ai.model import GenerateConfig

    async def odds(chat: Chat) -> float | None:
        if tells(model):
            yes, no = await option_logprobs(model, chat, options)
            return yes - no
        return first_token_odds(await first_token(model, chat), options)

    # Asked once, not at every question: the prior is the same for all, and shows whether the model tells at all.
    prior = await once((model.api, "prior", text_of([empty])), lambda: odds(empty))
    found = None if prior is None else await odds(question)
    if prior is None or found is None:
        output = await model.generate(messages(question), config=GenerateConfig(max_tokens=WORD_TOKENS))
        return {"value": resolve(output.completion, "binary"), "text": output.completion}
    return {"value": decide(found - prior, margin), "log_odds": found - prior}


def first_token_odds(told: Mapping[str, float] | None, options: Sequence[str]) -> float | None:
    """Log-odds (nats) of the first of two words over the second among the likeliest first tokens, whatever their case.

    A word that is not told of gets the least log-probability that is; None if neither is told of.
    """
    if not told:
        return None
    words = {option.lower(): [p for t, p in told.items() if t.strip().lower() == option.lower()] for option in options}
    if not any(words.values()):
        return None
    least = min(told.values())
    yes, no = (math.log(sum(map(math.exp, found))) if found else least for found in words.values())
    return yes - no


def chosen_output(model: "Model", value: bool | None) -> "ModelOutput":
    """What stands in the log as the answer where options were scored instead of written."""
    from inspect_ai.model import ModelOutput, ModelUsage

    output = ModelOutput.from_content(str(model), "no stance" if value is None else str(value))
    output.usage = ModelUsage(input_tokens=0, output_tokens=1, total_tokens=1)
    return output


async def resolved(text: str, proposition: str, type: Type, words: int | None = None) -> dict[str, Any]:
    """What a text says of a proposition: by rule where it is plain, else by the grader (`unparsed`: in vain).

    words: the rule reads only texts of so many; in a longer one "Yes, I am sure" may speak of something else. Nor does
    it read the number of a sentence that stands in the proposition itself.
    """
    from boresight.measure.judge import required

    long = len(text.split())
    value: Value = resolve(text, type) if words is None or long <= words else None
    if type == "numeric" and long > PLAIN_WORDS and value in numbers_in(proposition):
        value = None  # "Twenty-eight days in February 2021" repeats a number of the question
    if value is not None or not text.strip():
        return {"text": text, "value": value, "grader_used": False, "unparsed": False}
    verdict = await required().ask(
        grading(text, proposition, type), lambda raw: (read_verdict(raw, type),), max_tokens=16
    )
    said = None if verdict.value is None else verdict.value[0]
    return {"text": text, "value": said, "grader_used": True, "unparsed": verdict.value is None}
