"""One answer while it is written: pieces as they come, and the Completion last."""

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from boresight.chat import Chat
from boresight.lm.base import Completion, Sampling, Span
from boresight.lm.decode import Decoder, write
from boresight.lm.session import Session, SharedPool

if TYPE_CHECKING:
    from boresight.lm.local import LocalModel

T = TypeVar("T")
R = TypeVar("R")


def pieces(decoder: Decoder[R], fresh: Callable[[], Iterable[T]]) -> Generator[T, None, R]:
    """Run one decoder; yield what is `fresh` before each of its passes and at its end, and return its result."""
    try:
        asks = next(decoder)
        while True:
            yield from fresh()
            asks = decoder.send(asks[0].session.model.extend(asks))
    except StopIteration as end:
        yield from fresh()
        return end.value
    finally:
        decoder.close()


def stream_local(model: "LocalModel", chat: Chat, sampling: Sampling | None = None) -> Iterator[Span | Completion]:
    """What `model.generate` answers, token by token, then its Completion. Stop strings are not held back: give none."""
    how = sampling or Sampling()
    if how.stop:
        raise ValueError("a streamed answer takes no stop strings: a part of one would be shown before it is found")
    ids = model.encode(model.render(chat))
    model.require_room(ids)
    told: list[Span] = []
    writing = write(
        Session(model, SharedPool()),
        ids,
        how,
        on_piece=lambda text: told.append(Span(model.name, text)) if text else None,
    )
    done = yield from pieces(writing, lambda: drained(told))
    yield done


def drained(told: list[T]) -> list[T]:
    """What is in a list, which is empty afterwards."""
    found = list(told)
    told.clear()
    return found
