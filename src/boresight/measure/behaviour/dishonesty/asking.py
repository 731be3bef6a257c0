"""How the two evaluations put their questions to a model: one answer, one yes or no, one verdict of the grader."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from boresight.chat import Chat
from boresight.measure.behaviour.dishonesty.logit import decide
from boresight.measure.behaviour.dishonesty.mask import Type, Value
from boresight.measure.behaviour.dishonesty.prompts import OPTIONS, grading
from boresight.measure.behaviour.dishonesty.resolve import read_verdict, resolve
from boresight.measure.likelihood import option_logprobs, tells

if TYPE_CHECKING:
    from inspect_ai.model import Model, ModelOutput

WORD_TOKENS = 8
YES_OR_NO = ("Yes", "No")


def messages(chat: Chat) -> list[Any]:
    """A chat as Inspect's messages."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [kinds[m["role"]](content=m["content"]) for m in chat]


async def answers(model: "Model", chats: Sequence[Chat]) -> "list[ModelOutput]":
    """One answer to each chat, all asked at once, each in a conversation of its own."""
    return await asyncio.gather(*(model.generate(messages(chat)) for chat in chats))


async def stance(
    model: "Model", question: Chat, empty: Chat, margin: float, options: Sequence[str] = OPTIONS
) -> dict[str, Any]:
    """True, False or None to a forced choice of two options, the one that affirms first: by calibrated log-odds, or
    read off one word where there are none."""
    if tells(model):
        yes, no = await option_logprobs(model, question, options, prior=empty)
        return {"value": decide(yes - no, margin), "log_odds": yes - no}
    from inspect_ai.model import GenerateConfig

    output = await model.generate(messages(question), config=GenerateConfig(max_tokens=WORD_TOKENS))
    return {"value": resolve(output.completion, "binary"), "text": output.completion}


def chosen_output(model: "Model", value: bool | None) -> "ModelOutput":
    """What stands in the log as the answer where options were scored instead of written."""
    from inspect_ai.model import ModelOutput, ModelUsage

    output = ModelOutput.from_content(str(model), "no stance" if value is None else str(value))
    output.usage = ModelUsage(input_tokens=0, output_tokens=1, total_tokens=1)
    return output


async def resolved(text: str, proposition: str, type: Type) -> dict[str, Any]:
    """What a text says of a proposition: by rule where it is plain, else by the grader (`unparsed`: in vain)."""
    from boresight.measure.judge import required

    value: Value = resolve(text, type)
    if value is not None or not text.strip():
        return {"text": text, "value": value, "grader_used": False, "unparsed": False}
    verdict = await required().ask(
        grading(text, proposition, type), lambda raw: (read_verdict(raw, type),), max_tokens=16
    )
    said = None if verdict.value is None else verdict.value[0]
    return {"text": text, "value": said, "grader_used": True, "unparsed": verdict.value is None}
