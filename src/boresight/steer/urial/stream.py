"""A URIAL answer while it is written; what may still turn out to be the end of its frame is held back."""

from collections.abc import Callable, Iterator

from boresight.lm.base import Completion, Span
from boresight.lm.decode import Decoder
from boresight.lm.stream import drained, pieces
from boresight.steer.urial.frame import AnswerEnd


def growing(
    answer: Callable[[Callable[[str], None]], Decoder[Completion]], end: AnswerEnd, name: str
) -> Iterator[Span | Completion]:
    """The pieces of an answer, which add up to its text, then its Completion. answer: writes it, telling each piece."""
    told, raw, shown = list[str](), "", ""
    running = pieces(answer(told.append), lambda: drained(told))
    done = None
    while done is None:
        try:
            raw += next(running)
            sure = raw[: end.safe(raw)[0]].strip()
        except StopIteration as stop:
            done = stop.value
            sure = done.text
        if len(sure) > len(shown):
            yield Span(name, sure[len(shown) :])
            shown = sure
    yield done
