"""Which prompts the page shows side by side: few, spread over a measure, and the same for every subject."""

from collections.abc import Sequence

from boresight.lm.base import Completion
from boresight.report.page import Answer, Exchange
from boresight.report.records import Record

SHOWN = 8  # prompts per measure: enough to get a feeling, few enough for a page to stay light


def exchanges(records: Sequence[Record], measures: Sequence[str], shown: int = SHOWN) -> list[Exchange]:
    """At most `shown` prompts of each measure, evenly spread in its order, each with all subjects' answers."""
    found: list[Exchange] = []
    for measure in measures:
        by_id: dict[str, list[Record]] = {}
        for record in records:
            if record.measure == measure and record.scores is not None:
                by_id.setdefault(record.id, []).append(record)
        ids = list(by_id)
        step = max(1.0, len(ids) / shown)
        for i in [ids[int(k * step)] for k in range(min(shown, len(ids)))]:
            own = by_id[i]
            found.append(
                Exchange(
                    measure=measure,
                    id=i,
                    prompt=own[0].prompt,
                    about=f"{own[0].about} request" if own[0].about else "",
                    answers=tuple(_answer(r, r.completion) for r in own if r.completion),
                )
            )
    return found


def _answer(record: Record, done: Completion) -> Answer:
    return Answer(
        subject=record.subject,
        text=done.text,
        finish_reason=done.finish_reason,
        tokens=done.tokens,
        spans=done.trace.spans,
        scores=record.scores or {},
    )
