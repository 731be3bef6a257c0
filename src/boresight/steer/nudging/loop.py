"""Nudging over two text-completion functions: the reference mode, for tests, endpoints, and as the yardstick."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from boresight.lm.base import Completed
from boresight.steer.nudging.rounds import Pair, Progress, Settings, rounds
from boresight.steer.nudging.text import NudgeResult, cut_repetitions
from boresight.steer.nudging.writers import Given

if TYPE_CHECKING:
    from boresight.lm.decode import Decoder


def nudge_loop(
    base: Callable[[str, int], Completed],
    nudger: Callable[[str, int], Completed],
    base_prompt: str = "",
    nudger_prompt: str = "",
    *,
    gamma: float = 0.3,
    base_chunk: int = 16,
    draft_tokens: int = 16,
    max_new_tokens: int = 512,
    max_rounds: int = 150,
    count_tokens: Callable[[str], int],
    repetition_cut: str = "exact",
    word_mode: str = "space",
    stop: tuple[str, ...] = (),
) -> NudgeResult:
    """Section 2 of the sheet literally, over two functions `complete(prompt, max_tokens) -> Completed`.

    count_tokens: length of a text in the units of `max_new_tokens`. stop: texts that end the answer. A function that
    raises `boresight.lm.base.ContextFull` ends the answer with stop_reason `context`. Raises ValueError for settings
    out of range.
    """
    how = Settings(
        gamma=gamma,
        base_chunk=base_chunk,
        draft_tokens=draft_tokens,
        max_new_tokens=max_new_tokens,
        max_rounds=max_rounds,
        word_mode=word_mode,
        repetition_cut=repetition_cut,
        stop=stop,
    )
    began = time.perf_counter()
    so_far, b, n = Progress(), _Called(base), _Called(nudger)
    for _ in rounds(Pair(b, n, base_prompt, nudger_prompt, count_tokens), how, so_far):
        raise AssertionError("completion functions never wait for a model")
    return result(so_far, how, count_tokens, {"base": b.forwards, "nudger": n.forwards}, 0, began)


def result(
    so_far: Progress,
    how: Settings,
    count_tokens: Callable[[str], int],
    forwards: dict[str, int],
    recomputed: int,
    began: float,
) -> NudgeResult:
    """Step 7 and the counts. began: time.perf_counter() at the start."""
    words = {"nudge": 0, "base": 0}
    tokens = {"nudge": 0, "base": 0}
    for segment in so_far.segments:
        words[segment.source] += len(segment.text.split())
        tokens[segment.source] += count_tokens(segment.text)
    return NudgeResult(
        text=cut_repetitions(so_far.text, how.repetition_cut),
        raw_text=so_far.text,
        stop_reason=so_far.stop_reason,
        rounds=so_far.rounds,
        segments=tuple(so_far.segments),
        nudge_word_ratio=words["nudge"] / max(1, sum(words.values())),
        nudge_token_ratio=tokens["nudge"] / max(1, sum(tokens.values())),
        forwards=forwards,
        tokens_recomputed=recomputed,
        seconds=time.perf_counter() - began,
        mean_base_top1=sum(so_far.base_probs) / len(so_far.base_probs) if so_far.base_probs else None,
    )


class _Called:
    """A Writer over a text-completion function: every chunk is asked for whole, at once."""

    def __init__(self, complete: Callable[[str, int], Completed]) -> None:
        self._complete = complete
        self.forwards = 0

    def start(self, text: str, limit: int) -> Given:
        done = self._complete(text, limit)
        self.forwards += len(done.tokens)
        return Given(done)

    def look(self, texts: Sequence[str], whole: str) -> "Decoder[None]":
        return
        yield

    def expect(self, text: str) -> None:
        pass

    def settle(self, text: str) -> None:
        pass

    def wait_for(self, left: Any) -> "Decoder[None]":
        return
        yield
