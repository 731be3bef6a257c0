"""Patience for tests: enough attempts, short pauses."""

from boresight.lm.remote.retry import Patience

HURRIED = Patience(attempts=6, seconds=30, attempt=8, first=0.05, longest=0.4)
