import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from boresight.lm.remote.retry import Patience, may_pass, pause, retry_after

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Sun, 01 Mar 2026 12:00:05", 5.0),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("", None),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after(value, NOW) == seconds


def test_pauses_double_up_to_the_longest_and_are_drawn():
    how = Patience(first=1.0, longest=8.0)
    for attempt, most in enumerate((1, 2, 4, 8, 8, 8), 1):
        drawn = [pause(attempt, None, how, random.Random(i)) for i in range(200)]
        assert most / 2 <= min(drawn) < 0.6 * most
        assert 0.9 * most < max(drawn) <= most


def test_what_the_server_asks_for_is_the_least():
    how = Patience(first=1.0, longest=8.0)
    drawn = [pause(1, 20.0, how, random.Random(i)) for i in range(50)]
    assert all(20 <= d <= 21 for d in drawn)
    assert len(set(drawn)) > 40
    assert pause(4, 0.0, how, random.Random(0)) >= 4, "0 seconds is no leave to hammer"


def test_which_statuses_may_pass():
    assert [s for s in range(400, 600) if may_pass(s)][:6] == [408, 409, 425, 429, 500, 502]
    assert not any(map(may_pass, (200, 301, 400, 401, 403, 404, 413, 422, 501, 505)))


@pytest.mark.parametrize("setting", ["attempts", "seconds", "attempt", "first", "longest"])
def test_patience_is_positive(setting):
    with pytest.raises(ValueError, match=f"{setting} is 0; it must be greater than 0"):
        Patience(**{setting: 0})
