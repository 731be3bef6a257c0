"""The battery as an Inspect task: every item a sample, all tests in one measure."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from boresight.catalog import Card
from boresight.errors import DataError
from boresight.measure.base import GRADER, Graded, Measure, Metric, Number, Record
from boresight.measure.behaviour.trustworthiness.battery import read, sampling, verdict_prompt
from boresight.measure.behaviour.trustworthiness.calibrate import (
    LABELLED,
    JudgeCheck,
    as_detail,
    from_detail,
    labelled,
    read_yes_no,
    rule_quality,
)
from boresight.measure.behaviour.trustworthiness.claims import CLAIMS
from boresight.measure.behaviour.trustworthiness.item import Ask, Item, Reply, Test
from boresight.measure.behaviour.trustworthiness.numbers import (
    BALANCED,
    CALIBRATION,
    CORRECTED,
    calibration_numbers,
    causal_numbers,
    corrected_numbers,
    places,
)
from boresight.measure.behaviour.trustworthiness.sources import Wording
from boresight.measure.behaviour.trustworthiness.tables import graded_metric, headline, trust_blocks
from boresight.measure.behaviour.trustworthiness.tests import all_tests, chosen_tests
from boresight.measure.behaviour.trustworthiness.written import HARMFUL, REFUSED, can_embed
from boresight.measure.blocks import Block
from boresight.measure.judge import given

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample
    from inspect_ai.model import Model, ModelOutput
    from inspect_ai.solver import Generate, Solver, TaskState

METHOD = Card(
    slug="trustworthiness",
    title="Trustworthiness",
    room="audit",
    summary="Seven categories, 29 sub-categories: eight measurements, probe sets, and what was not measured.",
    paper="Liu et al.: Trustworthy LLMs: a Survey and Guideline (arXiv 2308.05374)",
    needs=("any model; a grader for better verdicts on safety and refusals",),
    example="boresight audit smollm2-135m-instruct --measure trustworthiness -T tests=causal,typos --out runs/trust",
    claims=CLAIMS,
)
N = 20
"""Items of each test where the user does not say."""


def measure(
    *,
    tests: str | list[str] = "all",
    n: int = N,
    wording: Wording = "original",
    hallucination: str = "",
    prompts_safety: str = "",
    prompts_misuse: str = "",
    book: str = "",
    calibrate: int = LABELLED,
    labelled_safety: str = "",
    graded: bool = False,
) -> Measure:
    """The trust battery.

    tests: "all", "measured", "probes", or ids. n: items of each test. wording: of the fairness questions.
    hallucination, prompts_safety, prompts_misuse, book: files of the user's own for M1, M2, M5 and M6. calibrate:
    labelled answers on which a grader is checked, for each of its two questions; 0: none. labelled_safety: JSONL of
    such answers of the user's own (question, answer, safe).
    """
    if n < 1:
        raise ValueError(f"n is {n}; at least 1 item of each test is needed")
    if calibrate < 0 or calibrate == 1:
        raise ValueError(f"calibrate is {calibrate}; 0, or at least 2 labelled answers are needed")
    if labelled_safety:
        labelled(HARMFUL, max(2, calibrate), labelled_safety)  # complains about a file before anything is loaded
    every = all_tests(
        wording=wording,
        hallucination_file=hallucination,
        safety_file=prompts_safety,
        misuse_file=prompts_misuse,
        book=book,
    )
    wanted = chosen_tests(every, tests)
    if wanted and all(t.needs for t in wanted):
        raise DataError(f"nothing to measure: {'; '.join(f'{t.id} needs {t.needs}' for t in wanted)}")
    check = JudgeCheck(calibrate, labelled_safety)
    run = _Run([t for t in wanted if not t.needs], [t for t in wanted if t.needs], n, graded, check)
    return Measure(
        slug=METHOD.slug,
        title=METHOD.title,
        samples=run.samples,
        solver=run.solver,
        examine=run.examine,
        max_new_tokens=48,
        metrics=tuple(graded_metric(m, t, graded) for t in run.tests for m in t.metrics),
        numbers=run.numbers(),
        summary=run.summary,
        notes=run.notes,
        blocks=run.blocks,
        rubric="refusal",
    )


class _Run:
    """The tests of a measure and the items that were drawn. tests: those that run; wanting: those lacking a file."""

    def __init__(self, tests: Sequence[Test], wanting: Sequence[Test], n: int, graded: bool, check: JudgeCheck) -> None:
        self.tests, self.wanting, self.n, self.graded, self.check = tests, wanting, n, graded, check
        self.by_id = {t.id: t for t in tests}
        self.items: dict[str, Item] = {}

    def samples(self, limit: int | None, seed: int) -> "list[Sample]":
        """n items of each test, or as many as a limit on all of them leaves for each (at least one)."""
        from inspect_ai.dataset import Sample

        share = self.n if limit is None else min(self.n, max(1, limit // max(1, len(self.tests))))
        found = []
        for test in self.tests:
            for item in test.draw(share, seed):
                key = f"{test.id}:{item.id}"
                self.items[key] = item
                about = {"test": test.id, "sub": ",".join(test.subs), "category": item.data.get("category", "")}
                found.append(Sample(id=key, input=_messages(item.asks[0]), metadata=about))
        return found

    def solver(self) -> "Solver":
        """Asks the target everything that an item asks; the replies go into the sample's metadata."""
        from inspect_ai.model import get_model
        from inspect_ai.solver import solver

        @solver(name="trust_item")
        def make() -> "Solver":
            async def solve(state: "TaskState", generate: "Generate") -> "TaskState":
                model, item = get_model(), self.items[str(state.sample_id)]
                found = await asyncio.gather(*(_reply(model, ask) for ask in item.asks))
                state.metadata["replies"] = [reply for reply, _ in found]
                outputs = [output for _, output in found if output]
                state.output = outputs[0] if outputs else _chosen(model, item, found[0][0])
                state.messages.append(state.output.choices[0].message)
                return state

            return solve

        return make()

    async def examine(self, state: "TaskState") -> Graded:
        """Score the replies; a judge decides on written answers where there is one."""
        key = str(state.sample_id)
        item, test = self.items[key], self.by_id[key.partition(":")[0]]
        replies = [tuple(r) if isinstance(r, list | tuple) else r for r in state.metadata["replies"]]
        said, why, about = await self._verdict(test, item, replies)
        scores = {m.key: math.nan for t in self.tests for m in t.metrics}
        own = test.full(test.score(item, replies, said))
        scores |= own
        shown = ", ".join(f"{k} {v:.2f}" for k, v in own.items() if not math.isnan(v)) or "nothing could be read"
        detail = {"test": test.id, "places": places(item, replies), **test.detail(item, replies)}
        if test.judged:
            detail |= {"verdict": said, **about}
        return Graded(scores, f"{test.title}: {shown}{why}", detail)

    async def _verdict(
        self, test: Test, item: Item, replies: Sequence[Reply]
    ) -> tuple[bool | None, str, dict[str, Any]]:
        """(verdict, what to say about it, who judged and how good that judge was found to be at this question)."""
        text = replies[0] if isinstance(replies[0], str) else ""
        if not test.judged or not text.strip():
            return None, "", {}
        judge = given()
        if judge is None:
            by = {"judged_by": test.rule_name}
            return (test.rule(text) if test.rule else None), f"; {test.rule_name}", by
        quality = await self.check.of(judge, test.judged)
        verdict = await judge.ask(verdict_prompt(test, item, text), read_yes_no, max_tokens=32)
        why = f"; {judge.name}: {verdict.raw[:80]!r}"
        return verdict.value, why, {"judged_by": f"model:{judge.name}", **as_detail(quality)}

    def corrected(self) -> dict[str, Metric]:
        """Judged measurement that runs -> the metric of its corrected rate, if its judge's errors get known."""
        if self.graded and not self.check.n:
            return {}
        return {k: replace(m, grader=GRADER) if self.graded else m for k, m in CORRECTED.items() if k in self.by_id}

    def numbers(self) -> tuple[Metric, ...]:
        """Metrics of what is no mean, and the headlines of tests that cannot run."""
        found: list[Metric] = []
        if "causal" in self.by_id:
            found += BALANCED
        if "calibration" in self.by_id:
            found += CALIBRATION
        return (*found, *self.corrected().values(), *(headline(t) for t in self.wanting))

    def summary(self, own: Sequence[Record], first: Sequence[Record], seed: int) -> list[Number]:
        """Balanced accuracies, calibration, corrected rates of judged tests; a row for each test that cannot run."""
        by_test = {
            t.id: [r for r in own if r.metadata.get("test") == t.id and r.scores is not None] for t in self.tests
        }
        found = causal_numbers([r.detail for r in by_test.get("causal", []) if "letters" in r.detail])
        found += calibration_numbers([r.detail for r in by_test.get("calibration", [])])
        for test, metric in self.corrected().items():
            key = headline(self.by_id[test]).key
            asked = [r for r in own if r.metadata.get("test") == test and not r.id.endswith("-benign")]
            known = [r.scores[key] for r in asked if r.scores and key in r.scores]
            judged = self.by_id[test].judged
            quality = from_detail([r.detail for r in asked]) if self.graded else rule_quality(judged)
            found += corrected_numbers(test, metric, round(sum(known)), len(known), len(asked) - len(known), quality)
        return found + [
            Number(headline(t), None, (None, None), 0, 0, f"skipped: needs {t.needs}") for t in self.wanting
        ]

    def notes(self) -> list[str]:
        """What stands beside the numbers."""
        said = [f"{t.title} was skipped: it needs {t.needs}." for t in self.wanting]
        said.append(
            "Closed questions are scored by the likelihood of the option letters, every order once, where the"
            " model tells"
            " it; else the letter is read off a short answer. The probe sets hold 20 to 28 items by one author:"
            " a first"
            " look, not a benchmark."
        )
        judged = any(t.judged for t in self.tests)
        if judged and not self.graded:
            said.append(
                f"Without a grader the refusal rules decide ({rule_quality(REFUSED).said()}). To the safety test"
                " whatever does not decline counts as harmful."
            )
        if judged and self.graded and self.check.n:
            said.append(
                f"The grader was checked on about {self.check.n} labelled answers for each of its questions; they are"
                " short and mild, so harder answers will be judged less well."
            )
        if "copyright" in self.by_id and not can_embed():
            said.append("The embedding cosine was left out: its model is not here (boresight models pull minilm-l6).")
        return said

    def blocks(self, records: Sequence[Record]) -> list[Block]:
        """Coverage, headline values by subject, verdicts, stated against shown shares, and constant answers."""
        return trust_blocks(self.tests, self.wanting, self.items, records)


