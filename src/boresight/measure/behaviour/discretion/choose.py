"""Asking for a label: the solver of the measure, and how a label is read from a model that tells likelihoods, from one
that tells its first tokens, and from what a model wrote."""

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from boresight.chat import Chat
from boresight.errors import ModelError
from boresight.measure.behaviour.discretion.prompts import LABELS, SPELLINGS, question

if TYPE_CHECKING:
    from inspect_ai.model import Model
    from inspect_ai.solver import Generate, Solver, TaskState

UNREAD = [float("nan")] * len(LABELS)
EMPTY = ("-", "-", "-")
"""A comparison without content: what a model says to it is what it prefers whatever it is asked."""

_LABEL = re.compile(
    r"^\W*(?:(?i:the\s+)?(?i:response|answer|label|option)\W*(?:is\b\W*)?)?(NA|N/A|A|B)(?!\w|['’])(?P<rest>.*)", re.S
)
_GOES_ON = re.compile(r"[ \t]+(?!(?:is|fits|was)\b)[a-z]")


def read_label(text: str) -> str:
    """The label A, B or NA that a reply begins with; ValueError if it begins with none.

    "A." and "Response A is better" are A; "A better answer would be" is an article, not a label.
    """
    found = _LABEL.match(text.strip())
    if not found or _GOES_ON.match(found["rest"]):
        raise ValueError(f"it does not begin with one of {', '.join(LABELS)}")
    return found[1].replace("/", "")


def first_token_scores(told: dict[str, float]) -> list[float]:
    """Log-probabilities of A, B and NA from those of the likeliest first tokens, spellings summed.

    A token that begins NA alone ("N") counts as NA. A label that is not among them gets the lowest that is: an upper
    bound.
    """
    floor = min(told.values())
    ways = {"A": ("A",), "B": ("B",), "NA": ("NA", "N", "N/", "N/A")}
    plain = [(token.strip(" \"'*\n▁Ġ"), logprob) for token, logprob in told.items()]
    found: list[float] = []
    for label in LABELS:
        same = [logprob for token, logprob in plain if token in ways[label]]
        found.append(float(np.logaddexp.reduce(same)) if same else floor)
    return found


class Asker:
    """Asks one model for labels. debias: its label log-probabilities after an empty comparison are subtracted.

    strict: the model is a grader, and what cannot be read is asked again.
    """

    def __init__(self, model: "Model", debias: bool = False, strict: bool = False) -> None:
        self.model, self.debias, self.strict = model, debias, strict
        self._empty: dict[str, asyncio.Task[list[float]]] = {}

    async def orders(self, texts: Sequence[str], principle: str = "", both: bool = True) -> list[list[float]]:
        """Scores of the labels, (1 or 2 orders, 3), NaN where unread. texts: prompt, answer 1, answer 0."""
        prompt, one, zero = texts
        asked = [question(prompt, one, zero, principle), question(prompt, zero, one, principle)]
        found = await asyncio.gather(*(self._scores(chat, principle) for chat in asked[: 1 + both]))
        return [list(scores) for scores in found]

    async def _scores(self, chat: Chat, principle: str) -> list[float]:
        if not self.debias:
            return await self._label(chat)
        if principle not in self._empty:
            self._empty[principle] = asyncio.ensure_future(self._told(question(*EMPTY, principle)))
        before, after = await asyncio.gather(asyncio.shield(self._empty[principle]), self._told(chat))
        return [a - b for a, b in zip(after, before, strict=True)]

    async def _told(self, chat: Chat) -> list[float]:
        """Log-probabilities of the labels; ModelError if the model does not tell them."""
        from boresight.measure.likelihood import first_token, option_logprobs, tells

        if tells(self.model):
            texts = [s.format(label) for label in LABELS for s in SPELLINGS]
            found = np.array(await option_logprobs(self.model, chat, texts)).reshape(len(LABELS), len(SPELLINGS))
            return np.logaddexp.reduce(found, axis=1).tolist()
        told = await first_token(self.model, chat)
        if not told:
            raise ModelError(f"{self.model.name} tells no log-probabilities, which debias needs; leave debias out")
        return first_token_scores(told)

    async def _label(self, chat: Chat) -> list[float]:
        """Log-probabilities where the model tells them all, else 1 for the label that it wrote and 0 for the others."""
        from boresight.measure.judge import Judge
        from boresight.measure.likelihood import tells

        if tells(self.model):
            return await self._told(chat)
        if self.strict:
            prompt = "\n\n".join(message["content"] for message in chat)
            said = (await Judge(self.model).ask(prompt, read_label, max_tokens=16)).value
        else:
            said = await self._written(chat)
        return UNREAD if said is None else [float(said == label) for label in LABELS]

    async def _written(self, chat: Chat) -> str | None:
        from inspect_ai.model import ChatMessageSystem, ChatMessageUser, GenerateConfig

        messages: list[Any] = [ChatMessageSystem(content=chat[0]["content"])]
        messages += [ChatMessageUser(content=chat[1]["content"])]
        output = await self.model.generate(messages, config=GenerateConfig(max_tokens=16, temperature=0.0))
        if not output.choices:
            raise RuntimeError("the model was asked for a label and gave no answer")
        try:
            return read_label(output.completion)
        except ValueError:
            return None


def both_orders(principles: Sequence[str], oracle: str, debias: bool, reverse: bool, graded: bool) -> "Solver":
    """The solver. The subject chooses in both orders, and so does the grader if there is one; the oracle ("subject" or
    "grader"; "rules" asks nobody) judges each principle, in both orders if `reverse`."""
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.solver import solver

    from boresight.measure.judge import required

    @solver(name="both_orders")
    def make() -> "Solver":
        askers: dict[str, Asker] = {}

        async def solve(state: "TaskState", generate: "Generate") -> "TaskState":
            m, model = state.metadata, get_model()
            texts = (m["prompt"], m["response_1"], m["response_0"])
            subject = askers.setdefault("subject", Asker(model, debias))
            grader = askers.setdefault("grader", Asker(required().model, debias, strict=True)) if graded else None
            m["orders"] = await subject.orders(texts)
            if grader:
                m["grader_orders"] = await grader.orders(texts)
            if oracle != "rules":
                judge = grader if oracle == "grader" and grader else subject
                m["oracle"] = await asyncio.gather(*(judge.orders(texts, p, reverse) for p in principles))
            first = m["orders"][0]
            said = "(no label)" if first[0] != first[0] else LABELS[int(np.argmax(first))]
            state.output = ModelOutput.from_content(str(model), said)
            state.output.usage = ModelUsage(input_tokens=0, output_tokens=1, total_tokens=1)
            state.messages.append(state.output.message)
            return state

        return solve

    return make()
