"""One conversation: the user's turns, the target's answers, and when it stops (sheet, section 4)."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from boresight.errors import DataError
from boresight.measure.behaviour.misalignment_bench.prompts import BEGIN, red_team_system, usable
from boresight.measure.behaviour.misalignment_bench.scenario import REFUSALS, Mode, Scenario, Variant
from boresight.measure.behaviour.refusal_rules import classify


class Reply(NamedTuple):
    """What the target said. tokens: how many it cost, None if nobody counted. reasoning: what it thought aloud before,
    kept from the conversation, the red-team model and the judges."""

    text: str
    tokens: int | None = None
    reasoning: str = ""


Message = dict[str, str]
Speaker = Callable[[list[Message]], Awaitable[str]]
"""Messages as a model is to see them -> what it says."""

Target = Callable[[list[Message]], Awaitable[str | Reply]]
Check = Callable[[Sequence[Mapping[str, str]]], Awaitable[bool]]
Stop = Literal["success", "refusals", "max_turns", "script_end", "invalid"]

OPENING = 8  # words: as many alike at the beginning are no chance
SILENT = "(says nothing)"
"""What the red-team model reads in place of an empty answer."""


@dataclass(frozen=True)
class Turn:
    """What one side said. refusal: whether the rules read the target's turn as a refusal. words: white-space words.

    tokens: of the target's turn, its reasoning included, None if nobody counted. reasoning: see `Reply`.
    """

    speaker: Literal["user", "target"]
    text: str
    words: int
    refusal: bool = False
    tokens: int | None = None
    reasoning: str = ""


@dataclass(frozen=True)
class Conversation:
    """transcript: user and target turns by turns, without the system prompt. stop: why it ended.

    error: why an invalid conversation is none. turns: the log. red_team_inputs: what the red-team model saw each time.
    """

    transcript: list[Message]
    stop: Stop
    turns: list[Turn]
    error: str = ""
    red_team_inputs: list[list[Message]] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """Whether it can be judged."""
        return self.stop != "invalid"


async def run_conversation(
    scenario: Scenario,
    variant: Variant,
    target: Target,
    red_team: Speaker | None = None,
    *,
    mode: Mode = "scripted",
    max_turns: int | None = None,
    live_check: Check | None = None,
) -> Conversation:
    """Play a scenario against a target.

    scripted: all user turns are the variant's; adaptive: after its seed turns the red-team model writes them (DataError
    without one). max_turns: at most so many user turns, if the scenario allows more (DataError below its min_turns).
    live_check(transcript): asked from turn `min_turns` on; true stops the conversation. The target sees its system
    prompt and the conversation; the red-team model its brief and the conversation with roles swapped.
    """
    if mode not in ("scripted", "adaptive"):
        raise DataError(f"the mode is {mode!r}; scripted or adaptive is needed")
    if mode == "adaptive" and red_team is None:
        raise DataError("adaptive mode needs a model in the role 'red_team'")
    last = scenario.max_turns if max_turns is None else min(max_turns, scenario.max_turns)
    if last < scenario.min_turns:
        raise DataError(f"max_turns is {last}, below min_turns of {scenario.id}, which is {scenario.min_turns}")
    fixed = variant.seed_turns if mode == "adaptive" else scenario.turns(variant)
    rounds = last if mode == "adaptive" else min(last, len(fixed))
    system = [{"role": "system", "content": variant.system_prompt}] if variant.system_prompt else []
    transcript: list[Message] = []
    turns: list[Turn] = []
    seen: list[list[Message]] = []
    for t in range(1, rounds + 1):
        said: str | None = fixed[t - 1] if t <= len(fixed) else None
        if said is None and red_team is not None:
            said = await _written(red_team, red_team_view(scenario, variant, transcript), seen)
        if said is None:
            return Conversation(transcript, "invalid", turns, f"no usable user turn {t} in two tries", seen)
        transcript.append({"role": "user", "content": said})
        turns.append(Turn("user", said, len(said.split())))
        answer = await target([*system, *transcript])
        reply = without_reasoning(answer if isinstance(answer, Reply) else Reply(answer))
        text = reply.text
        transcript.append({"role": "assistant", "content": text})
        refusal = classify(text).refused
        turns.append(Turn("target", text, len(text.split()), refusal, reply.tokens, reply.reasoning))
        if t >= scenario.min_turns and live_check and await live_check(transcript):
            return Conversation(transcript, "success", turns, red_team_inputs=seen)
        if sum(turn.refusal for turn in turns) >= REFUSALS:
            return Conversation(transcript, "refusals", turns, red_team_inputs=seen)
    return Conversation(transcript, "max_turns" if rounds == last else "script_end", turns, red_team_inputs=seen)


def red_team_view(scenario: Scenario, variant: Variant, transcript: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The conversation as the red-team model sees it: its brief, its own turns as the assistant's, the target's as the
    user's."""
    swapped = {"user": "assistant", "assistant": "user"}
    said = [
        {"role": swapped[m["role"]], "content": (m["content"].strip() and m["content"]) or SILENT} for m in transcript
    ]
    return [
        {"role": "system", "content": red_team_system(scenario, variant)},
        {"role": "user", "content": BEGIN},
        *said,
    ]


_THOUGHT = re.compile(r"\s*<(think|thinking|reasoning)>(.*?)(?:</\1>|\Z)", re.DOTALL)


def without_reasoning(reply: Reply) -> Reply:
    """The reply with what it thinks aloud in <think> tags before its answer moved from `text` to `reasoning`.

    A tag that the answer's budget left open leaves nothing said.
    """
    found = _THOUGHT.match(reply.text)
    if found:
        return reply._replace(text=reply.text[found.end() :].lstrip(), reasoning=reply.reasoning + found[2].strip())
    # Some templates open the tag themselves.
    thought, tag, said = reply.text.partition("</think>")
    if tag:
        return reply._replace(text=said.lstrip(), reasoning=reply.reasoning + thought.strip())
    return reply


def stuck(text: str, before: str = "") -> bool:
    """Whether an answer goes in circles: most of its trigrams repeat, or it opens with the same words as the last one.

    A model that is stuck shows no values, good or bad: such turns are counted beside the rate.
    """
    words = text.lower().split()
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    again = words[:OPENING] == before.lower().split()[:OPENING] and len(words) >= OPENING
    return again or (len(trigrams) >= OPENING and 2 * len(set(trigrams)) < len(trigrams))


async def _written(red_team: Speaker, view: list[Message], seen: list[list[Message]]) -> str | None:
    """A user turn of the red-team model, asked at most twice; None if neither reply is usable."""
    for _ in range(2):
        seen.append(view)
        said = without_reasoning(Reply(await red_team(view))).text.strip()
        if usable(said):
            return said
    return None
