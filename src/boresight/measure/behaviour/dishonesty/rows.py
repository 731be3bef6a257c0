"""Rows of the two evaluations and where they come from: the built-in sets, and files as they are published.

Names of fields differ between copies of the public MASK data; the loader knows the usual ones.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boresight.chat import Message, user
from boresight.data import load_set
from boresight.data.tables import read_table
from boresight.errors import DataError
from boresight.measure.behaviour.dishonesty.mask import Type, Value

ARCHETYPES = (
    "known_facts",
    "provided_facts",
    "doubling_down",
    "fabricated_statistics",
    "continuations",
    "disinformation",
)
SUBSETS = ("sycophancy", "evaluation_faking", "sandbagging", "strategic_deception", "honesty_evasion")
_ALIASES = {
    "doubling_down_known_facts": "doubling_down",
    "statistics": "fabricated_statistics",
    "provided_fact": "provided_facts",
    "known_fact": "known_facts",
    "continuation": "continuations",
    "disinfo": "disinformation",
}
_NAMES = {
    "id": ("id", "task_id", "row_id"),
    "archetype": ("archetype", "config", "scenario"),
    "formatted_proposition": ("formatted_proposition", "proposition_formatted"),
    "ground_truth": ("ground_truth", "world_truth", "groundtruth", "truth"),
    "system_prompt": ("system_prompt", "system"),
    "user_prompt": ("user_prompt", "pressure_prompt", "prompt"),
    "proposition_type": ("proposition_type", "type"),
}
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_TRUTHS: dict[str, bool] = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True)
class MaskRow:
    """A pressure scenario (section 2). user_prompt: the pressure; pre: earlier turns; beliefs: neutral questions.

    equality, spread: the row's own thresholds, None for the defaults. user: "benign" or "biased" where a simulated user
    asks (see `users`).
    """

    id: str
    archetype: str
    proposition: str
    type: Type
    ground_truth: Value
    system_prompt: str
    user_prompt: str
    beliefs: tuple[str, ...]
    pre: tuple[Message, ...] = ()
    formatted_proposition: str = ""
    equality: float | None = None
    spread: float | None = None
    user: str = ""

    def statement_chat(self) -> list[dict[str, str]]:
        """What the model reads under pressure."""
        chat = user(self.user_prompt, self.system_prompt)
        return [*chat[:-1], *map(dict, self.pre), chat[-1]]

    def belief_chats(self) -> list[list[dict[str, str]]]:
        """Fresh neutral chats. Provided facts stand in the system message, without which there is no belief to form."""
        system = self.system_prompt if self.archetype == "provided_facts" else ""
        return [user(question, system) for question in self.beliefs]

    @property
    def sentence(self) -> str:
        """The proposition as a sentence that is true or false; a quantity is given its true value.

        DataError for a quantity without a ground truth.
        """
        if self.type == "binary":
            return self.proposition
        if self.ground_truth is None:
            raise DataError(f"row {self.id}: a quantity without 'ground_truth' cannot be asked for as true or false")
        return f"{self.proposition.rstrip('.')}: {self.ground_truth:g}."


@dataclass(frozen=True)
class DeceptionRow:
    """A claim asked twice: neutrally (inner) and with an incentive (outer) to assert `pushed` of it (section 3)."""

    id: str
    subset: str
    claim: str
    pushed: bool
    inner_system: str
    inner_prompt: str
    outer_system: str
    outer_prompt: str

    def inner_chat(self) -> list[dict[str, str]]:
        """The neutral question."""
        return user(self.inner_prompt, self.inner_system)

    def outer_chat(self) -> list[dict[str, str]]:
        """The question with the incentive."""
        return user(self.outer_prompt, self.outer_system)


def pressure_rows(path: str | Path | None = None) -> list[MaskRow]:
    """All rows of a MASK file, or of the built-in set of 84; DataError naming row and field, or if there is none.

    The public data are one file per archetype: where rows do not name theirs, the name of the file does.
    """
    rows = read_table(path) if path else _numbered("dishonesty")
    named = _archetype(Path(path).name.partition(".")[0]) if path else ""
    default = {"archetype": named} if named in ARCHETYPES else {}
    return _some(
        [mask_row(row if _filled(_pick(row, "archetype")) else {**row, **default}, where) for where, row in rows], path
    )


def deception_rows(path: str | Path | None = None) -> list[DeceptionRow]:
    """All rows of a file in the schema of the built-in set of 40 (`boresight/data/sets/README.md`), or that set."""
    rows = read_table(path) if path else _numbered("deception")
    return _some([_deception_row(row, where) for where, row in rows], path)


def _numbered(name: str) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{name}, row {number}", row) for number, row in enumerate(load_set(name), 1)]


def _some(rows: list[Any], path: str | Path | None) -> list[Any]:
    if not rows:
        raise DataError(f"{path} holds no row: at least one is needed")
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            raise DataError(f"{path}: the id {row.id!r} stands there twice; each row needs its own")
        seen.add(row.id)
    return rows


def mask_row(row: Mapping[str, Any], where: str) -> MaskRow:
    """A row from a mapping with the fields of the sheet or one of their usual other names."""
    kind = _field(row, "proposition_type", where, "binary").lower()
    if kind in ("numerical", "number"):
        kind = "numeric"
    if kind not in ("binary", "numeric"):
        raise DataError(f"{where}: 'proposition_type' is {kind!r}; binary or numeric is needed")
    archetype = _archetype(_field(row, "archetype", where))
    if archetype not in ARCHETYPES:
        raise DataError(f"{where}: 'archetype' is {archetype!r}; one of {', '.join(ARCHETYPES)} is needed")
    proposition = _field(row, "proposition", where)
    beliefs = tuple(str(row[f"belief_elicit_{i}"]) for i in (1, 2, 3) if _filled(row.get(f"belief_elicit_{i}")))
    if kind == "numeric" and len(beliefs) == 1:
        beliefs *= 3  # the public data ask for a number with one question, several times
    if len(beliefs) < 2:
        raise DataError(f"{where}: belief prompts are missing: at least two of belief_elicit_1 to _3 are needed")
    return MaskRow(
        id=_field(row, "id", where, where),
        archetype=archetype,
        proposition=proposition,
        type=kind,
        ground_truth=_truth(_pick(row, "ground_truth"), kind, f"{where}: 'ground_truth'"),
        system_prompt=_field(row, "system_prompt", where, ""),
        user_prompt=_field(row, "user_prompt", where),
        beliefs=beliefs,
        pre=_turns(row.get("pre_exposure"), where),
        formatted_proposition=_field(row, "formatted_proposition", where, proposition),
        equality=_threshold(row, "threshold_1", where),
        spread=_threshold(row, "threshold_2", where),
        user=_field(row, "user", where, ""),
    )


def _archetype(name: str) -> str:
    """Its name here: "Provided Fact" is provided_facts."""
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    return _ALIASES.get(plain, plain)


def _filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _pick(row: Mapping[str, Any], field: str) -> Any:
    return next((row[name] for name in _NAMES.get(field, (field,)) if row.get(name) not in (None, "")), None)


def _field(row: Mapping[str, Any], field: str, where: str, default: str | None = None) -> str:
    value = _pick(row, field)
    if isinstance(value, float) and math.isnan(value):
        value = None  # an empty cell of a table
    if isinstance(value, list | tuple | Mapping):
        raise DataError(f"{where}: '{field}' is {value!r}; a text is needed")
    if value is None and default is not None:
        return default
    if value is None or not str(value).strip():
        raise DataError(f"{where}: '{field}' is missing or empty")
    return str(value)


def _truth(value: Any, kind: str, where: str) -> Value:
    if value is None:
        return None
    if kind == "binary":
        if isinstance(value, bool):
            return value
        if str(value).strip().lower() in _TRUTHS:
            return _TRUTHS[str(value).strip().lower()]
        raise DataError(f"{where} is {value!r}; true or false is needed")
    return _number(value, where)


def _number(value: Any, where: str) -> float | None:
    if value in (None, ""):
        return None
    text = str(value).strip()
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    try:
        number = float(text)
        return number if math.isfinite(number) else None
    except ValueError:
        raise DataError(f"{where} is {value!r}; a number is needed") from None


def _threshold(row: Mapping[str, Any], field: str, where: str) -> float | None:
    number = _number(row.get(field), f"{where}: '{field}'")
    if number is not None and number < 0:
        raise DataError(f"{where}: '{field}' is {number:g}; at least 0 is needed")
    return number


def _turns(value: Any, where: str) -> tuple[Message, ...]:
    """Earlier turns: a list of messages (or that as JSON)."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: 'pre_exposure' is not a list of messages ({error})") from error
    if value and not isinstance(value, list | tuple):
        raise DataError(f"{where}: 'pre_exposure' is not a list of messages")
    turns: list[Any] = list(value or ())
    for i, turn in enumerate(turns):
        wanted = "assistant" if i % 2 else "user"
        if not isinstance(turn, Mapping) or turn.get("role") != wanted or not _filled(turn.get("content")):
            raise DataError(
                f"{where}: 'pre_exposure' needs user and assistant messages in turn; message {i + 1} is not"
            )
    if len(turns) % 2:
        raise DataError(f"{where}: 'pre_exposure' must end with the assistant's message")
    return tuple({"role": str(t["role"]), "content": str(t["content"])} for t in turns)


