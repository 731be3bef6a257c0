"""Key-value caches of many decode sessions, and the attention that reads them.

The engine never pads. The new tokens of all sessions of a forward pass are laid end to end in one row of shape
(1, tokens); linear layers see just those tokens, and `attend` below, registered with transformers as an attention
implementation, writes each session's keys and values to its slot and lets each token see its own session only. So one
pass may hold a session that prefills a thousand tokens, one that verifies a draft and thirty that decode one token.

A `Prefix` is the frozen cache of a constant beginning (URIAL's thousand tokens). All sessions of a pool share it by
reference: for decoding tokens its scores are one matrix product for the whole batch.

Every layer keeps all keys; sliding-window layers (Gemma 3, Mistral) are a matter of what a query may see, so a session
can be rewound by any number of tokens (a rolling cache cannot, once its window has been exceeded).
"""

import contextvars
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

IMPLEMENTATION = "boresight_slots"
_GROW = 64  # tokens; capacities are multiples of it
FEW = 24  # tokens that a session may add and still be computed together with others
MANY = 4  # sessions from which on plain products beat the fused attention (for one query each)


@dataclass(frozen=True)
class Prefix:
    """The frozen cache of a constant beginning: token ids and, per layer, keys and values (kv_heads, tokens, dim)."""

    ids: tuple[int, ...]
    layers: tuple[tuple[Tensor, Tensor], ...]

    def __len__(self) -> int:
        return len(self.ids)


