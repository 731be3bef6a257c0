"""An attempt at a run: what earlier attempts have left in the directory's journal, and what this one adds.

The journal (`journal.jsonl`) stands in a run directory while the run is not finished. It holds every answer as it was
given and, for each subject whose evaluation is complete, the names of its logs. A log that is not named there was cut
off, and goes.
"""

import time
from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boresight.lm.base import Completion, completion_from
from boresight.lm.remote.usage import Spent
from boresight.report.journal import Journal

JOURNAL = "journal.jsonl"

Slot = tuple[str, int]


class Attempt:
    """One go at the run in `folder`: the first, or one that goes on where the last was killed.

    created: when the first began. resumed: whether there was one before. spent: by subject, what its remote models were
    asked (`boresight.lm.remote.usage`), in all attempts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.logs = folder, folder / "logs"
        self._began = time.monotonic()
        self._earlier = 0.0
        self._known: dict[str, dict[Slot, Completion]] = defaultdict(dict)
        self._finished: dict[str, list[str]] = {}
        self.spent: dict[str, Spent] = {}
        path = folder / JOURNAL
        self.resumed = path.exists()
        now = {"journal": 1, "created": datetime.now(UTC).isoformat(timespec="seconds")}
        self._journal = Journal(path, None if self.resumed else now)
        self.created = str(self._journal.head.get("created", now["created"]))
        for entry in self._journal.entries:
            self._take(entry)
        self._tidy()

    def _take(self, entry: dict[str, Any]) -> None:
        self._earlier = max(self._earlier, float(entry["seconds"]))
        if "spent" in entry:
            self.spent[entry["subject"]] = entry["spent"]
        if "logs" in entry:
            self._finished[entry["subject"]] = entry["logs"]
        else:
            slot = (entry["prompt"], entry["number"])
            self._known[entry["subject"]][slot] = completion_from(entry["completion"])

    def _tidy(self) -> None:
        """Delete the logs of evaluations that were cut off: their samples are evaluated again."""
        whole = {name for names in self._finished.values() for name in names}
        for log in self.logs.glob("*") if self.resumed else ():
            if log.name not in whole:
                log.unlink()

    def known(self, subject: str) -> dict[Slot, Completion]:
        """The answers of a subject that are there already."""
        return self._known[subject]

    def finished(self, subject: str) -> list[Path]:
        """The logs of a subject that is through, in the order of its measures; else none."""
        return [self.logs / name for name in self._finished.get(subject, ())]

    def keep(self, subject: str, slot: Slot, answer: Completion, spent: Spent) -> None:
        """Write an answer down."""
        self._add(subject, spent, {"prompt": slot[0], "number": slot[1], "completion": asdict(answer)})

    def finish(self, subject: str, logs: list[str]) -> None:
        """Write down that a subject's evaluation is complete. logs: names of its files."""
        self._add(subject, {}, {"logs": logs})

    def _add(self, subject: str, spent: Spent, entry: dict[str, Any]) -> None:
        if spent:
            self.spent[subject] = entry["spent"] = spent
        self._journal.add({"subject": subject, **entry, "seconds": self.seconds})

    @property
    def seconds(self) -> float:
        """Seconds spent on the run, in this attempt and those before."""
        return round(self._earlier + time.monotonic() - self._began, 1)

    def complete(self) -> None:
        """The results are written: the journal is not needed any more."""
        self._journal.remove()

    def __enter__(self) -> "Attempt":
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()
