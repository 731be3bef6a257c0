"""Methods that change what is said, weights untouched. Each wraps a language model and is one."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boresight.steer.ensemble import Ensemble
    from boresight.steer.nudging import Nudging
    from boresight.steer.proxy_tuning import ProxyTuning
    from boresight.steer.urial import Urial

__all__ = ["Ensemble", "Nudging", "ProxyTuning", "Urial"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from boresight.steer.stack import STEPS

        return next(getattr(import_module(s.module), name) for s in STEPS.values() if s.attribute == name)
    raise AttributeError(f"module 'boresight.steer' has no attribute {name!r}")
