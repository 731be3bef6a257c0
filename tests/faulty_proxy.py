"""A proxy on this machine that passes requests on to a server and, now and then, does something wrong on purpose."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REFUSAL = json.dumps({"error": {"message": "on purpose", "type": "test"}}).encode()


class FaultyProxy:
    """Passes everything on to `upstream`, except where the next fault says otherwise.

    faults: names, one for each coming POST to the API ("" is none). poison: request bodies for which it holds get
    status 500 for ever. seen: (time, path, headers, body) of each POST; passed: how many answers went out whole, by
    the request's text.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.faults: deque[str] = deque()
        self.poison: Callable[[str], bool] = lambda body: False
        self.seen: list[tuple[float, str, dict[str, str], dict[str, Any]]] = []
        self.passed: Counter[str] = Counter()
        self.tokens = [0, 0]  # prompt and generated, in the answers that went out whole
        self.closed = False
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                proxy.pass_on(self, None)

            def do_POST(self) -> None:
                proxy.post(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.closed = True
        self._server.shutdown()
        self._server.server_close()

    def post(self, at: BaseHTTPRequestHandler) -> None:
        body = at.rfile.read(int(at.headers["Content-Length"]))
        if self.closed:  # a connection that outlives it
            at.close_connection = True
            return
        api = at.path.startswith("/v1/")
        with self._lock:
            if api:
                self.seen.append((time.monotonic(), at.path, dict(at.headers), json.loads(body)))
            fault = self.faults.popleft() if api and self.faults else ""
        if api and self.poison(body.decode()):
            fault = "500"
        with suppress(BrokenPipeError, ConnectionResetError):
            if fault:
                getattr(self, f"_do_{fault}")(at, body)
            else:
                self.pass_on(at, body)

    def pass_on(self, at: BaseHTTPRequestHandler, body: bytes | None) -> None:
        status, said = self._ask(at, body)
        answers = status == 200 and body is not None and at.path.startswith("/v1/")
        if answers:  # before it goes out: whoever gets it may look at once
            self._note(body, said, 1)
        if not self._answer(at, status, said) and answers:
            self._note(body, said, -1)

    def _note(self, body: bytes, said: bytes, sign: int) -> None:
        used = json.loads(said)["usage"]
        with self._lock:
            self.passed[body.decode()] += sign
            self.tokens[0] += sign * used["prompt_tokens"]
            self.tokens[1] += sign * used["completion_tokens"]

    def _ask(self, at: BaseHTTPRequestHandler, body: bytes | None) -> tuple[int, bytes]:
        asked = urllib.request.Request(self.upstream + at.path, data=body, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=60) as said:
                return said.status, said.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 502, REFUSAL

    def _answer(self, at: BaseHTTPRequestHandler, status: int, said: bytes, **headers: str) -> bool:
        try:
            at.send_response(status)
            at.send_header("Content-Type", "application/json")
            at.send_header("Content-Length", str(len(said)))
            for name, value in headers.items():
                at.send_header(name.replace("_", "-"), value)
            at.end_headers()
            at.wfile.write(said)
            return True
        except OSError:
            return False

    # -- faults ---------------------------------------------------------------------------------------------------

    def _do_429(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        self._answer(at, 429, REFUSAL, Retry_After="1")

    def _do_429_date(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        self._answer(at, 429, REFUSAL, Retry_After=formatdate(time.time() + 2, usegmt=True))

    def _do_429_long(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        self._answer(at, 429, REFUSAL, Retry_After="86400")

    def _do_408(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        self._answer(at, 408, REFUSAL)

    def _do_500(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        self._answer(at, 500, REFUSAL)

    def _do_503_html(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        self._answer(at, 503, b"<html><body>Bad gateway</body></html>")

    def _do_refused(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        self._answer(at, 422, REFUSAL)

    def _do_forbidden(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        said = {"error": {"message": f"bad key {at.headers.get('Authorization')}", "code": "invalid_api_key"}}
        self._answer(at, 401, json.dumps(said).encode())

    def _do_quota(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        said = {"error": {"message": "you have spent everything", "code": "insufficient_quota"}}
        self._answer(at, 429, json.dumps(said).encode())

    def _do_reset(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        at.close_connection = True

    def _do_drop(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        """The real answer, of which half arrives."""
        _, said = self._ask(at, body)
        self._head(at, len(said))
        at.wfile.write(said[: len(said) // 2])
        at.close_connection = True

    def _do_slow(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        """The real answer, byte by byte, so slowly that nobody lives to see the end of it."""
        _, said = self._ask(at, body)
        self._head(at, len(said))
        for i in range(len(said)):
            at.wfile.write(said[i : i + 1])
            time.sleep(0.1)

    def _do_stall(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        """A beginning, then silence."""
        self._head(at, 1000)
        at.wfile.write(b'{"choices":')
        at.wfile.flush()
        time.sleep(5)
        at.close_connection = True

    def _do_garbled(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        _, said = self._ask(at, body)
        self._answer(at, 200, said[:-20])

    def _do_form(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        self._answer(at, 200, b'{"choices": [{"index": 0, "message": null}]}')

    def _do_list(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        self._answer(at, 200, b"[1, 2]")

    def _do_error_inside(self, at: BaseHTTPRequestHandler, body: bytes) -> None:
        self._answer(at, 200, b'{"error": {"code": 502, "message": "the provider is away"}}')

    def _head(self, at: BaseHTTPRequestHandler, length: int) -> None:
        at.send_response(200)
        at.send_header("Content-Type", "application/json")
        at.send_header("Content-Length", str(length))
        at.end_headers()
