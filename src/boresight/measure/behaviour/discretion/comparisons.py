"""Comparisons of two answers, where they come from, and what annotators said of them.

Read as they are published: rows of our own (prompt, response_1, response_0, preference), HH-RLHF (chosen, rejected) and
PKU-SafeRLHF (response_0, response_1 and the ids of the better and the safer one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boresight.data import load_set
from boresight.errors import DataError
from boresight.measure.behaviour.discretion.sources import read_rows

_TURN = "\n\nAssistant:"
_WORDS = {"1": 1, "+1": 1, "-1": -1, "0": 0, "": 0, "response_1": 1, "response_0": -1, "tie": 0, "none": 0}


@dataclass(frozen=True)
class Comparison:
    """A prompt and two answers. preference: of the set's annotator, +1 response_1, -1 response_0, 0 none."""

    id: str
    prompt: str
    response_1: str
    response_0: str
    preference: int = 0
    topic: str = ""


def bundled() -> list[Comparison]:
    """The built-in set: 200 everyday requests with two answers each; `preference` is the choice of the set's author."""
    return [Comparison(**row) for row in load_set("discretion")]


def split_dialogue(text: str) -> tuple[str, str]:
    """(everything before the last "Assistant:", the answer after it) of an HH-RLHF transcript; ValueError if none."""
    before, found, answer = text.rpartition(_TURN)
    if not found:
        raise ValueError('there is no "Assistant:" turn')
    return before.strip(), answer.strip()


def load_comparisons(path: str | Path, label: str = "better") -> list[Comparison]:
    """All comparisons of a file (see `boresight.data.tables`) or of hub:OWNER/NAME; DataError naming row and field.

    label: which of two human labels of PKU-SafeRLHF counts, "better" or "safer".
    """
    found: list[Comparison] = []
    for number, (where, row) in enumerate(read_rows(path), 1):
        name = str(number) if row.get("id") in (None, "") else str(row["id"])
        found.append(_comparison(row, where, name, label))
    if not found:
        raise DataError(f"{path} holds no comparison: at least one row is needed")
    seen: set[str] = set()
    for one in found:
        if one.id in seen:
            raise DataError(f"{path}: the id {one.id!r} stands there twice; each comparison needs its own")
        seen.add(one.id)
    return found


def _comparison(row: Mapping[str, Any], where: str, name: str, label: str) -> Comparison:
    if "chosen" in row and "rejected" in row:
        try:
            prompt, chosen = split_dialogue(_text(row, "chosen", where))
            other, rejected = split_dialogue(_text(row, "rejected", where))
        except ValueError as error:
            raise DataError(f"{where}: 'chosen' or 'rejected': {error}") from error
        if prompt != other and not row.get("prompt"):
            raise DataError(f"{where}: 'chosen' and 'rejected' do not continue the same dialogue")
        return Comparison(name, prompt, chosen, rejected, 1)
    texts = {field: _text(row, field, where) for field in ("prompt", "response_1", "response_0")}
    if f"{label}_response_id" in row:
        best = row[f"{label}_response_id"]
        if str(best) not in ("0", "1"):
            raise DataError(f"{where}: '{label}_response_id' is {best!r}; 0 or 1 is needed")
        return Comparison(name, **texts, preference=1 if str(best) == "1" else -1)
    preference = choice(row.get("preference"), f"{where}: 'preference'")
    return Comparison(name, **texts, preference=preference, topic=str(row.get("topic") or ""))


def _text(row: Mapping[str, Any], field: str, where: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: '{field}' is missing or empty; a comparison needs prompt, response_1 and response_0")
    return value


def choice(value: Any, where: str) -> int:
    """+1, -1 or 0 from a number or one of response_1, response_0, tie; DataError for anything else."""
    missing = value is None or value != value  # an empty cell of Parquet is None or NaN
    text = "" if missing else str(value).strip().lower().removesuffix(".0").replace("-0", "0")
    if text not in _WORDS:
        raise DataError(f"{where} is {value!r}; 1, -1, 0, response_1, response_0 or tie is needed")
    return _WORDS[text]


def load_labels(path: str | Path, comparisons: Sequence[Comparison]) -> dict[str, np.ndarray]:
    """Human labels of these comparisons: annotator -> a, int8 (n,), 0 where one did not label.

    Rows hold `id`, `preference` (as `choice` reads it) and perhaps `annotator` ("human" if there is none). With several
    annotators there is one more, "majority": the sign of their sum. DataError naming the row for an unknown id or a
    second label of one annotator.
    """
    at = {c.id: i for i, c in enumerate(comparisons)}
    found: dict[str, np.ndarray] = {}
    seen: set[tuple[str, str]] = set()
    for where, row in read_rows(path):
        name, who = str(row.get("id", "")), str(row.get("annotator") or "human")
        if name not in at:
            raise DataError(f"{where}: 'id' is {name!r}, which is no comparison of this set")
        if (who, name) in seen:
            raise DataError(f"{where}: {who!r} has labelled {name!r} already")
        seen.add((who, name))
        labels = found.setdefault(who, np.zeros(len(comparisons), dtype=np.int8))
        labels[at[name]] = choice(row.get("preference"), f"{where}: 'preference'")
    if not found:
        raise DataError(f"{path} holds no label: at least one row with id and preference is needed")
    if len(found) > 1 and "majority" not in found:
        found["majority"] = np.sign(np.sum(list(found.values()), axis=0)).astype(np.int8)
    return found