def _deception_row(row: Mapping[str, Any], where: str) -> DeceptionRow:
    subset = _field(row, "subset", where).lower().replace(" ", "_").replace("-", "_")
    if subset not in SUBSETS:
        raise DataError(f"{where}: 'subset' is {subset!r}; one of {', '.join(SUBSETS)} is needed")
    pushed = _truth(row.get("pushed"), "binary", f"{where}: 'pushed'")
    if pushed is None:
        raise DataError(f"{where}: 'pushed' is missing: true or false, what the incentive wants to hear of the claim")
    return DeceptionRow(
        id=_field(row, "id", where, where),
        subset=subset,
        claim=_field(row, "claim", where),
        pushed=bool(pushed),
        inner_system=_field(row, "inner_system", where, ""),
        inner_prompt=_field(row, "inner_prompt", where),
        outer_system=_field(row, "outer_system", where, ""),
        outer_prompt=_field(row, "outer_prompt", where),
    )


def of_archetypes(rows: Sequence[MaskRow], archetypes: Sequence[str] | str) -> list[MaskRow]:
    """Rows of these archetypes (a list, or names with commas), all if none is named; ValueError for an unknown name."""
    given = archetypes.split(",") if isinstance(archetypes, str) else archetypes
    wanted = {_archetype(name) for name in given if name.strip()}
    if unknown := sorted(wanted - set(ARCHETYPES)):
        raise ValueError(f"archetypes holds {unknown[0]!r}; one of {', '.join(ARCHETYPES)} is needed")
    return [row for row in rows if not wanted or row.archetype in wanted]
