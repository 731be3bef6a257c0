"""Methods that change what is said, weights untouched. Each wraps a language model and is one."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boresight.steer.nudging import Nudging
    from boresight.steer.urial import Urial

__all__ = ["Nudging", "Urial"]

_HOMES = {"Nudging": "boresight.steer.nudging", "Urial": "boresight.steer.urial"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'boresight.steer' has no attribute {name!r}")
