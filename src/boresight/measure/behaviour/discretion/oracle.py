"""An oracle that says, one principle at a time, which of two answers fits it better: label log-probabilities of a model
on this machine.

The principle stands last. So a comparison is read once, its cache is frozen, and the k principles are k short
continuations of it in one packed pass: about k times fewer tokens than one prompt per principle.
"""

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from boresight.data import open_text, read_jsonl
from boresight.errors import DataError, ModelError
from boresight.measure.behaviour.discretion.comparisons import Comparison
from boresight.measure.behaviour.discretion.prompts import LABELS, VERSION, question

if TYPE_CHECKING:
    from boresight.lm.local import LocalModel

log = logging.getLogger(__name__)
_SPELLINGS = ("{}", " {}", '"{}')
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
    wrong = [order for order in orders if order not in (0, 1)]
    if wrong or not orders:
        raise ValueError(f"orders is {tuple(orders)}; 0, 1 or both are needed")
    labels = LABELS if include_na else LABELS[:2]
    known = _read(kept)
    scores = np.full((len(comparisons), len(principles), len(orders), len(LABELS)), -np.inf)
    cut = 0
    empty = Comparison("", "-", "-", "-")
    prior = _one(model, empty, principles, 0, labels)[0] if debias else np.zeros((len(principles), len(labels)))
    for i, comparison in enumerate(comparisons):
        for j, order in enumerate(orders):
            key = _key(model, comparison, principles, order, labels)
            if key not in known:
                found, was_cut = _one(model, comparison, principles, order, labels)
                cut += was_cut
                known[key] = found.tolist()
                _append(kept, key, known[key])
            scores[i, :, j, : len(labels)] = np.array(known[key]) - prior
    if cut:
        log.warning("%d of %d comparisons did not fit the context and were cut", cut, len(comparisons) * len(orders))
    return scores


def _one(
    model: "LocalModel", comparison: Comparison, principles: Sequence[str], order: int, labels: Sequence[str]
) -> tuple[np.ndarray, bool]:
    """((k, labels) log-probabilities, whether texts were cut) of one comparison in one order."""
    rows, cut = _prompts(model, comparison, principles, order, len(labels) == len(LABELS))
    spelled = [[_ids(model, s.format(label)) for s in _SPELLINGS] for label in labels]
    return np.array(_read_labels(model, rows, spelled)).reshape(len(principles), len(labels)), cut


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


def _read_labels(
    model: "LocalModel", rows: Sequence[list[int]], spelled: Sequence[Sequence[list[int]]]
) -> list[list[float]]:
    """Log-probability of each label (all its spellings) after each row; what the rows share is read once."""
    import torch

    from boresight.lm.decode import Ask
    from boresight.lm.session import Session

    pool = model.pool([*rows])
    sessions = [Session(model, pool) for _ in rows]
    asks = [Ask(s, ids[len(s) :], (len(ids) - len(s) - 1,)) for s, ids in zip(sessions, rows, strict=True)]
    after = [step.logits[0].double().log_softmax(-1) for step in model.extend(asks)]
    memory: dict[tuple[int, ...], list[torch.Tensor]] = {(): after}

    def following(ids: tuple[int, ...]) -> list[torch.Tensor]:
        """Next-token log-probabilities of every row after these ids of a label."""
        if ids not in memory:
            steps = model.extend([Ask(s, ids, (len(ids) - 1,)) for s in sessions])
            memory[ids] = [step.logits[0].double().log_softmax(-1) for step in steps]
            for s in sessions:
                s.rewind(len(ids))
        return memory[ids]

    found: list[list[float]] = [[] for _ in rows]
    for spellings in spelled:
        ways = {tuple(ids) for ids in spellings if ids}
        for i in range(len(rows)):
            sums = [sum(following(w[:at])[i][w[at]].item() for at in range(len(w))) for w in ways]
            found[i].append(float(np.logaddexp.reduce(sums)))
    for s in sessions:
        s.close()
    return found


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
