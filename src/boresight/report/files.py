"""Writing run directories: every file appears whole or not at all, and trouble is one OutputError."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from boresight.errors import OutputError


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
        if any(path.iterdir()):
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
