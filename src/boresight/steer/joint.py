"""Writing one answer with several models, each of which reads it behind a prompt of its own.

At every position all models are asked, and a method makes one distribution of what they say. So an answer costs a pass
of each model a token.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boresight.lm.base import Completion, Sampling, Span, Trace

if TYPE_CHECKING:
    from torch import Tensor

    from boresight.lm.decode import Decoder
    from boresight.lm.local import LocalModel
    from boresight.lm.session import Session, SharedPool


@dataclass(frozen=True)
class Choice:
    """One position: the tokens that may come, as the method names them, and their log-probabilities, (n,) nats."""

    tokens: Sequence[Any]
    logprobs: "Tensor"


@contextmanager
def sessions(models: Sequence["LocalModel"], pools: Sequence["SharedPool"]) -> "Iterator[list[Session]]":
    """A decode session in each pool, closed at the end."""
    from boresight.lm.session import Session

    opened = [Session(model, pool) for model, pool in zip(models, pools, strict=True)]
    try:
        yield opened
    finally:
        for session in opened:
            session.close()


def logits_after(session: "Session", ids: Sequence[int]) -> "Decoder[Tensor]":
    """What the model says after `ids`, (vocabulary,) logits in float32; forwards only what is not cached."""
    from boresight.lm.decode import Ask
    from boresight.lm.session import common_prefix

    kept = min(common_prefix(session.ids, ids), len(ids) - 1)
    session.rewind(len(session) - kept)
    (step,) = yield [Ask(session, ids[kept:], (len(ids) - 1 - kept,))]
    return step.logits[0].float()


def write(
    ask: Callable[[list[Any]], "Decoder[Choice | None]"],
    text_of: Callable[[Any], str | None],
    name: str,
    sampling: Sampling,
    row: int,
) -> "Decoder[Completion]":
    """Write one answer. ask: the next position's Choice after the tokens so far, None where a context is full.

    text_of: the text that a token adds, None for an end-of-sequence token.
    """
    from boresight.lm.decode import Step, picker, stop_at

    pick = picker(sampling, sampling.row_at(row), ())
    stopper = stop_at(sampling.stop) if sampling.stop else None
    tokens: list[Any] = []
    probs: list[float] = []
    text, reason = "", "length"
    while len(tokens) < sampling.max_new_tokens:
        choice = yield from ask(tokens)
        if choice is None:
            reason = "context"
            break
        best = int(choice.logprobs.argmax())
        probs.append(math.exp(float(choice.logprobs[best])))
        token = choice.tokens[pick(Step([best], [0.0], choice.logprobs[None]), 0)]
        tokens.append(token)
        piece = text_of(token)
        if piece is None:
            reason = "stop"
            break
        begin, text = len(text), text + piece
        if stopper and (cut := stopper(text, begin)):
            text, reason = text[: cut[0]], cut[1]
            break
    text = text.strip()
    return Completion(
        text=text,
        tokens=len(tokens),
        finish_reason=reason,
        trace=Trace(
            spans=(Span(name, text, probs[0]),) if text else (),
            stop_reason="eos" if reason == "stop" else reason,
            mean_top1_prob=sum(probs) / len(probs) if probs else None,
        ),
    )


def require_plain(step: str, sampling: Sequence[Sampling]) -> None:
    """ValueError for a repetition penalty, which would change the probabilities that the method compares."""
    if any(s.repetition_penalty != 1.0 for s in sampling):
        raise ValueError(f"{step} does not take a repetition_penalty: it would change the probabilities it compares")
