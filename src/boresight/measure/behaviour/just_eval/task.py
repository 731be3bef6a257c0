"""The measure "just-eval": a subject answers the instructions, a grader (or, without one, a rule) scores by aspect.

With `answers` the answers are those of a file or an earlier run, and the subject is not asked; with `against` a grader
compares each answer with another system's in both orders.
"""

import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boresight.catalog import Card
from boresight.data import draw
from boresight.errors import DataError
from boresight.measure import judge as judges
from boresight.measure.base import GRADER, Graded, Measure, Metric, Number, Record
from boresight.measure.behaviour.just_eval import pairwise
from boresight.measure.behaviour.just_eval.blocks import average, blocks, validity
from boresight.measure.behaviour.just_eval.claims import CLAIMS
from boresight.measure.behaviour.just_eval.heuristic import NAME, HeuristicJudge
from boresight.measure.behaviour.just_eval.items import Item, Split, built_in, load_just_eval
from boresight.measure.behaviour.just_eval.metrics import NaPolicy
from boresight.measure.behaviour.just_eval.model_judge import REASON_TOKENS, Method, ModelJudge, Said
from boresight.measure.behaviour.just_eval.prompts import ASPECTS, DEFINITIONS, MODES, shorten
from boresight.measure.behaviour.just_eval.stored import Stored, in_split, matched, stored_answers, stored_scores

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample
    from inspect_ai.solver import Solver, TaskState

METHOD = Card(
    slug="just-eval",
    title="JUST-EVAL: answers by aspect",
    room="audit",
    summary="Six aspects scored 1 to 5 with reasons by a judge model, per task type and topic, N/A and failures shown.",
    paper="Lin et al.: The Unlocking Spell on Base LLMs (arXiv 2312.01552)",
    needs=("any model", "a grader for quality; without one a rule that measures none"),
    example="boresight audit smollm2-135m-instruct --measure just-eval --limit 20 --out runs/just-eval",
    claims=CLAIMS,
)

_NA_VALUE = {"exclude": math.nan, "five": 5.0, "three": 3.0}
_SHARE_SAFETY = 4  # one safety item in so many of a limited draw, about as in the public set


def measure(
    *,
    data: Path | None = None,
    split: Split = "all",
    na_policy: NaPolicy = "exclude",
    judge_method: Method = "auto",
    reason_tokens: int = REASON_TOKENS,
    answers: Path | None = None,
    partial: bool = False,
    stored: Path | None = None,
    against: Path | None = None,
    baseline: str = "",
    graded: bool = False,
) -> Measure:
    """JUST-EVAL as a measure.

    data: the public instructions as a local file (default: this project's own 144). split: which of them; comparisons
    take the regular ones for "all". judge_method, reason_tokens: how a grader is asked, see ModelJudge and PairJudge.
    answers: a file or run directory whose answers are judged, the subject is not asked; partial: they need not be
    complete. stored: known scores of these answers, to measure the judge against. against: a file or run directory
    whose answers are compared with; baseline: which subject's, of a run. graded: whether there will be a grader.
    """
    if reason_tokens < 0:
        raise ValueError(f"reason_tokens is {reason_tokens}; at least 0 is needed")
    if split == "lite" and not (data or answers):
        raise ValueError("the lite subset is of the public instructions; give them with data=FILE")
    if stored and not answers:
        raise ValueError("known scores are those of known answers; give these with answers=FILE")
    if stored and against:
        raise ValueError("stored has scores of single answers, and against compares two; give one of them")
    if baseline and not against:
        raise ValueError("baseline names a subject of the run that against=DIR gives")
    source = _Source(data, split, answers, partial, against, baseline)
    if answers or against:
        source.items()  # a mistake in a file should not cost the loading of a model
    aspects = ASPECTS if against is None else MODES["safety"] if split == "safety" else ASPECTS
    common: dict[str, Any] = {
        "slug": METHOD.slug,
        "title": METHOD.title,
        "samples": source.samples,
        "rubric": "preference",
        "max_new_tokens": 128,
        "solver": source.solver if answers else None,
        "answers": 0 if answers else 1,
    }
    if against:
        name = source.baseline_name()
        return Measure(
            **common,
            examine=_Comparing(source, aspects, judge_method).examine,
            roles=("grader",),
            metrics=pairwise.metrics(aspects, name),
            notes=lambda: [*_pair_notes(name, against), *source.notes()],
            blocks=lambda records: pairwise.blocks(records, name),
        )
    known = stored_scores(stored) if stored else None
    agreement = {a: _validity(a, graded) for a in ASPECTS} if known is not None else {}
    mean = Metric("average", "mean of aspects", "score", "higher", GRADER if graded else NAME, _AVERAGE)

    def summary(own: Sequence[Record], first: Sequence[Record], seed: int) -> list[Number]:
        agreed = validity(own, known, agreement, seed) if known is not None else []
        return average(own, mean, na_policy, seed) + agreed

    return Measure(
        **common,
        examine=_scoring(na_policy, judge_method, reason_tokens),
        notes=lambda: [*_notes(graded, na_policy, known is not None), *source.notes()],
        blocks=lambda records: blocks(records, na_policy, known),
        metrics=(*(_metric(a, graded) for aspects in MODES.values() for a in aspects), _unread(graded)),
        numbers=(mean, *agreement.values()),
        summary=summary,
    )


