"""What a measure is: an Inspect task, and the numbers it reports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inspect_ai import Task


@dataclass(frozen=True)
class Metric:
    """One number of a measure, aggregated over samples.

    name: "method.number", unique. title: a few words for tables. key: which entry of a sample's score dict it is the
    mean of. unit: "fraction" (a rate: entries are 0 or 1), "share" (entries lie in [0, 1]) or a unit of its own.
    better: "higher", "lower" or "none". grader: who decided, e.g. "rule:refusal-v1". where: keep only samples with
    these metadata. about: one sentence that says what it tells and what it does not.
    """

    name: str
    title: str
    key: str
    unit: str
    better: str
    grader: str
    about: str
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A behavioural measure: `task(limit, seed)` makes its Inspect task; `metrics` are read off its scores.

    notes: sentences that stand in the report beside the measure (how good the grader was measured to be).
    """

    slug: str
    title: str
    task: "Callable[..., Task]"
    metrics: tuple[Metric, ...]
    notes: Callable[[], list[str]] = list
