"""The folder in which models are kept, and how several processes share it.

<cache>/models/<name>-<source>   finished models, each with a marker that lists its files
<cache>/models/.<name>.*         work of a pull in progress, or left by one that was killed
<cache>/locks                    one lock per model and source
<cache>/licences.json            licences that were accepted
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from boresight.errors import OutputError

MARKER = "boresight.json"


def cache_dir() -> Path:
    """BORESIGHT_CACHE, else boresight in XDG_CACHE_HOME, else ~/.cache/boresight. It need not exist."""
    if own := os.environ.get("BORESIGHT_CACHE"):
        return Path(own).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(shared) if os.path.isabs(shared) else Path.home() / ".cache") / "boresight"


def models_dir() -> Path:
    """Where model folders lie in the cache."""
    return cache_dir() / "models"


def marker(folder: Path) -> dict[str, Any] | None:
    """What the marker of a finished model folder says; None if there is none or a file it lists is missing or short."""
    try:
        said = json.loads((folder / MARKER).read_text("utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in said["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return said if whole else None


@contextlib.contextmanager
def writing(where: Path) -> Iterator[None]:
    """Turn what the disk says no to into one sentence."""
    try:
        yield
    except OSError as error:
        said = error.strerror or str(error)
        raise OutputError(f"{where} cannot be written ({said}); free some space or set BORESIGHT_CACHE") from error


@contextlib.contextmanager
def locked(name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the cache's lock of that name; `waiting` is called if another process has it.

    The lock belongs to the process: the system frees it when the process ends, however it ends.
    """
    from filelock import FileLock, Timeout

    locks = cache_dir() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting:
            waiting()
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def workspace(name: str) -> Iterator[Path]:
    """A hidden folder beside the models, gone afterwards; `sweep` removes those of processes that were killed."""
    models_dir().mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=models_dir()))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sweep(name: str) -> None:
    """Remove what a killed pull of this model left behind; the caller holds its lock."""
    models_dir().mkdir(parents=True, exist_ok=True)
    for left in models_dir().glob(f".{name}.*"):
        shutil.rmtree(left, ignore_errors=True)
