"""A server with the older form of completions, over a model of ours: what vLLM offers, as far as `Endpoint` asks.

llama.cpp cannot repeat a prompt with its log-probabilities, and its answers have the newer form. The numbers here are
computed by a real (tiny) model; the form is that of the OpenAI completions API with vLLM's additions.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch


class OlderServer:
    """POST /v1/completions (logprobs, echo), /v1/chat/completions, /tokenize; GET /v1/models."""

    def __init__(self, model: Any, owner: str = "vllm") -> None:
        self.model, self.owner = model, owner
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.Lock()
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                about = {"id": "org/tiny", "owned_by": served.owner, "max_model_len": model.context, "root": "/here"}
                served.answer(self, 200, {"object": "list", "data": [about]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with served._lock:
                    served.asked.append((self.path, body))
                    status, said = served.respond(self.path, body)
                served.answer(self, status, said)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def answer(at: BaseHTTPRequestHandler, status: int, said: Any) -> None:
        data = json.dumps(said).encode()
        at.send_response(status)
        at.send_header("Content-Length", str(len(data)))
        at.end_headers()
        at.wfile.write(data)

    def respond(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        chat = body.get("messages")
        prompt = self.model.render(chat) if chat else body["prompt"]
        ids = self.model.encode(prompt)
        if path == "/tokenize":
            plain = not body.get("add_special_tokens", True)
            ids = self.model.tokenizer(prompt, add_special_tokens=False)["input_ids"] if plain else ids
            return 200, {"count": len(ids), "tokens": ids, "max_model_len": self.model.context}
        most = body["max_tokens"]
        if len(ids) + most > self.model.context:
            message = (
                f"This model's maximum context length is {self.model.context} tokens. However, you requested more."
            )
            return 400, {"error": {"message": message, "type": "BadRequestError", "code": 400}}
        new, ended = self._greedy(ids, most)
        shown = ids + new if body.get("echo") else new
        text = self.model.decode(new).rstrip("\ufffd")  # the beginning of a character is held back
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop" if ended else "length", "stop_reason": None}
        if chat:
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = (prompt if body.get("echo") else "") + text
            choice["logprobs"] = self._logprobs(ids + new, len(shown)) if "logprobs" in body else None
        used = {"prompt_tokens": len(ids), "completion_tokens": len(new), "total_tokens": len(ids) + len(new)}
        return 200, {"object": "x", "choices": [choice], "usage": used}

    def _greedy(self, ids: list[int], most: int) -> tuple[list[int], bool]:
        with self.model.session() as session:
            logits = session.append(ids)
            new: list[int] = []
            while len(new) < most:
                new.append(int(logits.argmax()))
                if new[-1] in self.model.eos_ids:
                    return new, True
                logits = session.append(new[-1:])
        return new, False

    def _logprobs(self, ids: list[int], last: int) -> dict[str, Any]:
        rows: list[torch.Tensor] = []
        with self.model.session() as session:
            for i in ids[:-1]:
                rows.append(session.append([i]).float().log_softmax(-1))
        texts = [self.model.tokenizer.decode([i]) for i in ids]
        ends = [len(self.model.decode(ids[: n + 1])) for n in range(len(ids))]
        own: list[float | None] = [None, *(row[i].item() for row, i in zip(rows, ids[1:], strict=True))]
        tops = [None, *({texts[n + 1]: own[n + 1], "~top": row.max().item()} for n, row in enumerate(rows))]
        start = len(ids) - last
        return {
            "tokens": texts[start:],
            "token_logprobs": own[start:],
            "top_logprobs": tops[start:],
            "text_offset": [0, *ends][start : len(ids)],
        }
