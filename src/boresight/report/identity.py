"""What makes a model the one that it is: answers of two different models must not meet in one run."""

from collections.abc import Iterator, Mapping
from typing import Any

IDENTITY = ("model", "policy", "revision", "dtype", "device")


def identity(about: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """("revision", ...), ("nudger revision", ...): of a model's description and of those nested in it."""
    for key, value in about.items():
        if isinstance(value, Mapping):
            yield from identity(value, f"{prefix}{key} ")
        elif key in IDENTITY:
            yield f"{prefix}{key}", value
