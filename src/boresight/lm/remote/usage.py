"""What a remote model was asked and what that cost."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from boresight.errors import DataError

MILLION = 1_000_000
Spent = dict[str, dict[str, Any]]
"""Name of a remote model -> its counters and cost (`Usage.as_dict`)."""


@dataclass(frozen=True)
class Price:
    """What a million tokens cost, in whatever currency the user counts in."""

    input: float
    output: float


@dataclass
class Usage:
    """Counters of a remote model.

    requests: answers that came from the server, each counted once however often it was tried. retries: further
    attempts. failed: requests that were given up. cached: answers from the disk, which cost nothing. uncounted: answers
    whose tokens the server did not tell and which are not in the sums. prompt_tokens, completion_tokens: as the
    server counts them.
    """

    price: Price | None = None
    requests: int = 0
    retries: int = 0
    failed: int = 0
    cached: int = 0
    uncounted: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def count(self, prompt: int | None, completion: int | None) -> None:
        """Add one answer of the server."""
        self.requests += 1
        self.uncounted += prompt is None or completion is None
        self.prompt_tokens += prompt or 0
        self.completion_tokens += completion or 0

    @property
    def cost(self) -> float | None:
        """What the counted tokens cost; None without a price."""
        if self.price is None:
            return None
        return (self.prompt_tokens * self.price.input + self.completion_tokens * self.price.output) / MILLION

    def as_dict(self) -> dict[str, Any]:
        """All counters and the cost, for a run record."""
        return {**self._counters(), "cost": self.cost}

    def less(self, before: "Usage") -> "Usage":
        """What was added since `before`."""
        return replace(self, **{name: value - getattr(before, name) for name, value in self._counters().items()})

    def _counters(self) -> dict[str, int]:
        return {name: value for name, value in vars(self).items() if name != "price"}

    def __str__(self) -> str:
        """One line for people."""
        return described(self.as_dict())


def described(counters: Mapping[str, Any]) -> str:
    """One line for people about the counters of a remote model (`Usage.as_dict`)."""
    cost = "" if counters["cost"] is None else f", cost {counters['cost']:.4g}"
    if counters["uncounted"]:  # or the sums would read as if they were all
        cost = f" (the server did not count those of {counters['uncounted']:,})" + cost
    return (
        "{requests:,} requests ({retries:,} retries, {failed:,} given up, {cached:,} from the cache), "
        "{prompt_tokens:,} + {completion_tokens:,} tokens"
    ).format(**counters) + cost


class Meter:
    """What the remote models that a subject is made of were asked since the meter was made, on top of `earlier`."""

    def __init__(self, model: Any, earlier: Spent | None = None) -> None:
        self._usages = usages(model)
        self._before = {name: replace(usage) for name, usage in self._usages.items()}
        self._earlier = earlier or {}

    def read(self) -> Spent:
        """Counters by model; empty for a subject that runs on this machine."""
        now = {name: usage.less(self._before[name]).as_dict() for name, usage in self._usages.items()}
        return {name: _sum(self._earlier.get(name, {}), counters) for name, counters in now.items()}


def usages(model: Any) -> dict[str, Usage]:
    """Name -> counters of each remote model among `model` and what it is built on (a policy's base and nudger)."""
    found: dict[str, Usage] = {}
    if hasattr(model, "usage"):
        found[model.name] = model.usage
    for part in filter(None, (getattr(model, "base", None), getattr(model, "nudger", None))):
        for name, usage in usages(part).items():
            taken = found.get(name, usage) is not usage
            found[f"{name} (nudger)" if taken else name] = usage
    return found


def _sum(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Counter by counter; a cost that is not known on either side is not known."""
    return {k: None if v is None or a.get(k, 0) is None else v + a.get(k, 0) for k, v in b.items()}


def price_of(names: tuple[str, ...], prices: Mapping[str, Any] | str | Path | None = None) -> Price | None:
    """The price of the first of `names` that is in a price list; None if there is none.

    prices: {model: {"input": ..., "output": ...}} per million tokens, or a YAML file of that form; by default the file
    that the variable BORESIGHT_PRICES names. Raises DataError if it is not of that form.
    """
    source = prices if prices is not None else os.environ.get("BORESIGHT_PRICES")
    if not source:
        return None
    where = "prices" if isinstance(source, Mapping) else str(source)
    listed = source if isinstance(source, Mapping) else _read(Path(source))
    if not isinstance(listed, Mapping):
        raise DataError(f"{where}: a mapping from model to its prices is needed")
    for name in names:
        if name in listed:
            return _price(listed[name], f"{where}: {name}")
    return None


def _read(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise DataError(f"the price list {path} cannot be read: {' '.join(str(error).split())}") from error


def _price(entry: Any, where: str) -> Price:
    if not isinstance(entry, Mapping) or set(entry) != {"input", "output"}:
        raise DataError(f"{where}: 'input' and 'output', the prices of a million tokens, are needed")
    for key, value in entry.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise DataError(f"{where}: {key} is {value!r}; a number of at least 0 is needed")
    return Price(float(entry["input"]), float(entry["output"]))
