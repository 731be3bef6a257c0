"""Given texts read in as few packed passes as possible: what scoring and hidden states are built on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from boresight.lm.kv import PASS, Pass, Pool, Prefix

if TYPE_CHECKING:
    from boresight.lm.local import LocalModel

CACHED = 4  # passes' worth of tokens that the caches of one batch may take, empty ends of short rows included


@dataclass(frozen=True)
class Piece:
    """Tokens of row `row` from `first` on (counted in the row) are the tokens start to end of a packed pass."""

    row: int
    first: int
    start: int
    end: int


def read(
    model: "LocalModel",
    rows: Sequence[Sequence[int]],
    *,
    prefix: Prefix | None = None,
    shared: Sequence[int] | None = None,
    layers: bool = False,
) -> Iterator[tuple[Any, list[Piece]]]:
    """Run the model's body over rows of token ids, packed; yields (its output, the pieces that it holds) of each pass.

    Rows come in order; one that is longer than a pass comes in several pieces. prefix: the frozen cache of what all
    rows begin with. shared[i]: neighbours that begin with the same shared[i] tokens have them read once; neither these
    nor the prefix's tokens appear in a piece. layers: ask for the hidden states of every layer.
    """
    ahead = [0] * len(rows) if shared is None else shared
    offset = len(prefix) if prefix else 0
    for batch in _batches(rows, ahead, offset):
        pool = Pool(prefix)
        slots = {i: pool.open() for i in batch}
        groups: dict[tuple[int, ...], list[int]] = {}
        for i in batch:
            if ahead[i] > offset:
                groups.setdefault(tuple(rows[i][: ahead[i]]), []).append(i)
        several = {ids: group for ids, group in groups.items() if len(group) > 1}
        for _ in _passes(model, pool, {slots[group[0]]: (group[0], ids) for ids, group in several.items()}, False):
            pass
        for first, *others in several.values():
            for i in others:
                pool.copy(slots[first], slots[i])
        yield from _passes(model, pool, {slots[i]: (i, rows[i]) for i in batch}, layers)


def _batches(rows: Sequence[Sequence[int]], ahead: Sequence[int], offset: int) -> Iterator[list[int]]:
    """Rows in order, as many at a time as one pass takes and as leave their caches small."""
    from boresight.lm.local import PASS_TOKENS

    batch: list[int] = []
    size = longest = 0
    for i, ids in enumerate(rows):
        known = ahead[i] if batch and ids[: ahead[i]] == rows[i - 1][: ahead[i - 1]] else offset
        tokens, most = len(ids) - known, max(longest, len(ids) - offset)
        if batch and (size + tokens > PASS_TOKENS or most * (len(batch) + 1) > CACHED * PASS_TOKENS):
            yield batch
            batch, size, tokens, most = [], 0, len(ids) - offset, len(ids) - offset
        batch.append(i)
        size, longest = size + tokens, most
    if batch:
        yield batch


@torch.no_grad()
def _passes(
    model: "LocalModel", pool: Pool, rows: dict[int, tuple[int, Sequence[int]]], layers: bool
) -> Iterator[tuple[Any, list[Piece]]]:
    """Bring each slot to hold all tokens of its row. rows: slot -> (index of the row, ids)."""
    from boresight.lm.local import PASS_TOKENS

    offset = pool.offset
    while True:
        tokens: list[int] = []
        positions: list[int] = []
        spans, pieces = [], []
        for slot, (i, ids) in rows.items():
            before = pool.lengths[slot]
            part = ids[offset + before :][: PASS_TOKENS - len(tokens)]
            if part:
                start, end = len(tokens), len(tokens) + len(part)
                spans.append((slot, before, start, end))
                pieces.append(Piece(i, offset + before, start, end))
                tokens.extend(part)
                positions.extend(range(offset + before, offset + before + len(part)))
        if not tokens:
            return
        pool.reserve(max(len(ids) for _, ids in rows.values()) - offset)
        out = body(model, Pass(pool, spans, model.device), tokens, positions, layers=layers)
        for slot, before, start, end in spans:
            pool.lengths[slot] = before + end - start
        yield out, pieces


@torch.no_grad()
def body(
    model: "LocalModel", now: Pass, tokens: Sequence[int], positions: Sequence[int], *, layers: bool = False
) -> Any:
    """What the model's body returns for one packed pass: states are (1, tokens, width)."""
    mark = PASS.set(now)
    try:
        return model.model.base_model(
            input_ids=torch.tensor([list(tokens)], device=model.device),
            position_ids=torch.tensor([list(positions)], device=model.device),
            use_cache=False,
            output_hidden_states=layers,
        )
    finally:
        PASS.reset(mark)
