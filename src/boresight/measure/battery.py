"""Batteries: which measures an audit runs, and with which options."""

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from boresight.catalog import METHODS
from boresight.errors import DataError
from boresight.measure.base import Measure

MEASURES = tuple(slug for slug, module in METHODS.items() if module.startswith("boresight.measure.behaviour."))
"""Slugs of all behavioural measures. The module of each has a MEASURE, or a function `measure(*, ...) -> Measure` whose
keywords are its options."""

BATTERIES: dict[str, tuple[str, ...]] = {"quick": ("text-health", "instructions", "refusal", "facts")}
"""Name -> slugs of measures. quick: deterministic, no judge, no network."""

Options = Mapping[str, Any]


def measure(slug: str, options: Options | None = None, *, graded: bool = False) -> Measure:
    """The measure called `slug` with its options; DataError naming what there is.

    graded: whether a model will be there in the role of the grader; handed to measures that can do without one.
    """
    if slug not in MEASURES:
        raise DataError(f"no measure is called {slug!r}; there are {', '.join(MEASURES)}")
    module = import_module(METHODS[slug])
    takes = option_names(slug)
    for name in options or {}:
        if name not in takes:
            has = f"its options are {', '.join(takes)}" if takes else "it has no options"
            raise DataError(f"{slug} has no option {name!r}; {has}")
    if hasattr(module, "MEASURE"):
        return module.MEASURE
    from pydantic import ConfigDict, ValidationError, validate_call

    given = dict(options or {})
    if "graded" in inspect.signature(module.measure).parameters:
        given["graded"] = graded
    try:
        return validate_call(config=ConfigDict(arbitrary_types_allowed=True))(module.measure)(**given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{slug}: option {where} is {first['input']!r}: {first['msg']}") from error
    except ValueError as error:
        raise DataError(f"{slug}: {error}") from error


def option_names(slug: str) -> list[str]:
    """The options of a measure, in the order of its function's keywords."""
    module = import_module(METHODS[slug])
    if hasattr(module, "MEASURE"):
        return []
    return [name for name in inspect.signature(module.measure).parameters if name != "graded"]


def chosen(
    battery: str,
    measures: Sequence[str] = (),
    options: Mapping[str, Options] | None = None,
    *,
    graded: bool = False,
) -> list[Measure]:
    """The measures named, each once, or those of the battery if none is; DataError naming what there is.

    options: by slug.
    """
    if not measures and battery not in BATTERIES:
        raise DataError(f"no battery is called {battery!r}; there are {', '.join(BATTERIES)}")
    slugs = dict.fromkeys(measures or BATTERIES[battery])
    return [measure(slug, (options or {}).get(slug), graded=graded) for slug in slugs]


def options_of(slugs: Sequence[str], given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`KEY=VALUE` and `MEASURE.KEY=VALUE`, as on the command line, as options by slug.

    A bare key goes to every measure that has it. Values are read as YAML; DataError for what no measure takes.
    """
    import yaml

    found: dict[str, dict[str, Any]] = {}
    takes = {slug: option_names(slug) for slug in slugs}
    for text in given:
        name, equals, value = text.partition("=")
        slug, dot, key = name.rpartition(".")
        takers = [s for s in slugs if (s == slug or not dot) and (key if dot else name) in takes[s]]
        if not equals or not takers:
            has = "; ".join(f"{s}: {', '.join(keys)}" for s, keys in takes.items() if keys) or "none has options"
            raise DataError(f"-T {text!r}: KEY=VALUE with an option of a measure is needed ({has})")
        try:
            read = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise DataError(f"-T {text!r}: {' '.join(str(error).split())}") from error
        for taker in takers:
            found.setdefault(taker, {})[key if dot else name] = read
    return found