class Pool:
    """Slots for decode sessions; per layer a key and a value tensor of (slots, kv_heads, capacity, dim).

    Slots in use are always 0..n-1 (closing one moves the last one into its place), so a pass over all live sessions
    reads a view, not a copy.
    """

    def __init__(self, prefix: Prefix | None = None) -> None:
        self.prefix = prefix
        self.offset = len(prefix) if prefix else 0
        self.lengths: list[int] = []  # tokens per slot, prefix not counted
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.windows: dict[int, int | None] = {}  # sliding window that each layer asked for (None: sees everything)
        self._slots = 0
        self.capacity = 0

    def open(self) -> int:
        """Take a slot; its cache is empty (after the prefix)."""
        self.lengths.append(0)
        return len(self.lengths) - 1

    def close(self, slot: int) -> int:
        """Free a slot. Returns the slot whose content was moved into it (itself if it was the last one)."""
        last = len(self.lengths) - 1
        if slot != last:
            self.copy(last, slot)
        self.lengths.pop()
        return last

    def copy(self, source: int, target: int) -> None:
        """Make slot `target` hold what slot `source` holds."""
        n = self.lengths[target] = self.lengths[source]
        if n == 0:
            return
        self.reserve(n)  # a slot opened since the last pass has no storage yet
        for index, (keys, _) in list(self.layers.items()):
            for held in self.layer(index, keys):
                held[target, :, :n] = held[source, :, :n]

    def reserve(self, tokens: int) -> None:
        """Make room for every open slot and for `tokens` tokens in each, before a pass."""
        if tokens > self.capacity:
            self.capacity = (tokens + tokens // 8 + _GROW) // _GROW * _GROW
        if len(self.lengths) > self._slots:
            self._slots = len(self.lengths) + len(self.lengths) // 8 + 1

    def layer(self, index: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Key and value storage of one layer, grown to what was reserved. like: (1, kv_heads, tokens, dim)."""
        held = self.layers.get(index)
        if held and held[0].shape[0] >= self._slots and held[0].shape[2] >= self.capacity:
            return held
        shape = (self._slots, like.shape[1], self.capacity, like.shape[3])
        grown = (like.new_zeros(shape), like.new_zeros(shape))
        if held:
            slots, _, tokens, _ = held[0].shape
            for new, old in zip(grown, held, strict=True):
                new[:slots, :, :tokens] = old
        self.layers[index] = grown
        return grown

    def freeze(self, slot: int, ids: tuple[int, ...]) -> Prefix:
        """Copy a slot's cache (and the pool's own prefix before it) into a Prefix that other pools can share."""
        n = self.lengths[slot]
        layers = []
        for index in sorted(self.layers):
            pair = [t[slot, :, :n].clone() for t in self.layers[index]]
            if self.prefix:
                pair = [torch.cat(both, 1) for both in zip(self.prefix.layers[index], pair, strict=True)]
            layers.append((pair[0], pair[1]))
        return Prefix(ids, tuple(layers))


class Group:
    """Sessions of a pass that add few tokens each, computed as one batch padded to the longest of them.

    spans: as in Pass. tokens: (n, t) indices into the packed row, and position: (n, t) places in the session's own
    cache; a session with fewer tokens repeats its last one. real: indices into n * t without repetitions (None: all).
    """

    def __init__(self, pool: Pool, spans: list[tuple[int, int, int, int]], device: torch.device) -> None:
        self.pool, self.n = pool, len(spans)
        slots = [slot for slot, *_ in spans]
        self.t = max(end - start for _, _, start, end in spans)
        self.longest = max(before + end - start for _, before, start, end in spans)
        self.shortest = min(before for _, before, _, _ in spans)
        self.view = slots == list(range(self.n))
        self.slots = torch.tensor(slots, device=device)
        steps = [[min(i, end - start - 1) for i in range(self.t)] for _, _, start, end in spans]
        first = torch.tensor([[before, start] for _, before, start, _ in spans], device=device)
        step = torch.tensor(steps, device=device)
        self.position, self.tokens = first[:, :1] + step, first[:, 1:] + step
        real = [k * self.t + i for k, row in enumerate(steps) for i in range(row[-1] + 1)]
        self.real = None if len(real) == self.n * self.t else torch.tensor(real, device=device)
        self.write_slots = self.pick(self.slots[:, None].expand(-1, self.t).flatten())
        self.write_position, self.write_tokens = self.pick(self.position.flatten()), self.pick(self.tokens.flatten())
        self._masks: dict[int | None, Tensor] = {}

    def pick(self, flat: Tensor) -> Tensor:
        """Leave out repetitions: (n * t, ...) to (real tokens, ...)."""
        return flat if self.real is None else flat[self.real]

    def visible(self, window: int | None) -> tuple[int, slice]:
        """First prefix key and range of own keys that are computed for a sliding window.

        The whole capacity is taken unless that is much more than is seen: it needs no copy for the products.
        """
        first = 0 if window is None else self.pool.offset + self.shortest - window + 1
        own = max(first - self.pool.offset, 0)
        if 2 * self.pool.capacity <= 3 * (self.longest - own):
            return min(max(first, 0), self.pool.offset), slice(0, self.pool.capacity)
        return min(max(first, 0), self.pool.offset), slice(own, self.longest)

    def mask(self, window: int | None) -> Tensor:
        """(n, t, keys) True where a query may look; keys = visible prefix, then own."""
        if window not in self._masks:
            prefix_from, own = self.visible(window)
            offset, to = self.pool.offset, self.position.device
            keys = torch.cat([torch.arange(prefix_from, offset), torch.arange(own.start, own.stop) + offset]).to(to)
            query = (self.position + offset)[..., None]
            seen = keys <= query
            if window is not None:
                seen &= keys > query - window
            self._masks[window] = seen
        return self._masks[window]


@dataclass
class Pass:
    """One forward pass over a pool: which tokens of the packed row belong to which slot.

    spans: (slot, length before, first token, end token) for each session, tokens counted in the packed row. Sessions
    with one token and those with a few are computed as a batch each, longer ones one by one.
    """

    pool: Pool
    spans: list[tuple[int, int, int, int]]
    device: torch.device
    masks: dict[object, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the spans by how they are computed."""
        by_slot = sorted(self.spans)
        single = [s for s in by_slot if s[3] - s[2] == 1]
        few = [s for s in by_slot if 1 < s[3] - s[2] <= FEW]
        self.groups = [Group(self.pool, spans, self.device) for spans in (single, few) if spans]
        self.longer = [s for s in by_slot if s[3] - s[2] > FEW]

    def span_mask(self, before: int, tokens: int, window: int | None) -> Tensor:
        """(tokens, keys) True where query i, at position offset + before + i, may look at key j of prefix and slot."""
        key = (before, tokens, window)
        if key not in self.masks:
            start = self.pool.offset + before
            query = torch.arange(start, start + tokens, device=self.device)[:, None]
            keys = torch.arange(start + tokens, device=self.device)
            seen = keys <= query
            if window is not None:
                seen &= keys > query - window
            self.masks[key] = seen
        return self.masks[key]


PASS: contextvars.ContextVar[Pass] = contextvars.ContextVar("boresight_pass")
"""The pass that `attend` serves; set by the engine around a model's forward."""

_UNSUPPORTED = ("s_aux", "position_bias", "cross_attention_mask")


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **other: object,
) -> tuple[Tensor, None]:
    """Attention of packed tokens over the slots of the current pass (transformers' attention interface).

    query: (1, heads, tokens, dim); key, value: (1, kv_heads, tokens, dim). Returns (1, tokens, heads, dim).
    """
    bad = [name for name in _UNSUPPORTED if other.get(name) is not None]
    if bad:
        raise NotImplementedError(f"attention argument {bad[0]} is not supported")
    now = PASS.get()
    heads, tokens, dim = query.shape[1:]
    scale = scaling if scaling is not None else dim**-0.5
    index: int = module.layer_idx  # type: ignore[assignment]
    now.pool.windows[index] = sliding_window
    keys, values = now.pool.layer(index, key)
    fresh_keys, fresh_values = key[0], value[0]
    out = query.new_empty(tokens, heads, value.shape[3])

    for group in now.groups:
        keys[group.write_slots, :, group.write_position] = fresh_keys[:, group.write_tokens].transpose(0, 1)
        values[group.write_slots, :, group.write_position] = fresh_values[:, group.write_tokens].transpose(0, 1)
        mixed = _few(group, index, query[0][:, group.tokens], keys, values, scale, sliding_window, softcap)
        out[group.write_tokens] = group.pick(mixed)
    for slot, before, start, end in now.longer:
        after = before + end - start
        keys[slot, :, before:after] = fresh_keys[:, start:end]
        values[slot, :, before:after] = fresh_values[:, start:end]
        own = (keys[slot, :, :after], values[slot, :, :after])
        if now.pool.prefix:
            frozen = now.pool.prefix.layers[index]
            own = (torch.cat([frozen[0], own[0]], 1), torch.cat([frozen[1], own[1]], 1))
        mask = now.span_mask(before, end - start, sliding_window)
        out[start:end] = _span(query[:, :, start:end], own[0][None], own[1][None], mask, scale, softcap)
    return out[None], None


