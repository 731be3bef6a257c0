"""Batteries: which measures an audit runs."""

from collections.abc import Sequence
from importlib import import_module

from boresight.catalog import METHODS
from boresight.errors import DataError
from boresight.measure.base import Measure

MEASURES = tuple(slug for slug, module in METHODS.items() if module.startswith("boresight.measure.behaviour."))
"""Slugs of all behavioural measures; the module of each has a MEASURE."""

BATTERIES: dict[str, tuple[str, ...]] = {"quick": ("text-health", "instructions", "refusal", "facts")}
"""Name -> slugs of measures. quick: deterministic, no judge, no network."""


def measure(slug: str) -> Measure:
    """The measure called `slug`; DataError naming those there are."""
    if slug not in MEASURES:
        raise DataError(f"no measure is called {slug!r}; there are {', '.join(MEASURES)}")
    return import_module(METHODS[slug]).MEASURE


def chosen(battery: str, measures: Sequence[str] = ()) -> list[Measure]:
    """The measures named, each once, or those of the battery if none is; DataError naming what there is."""
    if not measures and battery not in BATTERIES:
        raise DataError(f"no battery is called {battery!r}; there are {', '.join(BATTERIES)}")
    return [measure(slug) for slug in dict.fromkeys(measures or BATTERIES[battery])]
