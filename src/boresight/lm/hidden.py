"""What a model holds inside: hidden states of many texts, pooled pass by pass, so that no more than a pass is alive.

For measures on latents (probes, separability of safe and unsafe answers): 20,000 texts x 30 layers of a small model are
a few gigabytes pooled and hundreds unpooled. Texts are packed, never padded, so what a text gets does not depend on its
company. Means leave out the first token of a text: it serves attention as a resting place, its state is many times
longer than the others and nearly the same for all texts, and it would be most of a mean.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from boresight.errors import ModelError
from boresight.lm.packed import read

if TYPE_CHECKING:
    from torch import Tensor

    from boresight.lm.local import LocalModel

Pooling = Literal["mean", "last", "none"]
Text = str | Sequence[int]
"""A text (tokenized as a prompt is), or token ids."""


def hidden_states(
    model: "LocalModel",
    texts: Sequence[Text],
    *,
    layers: Sequence[int] | None = None,
    pool: Pooling = "mean",
    spans: Sequence[tuple[int, int]] | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index of the text, float32 array) for every text, each as soon as its pass is done, short texts first.

    layers: counted as transformers counts them: 0 is the embedding, i the output of block i, the last one (after the
    final norm) also -1; None: all, blocks + 1 of them.
    pool: "mean" over tokens gives (layers, width), "last" the last token's (layers, width), "none" all of them
    (layers, tokens, width). Sums are taken in float32 whatever the model's dtype.
    spans: for each text the tokens [start, end) that count, those of an answer for example (`LocalModel.joined` gives
    the ids of prompt + answer and where the answer begins). None: all, but the first token is left out of a mean
    where there is another.

    Raises ValueError for an unknown layer or pooling or an empty span, ModelError for a text longer than the context.
    """
    if pool not in get_args(Pooling):
        raise ValueError(f"pool is {pool!r}; one of {', '.join(get_args(Pooling))} is needed")
    rows = [model.encode(text) if isinstance(text, str) else list(text) for text in texts]
    wanted = _spans(model, rows, spans, pool)
    chosen = _layers(model, layers)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    return _pooled(model, rows, order, wanted, chosen, pool)


def stacked_states(model: "LocalModel", texts: Sequence[Text], **how: Any) -> np.ndarray:
    """The pooled hidden states of all texts in order, (texts, layers, width) in float32.

    how: layers, pool ("mean" or "last") and spans of `hidden_states`. 20,000 texts, 31 layers of width 576: 1.4 GB.
    """
    if how.get("pool") == "none":
        raise ValueError("texts of different lengths cannot be stacked; pool is 'mean' or 'last'")
    found = dict(hidden_states(model, texts, **how))
    if not found:
        raise ValueError("there is no text to take hidden states of")
    return np.stack([found[i] for i in range(len(found))])


def _layers(model: "LocalModel", layers: Sequence[int] | None) -> list[int]:
    n = model.model.config.get_text_config().num_hidden_layers + 1
    if layers is None:
        return list(range(n))
    for layer in layers:
        if not -n <= layer < n:
            raise ValueError(f"{model.name} has no layer {layer}; its layers are 0 (the embedding) to {n - 1}")
    return [layer % n for layer in layers]


def _spans(
    model: "LocalModel", rows: Sequence[list[int]], spans: Sequence[tuple[int, int]] | None, pool: Pooling
) -> list[tuple[int, int]]:
    """Tokens [start, end) that count for each row, checked."""
    if spans is not None and len(spans) != len(rows):
        raise ValueError(f"there are {len(spans)} spans for {len(rows)} texts; one each is needed")
    found = []
    for i, ids in enumerate(rows):
        if len(ids) > model.context:
            raise ModelError(f"text {i + 1} has {len(ids)} tokens and {model.name} reads at most {model.context}")
        start, end = spans[i] if spans is not None else (int(pool == "mean" and len(ids) > 1), len(ids))
        if not 0 <= start < end <= len(ids):
            raise ValueError(f"text {i + 1}: the span {start} to {end} is empty or outside its {len(ids)} tokens")
        found.append((end - 1, end) if pool == "last" else (start, end))
    return found


def _pooled(
    model: "LocalModel",
    rows: Sequence[list[int]],
    order: Sequence[int],
    spans: Sequence[tuple[int, int]],
    layers: Sequence[int],
    pool: Pooling,
) -> Iterator[tuple[int, np.ndarray]]:
    import torch

    parts: dict[int, list[Tensor]] = {}  # of rows that go on in the next pass
    for out, pieces in read(model, [rows[i] for i in order], layers=True):
        states = torch.stack([out.hidden_states[layer][0] for layer in layers])  # (layers, tokens of the pass, width)
        del out
        for piece in pieces:
            i = order[piece.row]
            last = piece.first + piece.end - piece.start
            start, end = max(spans[i][0], piece.first), min(spans[i][1], last)
            if start < end:
                inside = states[:, piece.start + start - piece.first : piece.start + end - piece.first].float()
                parts.setdefault(i, []).append(inside if pool == "none" else inside.sum(1, keepdim=True))
            if last == len(rows[i]):
                joined = torch.cat(parts.pop(i), 1)
                if pool != "none":
                    joined = joined.sum(1) / (spans[i][1] - spans[i][0])
                yield i, joined.cpu().numpy()
