"""An oracle that says, one principle at a time, which of two answers fits it better: label log-probabilities of a model
on this machine.

The principle stands last. So a comparison is read once and the k principles are k short continuations of it in packed
passes: for long comparisons about k times fewer tokens than one prompt per principle.
"""

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from boresight.data import open_text, read_jsonl
from boresight.errors import DataError, ModelError
from boresight.measure.behaviour.discretion.comparisons import Comparison
from boresight.measure.behaviour.discretion.prompts import LABELS, SPELLINGS, VERSION, question

if TYPE_CHECKING:
    import torch

    from boresight.lm.local import LocalModel

log = logging.getLogger(__name__)
BATCH_TOKENS = 8192  # of prompts whose caches are held at once
_SHARE = 0.4  # of the room that each answer may take, before the prompt's own share


def collect(
    model: "LocalModel",
    comparisons: Sequence[Comparison],
    principles: Sequence[str],
    orders: Sequence[int] = (0,),
    include_na: bool = True,
    debias: bool = False,
    *,
    kept: str | Path | None = None,
) -> np.ndarray:
    """Log-probabilities of the labels A, B and NA, float (n, k, orders, 3), as `discretise` reads them.

    orders: 0 shows answer 1 as A, 1 shows answer 0 as A. include_na: False leaves NA out (-inf). debias: subtract the
    label log-probabilities after an empty comparison, which a small model prefers whatever it is asked; the values are
    no log-probabilities then. A label counts with and without a leading space or quote. An answer is cut from the right
    and the prompt from the left where a comparison does not fit the context; how many were cut is logged.

    kept: a file of JSON lines to which each comparison's scores are appended, keyed by a hash of model, wording and
    texts; what stands there already is not computed again. Raises ModelError for a model without caches of its own.
    """
    if not all(hasattr(model, name) for name in ("prefix", "extend", "pool")):
        raise ModelError(f"{getattr(model, 'name', model)} cannot be an oracle: a model on this machine is needed")
    orders = tuple(orders)
    wrong = [order for order in orders if order not in (0, 1)]
    if wrong or not orders:
        raise ValueError(f"orders is {orders}; 0, 1 or both are needed")
    comparisons, principles = list(comparisons), list(principles)
    labels = LABELS if include_na else LABELS[:2]
    known = _read(kept)
    prior = np.zeros((len(principles), len(labels)))
    if debias:
        empty = Comparison("", "-", "-", "-")
        prior = _read_labels(model, [_prompts(model, empty, principles, 0, include_na)[0]], labels)[0]
    keys = [[_key(model, c, principles, order, labels) for order in orders] for c in comparisons]
    asked = [(key, c, o) for c, row in zip(comparisons, keys, strict=True) for key, o in zip(row, orders, strict=True)]
    todo = {key: (c, order) for key, c, order in asked if key not in known}
    cut = 0
    for batch, was_cut in _batches(model, todo, principles, include_na):
        cut += was_cut
        for key, found in zip(batch, _read_labels(model, list(batch.values()), labels), strict=True):
            known[key] = found.tolist()
            _append(kept, key, known[key])
    if cut:
        log.warning("%d of %d comparisons did not fit the context and were cut", cut, len(comparisons) * len(orders))
    scores = np.full((len(comparisons), len(principles), len(orders), len(LABELS)), -np.inf)
    for i, row in enumerate(keys):
        for j, key in enumerate(row):
            scores[i, :, j, : len(labels)] = np.array(known[key]).reshape(len(principles), len(labels)) - prior
    return scores


def _batches(
    model: "LocalModel", todo: dict[str, tuple[Comparison, int]], principles: Sequence[str], include_na: bool
) -> Iterator[tuple[dict[str, list[list[int]]], int]]:
    """(key -> token ids of each principle's prompt, how many were cut): short comparisons go together, so that no pass
    is small, and their caches stay within BATCH_TOKENS."""
    batch: dict[str, list[list[int]]] = {}
    size = cut = 0
    for key, (comparison, order) in todo.items():
        rows, was_cut = _prompts(model, comparison, principles, order, include_na)
        tokens = sum(map(len, rows))
        if batch and size + tokens > BATCH_TOKENS:
            yield batch, cut
            batch, size, cut = {}, 0, 0
        batch[key] = rows
        size, cut = size + tokens, cut + was_cut
    if batch:
        yield batch, cut


