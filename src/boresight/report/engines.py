"""Who answers in a run: an engine for the subject and one for each model in a role, all kept in the journal."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from boresight.lm.base import Completion, LanguageModel
from boresight.lm.remote.usage import Meter, Spent
from boresight.report.attempt import Attempt

if TYPE_CHECKING:
    from boresight.measure.engine import Engine
    from boresight.report.run import Progress

TARGET = "target"


@contextmanager
def engines_of(
    name: str, model: LanguageModel, helpers: Mapping[str, LanguageModel], attempt: Attempt, progress: "Progress"
) -> "Iterator[dict[str, Engine]]":
    """An engine for the subject and one for each helper, every answer of theirs kept in the attempt's journal.

    A model in two parts has one engine: it is on this machine once, and its passes would fight for the cores.
    """
    from boresight.measure.engine import Engine, Slot

    def made(part: str, who: LanguageModel) -> Engine:
        key = part_of(name, part)
        known, meter = attempt.known(key), Meter(who, attempt.spent.get(key))

        def kept(slot: Slot, answer: Completion) -> None:
            attempt.keep(key, slot, answer, meter.read())
            if part == TARGET:
                progress.answered()

        if part == TARGET:
            for _ in known:
                progress.answered()
        return Engine(who, known=known, on_done=kept, on_step=progress.stepped)

    with ExitStack() as open_ones:
        by_model: dict[int, Engine] = {}
        found: dict[str, Engine] = {}
        for part, who in {TARGET: model, **helpers}.items():
            if id(who) not in by_model:
                by_model[id(who)] = open_ones.enter_context(made(part, who))
            found[part] = by_model[id(who)]
        yield found


def part_of(subject: str, part: str) -> str:
    """Name in the journal of who answers: the subject itself, or its helper in a role."""
    return subject if part == TARGET else f"{subject} ({part})"


def spent_on(attempt: Attempt, name: str, helpers: Mapping[str, LanguageModel]) -> Spent:
    """What the remote models in all parts were asked while this subject was measured."""
    found = dict(attempt.spent.get(name, {}))
    for role in helpers:
        for remote, counters in attempt.spent.get(part_of(name, role), {}).items():
            found[f"{remote} ({role.replace('_', ' ')})"] = counters
    return found
