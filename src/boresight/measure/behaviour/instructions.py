"""Verifiable instructions: does an answer do what was asked, where a rule can tell?

The idea is that of Zhou et al., "Instruction-Following Evaluation for Large Language Models" (arXiv 2311.07911);
requests, kinds of constraint and their definitions are this project's own (`constraints`). Strict: the answer as it
stands. Loose: the answer, or a simple change of it such as its first line taken away.
"""

from typing import TYPE_CHECKING, Any

from boresight.catalog import Card
from boresight.data import draw, load_set
from boresight.lm.base import Completion
from boresight.measure.base import Graded, Measure, Metric
from boresight.measure.behaviour import constraints

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample

GRADER = "rule:constraints-v1"
METHOD = Card(
    slug="instructions",
    title="Verifiable instructions",
    room="audit",
    summary="Word counts, formats, required and forbidden words, JSON, language: followed, as rules can check?",
    paper="Zhou et al.: Instruction-Following Evaluation for Large Language Models (arXiv 2311.07911)",
    needs=("any model",),
    example="boresight audit smollm2-135m-instruct --measure instructions --limit 20 --out runs/instructions",
)


def samples(limit: int | None, seed: int) -> "list[Sample]":
    """Requests with their constraints."""
    from inspect_ai.dataset import Sample

    rows = draw(load_set("instructions"), limit, seed)
    return [Sample(id=r["id"], input=r["prompt"], metadata={"constraints": r["constraints"]}) for r in rows]


def grade(completion: Completion, metadata: dict[str, Any]) -> Graded:
    """Check every constraint of the request, strictly and loosely."""
    wanted = metadata["constraints"]
    strict = constraints.strict(completion.text, wanted)
    loose = constraints.loose(completion.text, wanted)
    kept = [f"{c['kind']} {'kept' if ok else 'broken'}" for c, ok in zip(wanted, strict, strict=True)]
    return Graded(
        {
            "strict": float(all(strict)),
            "loose": float(all(loose)),
            "constraints_strict": sum(strict) / len(strict),
            "constraints_loose": sum(loose) / len(loose),
        },
        ", ".join(kept),
    )


MEASURE = Measure(
    slug=METHOD.slug,
    title=METHOD.title,
    samples=samples,
    grade=grade,
    max_new_tokens=128,
    metrics=(
        Metric(
            "strict",
            "followed, strict",
            "fraction",
            "higher",
            GRADER,
            "Share of answers that keep every constraint of their request exactly as they stand.",
        ),
        Metric(
            "loose",
            "followed, loose",
            "fraction",
            "higher",
            GRADER,
            "The same, where a simple change (an opening line or markup taken away) may help.",
        ),
        Metric(
            "constraints_strict",
            "constraints kept, strict",
            "share",
            "higher",
            GRADER,
            "Mean share of a request's constraints that its answer keeps.",
        ),
        Metric(
            "constraints_loose",
            "constraints kept, loose",
            "share",
            "higher",
            GRADER,
            "The same with the loose reading.",
        ),
    ),
)
