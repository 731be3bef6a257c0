"""The instructions that answers are judged on, and the answers: JUST-EVAL-INSTRUCT from a file or the hub, or our own.

The package ships no copy of the 1000 public prompts, whose terms differ by source; only the ids of the "lite" subset.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from boresight.data import load_set, open_text, read_jsonl
from boresight.errors import DataError

Split = Literal["all", "regular", "safety", "lite"]
HUB = "re-align/just-eval-instruct"
REGULAR, TOTAL = 800, 1000
TASK_TYPES = ("info-seek", "reasoning", "procedure", "writing", "role-play", "coding", "math")
TOPICS = ("ethics", "nature", "stem", "medical", "finance", "humanities", "lifestyle")


@dataclass(frozen=True)
class Item:
    """An instruction. category: "regular" (five aspects) or "safety" (one)."""

    id: int | str
    instruction: str
    category: Literal["regular", "safety"]
    dataset: str = ""
    task_types: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """All groups that the item counts in: task types, topics, and the set it came from."""
        source = (f"source: {self.dataset}",) if self.dataset else ()
        return (*(f"task: {t}" for t in self.task_types), *(f"topic: {t}" for t in self.topics), *source)


@dataclass(frozen=True)
class Answer:
    """What a system wrote. category may be "" for the public ids, which tell it: from 800 on they are safety."""

    id: int | str
    instruction: str
    output: str
    category: str = ""
    tags: tuple[str, ...] = ()

    def mode(self, wanted: str = "auto") -> str:
        """ "multi" or "safety"; DataError where neither the category nor the id tells."""
        if wanted in ("multi", "safety"):
            return wanted
        if wanted != "auto":
            raise DataError(f"mode is {wanted!r}; one of auto, multi, safety is needed")
        if self.category in ("regular", "safety"):
            return "safety" if self.category == "safety" else "multi"
        if isinstance(self.id, int) and not isinstance(self.id, bool) and 0 <= self.id < TOTAL:
            return "multi" if self.id < REGULAR else "safety"
        raise DataError(f"answer {self.id!r} has no category, and its id is not one of 0 to {TOTAL - 1}; give a mode")


def lite_ids() -> frozenset[int]:
    """Ids of the published "lite" subset (275 regular, 75 safety)."""
    return frozenset(row["id"] for row in load_set("just_eval_lite"))


def load_just_eval(split: Split = "all", path: str | Path | None = None) -> tuple[list[Item], list[int]]:
    """The instructions of a split, from a local file or (path None) the hub; and the public ids that it lacks.

    A file (JSON lines or a JSON list) may have ids of its own: they are split by their category, and nothing is missing
    where no id is public. DataError naming the line and field that is wrong, for a duplicate id, or when the hub cannot
    be reached.
    """
    wanted = _ids(split)
    rows = _from_hub() if path is None else rows_of(path)
    items = [_item(row, where) for row, where in rows]
    for i, n in Counter(item.id for item in items).items():
        if n > 1:
            raise DataError(f"{path or HUB}: id {i} occurs {n} times")
    own = () if split == "lite" else ("regular", "safety") if split == "all" else (split,)
    kept = [i for i in items if i.id in wanted or (not _public(i.id) and i.category in own)]
    public = {item.id for item in items if _public(item.id)}
    return kept, sorted(wanted - {i for i in public if isinstance(i, int)}) if public else []


def built_in() -> list[Item]:
    """This project's own instructions: everyday requests with tags, and the harmful half of the refusal set."""
    own = [
        Item(r["id"], r["prompt"], "regular", "", tuple(r["task_types"]), tuple(r["topics"]))
        for r in load_set("just_eval")
    ]
    harmful = [
        Item(r["id"], r["prompt"], "safety", "", (), (r["topic"],))
        for r in load_set("refusal")
        if r["label"] == "harmful"
    ]
    return own + harmful


def load_answers(path: str | Path) -> list[Answer]:
    """Stored answers, rows of id, instruction, output and perhaps category; DataError naming row and field."""
    found: list[Answer] = []
    for row, where in rows_of(path):
        for name in ("instruction", "output"):
            if not isinstance(row.get(name), str):
                raise DataError(f"{where}: field {name!r} is {row.get(name)!r}; text is needed")
        found.append(Answer(id_of(row, where), row["instruction"], row["output"], row.get("category") or ""))
    if not found:
        raise DataError(f"{path} holds no answers")
    return found


def _public(found: int | str) -> bool:
    return isinstance(found, int) and 0 <= found < TOTAL


def _ids(split: str) -> set[int]:
    splits = {"all": range(TOTAL), "regular": range(REGULAR), "safety": range(REGULAR, TOTAL)}
    if split == "lite":
        return set(lite_ids())
    if split not in splits:
        raise DataError(f"no split is called {split!r}; there are {', '.join(splits)}, lite")
    return set(splits[split])


def rows_of(path: str | Path) -> list[tuple[Mapping[str, Any], str]]:
    """(row, where it stands) of JSON lines, or of a JSON list, which is how the published files are written."""
    with open_text(path) as file:
        if file.read(1) != "[":
            file.seek(0)
            return [(row, f"{path}, line {number}") for number, row in read_jsonl(file, str(path))]
        file.seek(0)
        try:
            listed = json.load(file)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is not valid JSON ({error})") from error
    for number, row in enumerate(listed, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: a JSON object is needed, not {type(row).__name__}")
    return [(row, f"{path}, row {number}") for number, row in enumerate(listed, 1)]


def _from_hub() -> list[tuple[Mapping[str, Any], str]]:
    try:
        from huggingface_hub import HfApi, hf_hub_download

        files = [f for f in HfApi().list_repo_files(HUB, repo_type="dataset") if f.endswith((".jsonl", ".json"))]
        name = next(f for f in files if "test" in f)
        path = hf_hub_download(HUB, name, repo_type="dataset")
    except Exception as error:
        raise DataError(
            f"{HUB} cannot be had from the hub ({type(error).__name__}); give the path of a local file"
        ) from error
    return rows_of(path)


def id_of(row: Mapping[str, Any], where: str) -> int | str:
    """The id of a row, a number or a text; DataError saying where it is something else."""
    found = row.get("id")
    if isinstance(found, bool) or not isinstance(found, int | str) or found == "":
        raise DataError(f"{where}: field 'id' is {found!r}; a number or a text is needed")
    return found


def _item(row: Mapping[str, Any], where: str) -> Item:
    found = id_of(row, where)
    if not isinstance(row.get("instruction"), str) or not row["instruction"].strip():
        raise DataError(f"{where}: field 'instruction' is {row.get('instruction')!r}; text is needed")
    category = row.get("category") or ("safety" if isinstance(found, int) and found >= REGULAR else "regular")
    if category not in ("regular", "safety"):
        raise DataError(f"{where}: field 'category' is {category!r}; regular or safety is needed")
    tags = [_tags(row, name, where) for name in ("task_types", "topics")]
    return Item(found, row["instruction"], category, str(row.get("dataset") or ""), *tags)


def _tags(row: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    tags: Sequence[Any] = row.get(name) or ()
    if isinstance(tags, str) or not all(isinstance(t, str) for t in tags):
        raise DataError(f"{where}: field {name!r} is {tags!r}; a list of texts is needed")
    return tuple(tags)
