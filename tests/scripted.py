"""A server on this machine that speaks the OpenAI API and says what was written down for it beforehand.

It stands for a strong grader or red-teamer that cannot be had in a test: a real HTTP server, whose replies are known,
so that every number of a run can be worked out by hand. Faults are those of `FaultyProxy`, one for each coming request:
`server.faults.extend(["429", ""])`.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from faulty_proxy import FaultyProxy


@dataclass
class Line:
    """What is said to a request that holds all strings of `when` in its messages.

    says: the replies, in turn; the last one again for ever. top: the alternatives of the first token (token ->
    log-probability), where the request asks for log-probabilities. finish: the finish reason.
    """

    when: Sequence[str]
    says: Sequence[str]
    top: dict[str, float] = field(default_factory=dict)
    finish: str = "stop"
    said: int = 0


class ScriptedServer(FaultyProxy):
    """Answers chat requests from its `lines`; the first one that fits speaks.

    asked: the messages of every request that was answered, with what was said. unknown: requests for which nothing was
    written down; they get status 400.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = list(lines)
        self.asked: list[tuple[list[dict[str, Any]], str]] = []
        self.unknown: list[list[dict[str, Any]]] = []
        self._speaking = threading.Lock()
        super().__init__(upstream="")

    @property
    def spec(self) -> str:
        """What `--grader` and `--red-team` take."""
        return f"{self.address}/v1#scripted"

    def _ask(self, at: BaseHTTPRequestHandler, body: bytes | None) -> tuple[int, bytes]:
        if body is None:
            return 200, json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model"}]}).encode()
        asked = json.loads(body)
        if not at.path.endswith("/chat/completions"):
            return 404, b'{"error": {"message": "only chats are answered"}}'
        text = "\n".join(m["content"] for m in asked["messages"])
        with self._speaking:
            line = next((line for line in self.lines if all(w in text for w in line.when)), None)
            if line is None:
                self.unknown.append(asked["messages"])
                return 400, b'{"error": {"message": "nothing was written down for this"}}'
            said = line.says[min(line.said, len(line.says) - 1)]
            line.said += 1
            self.asked.append((asked["messages"], said))
        return 200, json.dumps(_completion(asked, line, said)).encode()


def _completion(asked: dict[str, Any], line: Line, said: str) -> dict[str, Any]:
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": said},
        "finish_reason": line.finish,
    }
    if asked.get("logprobs"):
        top = [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in line.top.items()]
        first = said.split()[0] if said.split() else said
        chosen = next((t for t in top if t["token"] == first), {"token": first, "logprob": 0.0, "bytes": []})
        choice["logprobs"] = {"content": [{**chosen, "top_logprobs": top[: asked.get("top_logprobs", 0)]}]}
    prompt = sum(len(m["content"].split()) for m in asked["messages"])
    used = {"prompt_tokens": prompt, "completion_tokens": len(said.split())}
    return {
        "id": "scripted",
        "object": "chat.completion",
        "model": asked.get("model", "scripted"),
        "choices": [choice],
        "usage": {**used, "total_tokens": sum(used.values())},
    }


def recorded(path: Path) -> list[Line]:
    """Lines of a JSONL file: {"when": [...], "says": [...], "top": {...}, "finish": "..."}."""
    return [Line(**json.loads(row)) for row in path.read_text().splitlines() if row.strip()]


@contextmanager
def scripted(lines: Sequence[Line]) -> Iterator[ScriptedServer]:
    """The server, for as long as it is needed."""
    server = ScriptedServer(lines)
    try:
        yield server
    finally:
        server.close()
