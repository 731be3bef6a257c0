"""What of an answer may be kept: nothing, its form and a salted hash, or all of it (sheet, section 2)."""

import hashlib
import secrets
from typing import Any, Literal

from boresight.measure.behaviour.alignment_faking.parse import Parsed

Store = Literal["none", "redacted", "full"]

_SALT = secrets.token_bytes(16)  # of this process: hashes show equal answers of one run and cannot be looked up


def redacted(parsed: Parsed, store: Store = "redacted") -> dict[str, Any]:
    """What a log keeps of a parsed output. none: the label. redacted: also lengths and a salted hash. full: its text.

    The hash tells whether two answers of one run are alike; its salt is never stored. ValueError for another `store`.
    """
    if store not in ("none", "redacted", "full"):
        raise ValueError(f"store_outputs is {store!r}; none, redacted or full is needed")
    kept: dict[str, Any] = {"label": parsed.label}
    if store != "none":
        kept["final_length"] = len(parsed.final)
        kept["scratchpad_length"] = len(parsed.scratchpad or "")
        kept["final_hash"] = hashlib.sha256(_SALT + parsed.final.encode()).hexdigest()[:16]
    if store == "full":
        kept |= {"final": parsed.final, "scratchpad": parsed.scratchpad}
    return kept


def placeholder(parsed: Parsed) -> str:
    """What stands in the log in place of an answer."""
    return f"[{parsed.label}: {len(parsed.final)} characters, not stored]"
