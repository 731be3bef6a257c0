"""When a request that went wrong is tried again, and how long to wait before."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from boresight.errors import ModelError


@dataclass(frozen=True)
class Patience:
    """How long a request is tried.

    attempts: at most so many. seconds: from its first attempt to giving up. attempt: seconds that one attempt may take
    from the request to the last byte of the answer; a stalled one is abandoned then. first, longest: seconds of the
    shortest and the longest pause between attempts.

    Raises ValueError for values that are not positive.
    """

    attempts: int = 10
    seconds: float = 900.0
    attempt: float = 300.0
    first: float = 0.5
    longest: float = 30.0

    def __post_init__(self) -> None:
        """Refuse values that would never or always give up."""
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} is {value}; it must be greater than 0")


class Transient(Exception):
    """An attempt failed in a way that may pass. after: seconds the server asks to wait. busy: it answered, with 429."""

    def __init__(self, reason: str, after: float | None = None, busy: bool = False) -> None:
        super().__init__(reason)
        self.after, self.busy = after, busy


class Refused(ModelError):
    """The server answered with a status that another attempt would not change."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class TooLong(Refused):
    """The server says that a prompt does not fit its model's context."""


def may_pass(status: int) -> bool:
    """Whether a request that got this HTTP status is worth another attempt: 408, 409, 425, 429, 5xx but 501 and 505."""
    return status in (408, 409, 425, 429) or (500 <= status <= 599 and status not in (501, 505))


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks to wait (a number, or an HTTP date); None if there is none to read."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (date - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if seconds < float("inf") else None


def pause(attempt: int, asked: float | None, how: Patience, draw: random.Random) -> float:
    """Seconds to wait after attempt number `attempt` (from 1).

    Doubles from `how.first` to `how.longest`, of which a random part between a half and all is taken, so that many
    clients do not come back at once. A server that asks for longer gets that, and a little more for the same reason.
    """
    own = min(how.longest, how.first * 2 ** (attempt - 1)) * draw.uniform(0.5, 1.0)
    return own if asked is None else max(own, asked + how.first * draw.random())