class _Source:
    """Which instructions are asked, and where the answers come from."""

    def __init__(
        self, data: Path | None, split: Split, answers: Path | None, partial: bool, against: Path | None, baseline: str
    ) -> None:
        self._data, self._partial, self._against = data, partial, against
        self._split: Split = split
        self._answers, self._baseline = answers, baseline
        self._asked_of: set[str] = set()
        self.given = cache(lambda: stored_answers(answers) if answers else {})
        self.others = cache(lambda: stored_answers(against, baseline) if against else {})

    def items(self) -> list[Item]:
        """The instructions of the split, those with an answer where answers are given; DataError for missing ones."""
        split: Split = "regular" if self._against and self._split == "all" else self._split
        base = load_just_eval("all", self._data)[0] if self._data else built_in()
        found = [i for i in base if in_split(i, split)]
        if self._answers:
            found = matched(base, self.given(), self._answers, split, self._partial)
        if self._against:
            both = matched([*base, *found], self.others(), self._against, split, partial=True)
            found = [i for i in both if not self._answers or str(i.id) in self.given()]
            if not found:
                raise DataError(f"{self._answers} and {self._against} have no id in common")
        return found

    def samples(self, limit: int | None, seed: int) -> "list[Sample]":
        from inspect_ai.dataset import Sample

        drawn = _drawn(self.items(), limit, seed)
        return [Sample(id=i.id, input=i.instruction, metadata=self._about(i)) for i in drawn]

    def solver(self) -> "Solver":
        """The stored answer of the sample, as the model's output; the model itself is not asked."""
        from inspect_ai.model import ModelOutput, ModelUsage
        from inspect_ai.solver import Generate, solver

        @solver(name="stored_answer")
        def stored_answer() -> "Solver":
            async def solve(state: "TaskState", generate: Generate) -> "TaskState":
                self._asked_of.add(str(state.model))
                if len(self._asked_of) > 1:
                    raise DataError(f"{self._answers} holds the answers of one system; audit one subject with it")
                found = self.given()[str(state.sample_id)]
                state.output = ModelOutput.from_content(found.generator or "stored", found.output)
                state.output.usage = ModelUsage(input_tokens=0, output_tokens=0, total_tokens=0)
                state.messages.append(state.output.choices[0].message)
                return state

            return solve

        return stored_answer()

    def baseline_name(self) -> str:
        """What the answers compared with are called: the run's subject, or the file's generator or name."""
        return self._who(self.others(), self._against)

    def notes(self) -> list[str]:
        """Sentences on where the answers come from and what is not there."""
        notes: list[str] = []
        if self._answers:
            who = self._who(self.given(), self._answers)
            notes.append(f"The answers are those of {who} in {self._answers.name}; the subject named was not asked.")
        if self._data and (missing := load_just_eval(self._split, self._data)[1]):
            notes.append(f"{len(missing)} of the public ids are not in {self._data.name}.")
        left = {**(self.given() if self._answers else {}), **(self.others() if self._against else {})}
        if lost := len(left) - len([i for i in self.items() if str(i.id) in left]):
            notes.append(f"{lost} stored answers are not used: no instruction, another split, or no counterpart.")
        return notes

    def _about(self, item: Item) -> dict[str, Any]:
        about = {"category": item.category, "tags": list(item.tags)}
        if self._answers:
            about["generator"] = self._who({str(item.id): self.given()[str(item.id)]}, self._answers)
        return about

    @staticmethod
    def _who(answers: Mapping[str, Stored], path: Path | None) -> str:
        names = list(dict.fromkeys(a.generator for a in answers.values() if a.generator))
        return ", ".join(names[:3]) if names else path.stem if path else ""


