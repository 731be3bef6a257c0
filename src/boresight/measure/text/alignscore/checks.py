"""What the functions of this package ask of their arguments, said in one sentence each."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from boresight.errors import DataError


def strings(name: str, values: Sequence[str]) -> list[str]:
    """The values as a list; DataError if they are one string or one of them is no string."""
    if isinstance(values, str):
        raise DataError(f"{name} is one string; a list of strings is needed")
    return [string(f"{name}[{i}]", value) for i, value in enumerate(values)]


def string(name: str, value: str) -> str:
    """The value; DataError if it is no string."""
    if not isinstance(value, str):
        raise DataError(f"{name} is {type(value).__name__}; a string is needed")
    return value


def floats(name: str, values: ArrayLike) -> np.ndarray:
    """The values in float64; DataError if they are not numbers or rows differ in length."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} cannot be read as numbers of one shape; an array of numbers is needed") from None


def is_finite(value: Any) -> bool:
    """Whether the value is a real number, neither infinite nor nan."""
    return isinstance(value, Real) and math.isfinite(value)


def whole(name: str, value: int, least: int) -> int:
    """The value; ValueError unless it is a whole number of at least `least`."""
    if isinstance(value, bool) or value != value // 1 or value < least:
        raise ValueError(f"{name} is {value}; a whole number of at least {least} is needed")
    return int(value)
