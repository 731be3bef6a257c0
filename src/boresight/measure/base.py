"""What a measure is: an Inspect task whose samples get named scores, and the numbers that are read off them.

A scorer of ours gives each sample a dict of named values, nan where a value does not apply to the sample (Inspect
skips those too). A Metric is the mean of one such entry over the samples that have it; what is no mean of samples (a
gap between two arms, a rate that needs the answers of two models) is a Number of the measure's `summary`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from boresight.lm.base import Completion, completion_from

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Scorer
    from inspect_ai.solver import Solver, TaskState

    from boresight.measure.blocks import Block

TRACE = "boresight"
"""Key of a model output's metadata under which the completion's own record stands."""

GRADER = "role:grader"
"""Grader of a metric that a model in Inspect's role "grader" decides; reports print "model:NAME" for it."""


@dataclass(frozen=True)
class Metric:
    """One number of a measure, aggregated over samples.

    key: the entry of a sample's score dict that it is the mean of. title: a few words for tables. unit: "fraction" (a
    rate: entries are 0 or 1) or "share" (entries lie in [0, 1]). better: "higher", "lower" or "none". grader: who
    decided, e.g. "rule:refusal-v1", or GRADER. about: one sentence that says what it tells and what it does not.
    cluster: key of the samples' metadata; samples that have the same value there are not independent, and the interval
    and the test are those of clusters. Epochs of one sample always are a cluster.
    """

    key: str
    title: str
    unit: str
    better: Literal["higher", "lower", "none"]
    grader: str
    about: str
    cluster: str = ""


@dataclass(frozen=True)
class Record:
    """One answer of a subject to one sample of a measure.

    id: of the sample; epoch: from 1. scores: metric key -> value, entries that do not apply left out. metadata: the
    sample's. detail: what the grader noted (`Graded.detail`). A sample that failed has an `error`, no scores, and no
    completion if the model gave none.
    """

    subject: str
    measure: str
    id: str
    prompt: str
    about: str
    completion: Completion | None
    scores: dict[str, float] | None
    error: str = ""
    epoch: int = 1
    metadata: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Number:
    """A number about a subject that is no mean of samples. value None: it could not be measured, `notes` says why.

    ci: its ends at `level`, None where there is no interval. n: what it rests on; dropped: what had to be left out.
    """

    metric: Metric
    value: float | None
    ci: tuple[float | None, float | None]
    n: int
    dropped: int = 0
    notes: str = ""
    level: float = 0.95


@dataclass(frozen=True)
class Contrast:
    """Another subject minus the first in a metric of `summary`; p is two-sided and not adjusted yet."""

    metric: Metric
    difference: float | None
    ci: tuple[float | None, float | None]
    n: int
    p: float | None
    test: str
    level: float = 0.95


Summary = Callable[[Sequence[Record], Sequence[Record], int], Sequence[Number]]
"""(records of a subject, those of the first subject, seed) -> numbers. For the first subject both are the same."""

Contrasts = Callable[[Sequence[Record], Sequence[Record], int], Sequence[Contrast]]
"""(records of a subject, those of the first subject, seed) -> differences in metrics of `summary`."""


def _nothing(*_: Any) -> tuple[()]:
    return ()


@dataclass(frozen=True)
class Measure:
    """A behavioural measure.

    samples(limit, seed): its prompts, at most about `limit` of them. grade(sample's output, its metadata): the score
    dict and what to say about it. max_new_tokens: budget of an answer. notes: sentences that belong beside its numbers,
    such as how good its grader was measured to be.

    Most measures need no more: one greedy answer to each prompt, graded by a rule. The others give a solver (how a
    sample is worked on; about `answers` answers of the target in each), `examine` in place of `grade` (where scoring
    asks a model or reads more than the last answer), the model roles that must be given ("grader", "red_team"),
    temperature and epochs. summary, contrasts: numbers that are no means (`numbers` are their metrics), and their
    differences. blocks(records of all subjects): tables and pictures for the report. rubric: the family of questions
    (`judge_validity.RUBRICS`) that its grader is asked, for which a report looks up how good that grader is.
    """

    slug: str
    title: str
    samples: "Callable[[int | None, int], list[Sample]]"
    grade: "Callable[[Completion, dict[str, Any]], Graded] | None" = None
    metrics: tuple[Metric, ...] = ()
    max_new_tokens: int = 256
    notes: Callable[[], Sequence[str]] = tuple
    solver: "Callable[[], Solver] | None" = None
    examine: "Callable[[TaskState], Awaitable[Graded]] | None" = None
    roles: tuple[str, ...] = ()
    temperature: float = 0.0
    epochs: int = 1
    answers: int = 1
    numbers: tuple[Metric, ...] = ()
    summary: Summary = _nothing
    contrasts: Contrasts = _nothing
    blocks: "Callable[[Sequence[Record]], Sequence[Block]]" = _nothing
    rubric: str = ""

    def name(self, metric: Metric) -> str:
        """The metric's name in results: "method.key"."""
        return f"{self.slug}.{metric.key}"


@dataclass(frozen=True)
class Graded:
    """A sample's scores (metric key -> value, nan: does not apply) and, in a few words, why.

    detail: what else `summary` and `blocks` need of it, in JSON's types; it stands in the log.
    """

    scores: dict[str, float]
    why: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def make_task(measure: Measure, limit: int | None = None, seed: int = 0, max_new_tokens: int | None = None) -> "Task":
    """The measure as an Inspect task: its prompts, its solver (one answer each if it has none), its scorer."""
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset
    from inspect_ai.model import GenerateConfig
    from inspect_ai.solver import generate

    budget = min(measure.max_new_tokens, max_new_tokens or measure.max_new_tokens)
    return Task(
        dataset=MemoryDataset(measure.samples(limit, seed), name=measure.slug),
        solver=measure.solver() if measure.solver else generate(),
        scorer=make_scorer(measure),
        config=GenerateConfig(max_tokens=budget, temperature=measure.temperature, seed=seed),
        epochs=measure.epochs,
        name=measure.slug,
    )


def make_scorer(measure: Measure) -> "Scorer":
    """An Inspect scorer that applies the measure's `grade` to a sample's answer, or lets it `examine` the sample."""
    from inspect_ai.scorer import Score, Target, mean, scorer, stderr
    from inspect_ai.solver import TaskState

    @scorer(name=measure.slug, metrics={"*": [mean(), stderr()]})
    def graded() -> "Scorer":
        async def score(state: TaskState, target: Target) -> Score:
            if not state.output.choices:
                raise RuntimeError("the model was never asked: there is no answer to grade")
            if measure.examine:
                result = await measure.examine(state)
            elif measure.grade:
                result = measure.grade(completion_of(state.output), dict(state.metadata))
            else:
                raise TypeError(f"the measure {measure.slug} has neither grade nor examine")
            return Score(
                value=dict(result.scores),
                answer=state.output.completion,
                explanation=result.why,
                metadata=dict(result.detail) or None,
            )

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
