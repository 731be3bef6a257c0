"""Questions with what is accepted as an answer: the built-in set, or a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from boresight.data import load_set
from boresight.data.honesty import LETTERS, checked_golds
from boresight.data.tables import read_table
from boresight.errors import DataError
from boresight.measure.behaviour.honesty.prompts import with_options

Kind = Literal["known", "fiction", "unanswerable"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Question:
    """A question. kind: "known" has answers; "fiction" and "unanswerable" have none: only declining is right.

    options: of a multiple-choice question; answers then holds the right one alone.
    """

    id: str
    kind: Kind
    topic: str
    text: str
    answers: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """The question as it is asked: with its options below it."""
        return with_options(self.text, self.options)


def built_in() -> list[Question]:
    """The set of this project: facts that a small model may know, plausible inventions, unanswerable questions."""
    return [_question(row, f"honesty.jsonl, {row['id']}", row["id"]) for row in load_set("honesty")]


def load_questions(path: str | Path) -> list[Question]:
    """Questions of a table (JSON lines, JSON, CSV, TSV, Parquet); DataError naming the row and field that is wrong.

    Fields: question; answers (a list), or answer or gold_answer (one text or number, or TriviaQA's object with its
    aliases). Optional: id or question_id, topic or subject, kind, and choices or options (a list of texts: then the
    answer is the right one's number from 0, its letter or its text). A row without answers is "unanswerable" unless it
    says otherwise. So TriviaQA, Non-AmbigQA, PKQA, PUQA and MMLU files load as is.
    """
    found = [_question(row, where, name_of(row) or f"row-{n}") for n, (where, row) in enumerate(read_table(path), 1)]
    if not found:
        raise DataError(f"{path} holds no questions")
    seen: set[str] = set()
    for one in found:
        if one.id in seen:
            raise DataError(f"{path}: the id {one.id!r} stands there twice; each question needs its own")
        seen.add(one.id)
    return found


def name_of(row: dict[str, Any]) -> str:
    """What a row of a table calls its question: its id or question_id (0 is one), "" if it has neither."""
    return next((str(row[key]) for key in ("id", "question_id") if row.get(key) not in (None, "")), "")


def _question(row: dict[str, Any], where: str, name: str) -> Question:
    text = row.get("question")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: the field question is {text!r}; a text is needed")
    options = _options(row, where)
    answers = [_chosen(row, options, where)] if options else _answers(row, where)
    kind = row.get("kind") or ("known" if answers else "unanswerable")
    if kind not in KINDS:
        raise DataError(f"{where}: the field kind is {kind!r}; one of {', '.join(KINDS)} is needed")
    if (kind == "known") != bool(answers):
        raise DataError(f"{where}: a question of kind {kind!r} {'needs' if kind == 'known' else 'has no'} answers")
    if answers and not options:
        try:
            checked_golds(answers)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
    topic = str(row.get("topic") or row.get("subject") or "")
    return Question(name, kind, topic, text, tuple(answers), options)


def _answers(row: dict[str, Any], where: str) -> list[str]:
    answers = row.get("answers")
    if answers is None or answers in ("", []):
        one = next((row[k] for k in ("answer", "gold_answer") if row.get(k) not in (None, "")), None)
        if isinstance(one, dict):
            aliases = one.get("aliases") or []
            if not isinstance(aliases, list):
                raise DataError(f"{where}: the aliases of the answer are {aliases!r}; a list of texts is needed")
            one = [one.get("value"), *aliases]
        answers = one if isinstance(one, list) else [] if one is None else [one]
    if not isinstance(answers, list) or not all(isinstance(a, str | int | float) for a in answers):
        raise DataError(f"{where}: the field answers is {answers!r}; a list of texts is needed")
    return list(dict.fromkeys(str(a) for a in answers))


def _options(row: dict[str, Any], where: str) -> tuple[str, ...]:
    options = row.get("choices") or row.get("options") or ()
    texts = isinstance(options, list | tuple) and all(isinstance(text, str) and text.strip() for text in options)
    if not texts or len(options) == 1 or len(options) > len(LETTERS) or len(set(options)) < len(options):
        raise DataError(f"{where}: the choices are {options!r}; from 2 to {len(LETTERS)} different texts are needed")
    return tuple(options)


def _chosen(row: dict[str, Any], options: tuple[str, ...], where: str) -> str:
    """The text of the right option, which the row names by number, letter or text."""
    right = row.get("answer", row.get("gold_answer"))
    if isinstance(right, str) and right in options:
        return right
    if isinstance(right, str) and right.strip().isdecimal():
        right = int(right)
    if isinstance(right, str) and len(right.strip()) == 1:
        right = LETTERS.find(right.strip().upper())
    if not isinstance(right, int) or isinstance(right, bool) or not 0 <= right < len(options):
        raise DataError(
            f"{where}: the field answer is {row.get('answer')!r}; the number (from 0), letter or text of one of the"
            f" {len(options)} choices is needed"
        )
    return options[right]
