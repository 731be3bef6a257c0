"""Answers of remote models on the disk, found by what was asked.

One SQLite file, <cache>/remote.sqlite, that several processes may use at once. The key is a digest of the server's
address, what it says about its model, and the whole request; neither holds an API key. A cache is a convenience: one
that cannot be read or written is left out with a warning, and nothing fails because of it.
"""

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from boresight.lm.cachedir import cache_dir

log = logging.getLogger(__name__)

FORMAT = 1  # of what is stored; another one is another file's worth of keys
DAYS = 30  # after which an answer is forgotten
WAIT = 30.0  # seconds to wait for another process that is writing


def wanted(asked: bool | None) -> bool:
    """Whether to keep answers: what was asked for, else on unless BORESIGHT_REMOTE_CACHE is off, 0, no or false."""
    if asked is not None:
        return asked
    return os.environ.get("BORESIGHT_REMOTE_CACHE", "").lower() not in ("off", "0", "no", "false")


def key_of(*parts: Any) -> str:
    """The digest under which the answer to `parts` (anything that JSON can say) is kept."""
    text = json.dumps([FORMAT, *parts], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class AnswerCache:
    """Key -> answer (what JSON can say). Used from one thread."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_dir() / "remote.sqlite"
        self._base: sqlite3.Connection | None = None
        self._broken = False

    def get(self, key: str) -> Any | None:
        """The answer, None if it is not there."""
        try:
            base = self._open()
            row = base and base.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
            return json.loads(row[0]) if row else None
        except (sqlite3.Error, OSError, ValueError) as error:
            self._leave_out(error)
            return None

    def put(self, key: str, answer: Any) -> None:
        """Keep an answer; where two processes have one for the same key, the first stays."""
        try:
            if base := self._open():
                row = (key, json.dumps(answer), time.time())
                with base:
                    base.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", row)
        except (sqlite3.Error, OSError, ValueError) as error:
            self._leave_out(error)

    def _open(self) -> sqlite3.Connection | None:
        if self._broken:
            return None
        if self._base is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # prompts are the user's own business
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
            base = sqlite3.connect(self.path, timeout=WAIT)
            with base:
                base.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT, time REAL)")
                base.execute("DELETE FROM answers WHERE time < ?", (time.time() - DAYS * 86_400,))
            self._base = base
        return self._base

    def _leave_out(self, error: Exception) -> None:
        if not self._broken:
            log.warning("the cache of answers %s is not used: %s", self.path, error)
        self._broken = True
