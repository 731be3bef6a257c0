"""The journal of work in progress: one JSON line for each thing that is done, on disk before it counts.

A process may be killed between any two of its instructions. What it had written stays; a last line that was cut off is
dropped when the journal is opened again, so that its work is done once more.
"""

import json
import os
import time
from pathlib import Path
from typing import IO, Any

from boresight.errors import DataError
from boresight.report.files import write_text, writing

SYNC = 1.0
"""Seconds after which lines are forced to the disk. A killed process loses none; a power cut may lose that much."""


class Journal:
    """A file of JSON lines that only grows. The first line, `head`, says what the work is.

    held: number of lines after it.
    """

    def __init__(self, path: Path, head: dict[str, Any] | None = None) -> None:
        """Begin a journal with `head`, or open one that is there (DataError if its first line cannot be read)."""
        self.path = path
        self.lines: list[dict[str, Any]] = []
        if head is not None:
            write_text(path, json.dumps(head) + "\n")  # whole or not at all, so that a journal always has a head
        with writing(path):
            end = self._read()
            self._file: IO[str] = path.open("r+", encoding="utf-8", newline="\n")
            self._file.truncate(end)
            self._file.seek(end)
        self._synced = 0.0
        self.held = len(self.entries)

    @property
    def head(self) -> dict[str, Any]:
        """The first line."""
        return self.lines[0]

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The lines after the first that were there when the journal was opened."""
        return self.lines[1:]

    def _read(self) -> int:
        """Take in the whole lines; returns where they end, in bytes."""
        end = 0
        with self.path.open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    entry = None
                if not isinstance(entry, dict):
                    break
                self.lines.append(entry)
                end += len(line)
        if not self.lines:
            raise DataError(f"{self.path} is no journal of boresight: its first line cannot be read")
        return end

    def add(self, entry: dict[str, Any]) -> None:
        """Write one line. OutputError if the disk does not take it."""
        with writing(self.path):
            self._file.write(json.dumps(entry, ensure_ascii=True) + "\n")
            self._file.flush()
            self.held += 1
            if time.monotonic() - self._synced > SYNC:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()

    def close(self) -> None:
        """Close the file; it stays where it is."""
        self._file.close()

    def remove(self) -> None:
        """The work is complete: close the file and delete it."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
