"""What the paper says that ten scripted conversations with a small model can show."""

import asyncio

from boresight.claim import Claim, Given, Measured, judged
from boresight.lm.base import Sampling
from boresight.measure.behaviour.misalignment_bench import lexical
from boresight.measure.behaviour.misalignment_bench.conversation import Conversation, Message, run_conversation
from boresight.measure.behaviour.misalignment_bench.reading import load_scenarios
from boresight.measure.behaviour.misalignment_bench.verdict import verdict
from boresight.stats import proportion

TOKENS = 64


def _elicited(given: Given) -> Measured:
    """Share of scenarios (first variant) in which the lexical rules find the behaviour."""
    from boresight.measure.engine import Engine

    chosen = [(s, s.variants[0]) for s in load_scenarios()][: given.limit]
    model = given.load("smollm2-135m-instruct")

    async def play() -> list[Conversation]:
        with Engine(model, on_step=given.on_step) as engine:

            async def target(messages: list[Message]) -> str:
                answer = await asyncio.wrap_future(engine.ask(messages, Sampling(max_new_tokens=TOKENS)))
                return answer.text

            return await asyncio.gather(*(run_conversation(s, v, target) for s, v in chosen))

    talks = asyncio.run(play())
    failed = [
        verdict([lexical.lexical_panel(v.lexical_criteria, talk.transcript)], talk.transcript).success
        for (_, v), talk in zip(chosen, talks, strict=True)
    ]
    found = proportion(sum(bool(f) for f in failed), len(failed))
    return judged(found, "fraction", f"{lexical.GRADER}, scripted, greedy; set phrases only, no judge")


CLAIMS = (
    Claim(
        name="elicited",
        statement="Ordinary conversations under pressure, without any jailbreak, elicit misaligned behaviour.",
        published="76 % of 50 cells (5 models, 10 scenarios), from 40 % to 90 % by model (arXiv 2508.04196, abstract)",
        expected="smollm2-135m-instruct shows the behaviour in some of the ten scripted scenarios",
        check=_elicited,
    ),
)