def _prompts(
    model: "LocalModel", comparison: Comparison, principles: Sequence[str], order: int, include_na: bool
) -> tuple[list[list[int]], bool]:
    """Token ids of each principle's prompt, texts cut so that all fit."""
    one, zero = comparison.response_1, comparison.response_0
    texts = [comparison.prompt, one, zero] if order == 0 else [comparison.prompt, zero, one]

    def encoded(parts: Sequence[str]) -> list[list[int]]:
        return [model.encode(model.render(question(*parts, p, include_na))) for p in principles]  # type: ignore[misc]

    rows = encoded(texts)
    room = model.context - 8
    if not rows or max(map(len, rows)) <= room:
        return rows, False
    frame = max(map(len, encoded(["-", "-", "-"])))
    budget = room - frame
    if budget < 3:
        raise ModelError(f"a principle alone takes {frame} tokens and {model.name} reads at most {model.context}")
    most = max(1, int(_SHARE * budget))
    answers = [_cut(model, text, most, left=False) for text in texts[1:]]
    used = sum(model.count_tokens(text) for text in answers)
    while max(map(len, rows)) > room:
        rows = encoded([_cut(model, texts[0], max(1, budget - used), left=True), *answers])
        budget -= 8  # tokens at the borders of texts may part differently
        if budget - used < -room:
            raise ModelError(f"comparison {comparison.id!r} does not fit the context of {model.name}")
    return rows, True


def _cut(model: "LocalModel", text: str, most: int, *, left: bool) -> str:
    ids = _ids(model, text)
    return text if len(ids) <= most else model.decode(ids[-most:] if left else ids[:most])


def _ids(model: "LocalModel", text: str) -> list[int]:
    return list(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def _read_labels(model: "LocalModel", groups: Sequence[Sequence[list[int]]], labels: Sequence[str]) -> list[np.ndarray]:
    """Per comparison, log-probability of each label (all its spellings) after each of its prompts, (k, labels).

    What all prompts share (the system message) is read once, and so is what those of one comparison share.
    """
    from boresight.lm.decode import Ask
    from boresight.lm.session import Session, common_prefix

    spelled = [{tuple(_ids(model, s.format(label))) for s in SPELLINGS} - {()} for label in labels]
    pool = model.pool([ids for rows in groups for ids in rows])
    leads = [Session(model, pool) for _ in groups]
    shared = [min(common_prefix(min(rows), max(rows)), min(map(len, rows)) - 1) if rows else 0 for rows in groups]
    begun = [(s, rows[0][len(s) : n]) for s, rows, n in zip(leads, groups, shared, strict=True) if n > len(s)]
    model.extend([Ask(session, ids, ()) for session, ids in begun])
    sessions: list[Session] = []
    asks: list[Ask] = []
    for lead, rows in zip(leads, groups, strict=True):
        own = [lead, *(lead.fork() for _ in rows[1:])] if rows else []
        sessions += own
        asks += [Ask(s, ids[len(s) :], (len(ids) - len(s) - 1,)) for s, ids in zip(own, rows, strict=True)]
    memory: dict[tuple[int, ...], list[torch.Tensor]] = {}
    memory[()] = [step.logits[0].double().log_softmax(-1) for step in model.extend(asks)]

    def following(ids: tuple[int, ...]) -> "list[torch.Tensor]":
        """Next-token log-probabilities of every row after these ids of a label."""
        if ids not in memory:
            steps = model.extend([Ask(s, ids, (len(ids) - 1,)) for s in sessions])
            memory[ids] = [step.logits[0].double().log_softmax(-1) for step in steps]
            for s in sessions:
                s.rewind(len(ids))
        return memory[ids]

    found = np.array(
        [
            [np.logaddexp.reduce([sum(following(w[:t])[i][w[t]].item() for t in range(len(w))) for w in ways])]
            for i in range(len(sessions))
            for ways in spelled
        ]
    ).reshape(len(sessions), len(labels))
    for s in [*sessions, *(lead for lead, rows in zip(leads, groups, strict=True) if not rows)]:
        s.close()
    return np.split(found, np.cumsum([len(rows) for rows in groups])[:-1])


def _key(model: Any, c: Comparison, principles: Sequence[str], order: int, labels: Sequence[str]) -> str:
    texts = [VERSION, model.name, str(model.revision), str(model.dtype), c.prompt, c.response_1, c.response_0]
    asked = json.dumps([*texts, list(principles), order, list(labels)])
    return hashlib.sha256(asked.encode()).hexdigest()[:32]


def _read(path: str | Path | None) -> dict[str, list[list[float]]]:
    """What a file holds; a last line that an interruption cut off is not there."""
    if path is None or not Path(path).exists():
        return {}
    with open_text(path) as file:
        lines = file.read().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):
        Path(path).write_text("".join(whole), encoding="utf-8")
    try:
        return {row["key"]: row["scores"] for _, row in read_jsonl(whole, str(path))}
    except KeyError as error:
        raise DataError(f"{path} does not hold scores of comparisons: {error} is missing") from error


def _append(path: str | Path | None, key: str, scores: list[list[float]]) -> None:
    if path is None:
        return
    if not all(math.isfinite(x) for row in scores for x in row):
        return
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"key": key, "scores": scores}) + "\n")
