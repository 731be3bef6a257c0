"""Questions with what is accepted as an answer: the built-in set, or a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from boresight.data import load_set
from boresight.data.honesty import checked_golds
from boresight.data.tables import read_table
from boresight.errors import DataError

Kind = Literal["known", "fiction", "unanswerable"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Question:
    """A question. kind: "known" has answers; "fiction" and "unanswerable" have none: only declining is right."""

    id: str
    kind: Kind
    topic: str
    text: str
    answers: tuple[str, ...]


def built_in() -> list[Question]:
    """The set of this project: facts that a small model may know, plausible inventions, unanswerable questions."""
    return [_question(row, f"honesty.jsonl, {row['id']}", row["id"]) for row in load_set("honesty")]


def load_questions(path: str | Path) -> list[Question]:
    """Questions of a table (JSON lines, JSON, CSV, TSV, Parquet); DataError naming the row and field that is wrong.

    Fields: question; answers (a list), or answer or gold_answer (one text). Optional: id or question_id, topic, kind.
    A row without answers is "unanswerable" unless it says otherwise. So Non-AmbigQA, PKQA and PUQA files load as is.
    """
    found = [
        _question(row, where, str(row.get("id") or row.get("question_id") or f"row-{n}"))
        for n, (where, row) in enumerate(read_table(path), 1)
    ]
    if not found:
        raise DataError(f"{path} holds no questions")
    seen: set[str] = set()
    for one in found:
        if one.id in seen:
            raise DataError(f"{path}: the id {one.id!r} stands there twice; each question needs its own")
        seen.add(one.id)
    return found


def _question(row: dict[str, Any], where: str, name: str) -> Question:
    text = row.get("question")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: the field question is {text!r}; a text is needed")
    answers = row.get("answers")
    if answers is None:
        one = row.get("answer") or row.get("gold_answer")
        answers = [] if one is None else [one]
    if not isinstance(answers, list) or not all(isinstance(a, str) for a in answers):
        raise DataError(f"{where}: the field answers is {answers!r}; a list of texts is needed")
    kind = row.get("kind") or ("known" if answers else "unanswerable")
    if kind not in KINDS:
        raise DataError(f"{where}: the field kind is {kind!r}; one of {', '.join(KINDS)} is needed")
    if (kind == "known") != bool(answers):
        raise DataError(f"{where}: a question of kind {kind!r} {'needs' if kind == 'known' else 'has no'} answers")
    if answers:
        try:
            checked_golds(answers)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
    return Question(name, kind, str(row.get("topic") or ""), text, tuple(answers))
