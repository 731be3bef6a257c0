"""A measure of two turns, with every part that the simple measures do without; the tests name it "dialogue"."""

import sys
import types

import pytest

from boresight.catalog import METHODS, Card
from boresight.measure import battery, judge
from boresight.measure.base import GRADER, Contrast, Graded, Measure, Metric, Number
from boresight.measure.blocks import Table
from boresight.measure.likelihood import option_logprobs, shares
from boresight.stats import newcombe

LONG = Metric("long", "long answer", "fraction", "higher", "rule:length-v1", "Whether it is long.", cluster="topic")
GOOD = Metric("good", "good answer", "share", "higher", GRADER, "What the grader says.")
YES = Metric("yes", "says yes", "share", "none", "model:likelihood-v1", "How likely a yes is.")
GAP = Metric("gap", "gap of topics", "difference", "lower", "rule:length-v1", "Long answers, topic a minus topic b.")


def solver():
    from inspect_ai.model import ChatMessageUser, get_model
    from inspect_ai.solver import solver

    @solver
    def two_turns():
        async def solve(state, generate):
            state = await generate(state)
            state.messages.append(ChatMessageUser(content="Is that so?"))
            state = await generate(state)
            chat = [{"role": "user", "content": f"{state.input_text} Yes or no?"}]
            state.metadata["yes"] = shares(await option_logprobs(get_model(), chat, ["yes", "no"]))[0]
            return state

        return solve

    return two_turns()


async def examine(state):
    said = [m.text for m in state.messages if m.role == "assistant"]
    read = lambda raw: int(raw[:1] or "x") / 9  # noqa: E731
    verdict = await judge.required().ask(f"Rate 0 to 9: {said[-1]}", read, tries=2, max_tokens=4)
    scores = {"long": float(len(said[0]) > 12), "yes": state.metadata["yes"]}
    scores["good"] = float("nan") if verdict.value is None else verdict.value
    return Graded(scores, verdict.error, {"turns": len(said), "tries": verdict.tries})


def summary(own, first, seed):
    a, b = ([r.scores["long"] for r in own if r.scores and r.metadata["topic"] == t] for t in "ab")
    gap = sum(a) / len(a) - sum(b) / len(b)
    return [Number(GAP, gap, newcombe(int(sum(a)), len(a), int(sum(b)), len(b)), len(a) + len(b))]


def contrasts(own, first, seed):
    gaps = [summary(records, first, seed)[0].value for records in (first, own)]
    return [Contrast(GAP, gaps[1] - gaps[0], (None, None), len(own), None, "none")]


def blocks(records):
    return [Table("Turns of each", ("subject", "turns"), [(r.subject, r.detail.get("turns")) for r in records])]


def measure(*, questions: int = 4, topics: list[str] = ["a", "b"], graded: bool = False) -> Measure:  # noqa: B006
    """Two turns about each question. ValueError for none."""
    from inspect_ai.dataset import Sample

    if questions < 2:
        raise ValueError("at least 2 questions are needed")

    def samples(limit, seed):
        asked = [(i, topics[i % len(topics)]) for i in range(limit or questions)]
        return [Sample(id=f"q{i}", input=f"Question {i} of {t}", metadata={"topic": t}) for i, t in asked]

    return Measure(
        slug="dialogue",
        title="Dialogue",
        samples=samples,
        solver=solver,
        examine=examine,
        roles=("grader",),
        metrics=(LONG, GOOD, YES),
        numbers=(GAP,),
        summary=summary,
        contrasts=contrasts,
        blocks=blocks,
        max_new_tokens=16,
        temperature=0.7,
        epochs=2,
        answers=2,
        rubric="attitude",
    )


@pytest.fixture
def dialogue(monkeypatch):
    """Put the measure into the list of methods."""
    module = types.ModuleType("boresight.measure.behaviour.dialogue")
    module.METHOD = Card("dialogue", "Dialogue", "audit", "Two turns.", "none")  # type: ignore[attr-defined]
    module.measure = measure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(METHODS, "dialogue", module.__name__)
    monkeypatch.setattr(battery, "MEASURES", (*battery.MEASURES, "dialogue"))
    monkeypatch.setattr("boresight.report.metrics.MEASURES", battery.MEASURES)
    monkeypatch.setattr("boresight.report.compare.MEASURES", battery.MEASURES)
