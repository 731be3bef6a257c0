"""Requests for answers: JSON lines with a "prompt" (text) or "messages" (a chat), and whatever else the user keeps."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from boresight.chat import Chat, user, validate
from boresight.data import open_text, read_jsonl
from boresight.errors import DataError


class Request(NamedTuple):
    """A row as it was read, and the chat that it asks for."""

    row: dict[str, Any]
    chat: Chat


def read_requests(source: str | Path | IO[str] | Sequence[str], where: str = "") -> list[Request]:
    """All requests of a file (or of open lines); DataError naming the line that is wrong, or if there is none."""
    if isinstance(source, str | Path):
        with open_text(source) as file:
            return read_requests(file, str(source))
    found: list[Request] = []
    try:
        for number, row in read_jsonl(source, where):
            place = f"{where}, line {number}"
            if "messages" in row:
                found.append(Request(row, validate(row["messages"], place)))
            elif isinstance(row.get("prompt"), str) and row["prompt"].strip():
                found.append(Request(row, validate(user(row["prompt"]), place)))
            else:
                raise DataError(f"{place}: a non-empty text 'prompt' or a list 'messages' is needed")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not UTF-8 text ({error.reason} at byte {error.start})") from error
    if not found:
        raise DataError(f"{where} holds no prompt: at least one line with 'prompt' or 'messages' is needed")
    return found
