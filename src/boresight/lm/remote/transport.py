"""JSON over HTTP to one server: a few requests at a time, tried again when the failure may pass."""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar

from boresight.errors import ModelError
from boresight.lm.remote.retry import Patience, Refused, TooLong, Transient, may_pass, pause, retry_after
from boresight.lm.remote.usage import Usage

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 64 << 20  # an answer with log-probabilities is a few hundred kilobytes
_TOO_LONG = re.compile(r"context.{0,20}(length|size|window)|too long|max_model_len", re.IGNORECASE)
_SPENT = ("insufficient_quota", "billing_hard_limit_reached")  # come with status 429, but waiting does not help
T = TypeVar("T")


class Transport:
    """Requests to the server at `url`. Used from one event loop.

    key: sent as bearer token, "" for none. concurrency: requests under way at once.
    """

    def __init__(self, url: str, *, key: str, patience: Patience, concurrency: int, usage: Usage) -> None:
        self.url, self.patience, self.usage = url, patience, usage
        self._key = key
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(concurrency)
        self._draw = random.Random()
        self._not_before = 0.0  # the server asked everybody to wait until then
        self._answered = 0.0  # when it last gave a usable answer
        self._down = False  # a request was given up, and nothing was answered since it began

    async def request(self, method: str, url: str, body: dict[str, Any] | None, read: Callable[[Any], T]) -> T:
        """What `read` makes of the answer's JSON; a ValueError, KeyError or TypeError of it counts as a bad answer.

        Retries what may pass. Raises ModelError, in one sentence, for what will not, and when patience is at an end;
        while a server is down, only the first requests are tried to the end.
        """
        async with self._slots:  # kept while it waits: the more fail, the fewer are sent
            began, attempt = time.monotonic(), 0
            while True:
                attempt += 1
                await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
                try:
                    answer = await self._read(method, url, body, read)
                    self._answered, self._down = time.monotonic(), False
                    return answer
                except Transient as error:
                    await asyncio.sleep(self._patiently(error, attempt, began))
                except ModelError:
                    self.usage.failed += 1
                    raise

    def _patiently(self, failed: Transient, attempt: int, began: float) -> float:
        """Seconds to wait before the next attempt; ModelError if there is to be none."""
        now = time.monotonic()
        wait = pause(attempt, failed.after, self.patience, self._draw)
        if failed.after:
            self._not_before = max(self._not_before, now + failed.after)
        spent = attempt >= self.patience.attempts or now + wait - began > self.patience.seconds
        if spent or (self._down and not failed.busy):
            self._down = self._down or (not failed.busy and self._answered < began)
            self.usage.failed += 1
            raise ModelError(self._gave_up(failed, attempt, now - began)) from failed
        self.usage.retries += 1
        return wait

    async def once(self, method: str, url: str, body: dict[str, Any] | None = None) -> Any:
        """The answer's JSON, asked for a single time. Raises Transient for what may pass, else ModelError."""
        import httpx

        try:
            async with asyncio.timeout(self.patience.attempt):
                async with self._connected().stream(method, url, json=body) as response:
                    status, said = response.status_code, await _bounded(response)
                    after = retry_after(response.headers.get("retry-after"))
        except TimeoutError:
            raise Transient(f"no answer within {self.patience.attempt:g} seconds") from None
        except httpx.ConnectError as error:
            raise Transient(f"it cannot be reached ({self._clean(str(error))})") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            reason = self._clean(str(error)) or type(error).__name__
            raise Transient(f"the connection broke ({reason})") from error
        try:
            answer = json.loads(said)
        except (ValueError, RecursionError):
            answer = None
        wrong = answer.get("error") if isinstance(answer, dict) else None
        if status == 200 and wrong:  # routers report what went wrong behind them so
            code = wrong.get("code") if isinstance(wrong, dict) else None
            status = code if isinstance(code, int) and 400 <= code <= 599 else 400
        if status != 200:
            raise self._refusal(status, wrong, said, after)
        if answer is None:
            raise Transient("its answer is not JSON")
        return answer

    async def _read(self, method: str, url: str, body: dict[str, Any] | None, read: Callable[[Any], T]) -> T:
        answer = await self.once(method, url, body)
        try:
            return read(answer)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise Transient("its answer is JSON of another form than the API's") from error

    def _refusal(self, status: int, wrong: Any, said: bytes, after: float | None) -> Exception:
        wrong = wrong if isinstance(wrong, dict) else {"message": wrong or said.decode("utf-8", "replace")}
        reason = self._clean(str(wrong.get("message") or "no reason given"))
        kind = f"{wrong.get('code')} {wrong.get('type')}"
        if may_pass(status) and not any(word in kind for word in _SPENT):
            return Transient(f"status {status}: {reason}", after, busy=status == 429)
        if status in (401, 403):
            how = "a wrong API key" if self._key else "no API key"
            return Refused(f"{self.url} turned the request away with {how} (status {status}): {reason}", status)
        if status in (400, 413, 422) and (
            "exceed_context" in kind or "context_length" in kind or _TOO_LONG.search(reason)
        ):
            return TooLong(f"{self.url}: the prompt does not fit the model's context: {reason}", status)
        return Refused(f"{self.url} refused the request (status {status}): {reason}", status)

    def _gave_up(self, failed: Transient, attempts: int, seconds: float) -> str:
        asked = f"; it asks to wait {failed.after:.0f} seconds" if failed.after else ""
        times = "once" if attempts == 1 else f"{attempts} times in {seconds:.0f} seconds"
        return f"{self.url} gave no usable answer: {failed}{asked} (tried {times})"

    def _clean(self, text: str) -> str:
        """A server's words on one line, without our key in them."""
        text = text.replace(self._key, "[key]") if self._key else text
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= 300 else text[:297] + "..."

    def _connected(self) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx

            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            timeout = httpx.Timeout(self.patience.attempt, connect=min(20.0, self.patience.attempt), pool=None)
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
            # A proxy that is set for the outside world knows nothing of servers on this machine.
            outside = not is_loopback(httpx.URL(self.url).host)
            self._client = httpx.AsyncClient(headers=headers, timeout=timeout, limits=limits, trust_env=outside)
        return self._client


async def _bounded(response: "httpx.Response") -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MAX_BYTES:
            raise Transient(f"its answer is longer than {MAX_BYTES >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or number."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
