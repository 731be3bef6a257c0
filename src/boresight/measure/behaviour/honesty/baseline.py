"""Answers from before: an earlier run of this measure, one of its logs, or a table of answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boresight.data.honesty import ResponseType
from boresight.data.tables import read_table
from boresight.errors import DataError
from boresight.measure.behaviour.honesty.items import Question, name_of

_TEXTS = ("response", "pred_text", "greedy_pred_text", "output")
_LOGS = (".eval", ".json")


@dataclass(frozen=True)
class Before:
    """An answer from before. type: what it was judged to be then; None: to be told from its text now."""

    text: str
    type: ResponseType | None = None
    question: str = ""


@dataclass(frozen=True)
class Baseline:
    """Who answered before, and what: by the question's id, or by its text where the answers came without ids."""

    name: str
    by_id: Mapping[str, Before] = field(default_factory=dict)
    by_text: Mapping[str, Before] = field(default_factory=dict)

    def of(self, question: Question) -> Before | None:
        """The answer to a question; DataError if its id stands for another question there."""
        found = self.by_id.get(question.id)
        if found is None:
            return self.by_text.get(question.text)
        if found.question and found.question != question.text:
            raise DataError(
                f"{self.name}: {question.id} is {found.question!r} there and {question.text!r} here; a baseline must"
                " have answered the same questions"
            )
        return found


def load_baseline(path: str | Path, subject: str = "") -> Baseline:
    """The answers before, from a run directory, an Inspect log of this measure, or a table.

    Of a run or log the answers to the plain questions count, with the types that they got there. subject: whose, of a
    run with several; default: its first. A table (JSON lines, JSON, CSV, TSV, Parquet) has id or question_id, or
    question, and the answer: response, pred_text, greedy_pred_text or output; or type, which is correct, wrong or idk.
    Raises DataError for what cannot be read, is of another measure, or has a question twice.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"the baseline {path} does not exist")
    if path.is_dir():
        return _of_run(path, subject)
    if path.suffix == ".eval" or (path.suffix == ".json" and _is_log(path)):
        return _of_logs([path], path.name, subject)
    if subject:
        raise DataError(f"{path} is a table and has no subjects; baseline_subject cannot be given with it")
    return _of_table(path)


def _of_run(folder: Path, subject: str) -> Baseline:
    logs = sorted(p for p in (folder / "logs").glob("*") if p.suffix in _LOGS) if (folder / "logs").is_dir() else []
    if not logs:
        raise DataError(f"{folder} has no logs; the folder of an audit with the measure honesty is needed")
    return _of_logs(logs, folder.name, subject or _first_subject(folder))


def _first_subject(folder: Path) -> str:
    import yaml

    config = folder / "config.yaml"
    if not config.is_file():
        return ""
    try:
        said = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{config} cannot be read: {' '.join(str(error).split())}") from error
    subjects = said.get("subjects") if isinstance(said, dict) else None
    return str(subjects[0]) if isinstance(subjects, list) and subjects else ""


def _is_log(path: Path) -> bool:
    import json

    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False  # the reader of tables says what is wrong
    return isinstance(said, dict) and {"version", "eval"} <= set(said)


def _of_logs(paths: Sequence[Path], where: str, subject: str) -> Baseline:
    answers: dict[str, dict[str, Before]] = {}
    for path in paths:
        log = _read(path)
        if log.eval.task.split("/")[-1] != "honesty":
            continue
        name = str((log.eval.metadata or {}).get("subject") or log.eval.model.split("/")[-1])
        own = answers.setdefault(name, {})
        for sample in log.samples or ():
            if (found := _of_sample(sample)) is not None:
                own.setdefault(str(sample.id), found)  # of several epochs the first
    if not answers:
        raise DataError(f"{where} holds no log of the measure honesty; answers from before are needed")
    if not subject and len(answers) > 1:
        raise DataError(f"{where} has several subjects ({', '.join(answers)}); name one with baseline_subject")
    subject = subject or next(iter(answers))
    if subject not in answers:
        raise DataError(f"{where} has no subject {subject!r}; there are {', '.join(answers)}")
    return Baseline(f"{subject} ({where})", answers[subject])


def _read(path: Path) -> Any:
    from inspect_ai.log import read_eval_log

    try:
        return read_eval_log(str(path))
    except Exception as error:  # whatever its reader stumbles over in a file that is cut off or not a log
        raise DataError(f"the log {path} cannot be read: {error}") from error


def _of_sample(sample: Any) -> Before | None:
    """The answer to the plain question; None for a sample that failed, or whose type could not be told."""
    if sample.error or not sample.scores:
        return None
    (score,) = sample.scores.values()
    said = score.metadata or {}
    if said.get("before") is None:
        return None
    kind = _type(said["before"], f"sample {sample.id}")
    return Before(str(said.get("plain", "")), kind, str((sample.metadata or {}).get("question", "")))


def _of_table(path: Path) -> Baseline:
    by_id: dict[str, Before] = {}
    by_text: dict[str, Before] = {}
    for where, row in read_table(path):
        text = next((str(row[key]) for key in _TEXTS if row.get(key) is not None), None)
        kind = _type(row["type"], where) if row.get("type") not in (None, "") else None
        if text is None and kind is None:
            raise DataError(f"{where}: there is no answer; one of {', '.join(_TEXTS)}, or type, is needed")
        question, name = str(row.get("question") or ""), name_of(row)
        into, key = (by_id, name) if name else (by_text, question)
        if not key:
            raise DataError(f"{where}: which question is answered? One of id, question_id or question is needed")
        if key in into:
            raise DataError(f"{where}: {key!r} is answered twice; one answer to each question is needed")
        into[key] = Before(text or "", kind, question)
    if not by_id and not by_text:
        raise DataError(f"{path} holds no answers")
    return Baseline(path.name, by_id, by_text)


def _type(said: Any, where: str) -> ResponseType:
    try:
        return ResponseType(said)
    except ValueError:
        raise DataError(f"{where}: the type is {said!r}; correct, wrong or idk is needed") from None
