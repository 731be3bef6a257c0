"""The measure "just-eval": a subject answers the instructions, a grader (or, without one, a rule) scores by aspect."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boresight.catalog import Card
from boresight.data import draw
from boresight.measure import judge as judges
from boresight.measure.base import GRADER, Graded, Measure, Metric, Record
from boresight.measure.behaviour.just_eval.heuristic import NAME, HeuristicJudge
from boresight.measure.behaviour.just_eval.items import Item, Split, built_in, load_just_eval
from boresight.measure.behaviour.just_eval.judging import REASON_TOKENS, Method, ModelJudge, Said
from boresight.measure.behaviour.just_eval.metrics import NaPolicy, aggregate, by_tag, values
from boresight.measure.behaviour.just_eval.prompts import DEFINITIONS, MODES, shorten
from boresight.measure.blocks import Heat, Table

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample
    from inspect_ai.solver import TaskState

    from boresight.measure.blocks import Block

METHOD = Card(
    slug="just-eval",
    title="JUST-EVAL: answers by aspect",
    room="audit",
    summary="Six aspects scored 1 to 5 with reasons by a judge model, per task type and topic, N/A and failures shown.",
    paper="Lin et al.: The Unlocking Spell on Base LLMs (arXiv 2312.01552)",
    needs=("any model", "a grader for quality; without one a rule that measures none"),
    example="boresight audit smollm2-135m-instruct --measure just-eval --limit 20 --out runs/just-eval",
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
    graded: bool = False,
) -> Measure:
    """JUST-EVAL as a measure.

    data: the public instructions as a local file (default: this project's own 144). split: of the public set.
    judge_method, reason_tokens: how a grader is asked, see ModelJudge. graded: whether there will be one.
    """

    def samples(limit: int | None, seed: int) -> "list[Sample]":
        from inspect_ai.dataset import Sample

        items = load_just_eval(split, data)[0] if data else built_in()
        return [
            Sample(id=item.id, input=item.instruction, metadata=_about(item)) for item in _drawn(items, limit, seed)
        ]

    async def examine(state: "TaskState") -> Graded:
        aspects = MODES["safety" if state.metadata["category"] == "safety" else "multi"]
        answer, cut = shorten(state.output.completion)
        held = judges.given() if graded else None
        instruction = state.input_text
        if held is None:
            by, said = NAME, HeuristicJudge().score(instruction, answer, aspects)
        else:
            model = ModelJudge(held, judge_method, reason_tokens)
            by, said = model.name, await model.score(instruction, answer, aspects)
        scores = {a: _value(s, na_policy) for a, (s, _, _) in said.items()}
        detail = {
            "scores": {a: s for a, (s, _, _) in said.items()},
            "reasons": {a: why for a, (_, why, _) in said.items()},
            "raw": next(iter(said.values()))[2],
            "n_words": len(state.output.completion.split()),
            "shortened": cut,
            "judge": by,
        }
        unread = float(any(s is None for s, _, _ in said.values()))
        everything = {a: scores.get(a, math.nan) for aspects in MODES.values() for a in aspects}
        return Graded({**everything, "unread": unread}, _why(said), detail)

    return Measure(
        slug=METHOD.slug,
        title=METHOD.title,
        samples=samples,
        examine=examine,
        max_new_tokens=128,
        notes=lambda: _notes(graded, data, split, na_policy),
        blocks=lambda records: blocks(records, na_policy),
        metrics=(*(_metric(a, graded) for aspects in MODES.values() for a in aspects), _unread(graded)),
    )


def _value(score: float | str | None, na_policy: str) -> float:
    return score if isinstance(score, float) else _NA_VALUE[na_policy] if score == "N/A" else math.nan


def _about(item: Item) -> dict[str, Any]:
    return {"category": item.category, "tags": list(item.tags)}


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


def _metric(aspect: str, graded: bool) -> Metric:
    about = DEFINITIONS[aspect] if graded else f"{DEFINITIONS[aspect]} Here a rule counts signs of it: no quality."
    return Metric(aspect, aspect, "score", "higher", GRADER if graded else NAME, about)


def _unread(graded: bool) -> Metric:
    about = "Share of answers with an aspect whose judgment could not be read after three tries."
    return Metric("unread", "judgments unread", "fraction", "none", GRADER if graded else NAME, about)


def _notes(graded: bool, data: Path | None, split: Split, na_policy: str) -> list[str]:
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
    if data and (missing := load_just_eval(split, data)[1]):
        notes.append(f"{len(missing)} of the public ids are not in {data.name}.")
    return notes


def blocks(records: Sequence[Record], na_policy: NaPolicy = "exclude") -> "list[Block]":
    """Counts of N/A and failed judgments per aspect, and a heat map of aspect by task type and topic."""
    found: list[Block] = []
    for subject in dict.fromkeys(r.subject for r in records):
        own = [r for r in records if r.subject == subject and r.detail.get("scores")]
        rows: list[Sequence[str | float | int | None]] = []
        heat: dict[str, dict[str, tuple[float, int]]] = {}
        for mode, aspects in MODES.items():
            items = [_row(r) for r in own if (r.metadata.get("category") == "safety") == (mode == "safety")]
            if not items:
                continue
            totals = aggregate(items, na_policy)
            for a in aspects:
                n = len(values(items, a, na_policy))
                rows.append([a, totals[f"{a}_mean"], n, totals["n_na"][a], totals["n_failed"][a], totals["avg_lens"]])
            if mode == "multi":
                heat = {t: m for t, m in by_tag(items, na_policy).items() if m and t.startswith(("task: ", "topic: "))}
        head = ("aspect", "mean (1 to 5)", "n", "N/A", "failed", "words per answer")
        found.append(Table(f"{subject}: aspects", head, rows, f"N/A: {na_policy}. Failed judgments have no score."))
        if heat:
            tags = sorted(heat)
            cells = [[heat[t].get(a, (None, 0))[0] for a in MODES["multi"]] for t in tags]
            shown = [f"{t} (n={max(n for _, n in heat[t].values())})" for t in tags]
            title = f"{subject}: aspect by task type and topic"
            note = "Few items stand behind each cell: read the pattern, not the cell. An item counts once per tag."
            found.append(Heat(title, shown, MODES["multi"], cells, "score", 1.0, 5.0, note))
    return found


def _row(record: Record) -> dict[str, Any]:
    key = f"{record.id}#{record.epoch}"
    detail = record.detail
    return {"id": key, "scores": detail["scores"], "n_words": detail["n_words"], "tags": record.metadata["tags"]}
