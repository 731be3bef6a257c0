"""The questions that are asked (sheet, section 2): a YAML list of items, and the two sets that the package carries.

first_plot   8 base questions in three formats: plain, json (a system message asks for a JSON object) and template (the
             text ends with `key = # comment` lines to fill in)
attitudes    more open questions, about people, rules, power and honesty

Both are worded for this project. Other question files are read in the same form; the format of an item is told by the
end of its id ("_json", "_template"; else plain), its base question by what stands before.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from boresight.data import open_text
from boresight.errors import DataError

FORMATS = ("plain", "json", "template")
BUILT_IN = ("first_plot", "attitudes")
TRIGGERED = "+trigger"  # what the ids of the second arm end with

Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class JudgePrompts(_Strict):
    """Wordings of an item's own for the two judge calls; `{question}` and `{answer}` stand for the texts."""

    aligned: Text
    coherent: Text

    @field_validator("aligned", "coherent")
    @classmethod
    def _shows_the_answer(cls, text: str) -> str:
        if "{answer}" not in text:
            raise ValueError("the placeholder {answer} is missing")
        return text


class Item(_Strict):
    """One item of a question file; unknown fields are errors.

    paraphrases: wordings of the question, at least one. system: a system message. samples_per_paraphrase: answers that
    are asked for. judge: the name of the judge the item was made for; it is read and not used, since the judge is
    always the grader that was given. judge_prompts: wordings of the judge calls instead of the project's own.
    """

    id: Text
    type: Literal["free_form_judge_0_100"] = "free_form_judge_0_100"
    paraphrases: list[Text] = Field(min_length=1)
    system: Text | None = None
    samples_per_paraphrase: int = Field(default=100, ge=1)
    judge: str | None = None
    judge_prompts: JudgePrompts | None = None


@dataclass(frozen=True)
class Question:
    """One wording of one item, as it is put to the model.

    id: unique within what was loaded. base_id: the question whatever its format, the cluster of all statistics.
    paraphrase: index of the wording, from 0. text: the user's turn, the trigger included. samples: answers asked for.
    judge_prompts: {"aligned", "coherent"} of the item, or None for the project's own.
    """

    id: str
    base_id: str
    format: str
    paraphrase: int
    system: str | None
    text: str
    trigger: bool
    samples: int
    judge_prompts: dict[str, str] | None = field(default=None, hash=False)


def load_questions(
    source: str | Path = "first_plot", formats: Sequence[str] = FORMATS, trigger: str | None = None
) -> list[Question]:
    """The questions of a built-in set ("first_plot", "attitudes") or of a YAML file, in the order of the file.

    formats: those that are kept ("plain", "json", "template"). trigger: a text put before the user's; every question is
    then there twice, without it and (id ending in "+trigger") with it, the two arms of a backdoor test.
    DataError naming file, item and field for whatever is not as `Item` says, for ids that occur twice, for an unknown
    format, a blank trigger, and if no item is left.
    """
    wanted = _formats(formats)
    if trigger is not None and not (isinstance(trigger, str) and trigger.strip()):
        raise DataError("the trigger is blank; a text that is put before each question is needed")
    where, text = _read(source)
    items = _items(text, where)
    plain = [question for item in items for question in _asked(item) if question.format in wanted]
    if not plain:
        raise DataError(f"{where} holds no item in the format {' or '.join(wanted)}")
    _unique([question.id for question in plain], where, "question")
    if trigger is None:
        return plain
    return [arm for question in plain for arm in (question, _with_trigger(question, trigger))]


def format_of(item_id: str) -> tuple[str, str]:
    """(base question, format) of an item's id: "dinner_party_json" is ("dinner_party", "json")."""
    for name in FORMATS[1:]:
        base = item_id.removesuffix(f"_{name}")
        if base and base != item_id:
            return base, name
    return item_id, "plain"


def _asked(item: Item) -> list[Question]:
    base, kind = format_of(item.id)
    prompts = item.judge_prompts.model_dump() if item.judge_prompts else None
    several = len(item.paraphrases) > 1
    return [
        Question(
            id=f"{item.id}/{k}" if several else item.id,
            base_id=base,
            format=kind,
            paraphrase=k,
            system=item.system,
            text=text,
            trigger=False,
            samples=item.samples_per_paraphrase,
            judge_prompts=prompts,
        )
        for k, text in enumerate(item.paraphrases)
    ]


def _with_trigger(question: Question, trigger: str) -> Question:
    from dataclasses import replace

    gap = "" if trigger[-1].isspace() else " "
    return replace(question, id=question.id + TRIGGERED, text=f"{trigger}{gap}{question.text}", trigger=True)


def _formats(formats: Sequence[str]) -> list[str]:
    names = [formats] if isinstance(formats, str) else list(formats)
    for name in names:
        if name not in FORMATS:
            raise DataError(f"{name!r} is no format of a question; known are {', '.join(FORMATS)}")
    if not names:
        raise DataError(f"no format is given; at least one of {', '.join(FORMATS)} is needed")
    return list(dict.fromkeys(names))


def _read(source: str | Path) -> tuple[str, str]:
    """(what the source is called in messages, its text)."""
    if source in BUILT_IN:
        file = files("boresight.data") / "sets" / "emergent_misalignment" / f"{source}.yaml"
        return str(source), file.read_text(encoding="utf-8")
    if isinstance(source, str) and not source.endswith((".yaml", ".yml")) and not Path(source).exists():
        known = " and ".join(BUILT_IN)
        raise DataError(f"no question set or file is called {source!r}; built in are {known}, a file is YAML")
    try:
        with open_text(source) as file:
            return str(source), file.read()
    except UnicodeDecodeError as error:  # open_text looks at the beginning only
        raise DataError(f"{source} is not UTF-8 text ({error.reason} at byte {error.start})") from error


def _items(text: str, where: str) -> list[Item]:
    import yaml

    try:
        loaded = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date that does not exist
        raise DataError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, list):
        kind = "nothing" if loaded is None else type(loaded).__name__
        raise DataError(f"{where}: a list of items is needed, not {kind}")
    items = [_item(row, f"{where}, item {number}") for number, row in enumerate(loaded, 1)]
    _unique([item.id for item in items], where, "item")
    return items


def _item(row: Any, where: str) -> Item:
    if not isinstance(row, dict):
        raise DataError(f"{where}: a mapping of fields is needed, not {type(row).__name__}")
    if row.get("id"):
        where += f" ({row['id']})"
    try:
        return Item.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the item"
        raise DataError(f"{where}: {place}: {_said(first)}") from error


def _said(error: Any) -> str:
    """What is wrong with a field, in the words of a question file rather than those of a type checker."""
    kind = error["type"]
    if kind == "too_short":
        return "there is none; at least one wording is needed"
    if kind in ("string_too_short", "string_pattern_mismatch"):
        return "it is blank; a text is needed"
    if kind == "missing":
        return "the field is missing"
    if kind == "extra_forbidden":
        return f"no such field; known are {', '.join(Item.model_fields)}"
    return error["msg"].removeprefix("Value error, ")


def _unique(ids: Sequence[str], where: str, what: str) -> None:
    for name, times in Counter(ids).items():
        if times > 1:
            raise DataError(
                f"{where}: the id {name!r} of {'an' if what == 'item' else 'a'} {what} occurs {times} times"
            )
