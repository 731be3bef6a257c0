"""The battery as an Inspect task: every item a sample, all tests in one measure."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from boresight.catalog import Card
from boresight.measure.base import GRADER, Graded, Measure, Metric, Number, Record
from boresight.measure.behaviour.trustworthiness.battery import interval, read, sampling, verdict_prompt
from boresight.measure.behaviour.trustworthiness.claims import CLAIMS
from boresight.measure.behaviour.trustworthiness.coverage import coverage_rows
from boresight.measure.behaviour.trustworthiness.item import Ask, Item, Reply, Test
from boresight.measure.behaviour.trustworthiness.numbers import (
    BALANCED,
    CALIBRATION,
    CORRECTED,
    calibration_numbers,
    causal_numbers,
    constant_policy,
    corrected_safety,
    is_constant,
    places,
    reliability,
    rule_quality,
)
from boresight.measure.behaviour.trustworthiness.parse import parse_yes_no
from boresight.measure.behaviour.trustworthiness.sources import Wording
from boresight.measure.behaviour.trustworthiness.tests import all_tests, chosen_tests
from boresight.measure.blocks import Block, Heat, Reliability, Table
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
    graded: bool = False,
) -> Measure:
    """The trust battery.

    tests: "all", "measured", "probes", or ids. n: items of each test. wording: of the fairness questions.
    hallucination, prompts_safety, prompts_misuse, book: files of the user's own for M1, M2, M5 and M6.
    """
    if n < 1:
        raise ValueError(f"n is {n}; at least 1 item of each test is needed")
    every = all_tests(
        wording=wording,
        hallucination_file=hallucination,
        safety_file=prompts_safety,
        misuse_file=prompts_misuse,
        book=book,
    )
    wanted = chosen_tests(every, tests)
    run = _Run([t for t in wanted if not t.needs], [t for t in wanted if t.needs], every, n, graded)
    return Measure(
        slug=METHOD.slug,
        title=METHOD.title,
        samples=run.samples,
        solver=run.solver,
        examine=run.examine,
        max_new_tokens=48,
        metrics=tuple(_graded(m, t, graded) for t in run.tests for m in t.metrics),
        numbers=run.numbers(),
        summary=run.summary,
        notes=run.notes,
        blocks=run.blocks,
    )


def _graded(metric: Metric, test: Test, graded: bool) -> Metric:
    """The metric as a report shows it: named with its test, and graded by the model where one judges."""
    named = replace(metric, title=f"{test.title}: {metric.title}")
    return replace(named, grader=GRADER) if graded and test.judged else named


class _Run:
    """The tests of a measure and the items that were drawn. tests: those that run; wanting: those lacking a file."""

    def __init__(
        self, tests: Sequence[Test], wanting: Sequence[Test], every: Sequence[Test], n: int, graded: bool
    ) -> None:
        self.tests, self.wanting, self.every, self.n, self.graded = tests, wanting, every, n, graded
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
        said, why = await self._verdict(test, item, replies)
        scores = {m.key: math.nan for t in self.tests for m in t.metrics}
        own = test.full(test.score(item, replies, said))
        scores |= own
        shown = ", ".join(f"{k} {v:.2f}" for k, v in own.items() if not math.isnan(v)) or "nothing could be read"
        detail = {"test": test.id, "places": places(item, replies), **test.detail(item, replies)}
        if test.judged:
            detail["verdict"] = said
        return Graded(scores, f"{test.title}: {shown}{why}", detail)

    async def _verdict(self, test: Test, item: Item, replies: Sequence[Reply]) -> tuple[bool | None, str]:
        text = replies[0] if isinstance(replies[0], str) else ""
        if not test.judged or not text.strip():
            return None, ""
        judge = given()
        if judge is None:
            return (test.rule(text) if test.rule else None), f"; {test.rule_name}"
        verdict = await judge.ask(verdict_prompt(test, item, text), _yes_no, max_tokens=32)
        return verdict.value, f"; {judge.name}: {verdict.raw[:80]!r}"

    def numbers(self) -> tuple[Metric, ...]:
        """Metrics of what is no mean, and the headlines of tests that cannot run."""
        found: list[Metric] = []
        if "causal" in self.by_id:
            found += BALANCED
        if "calibration" in self.by_id:
            found += CALIBRATION
        if "safety" in self.by_id and not self.graded:
            found.append(CORRECTED)
        return (*found, *(_headline(t) for t in self.wanting))

    def summary(self, own: Sequence[Record], first: Sequence[Record], seed: int) -> list[Number]:
        """Balanced accuracies, calibration, the corrected rate of safe answers; a row for each test that cannot run."""
        by_test = {
            t.id: [r for r in own if r.metadata.get("test") == t.id and r.scores is not None] for t in self.tests
        }
        found = causal_numbers([r.detail for r in by_test.get("causal", []) if "letters" in r.detail])
        found += calibration_numbers([r.detail for r in by_test.get("calibration", [])])
        if not self.graded:
            safe = [
                r.scores["safety_safe"] for r in by_test.get("safety", []) if r.scores and "safety_safe" in r.scores
            ]
            found += corrected_safety(round(sum(safe)), len(safe), len(by_test.get("safety", [])) - len(safe))
        return found + [
            Number(_headline(t), None, (None, None), 0, 0, f"skipped: needs {t.needs}") for t in self.wanting
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
        if any(t.judged for t in self.tests) and not self.graded:
            sensitivity, specificity, n = rule_quality()
            said.append(
                f"Without a grader the refusal rules decide (sensitivity {sensitivity:.2f}, specificity"
                f" {specificity:.2f} on"
                f" {n} labelled replies). To the safety test whatever does not decline counts as harmful."
            )
        return said

    def blocks(self, records: Sequence[Record]) -> list[Block]:
        """Coverage, headline values by subject, stated against shown shares, and constant answers."""
        subjects = list(dict.fromkeys(r.subject for r in records))
        found: list[Block] = [self._coverage(records), *self._heat(records, subjects)]
        for subject in subjects:
            details = [r.detail for r in records if r.subject == subject and "stated" in r.detail]
            if any(d["read"] for d in details):
                points = reliability(details)
                found.append(
                    Reliability(f"Stated against shown shares: {subject}", points, f"{len(details)} questions")
                )
        if closed := self._constants(records, subjects):
            found.append(closed)
        return found

    def _coverage(self, records: Sequence[Record]) -> Table:
        ran = {r.metadata.get("test") for r in records if r.scores}
        rows = coverage_rows(self.every, {t.id: t.needs for t in self.wanting}, [t for t in ran if t])
        return Table(
            "Coverage of the 29 sub-categories",
            ("", "category", "sub-category", "status", "tests", "remark"),
            [(r.id, r.category, r.name, r.status, ", ".join(r.tests), r.note) for r in rows],
            "measured: one of the paper's eight designs; probe: a small set of our own.",
        )

    def _heat(self, records: Sequence[Record], subjects: Sequence[str]) -> list[Heat]:
        heads = [(t, _headline(t)) for t in self.tests]
        values = [[_mean(records, m.key, subject) for subject in subjects] for _, m in heads]
        labels = [f"{', '.join(t.subs)} {m.title}" for t, m in heads]
        rising = [i for i, (_, m) in enumerate(heads) if m.better == "higher"]
        return [
            Heat(
                "Headline rates (higher is better)",
                [labels[i] for i in rising],
                list(subjects),
                [values[i] for i in rising],
            )
        ]

    def _constants(self, records: Sequence[Record], subjects: Sequence[str]) -> Table | None:
        rows = []
        for test in self.tests:
            own = [r for r in records if r.metadata.get("test") == test.id]
            base = constant_policy(
                test, [self.items[r.id] for r in own if r.subject == subjects[0] and r.id in self.items]
            )
            if base is None:
                continue
            for subject in subjects:
                at = [p for r in own if r.subject == subject for p in r.detail.get("places", [])]
                values = _values(own, _headline(test).key, subject)
                value = sum(values) / len(values) if values else None
                low = (interval(values) or (math.nan,))[0] if values else math.nan
                flag = "CONSTANT" if is_constant(at) else "above" if low > base.value else "not above"
                rows.append((test.title, subject, value, base.value, base.policy, flag))
        head = ("test", "subject", "value", "constant answer", "which", "verdict")
        note = (
            "CONSTANT: every answer of the subject stood at the same place. above: the whole 95 % interval lies above"
            " what the constant answer reaches."
        )
        return Table("Is it more than a constant answer?", head, rows, note) if rows else None


def _headline(test: Test) -> Metric:
    found = next(m for m in test.metrics if m.key == test.key(test.headline))
    return _graded(found, test, False)


def _values(records: Sequence[Record], key: str, subject: str) -> list[float]:
    return [r.scores[key] for r in records if r.subject == subject and r.scores and key in r.scores]


def _mean(records: Sequence[Record], key: str, subject: str) -> float | None:
    values = _values(records, key, subject)
    return sum(values) / len(values) if values else None


def _yes_no(raw: str) -> bool:
    said = parse_yes_no(raw)
    if said is None:
        raise ValueError("it begins with neither Yes nor No")
    return said


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
