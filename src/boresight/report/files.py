"""Writing run directories: every file appears whole or not at all, and trouble is one OutputError."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from boresight.errors import OutputError

LOCK = ".lock"
"""Name of the file that is locked while a run directory is written. One that a killed process has left is free."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's errors into an OutputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def new_directory(path: str | Path) -> Path:
    """Make a directory for a run; OutputError if it cannot be made or written, or holds something already."""
    path = Path(path)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        if any(inside.name != LOCK for inside in path.iterdir()):
            raise OutputError(f"{path} is not empty; name a new folder with --out, so that no earlier run is lost")
        probe = path / ".probe"
        probe.write_text("x")
        probe.unlink()
    return path


@contextmanager
def unless_it_fails(directory: Path) -> Iterator[None]:
    """Take a new directory away again if what is done here fails and has written nothing into it."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            directory.rmdir()
        raise


@contextmanager
def claimed(path: str | Path, *, new: bool = True) -> Iterator[Path]:
    """Hold a run directory: no other process can claim it until this block, or this process, has ended in any way.

    new: make the directory, empty as `new_directory` does; if this block fails and has written nothing, it goes again.
    A thread may claim again what it holds. Raises OutputError if another holds it, and as `new_directory`.
    """
    path = new_directory(path) if new else Path(path)
    tidy = unless_it_fails(path) if new else nullcontext()
    with tidy, held(path / LOCK, f"another run is writing to {path}; wait until it has ended"):
        if new:
            new_directory(path)  # the one that held it until now may have filled it
        yield path


@contextmanager
def held(lock: Path, complaint: str) -> Iterator[None]:
    """Hold a lock file; OutputError with `complaint` if another process does. It goes with the process."""
    from filelock import FileLock, Timeout

    with writing(lock):
        mine = FileLock(lock.resolve(), timeout=0, is_singleton=True)
        try:
            mine.acquire()
        except Timeout:
            raise OutputError(complaint) from None
    try:
        yield
    finally:
        if mine.lock_counter == 1:  # removed while it is held: who comes next makes a new one
            with suppress(OSError):
                lock.unlink()
        mine.release()


def require_place(path: Path) -> None:
    """OutputError unless a file could stand at `path`: a long run must not find that out at its end."""
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}")


def write_text(path: Path, text: str) -> None:
    """Write a file under another name and rename it when it is complete."""
    part = path.with_name(f".{path.name}.part")
    try:
        with writing(path):
            with part.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Write JSON, indented, in the order given."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