def _wide(scores: Tensor) -> Tensor:
    """At least float32, as the models' own attention takes its softmax."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def _span(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, softcap: float | None) -> Tensor:
    """(1, heads, t, dim) queries over (1, kv_heads, keys, dim): returns (t, heads, dim)."""
    if softcap is None:
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=True)
        return mixed[0].transpose(0, 1)
    groups = q.shape[1] // k.shape[1]
    grouped = q[0].unflatten(0, (k.shape[1], groups))  # (kv_heads, groups, t, dim)
    scores = _wide(grouped @ k[0][:, None].transpose(-1, -2)) * scale
    scores = torch.tanh(scores / softcap) * softcap
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1).to(q.dtype)
    return (weights @ v[0][:, None]).flatten(0, 1).transpose(0, 1)


def _few(
    group: Group,
    index: int,
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """A few queries per session, all sessions at once. q: (heads, n, t, dim); returns (n * t, heads, dim).

    Scores against the shared prefix are one product for the whole batch; they are joined with the scores against each
    session's own keys before the softmax, so the result is that of ordinary attention. The query heads that share a key
    head stand as so many queries.
    """
    n, t = q.shape[1:3]
    prefix_from, own = group.visible(window)
    if group.view:
        own_k, own_v = keys[:n, :, own], values[:n, :, own]
    else:
        own_k, own_v = (x[:, :, own].index_select(0, group.slots) for x in (keys, values))
    prefix = group.pool.prefix
    heads = q.transpose(0, 1).unflatten(1, (own_k.shape[1], -1))  # (n, kv_heads, groups, t, dim)
    grouped = heads.flatten(2, 3).contiguous()
    mask = group.mask(window)[:, None, None]  # (n, 1, 1, t, keys)
    if prefix is None and softcap is None and n < MANY:
        tiled = mask.expand(-1, -1, heads.shape[2], -1, -1).flatten(2, 3)
        mixed = F.scaled_dot_product_attention(grouped, own_k, own_v, attn_mask=tiled, scale=scale)
    else:
        scores = grouped @ own_k.transpose(-1, -2)
        shared = 0
        if prefix is not None:
            frozen_k = prefix.layers[index][0][:, prefix_from:]  # (kv_heads, shared, dim)
            shared = frozen_k.shape[1]
            flat = grouped.transpose(0, 1).flatten(1, 2)  # (kv_heads, n * groups * t, dim)
            ahead = (flat @ frozen_k.transpose(-1, -2)).unflatten(1, (n, -1)).transpose(0, 1)
            scores = torch.cat([ahead, scores], -1)
        scores = _wide(scores) * scale
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        scores = scores.unflatten(2, (-1, t)).masked_fill(~mask, float("-inf")).flatten(2, 3)
        weights = scores.softmax(-1).to(q.dtype)
        mixed = weights[..., shared:] @ own_v
        if prefix is not None:
            frozen_v = prefix.layers[index][1][:, prefix_from:]
            flat = weights[..., :shared].transpose(0, 1).flatten(1, 2)
            mixed = mixed + (flat @ frozen_v).unflatten(1, (n, -1)).transpose(0, 1)
    return mixed.unflatten(2, (-1, t)).flatten(1, 2).transpose(1, 2).flatten(0, 1)
