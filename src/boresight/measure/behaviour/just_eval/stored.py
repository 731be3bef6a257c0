"""Answers that exist already, and what others said of them: published files, JSON lines, and finished runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boresight.errors import DataError
from boresight.measure.behaviour.just_eval.items import TOTAL, Answer, Item, id_of, lite_ids, rows_of
from boresight.measure.behaviour.just_eval.judging import complete

SLUG = "just-eval"


@dataclass(frozen=True)
class Stored:
    """An answer that a system gave. instruction, category and generator are "" where the source does not tell."""

    id: int | str
    output: str
    instruction: str = ""
    category: str = ""
    generator: str = ""


def stored_answers(path: str | Path, subject: str = "") -> dict[str, Stored]:
    """Id (as text) -> answer, from a run directory's logs, or a file with rows of id and output.

    subject: whose, of a run directory; "": of its first subject. DataError naming the row and field that is wrong, for
    an id that comes twice, and for a run without answers of this measure.
    """
    path = Path(path)
    if path.is_dir():
        return _of_run(path, subject)
    if subject:
        raise DataError(f"{path} is a file of one system's answers; a subject can be named in a run directory only")
    found = [_stored(row, where) for row, where in rows_of(path)]
    _once([str(s.id) for s in found], path)
    if not found:
        raise DataError(f"{path} holds no answers")
    return {str(s.id): s for s in found}


def stored_scores(path: str | Path) -> dict[str, dict[str, Any]]:
    """Id (as text) -> aspect -> score as a judge gave it: rows of id with `scores` {aspect: score}, or as published,
    `parsed_result` {aspect: {"reason", "score"}} (null: that judgment failed). DataError naming row and field."""
    found: list[tuple[str, dict[str, Any]]] = []
    for row, where in rows_of(path):
        said = row.get("scores", row.get("parsed_result", ""))
        if said is None:
            said = {}
        if not isinstance(said, dict):
            raise DataError(f"{where}: field 'scores' (or 'parsed_result') with aspect -> score is needed")
        scores = {str(a): s.get("score") if isinstance(s, dict) else s for a, s in said.items()}
        found.append((str(id_of(row, where)), scores))
    _once([i for i, _ in found], path)
    return dict(found)


def matched(
    items: Sequence[Item], stored: Mapping[str, Stored], where: str | Path, split: str = "all", partial: bool = False
) -> list[Item]:
    """The items of a split that have a stored answer; an answer that brings its own instruction needs no item.

    DataError if an answer was given to another instruction than the item of its id has, or (unless `partial`) if ids
    are missing: of the public set where all ids are public, else of `items`.
    """
    known = {str(i.id): i for i in items}
    for key, answer in stored.items():
        if key in known and answer.instruction and answer.instruction.strip() != known[key].instruction.strip():
            raise DataError(
                f"{where}: id {key} has another instruction than the item of that id; are the ids the same?"
            )
        if key not in known and answer.instruction:
            known[key] = Item(answer.id, answer.instruction, _category(answer, where), answer.generator)
    kept = [item for key, item in known.items() if key in stored and in_split(item, split)]
    if not kept:
        raise DataError(f"{where} has no answer to an instruction of this set; give the instructions with data=FILE")
    if not partial:
        public = all(isinstance(i.id, int) and 0 <= i.id < TOTAL for i in kept)
        if public:
            complete([Answer(i.id, i.instruction, "") for i in kept], split == "lite", False)
        elif missing := [i.id for i in items if str(i.id) not in stored and in_split(i, split)]:
            some = ", ".join(map(str, missing[:5]))
            raise DataError(f"{where}: {len(missing)} ids are missing ({some}, ...); allow it with partial=true")
    return kept


def in_split(item: Item, split: str) -> bool:
    """Whether an item belongs to "all", "regular", "safety" or "lite"."""
    return split == "all" or (item.id in lite_ids() if split == "lite" else item.category == split)


def _category(answer: Stored, where: str | Path) -> Any:
    if answer.category in ("regular", "safety"):
        return answer.category
    if answer.category:
        raise DataError(f"{where}: id {answer.id} has the category {answer.category!r}; regular or safety is needed")
    mode = Answer(answer.id, answer.instruction, answer.output).mode()
    return "safety" if mode == "safety" else "regular"


def _stored(row: Mapping[str, Any], where: str) -> Stored:
    if not isinstance(row.get("output"), str):
        raise DataError(f"{where}: field 'output' is {row.get('output')!r}; text is needed")
    for name in ("instruction", "category", "generator"):
        if not isinstance(row.get(name) or "", str):
            raise DataError(f"{where}: field {name!r} is {row[name]!r}; text is needed")
    texts = [row.get(name) or "" for name in ("instruction", "category", "generator")]
    return Stored(id_of(row, where), row["output"], *texts)


def _once(ids: Sequence[str], path: str | Path) -> None:
    for i, n in Counter(ids).items():
        if n > 1:
            raise DataError(f"{path}: id {i} occurs {n} times; each must stand once")


def _of_run(run: Path, subject: str) -> dict[str, Stored]:
    """The answers in the logs of a run; one whose grading failed is an answer all the same."""
    from inspect_ai.log import list_eval_logs, read_eval_log

    logs: dict[str, Any] = {}
    for info in sorted(list_eval_logs(str(run / "logs")) if (run / "logs").is_dir() else [], key=lambda i: i.name):
        head = read_eval_log(info, header_only=True)
        if head.eval.task.split("/")[-1] == SLUG:
            logs[str((head.eval.metadata or {}).get("subject") or head.eval.model.split("/")[-1])] = info
    if not logs or (subject and subject not in logs):
        has = f"; it has those of {', '.join(logs)}" if logs else ""
        raise DataError(f"{run} has no answers{f' of {subject}' if subject else ''} to {SLUG}{has}")
    name = subject or _first(run, list(logs))
    found: dict[str, Stored] = {}
    for sample in read_eval_log(logs[name]).samples or []:
        if sample.epoch == 1 and sample.output.choices:
            text = sample.input if isinstance(sample.input, str) else sample.input[-1].text
            category = str((sample.metadata or {}).get("category", ""))
            found[str(sample.id)] = Stored(sample.id, sample.output.completion, text, category, name)
    if not found:
        raise DataError(f"{run}: {name} gave no answer to {SLUG}")
    return found


def _first(run: Path, names: Sequence[str]) -> str:
    """The run's first subject, as its config.yaml has them; of those that have logs."""
    import yaml

    try:
        said = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        listed = [str(s) for s in said["subjects"]]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        listed = []
    return next((s for s in listed if s in names), names[0])