def _messages(ask: Ask) -> list[Any]:
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser

    made = {"system": ChatMessageSystem, "user": ChatMessageUser}
    return [made[m["role"]](content=m["content"]) for m in ask.chat]


async def _reply(model: "Model", ask: Ask) -> "tuple[Reply, ModelOutput | None]":
    """The reply to an ask, and the output of the model if something was written."""
    from inspect_ai.model import GenerateConfig

    from boresight.measure.likelihood import option_logprobs, shares, tells

    if ask.options and tells(model):
        return tuple(shares(await option_logprobs(model, ask.chat, ask.options))), None
    how = sampling(ask, 0)
    outputs = [
        await model.generate(
            _messages(ask), config=GenerateConfig(max_tokens=how.max_new_tokens, temperature=how.temperature, seed=k)
        )
        for k in range(ask.samples or 1)
    ]
    return read(ask, [o.completion for o in outputs]), outputs[0]


def _chosen(model: "Model", item: Item, reply: Reply) -> "ModelOutput":
    """The likelier option of the first question as the sample's output: the target was read, nothing was written."""
    from inspect_ai.model import ModelOutput, ModelUsage

    ask = item.asks[0]
    text = ask.options[max(range(len(ask.options)), key=lambda i: reply[i])] if isinstance(reply, tuple) else ""
    output = ModelOutput.from_content(model.name, text)
    output.usage = ModelUsage(input_tokens=0, output_tokens=0, total_tokens=0)
    return output
