"""What a measure is: an Inspect task whose samples get named scores, and the numbers that are read off them.

A scorer of ours gives each sample a dict of named values, nan where a value does not apply to the sample (Inspect
skips those too). A Metric is the mean of one such entry over the samples that have it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from boresight.lm.base import Completion, completion_from

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Scorer

TRACE = "boresight"
"""Key of a model output's metadata under which the completion's own record stands."""


@dataclass(frozen=True)
class Metric:
    """One number of a measure, aggregated over samples.

    key: the entry of a sample's score dict that it is the mean of. title: a few words for tables. unit: "fraction" (a
    rate: entries are 0 or 1) or "share" (entries lie in [0, 1]). better: "higher", "lower" or "none". grader: who
    decided, e.g. "rule:refusal-v1". about: one sentence that says what it tells and what it does not.
    """

    key: str
    title: str
    unit: str
    better: Literal["higher", "lower", "none"]
    grader: str
    about: str


@dataclass(frozen=True)
class Measure:
    """A behavioural measure.

    samples(limit, seed): its prompts, at most about `limit` of them. grade(sample's output, its target and metadata):
    the score dict and what to say about it. max_new_tokens: budget of an answer. notes: sentences that belong beside
    its numbers, such as how good its grader was measured to be.
    """

    slug: str
    title: str
    samples: "Callable[[int | None, int], list[Sample]]"
    grade: "Callable[[Completion, dict[str, Any]], Graded]"
    metrics: tuple[Metric, ...]
    max_new_tokens: int
    notes: Callable[[], Sequence[str]] = tuple

    def name(self, metric: Metric) -> str:
        """The metric's name in results: "method.key"."""
        return f"{self.slug}.{metric.key}"


@dataclass(frozen=True)
class Graded:
    """A sample's scores (metric key -> value, nan: does not apply) and, in a few words, why."""

    scores: dict[str, float]
    why: str = ""


def make_task(measure: Measure, limit: int | None = None, seed: int = 0, max_new_tokens: int | None = None) -> "Task":
    """The measure as an Inspect task: its prompts, one greedy answer each, its scorer."""
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset
    from inspect_ai.model import GenerateConfig
    from inspect_ai.solver import generate

    budget = min(measure.max_new_tokens, max_new_tokens or measure.max_new_tokens)
    return Task(
        dataset=MemoryDataset(measure.samples(limit, seed), name=measure.slug),
        solver=generate(),
        scorer=make_scorer(measure),
        config=GenerateConfig(max_tokens=budget, temperature=0.0, seed=seed),
        name=measure.slug,
    )


def make_scorer(measure: Measure) -> "Scorer":
    """An Inspect scorer that applies the measure's `grade` to a sample's answer."""
    from inspect_ai.scorer import Score, Target, mean, scorer, stderr
    from inspect_ai.solver import TaskState

    @scorer(name=measure.slug, metrics={"*": [mean(), stderr()]})
    def graded() -> "Scorer":
        async def score(state: TaskState, target: Target) -> Score:
            if not state.output.choices:
                raise RuntimeError("the model was never asked: there is no answer to grade")
            result = measure.grade(completion_of(state.output), dict(state.metadata))
            return Score(value=dict(result.scores), answer=state.output.completion, explanation=result.why)

        return score

    return graded()


_ENDED = {"stop": "stop", "max_tokens": "length", "model_length": "context", "content_filter": "stop"}


def completion_of(output: "ModelOutput") -> Completion:
    """The completion that a model output holds; for models that are not ours, as much of it as Inspect knows."""
    record = (output.metadata or {}).get(TRACE)
    if record is None:
        reason = _ENDED.get(output.stop_reason, "length")
        return Completion(output.completion, output.usage.output_tokens if output.usage else 0, reason)
    return completion_from({**record, "text": output.completion})
