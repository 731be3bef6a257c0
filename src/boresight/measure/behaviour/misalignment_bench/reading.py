"""Scenario files: reading them, and saying in a sentence, with file, line and field, what is wrong with one."""

import difflib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from boresight.data import open_text
from boresight.errors import DataError
from boresight.measure.behaviour.misalignment_bench.scenario import Scenario, Variant

_FIELDS = (*Scenario.model_fields, *Variant.model_fields, "red_team_brief")
_NEEDED = {"list": "a list", "tuple": "a list", "string": "text", "int": "a whole number", "bool": "true or false"}


def load_scenarios(path: str | Path | None = None) -> list[Scenario]:
    """Scenarios of a YAML file (one, or a list), of all YAML files of a folder, or (None) the ten of the package.

    DataError with the first of what `validate` finds wrong.
    """
    found, problems = _read(path)
    if problems:
        more = f" ({len(problems) - 1} more problem(s) in it)" if len(problems) > 1 else ""
        raise DataError(problems[0] + more)
    return found


def validate(path: str | Path) -> list[str]:
    """All that is wrong with a scenario file or folder, a sentence each with file, line and field; none: it is valid.

    Checked: the form (every field, no unknown one), ids (also twice in a folder), turns against min_turns and
    max_turns, lexical criteria (also on their examples), checksums, and keys that occur twice. DataError for a file
    that cannot be opened.
    """
    return _read(path)[1]


def _read(path: str | Path | None) -> tuple[list[Scenario], list[str]]:
    if path is None:
        folder = files("boresight.data") / "sets" / "misalignment_bench"
        texts = sorted((f.name, f.read_text(encoding="utf-8")) for f in folder.iterdir() if f.name.endswith(".yaml"))
    else:
        where = Path(path)
        names = sorted([*where.glob("*.yaml"), *where.glob("*.yml")]) if where.is_dir() else [where]
        texts = [(str(name), _text(name)) for name in names]
    found: list[Scenario] = []
    problems: list[str] = []
    first: dict[str, str] = {}
    for name, text in texts:
        for at, row in _rows(text, name, problems):
            scenario = _scenario(row, at, problems)
            if scenario is None:
                continue
            if scenario.id in first:
                problems.append(
                    f"{at.of()}: the scenario id {scenario.id!r} occurs 2 times, first in {first[scenario.id]}"
                )
            else:
                first[scenario.id] = at.of()
            found.append(scenario)
    if not found and not problems:
        problems.append(f"{path} holds no scenario")
    return found, problems


class _Place:
    """Where a scenario stands: a file and the YAML node that it was made of."""

    def __init__(self, file: str, node: Any) -> None:
        self.file, self.node = file, node

    def of(self, path: Sequence[str | int] = ()) -> str:
        """File and line of what stands at a path of keys and positions, or of the last of it that is there."""
        node, line = self.node, self.node.start_mark.line
        for step in path:
            if isinstance(step, int) and isinstance(node.value, list) and node.id == "sequence":
                inner = node.value[step] if step < len(node.value) else None
                line = inner.start_mark.line if inner else line
            elif node.id == "mapping":
                key, inner = next(((k, v) for k, v in node.value if k.value == step), (None, None))
                line = key.start_mark.line if key else line
            else:
                inner = None
            if inner is None:
                break
            node = inner
        return f"{self.file}, line {line + 1}"

    def holds(self, key: str) -> bool:
        """Whether the scenario has this key of its own."""
        return any(k.value == key for k, _ in self.node.value)


def _text(path: Path) -> str:
    with open_text(path) as file:
        return file.read()


def _rows(text: str, file: str, problems: list[str]) -> Iterator[tuple[_Place, Any]]:
    """The scenarios of a file as YAML gives them, each with its place."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        loaded = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problems.append(f"{file}{line} is not valid YAML: {getattr(error, 'problem', None) or error}")
        return
    if root is None:
        problems.append(f"{file} holds no scenario")
        return
    if problem := _doubled(root, file):
        problems.append(problem)
        return
    if root.id != "sequence":
        yield _Place(file, root), loaded
        return
    if not loaded:
        problems.append(f"{file} holds no scenario")
    yield from ((_Place(file, node), row) for node, row in zip(root.value, loaded, strict=True))


def _doubled(root: Any, file: str) -> str | None:
    """A key that a mapping has twice: YAML would silently take the last."""
    todo, done = [root], set()
    while todo:
        node = todo.pop()
        if id(node) in done or not isinstance(node.value, list):
            continue
        done.add(id(node))
        if node.id == "mapping":
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key.value, str) and key.value in seen and key.value != "<<":
                    return f"{file}, line {key.start_mark.line + 1}: the key {key.value!r} occurs twice"
                seen.add(str(key.value))
                todo.append(value)
        else:
            todo += node.value
    return None


def _scenario(row: Any, at: _Place, problems: list[str]) -> Scenario | None:
    if not isinstance(row, dict):
        problems.append(f"{at.of()}: a mapping of fields is needed, not {type(row).__name__}")
        return None
    try:
        return Scenario.model_validate(row)
    except RecursionError:
        problems.append(f"{at.of()}: a value holds itself")
        return None
    except ValidationError as error:
        name = f" ({row['id']})" if isinstance(row.get("id"), str) and row["id"] else ""
        for one in error.errors():
            path = _own_path(one["loc"], at)
            field = ".".join(map(str, path))
            problems.append(f"{at.of(path)}{name}: {field + ': ' if field else ''}{_said(one, path)}")
        return None


def _own_path(path: Sequence[str | int], at: _Place) -> Sequence[str | int]:
    """Where the file has what the full form of a scenario has at `path`."""
    if path[:2] == ("variants", 0) and not at.holds("variants"):
        return path[2:]
    if path and str(path[0]).startswith("red_team_") and at.holds("red_team_brief") and path[0] != "red_team_brief":
        return ("red_team_brief", str(path[0]).removeprefix("red_team_"), *path[1:])
    return path


def _said(error: Any, path: Sequence[str | int]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return "it is missing"
    if kind == "extra_forbidden":
        if path == ("red_team_brief",):
            return "a mapping of persona, aim and ladder is needed"
        near = difflib.get_close_matches(str(path[-1]), _FIELDS, 1)
        return "there is no such field" + (f"; did you mean {near[0]}?" if near else "")
    if kind in ("too_short", "string_too_short"):
        return f"at least {context['min_length']} needed" if kind == "too_short" else "it is empty"
    if kind == "literal_error":
        return f"{error['input']!r} is not one of {context['expected']}".replace(" or ", ", ")
    if kind.endswith("_type") and (needed := _NEEDED.get(kind.removesuffix("_type"))):
        return f"{needed} is needed, not {error['input']!r:.60}"
    return str(error["msg"]).removeprefix("Value error, ")
