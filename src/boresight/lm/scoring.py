"""Teacher-forced logits of given answers: one packed pass for many rows, the head in blocks.

A vocabulary of 262,144 words times a few thousand positions does not fit a laptop, the hidden states of those positions
do. So the body runs once over all rows and the head follows block by block. The head is the model's own forward with a
body that returns what it is given: caps and scales of the logits are those of the architecture.
"""

import copy
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from boresight.errors import ModelError
from boresight.lm.decode import Ask
from boresight.lm.packed import CACHED, read
from boresight.lm.selfcheck import PROBE

if TYPE_CHECKING:
    from boresight.lm.local import LocalModel

Row = tuple[Sequence[int], int]
"""Token ids of prompt and answer, and the index at which the answer begins (>= 1)."""

_PROBE = 8  # tokens on which the separate head is compared with the whole model, once per model


def answer_logits(model: "LocalModel", rows: Sequence[Row], *, block: int = 64) -> Iterator[tuple[int, int, Tensor]]:
    """Yield (row, first position within its answer, logits) in order, for every token of every answer.

    rows: (ids, start) each; the logits of row i predict ids[start:], (n <= block, vocabulary) in float32 (float64 for
    a float64 model). One packed pass of the body serves as many rows as PASS_TOKENS allows; a beginning of the prompts
    that all rows share is read once. Only the block that was yielded is alive, as long as its receiver keeps it.

    Raises ValueError for a start outside 1..len(ids) or a block below 1, ModelError for a row longer than the context.
    """
    if block < 1:
        raise ValueError(f"block is {block}; at least 1 is needed")
    for i, (ids, start) in enumerate(rows):
        if not 1 <= start <= len(ids):
            raise ValueError(f"row {i}: the answer begins at {start}; it must lie in 1 to {len(ids)}")
        if len(ids) - 1 > model.context:
            raise ModelError(f"row {i} has {len(ids)} tokens and {model.name} reads at most {model.context}")
    asked = [i for i, (ids, start) in enumerate(rows) if start < len(ids)]
    for part in _parts(rows, asked):
        yield from _together(model, rows, part, block)


def _parts(rows: Sequence[Row], asked: Sequence[int]) -> Iterator[list[int]]:
    """The rows that are scored together, in order.

    Neighbours with one prompt hold a copy of its cache each. Where these would not fit one batch, the prompt would be
    read again for every batch; such a group goes alone, so that its prompt is the prefix of all its rows.
    """
    from boresight.lm.local import PASS_TOKENS

    part: list[int] = []
    for prompt, group in groupby(asked, key=lambda i: tuple(rows[i][0][: rows[i][1]])):
        same = list(group)
        if len(same) * len(prompt) > CACHED * PASS_TOKENS:
            if part:
                yield part
            part = []
            yield same
        else:
            part += same
    if part:
        yield part


def _together(
    model: "LocalModel", rows: Sequence[Row], asked: Sequence[int], block: int
) -> Iterator[tuple[int, int, Tensor]]:
    head = _head(model)
    prefix = model.pool([list(rows[i][0][: rows[i][1]]) for i in asked]).prefix
    tails = [rows[i][0][:-1] for i in asked]
    ahead = [rows[i][1] - 1 for i in asked]  # tokens that rows with the same prompt may share
    parts: dict[int, list[Tensor]] = {}  # states of rows that go on in the next pass
    for out, pieces in read(model, tails, prefix=prefix, shared=ahead):
        blocks: list[tuple[int, int, Tensor]] = []
        for piece in pieces:
            row = piece.row
            last = piece.first + piece.end - piece.start
            first = max(ahead[row] - piece.first, 0)
            parts.setdefault(row, []).append(out.last_hidden_state[0, piece.start + first : piece.end])
            if last == len(tails[row]):
                states = torch.cat(parts.pop(row))
                blocks += [(asked[row], at, states[at : at + block]) for at in range(0, len(states), block)]
        yield from _through(head, blocks, block)


def _through(
    head: nn.Module, blocks: Sequence[tuple[int, int, Tensor]], most: int
) -> Iterator[tuple[int, int, Tensor]]:
    """Blocks of states to blocks of logits; short ones go through the head together, at most `most` positions."""
    at = 0
    while at < len(blocks):
        end, size = at + 1, len(blocks[at][2])
        while end < len(blocks) and size + len(blocks[end][2]) <= most:
            size += len(blocks[end][2])
            end += 1
        several = blocks[at:end]
        at = end
        parts = list(_logits(head, torch.cat([states for *_, states in several])).split([len(b[2]) for b in several]))
        parts.reverse()
        for row, first, _ in several:
            yield row, first, parts.pop()


@torch.no_grad()
def _logits(head: nn.Module, states: Tensor) -> Tensor:
    logits = head(inputs_embeds=states[None], use_cache=False).logits[0]
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class _Given(nn.Module):
    """Stands where the body was: its output is its input."""

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> "_Output":
        return _Output(inputs_embeds)


class _Output:
    """What a body returns, with nothing in it but the last hidden state."""

    def __init__(self, states: Tensor) -> None:
        self.last_hidden_state = states

    def __getitem__(self, index: int) -> Tensor:
        return (self.last_hidden_state,)[index]

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


_HEADS: "WeakKeyDictionary[LocalModel, nn.Module]" = WeakKeyDictionary()


def _head(model: "LocalModel") -> nn.Module:
    """The model's head as a module of hidden states, made once; shares all weights and leaves the model as it is.

    Raises ModelError where head and body together are not the model.
    """
    if model not in _HEADS:
        whole = model.model
        head = copy.copy(whole)
        head._modules = {**whole._modules, whole.base_model_prefix: _Given()}
        ids = (model.encode(PROBE) * _PROBE)[:_PROBE]
        with model.session() as session:
            expected = model.extend([Ask(session, ids, range(_PROBE))])[0].logits.float()
        ((out, _),) = read(model, [ids])
        try:
            gap = (_logits(head, out.last_hidden_state[0]).float() - expected).abs().max().item()
        except (TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise ModelError(f"the head of {model.name} cannot be run by itself ({error})") from error
        allowed = 1e-3 if model.dtype in (torch.float32, torch.float64) else 5e-2
        if not gap <= allowed * max(1.0, expected.abs().max().item()):
            raise ModelError(
                f"{model.name}: its head alone gives logits that differ by {gap:.3g}, so it cannot be scored"
            )
        _HEADS[model] = head
    return _HEADS[model]
