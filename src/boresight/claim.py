"""What a claim of a paper is here: the published figure, what a small run can see of it, and the check that looks."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from boresight.lm.base import OnStep

if TYPE_CHECKING:
    from boresight.stats import Difference, Estimate

T = TypeVar("T")

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told here"


@dataclass(frozen=True)
class Measured:
    """What a small run found about a claim.

    value and ci in `unit`, over n items; verdict: HOLDS, FAILS or OPEN; note: on what, how graded, and the figures
    behind the value.
    """

    value: float
    ci: tuple[float, float]
    n: int
    unit: str
    verdict: str
    note: str = ""


def judged(found: "Estimate | Difference", unit: str, note: str = "", *, above: float = 0.0) -> Measured:
    """The verdict on a claim that a value lies above `above`: the whole interval decides, or nothing is decided.

    An interval that holds `above`, or an end that is not known, leaves it open.
    """
    verdict = HOLDS if found.low > above else FAILS if found.high < above else OPEN
    return Measured(found.value, (found.low, found.high), found.n, unit, verdict, note)


def counted(worst: float, n: int, unit: str, note: str = "", *, most: float = 0.0) -> Measured:
    """The verdict on a claim without exceptions: none of n values may exceed `most`, and `worst` is the largest."""
    verdict = OPEN if not n or math.isnan(worst) else HOLDS if worst <= most else FAILS
    return Measured(worst, (math.nan, math.nan), n, unit, verdict, note)


@dataclass(frozen=True)
class Given:
    """What a check works with.

    load(spec, *steps): a model, or a policy of steps as --steer takes them, each model loaded once. limit: prompts that
    it may ask. on_step: hears of every pass. kept: what checks of one run share, see `once`.
    """

    load: Callable[..., Any]
    limit: int
    on_step: OnStep | None = None
    kept: dict[str, Any] = field(default_factory=dict)

    def once(self, what: str, make: Callable[[], T]) -> T:
        """What `make` gives, made at the first call for `what`."""
        if what not in self.kept:
            self.kept[what] = make()
        return self.kept[what]


@dataclass(frozen=True)
class Comparison:
    """A check that an audit does: the measure's `metric` is higher for subject b than for a.

    A subject is a model spec, followed by its steering steps. only: metadata that a prompt must have to be asked.
    """

    metric: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    only: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """What a paper says, what a small run can see of it, and the check that looks.

    name: one word, unique within its method. published: the figure, with its source. expected: what should be seen on
    the small models. check: a function, or a Comparison of two audits.
    """

    name: str
    statement: str
    published: str
    expected: str
    check: Callable[[Given], Measured] | Comparison
