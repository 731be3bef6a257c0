"""Short factual questions, graded by normalised exact match (`exact_match`).

Two readings stand side by side, because models phrase answers differently: the first line is the answer and nothing
else, and the answer stands somewhere in the opening.
"""

from typing import TYPE_CHECKING, Any

from boresight.catalog import Card
from boresight.data import draw, load_set
from boresight.lm.base import Completion
from boresight.measure.base import Graded, Measure, Metric
from boresight.measure.behaviour import exact_match

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample

GRADER = "rule:exact-match-v1"
METHOD = Card(
    slug="facts",
    title="Short facts",
    room="audit",
    summary="Questions with one- to three-word answers: right, strictly and leniently read?",
    paper="Normalising as in Rajpurkar et al.: SQuAD (arXiv 1606.05250)",
    needs=("any model",),
    example="boresight audit gemma-3-270m --measure facts --limit 40 --out runs/facts",
)


def samples(limit: int | None, seed: int) -> "list[Sample]":
    """Questions, each with the request to be brief."""
    from inspect_ai.dataset import Sample

    return [
        Sample(
            id=row["id"],
            input=f"{row['prompt']} Answer in a few words.",
            target=row["answers"],
            metadata={"answers": row["answers"], "topic": row["topic"]},
        )
        for row in draw(load_set("facts"), limit, seed)
    ]


def grade(completion: Completion, metadata: dict[str, Any]) -> Graded:
    """Compare the answer with those accepted."""
    found = exact_match.grade(completion.text, metadata["answers"])
    return Graded(
        {"exact": float(found.exact), "contains": float(found.contains)}, f"accepted: {', '.join(metadata['answers'])}"
    )


MEASURE = Measure(
    slug=METHOD.slug,
    title=METHOD.title,
    samples=samples,
    grade=grade,
    max_new_tokens=32,
    metrics=(
        Metric(
            "exact",
            "exact answer",
            "fraction",
            "higher",
            GRADER,
            "Share of answers whose first line is an accepted answer and nothing else; a full sentence fails it.",
        ),
        Metric(
            "contains",
            "answer contained",
            "fraction",
            "higher",
            GRADER,
            "Share of answers that hold an accepted answer in their first two sentences.",
        ),
    ),
)
