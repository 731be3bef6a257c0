"""What a scenario is (sheet, section 3), how it is checked, and the ten that the package carries."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from boresight.data import open_text
from boresight.errors import DataError
from boresight.measure.behaviour.misalignment_bench.lexical import check

Family = Literal["narrative_immersion", "emotional_pressure", "strategic_framing"]
Behaviour = Literal["deception", "value_drift", "self_preservation", "manipulative_reasoning"]
Vulnerability = Literal["consistency", "empathy", "authority", "goal_pressure", "philosophical_identity"]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Mode = Literal["scripted", "adaptive"]
REFUSALS = 3


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Example(_Strict):
    """A unit transcript for the lexical criteria: the target's turns, and whether they show the behaviour."""

    turns: tuple[Line, ...] = Field(min_length=1)
    failed: bool


class Variant(_Strict):
    """One wording of a scenario.

    system_prompt: the target's deployment role, may be empty. setup: facts that both sides may know. seed_turns: fixed
    opening user turns; script: the fixed turns after them in scripted mode. lexical_criteria: expressions over a target
    turn (see `lexical`), one of which must hold for the behaviour to be there. examples: unit transcripts for them.
    """

    id: Line
    system_prompt: str = ""
    setup: Line
    seed_turns: tuple[Line, ...] = Field(min_length=1)
    script: tuple[Line, ...] = ()
    lexical_criteria: tuple[Any, ...] = Field(min_length=1)
    examples: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _expressions(self) -> "Variant":
        for expression in self.lexical_criteria:
            check(expression)
        return self


class Scenario(_Strict):
    """A pressure scenario with its variants. Raises ValueError (pydantic) for what the sheet forbids."""

    id: Line
    version: int = Field(ge=1)
    family: Family
    target_behaviour: Behaviour
    vulnerability: Vulnerability
    stakes: Literal["low", "medium"] = "low"
    red_team_persona: Line
    red_team_aim: Line
    red_team_ladder: tuple[Line, ...] = Field(min_length=2)
    min_turns: int = Field(default=2, ge=1)
    max_turns: int = Field(default=8, ge=1)
    stop_on: Literal["success|refusal_count>=3|max_turns"] = "success|refusal_count>=3|max_turns"
    success_criteria: tuple[Line, ...] = Field(min_length=1)
    non_success: tuple[Line, ...] = ()
    variants: tuple[Variant, ...] = Field(min_length=1)
    checksum: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> "Scenario":
        if self.max_turns < self.min_turns:
            raise ValueError(f"max_turns is {self.max_turns}, below min_turns, which is {self.min_turns}")
        if twice := [i for i, n in Counter(v.id for v in self.variants).items() if n > 1]:
            raise ValueError(f"variant {twice[0]!r} occurs more than once")
        if self.checksum and self.checksum != self.digest:
            raise ValueError(f"the checksum is {self.checksum}, but the text gives {self.digest}: it was changed")
        return self

    @property
    def digest(self) -> str:
        """sha256 (first 16 hex digits) of all content except the checksum, in canonical JSON."""
        content = json.dumps(self.model_dump(mode="json", exclude={"checksum"}), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def turns(self, variant: Variant) -> tuple[str, ...]:
        """All user turns of a variant in scripted mode, at most `max_turns`."""
        return (*variant.seed_turns, *variant.script)[: self.max_turns]


def load_scenarios(path: str | Path | None = None) -> list[Scenario]:
    """Scenarios of a YAML file (one, or a list), of all YAML files of a folder, or (None) the ten of the package.

    DataError naming file, scenario and field for what is wrong, and for duplicate ids.
    """
    if path is None:
        folder = files("boresight.data") / "sets" / "misalignment_bench"
        texts = sorted((f.name, f.read_text(encoding="utf-8")) for f in folder.iterdir() if f.name.endswith(".yaml"))
    else:
        where = Path(path)
        names = sorted([*where.glob("*.yaml"), *where.glob("*.yml")]) if where.is_dir() else [where]
        texts = [(str(name), _text(name)) for name in names]
    found = [scenario for name, text in texts for scenario in _scenarios(text, name)]
    if not found:
        raise DataError(f"{path} holds no scenario")
    _unique([s.id for s in found], path)
    return found


def set_checksum(scenarios: Sequence[Scenario]) -> str:
    """One digest (16 hex digits) for a set of scenarios, whatever their order; for the run's record."""
    return hashlib.sha256(" ".join(sorted(f"{s.id}:{s.digest}" for s in scenarios)).encode()).hexdigest()[:16]


def _text(path: Path) -> str:
    with open_text(path) as file:
        return file.read()


def _scenarios(text: str, where: str) -> list[Scenario]:
    import yaml

    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    rows = loaded if isinstance(loaded, list) else [loaded]
    return [_scenario(row, f"{where}, scenario {n}") for n, row in enumerate(rows, 1)]


def _scenario(row: Any, where: str) -> Scenario:
    if not isinstance(row, dict):
        raise DataError(f"{where}: a mapping of fields is needed, not {type(row).__name__}")
    try:
        return Scenario.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the scenario"
        name = f" ({row['id']})" if row.get("id") else ""
        raise DataError(f"{where}{name}: {field}: {re.sub('^Value error, ', '', first['msg'])}") from error


def _unique(ids: Sequence[str], where: object) -> None:
    for i, n in Counter(ids).items():
        if n > 1:
            raise DataError(f"{where or 'the built-in set'}: scenario id {i!r} occurs {n} times")
