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

BATTERIES: dict[str, tuple[str, ...]] = {
    "quick": ("text-health", "instructions", "refusal", "facts"),
    "honesty": ("facts", "honesty", "dishonesty"),
    "safety": ("refusal", "just-eval", "misalignment-bench", "emergent-misalignment"),
    "deception": ("dishonesty", "deception", "misalignment-bench", "alignment-faking"),
    "trust": ("trustworthiness",),
    "full": tuple(slug for slug in MEASURES if slug != "judge-validity"),
}
"""Name -> slugs of measures. quick: deterministic, no judge, no network; the others do without a judge, but do better
with one. full: all there are, but for the one whose subject is a judge."""

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


def planned(
    battery: str, measures: Sequence[str] = (), options: Mapping[str, Options] | None = None
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """(slugs, options by slug) of the measures named, each once, or of the battery if none is.

    battery: a name in BATTERIES or a YAML file (`measures:` with a list of slugs, or of `slug: {option: value}`).
    options go before those of the file. DataError naming what there is.
    """
    slugs, own = (list(dict.fromkeys(measures)), {}) if measures else _battery(battery)
    for slug in slugs:
        if slug not in MEASURES:
            raise DataError(f"no measure is called {slug!r}; there are {', '.join(MEASURES)}")
    for slug, given in (options or {}).items():
        own[slug] = {**own.get(slug, {}), **given}
    return slugs, own


def _battery(name: str) -> tuple[list[str], dict[str, dict[str, Any]]]:
    if name in BATTERIES:
        return list(BATTERIES[name]), {}
    if not name.endswith((".yaml", ".yml")):
        raise DataError(f"no battery is called {name!r}; there are {', '.join(BATTERIES)}, or a YAML file")
    import yaml

    from boresight.data import open_text

    with open_text(name) as file:
        try:
            said = yaml.safe_load(file)
        except yaml.YAMLError as error:
            raise DataError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from error
    listed = said.get("measures") if isinstance(said, dict) and set(said) == {"measures"} else None
    if not isinstance(listed, list) or not listed:
        raise DataError(f"{name}: 'measures', a list of measures, is needed and nothing else")
    slugs: list[str] = []
    options: dict[str, dict[str, Any]] = {}
    for one in listed:
        slug, given = next(iter(one.items())) if isinstance(one, dict) and len(one) == 1 else (one, {})
        if not isinstance(slug, str) or not isinstance(given or {}, dict) or slug in slugs:
            raise DataError(f"{name}: each measure once, as NAME or NAME: {{option: value}}, is needed, not {one!r}")
        slugs.append(slug)
        if given:
            options[slug] = dict(given)
    return slugs, options


def chosen(
    battery: str,
    measures: Sequence[str] = (),
    options: Mapping[str, Options] | None = None,
    *,
    graded: bool = False,
) -> list[Measure]:
    """The measures that `planned` names, with their options."""
    slugs, own = planned(battery, measures, options)
    return [measure(slug, own.get(slug), graded=graded) for slug in slugs]


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