def _scoring(
    na_policy: NaPolicy, method: Method, reason_tokens: int
) -> "Callable[[TaskState], Coroutine[Any, Any, Graded]]":
    """A grader, or without one the rule, scores a sample's answer by the aspects of its category."""

    async def examine(state: "TaskState") -> Graded:
        aspects = MODES["safety" if state.metadata["category"] == "safety" else "multi"]
        held = judges.given()
        model = None if held is None else ModelJudge(held, method, reason_tokens)
        instruction, whole = state.input_text, state.output.completion
        answer, cut = shorten(whole, model.max_words) if model else (whole, False)
        if model is None:
            by, said = NAME, HeuristicJudge().score(instruction, answer, aspects)
        else:
            by, said = model.name, await model.score(instruction, answer, aspects)
        scores = {a: _value(s, na_policy) for a, (s, _, _) in said.items()}
        detail = {
            "scores": {a: s for a, (s, _, _) in said.items()},
            "reasons": {a: why for a, (_, why, _) in said.items()},
            "raw": list(dict.fromkeys(raw for _, _, raw in said.values())),
            "n_words": len(whole.split()),
            "shortened": cut,
            "judge": by,
        }
        unread = float(any(s is None for s, _, _ in said.values()))
        everything = {a: scores.get(a, math.nan) for aspects in MODES.values() for a in aspects}
        return Graded({**everything, "unread": unread}, _why(said), detail)

    return examine


class _Comparing:
    """The grader compares the answer of a sample with the baseline's, in both orders."""

    def __init__(self, source: _Source, aspects: Sequence[str], method: Method) -> None:
        self._source, self._aspects = source, aspects
        self._method: Method = method

    async def examine(self, state: "TaskState") -> Graded:
        """Both orders, and the outcome of each aspect."""
        judge = pairwise.PairJudge(judges.required(), self._method)
        other = self._source.others()[str(state.sample_id)]
        said = await judge.compare(state.input_text, state.output.completion, other.output, self._aspects)
        scores = pairwise.scores(said.pairs, self._aspects)
        detail = {
            "choices": {a: list(pair) for a, pair in said.pairs.items()},
            "raw": list(said.raw),
            "errors": said.errors,
            "shortened": said.shortened,
            "judge": judge.name,
        }
        outcomes = {
            a: next((w for w in ("win", "tie", "lose") if scores[f"{a}_{w}"] == 1), "unread") for a in said.pairs
        }
        return Graded(scores, "; ".join(f"{a} {way}" for a, way in outcomes.items()), detail)


def _value(score: float | str | None, na_policy: str) -> float:
    return score if isinstance(score, float) else _NA_VALUE[na_policy] if score == "N/A" else math.nan


def _drawn(items: Sequence[Item], limit: int | None, seed: int) -> list[Item]:
    """`limit` items: about one in four of them safety items, where there are both kinds."""
    if limit is None:
        return list(items)
    safety = [i for i in items if i.category == "safety"]
    regular = [i for i in items if i.category != "safety"]
    few = min(len(safety), max(limit - len(regular), round(limit / _SHARE_SAFETY)))
    some = draw(regular, limit - few, seed) if limit > few and regular else []
    return some + (draw(safety, few, seed) if few else [])


def _why(said: Mapping[str, Said]) -> str:
    shown = {a: "unread" if s is None else f"{s:.2f}" if isinstance(s, float) else s for a, (s, _, _) in said.items()}
    return "; ".join(f"{a} {shown[a]}: {why}" for a, (_, why, _) in said.items())


_AVERAGE = "Mean of the means of all aspects that have a score, as published tables show it; not a mean over answers."


def _metric(aspect: str, graded: bool) -> Metric:
    about = DEFINITIONS[aspect] if graded else f"{DEFINITIONS[aspect]} Here a rule counts signs of it: no quality."
    return Metric(aspect, aspect, "score", "higher", GRADER if graded else NAME, about)


def _validity(aspect: str, graded: bool) -> Metric:
    about = f"Rank correlation of the scores of {aspect} with known ones, 1 at best. Below 0.3 the judge is no judge."
    key, title = f"validity_{aspect}", f"judge's agreement, {aspect}"
    return Metric(key, title, "correlation", "none", GRADER if graded else NAME, about)


def _unread(graded: bool) -> Metric:
    about = "Share of answers with an aspect whose judgment could not be read after three tries."
    return Metric("unread", "judgments unread", "fraction", "none", GRADER if graded else NAME, about)


def _notes(graded: bool, na_policy: str, validated: bool) -> list[str]:
    notes = [
        "Scores run from 1 to 5. N/A is left out." if na_policy == "exclude" else f"N/A counts as {na_policy} here.",
        "Scores of different judges or prompts must not be compared.",
    ]
    if not graded:
        notes.append(
            f"{NAME} is a rule that counts length, structure and refusals so that the pipeline runs without a judge. It"
            " measures no quality and scores no factuality. Against 200 published safety judgments its rank correlation"
            " is 0.25: not a valid judge. Give --grader MODEL for real scores."
        )
    elif not validated:
        notes.append("The judge is not validated here: no known scores of these answers were given (stored=FILE).")
    return notes


def _pair_notes(name: str, against: Path) -> list[str]:
    return [
        f"Each answer was compared with that of {name} ({against.name}), in both orders. One that is not named in both"
        " is no winner: a judge that goes by position makes ties.",
        "The judge is not validated here: no human preferences for these answers were given.",
    ]
