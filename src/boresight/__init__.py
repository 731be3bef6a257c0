"""boresight: the alignment workbench for language models.

`load(spec)` gives a language model, the classes of `steer` wrap one, `audit(subjects)` measures them into a run
directory, and `compare(run, run)` tells what changed. All of it loads on use: importing boresight loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boresight import steer
    from boresight.report.compare import compare
    from boresight.report.run import audit
    from boresight.steer.policy import load

__version__ = "0.1.0"
__all__ = ["__version__", "audit", "compare", "load", "steer"]

_HOMES = {"audit": "boresight.report.run", "compare": "boresight.report.compare", "load": "boresight.steer.policy"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "steer":
        return import_module("boresight.steer")
    raise AttributeError(f"module 'boresight' has no attribute {name!r}")
