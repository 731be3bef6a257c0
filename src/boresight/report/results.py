"""results.json: what a run found, in one small file (schema boresight.results/1)."""

import json
import math
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from boresight.errors import DataError

SCHEMA = "boresight.results/1"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UsageRow(_Strict):
    """What a remote model was asked in a run (`boresight.lm.remote.usage.Usage`); cost is None without a price."""

    requests: int
    retries: int
    failed: int
    cached: int
    uncounted: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None


class SubjectRow(_Strict):
    """Who was measured: its name in this run, the model, the policy that steers it (None: none), the weights' hash.

    usage: for each remote model that it is made of, what was asked in this run and what that cost.
    """

    name: str
    model: str
    policy: str | None = None
    revision: str | None = None
    usage: dict[str, UsageRow] | None = None


class MeasureRow(_Strict):
    """One number about one subject. value and the ends of ci are None when nothing could be measured.

    ci: at `level`; n: samples it is a mean of; dropped: samples that ended in an error and are not in n; grader: who
    decided.
    """

    method: str
    metric: str
    subject: str
    value: float | None
    ci: tuple[float | None, float | None]
    level: float = 0.95
    n: int
    unit: str
    better: Literal["higher", "lower", "none"]
    grader: str
    dropped: int = 0
    notes: str = ""


class ComparisonRow(_Strict):
    """b minus a over the `n` samples that both answered. p is two-sided, adjusted over the run's comparisons (Holm)."""

    metric: str
    a: str
    b: str
    difference: float | None
    ci: tuple[float | None, float | None]
    level: float = 0.95
    n: int
    p: float | None
    test: str


class Results(_Strict):
    """A whole results.json."""

    schema_: Literal["boresight.results/1"] = SCHEMA
    created: str
    seed: int
    seconds: float
    subjects: list[SubjectRow]
    measures: list[MeasureRow]
    comparisons: list[ComparisonRow] = []

    def to_json(self) -> str:
        """Stable text: the same results give the same bytes."""
        data = self.model_dump(mode="json")
        return json.dumps({"schema": data.pop("schema_"), **data}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_results(path: str | Path) -> Results:
    """Read a results.json, or that of a run directory; DataError if it is not one."""
    path = Path(path)
    if path.is_dir():
        path = path / "results.json"
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise DataError(f"{path} does not have the schema {SCHEMA}")
        return Results.model_validate({"schema_" if k == "schema" else k: v for k, v in data.items()})
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; a run directory with a results.json is needed") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def number(x: float) -> float | None:
    """JSON has no nan: a number that could not be computed is null. Rounded to 12 digits."""
    return None if math.isnan(x) else float(f"{x:.12g}")
