import logging
import stat
import subprocess
import sys

import pytest

from boresight.lm.remote.cache import AnswerCache, key_of, wanted

WRITER = """
import sys
from pathlib import Path
from boresight.lm.remote.cache import AnswerCache, key_of
cache = AnswerCache(Path(sys.argv[1]))
for i in range(200):
    cache.put(key_of("shared", i), {"by": sys.argv[2], "text": "x" * 2000})
    cache.put(key_of(sys.argv[2], i), i)
    assert cache.get(key_of("shared", i))["text"] == "x" * 2000
"""


def test_answers_come_back(tmp_path):
    cache = AnswerCache(tmp_path / "deep" / "remote.sqlite")
    assert cache.get("k") is None
    cache.put("k", {"text": "é\ud83d", "n": [1, None]})
    assert cache.get("k") == {"text": "é\ud83d", "n": [1, None]}
    assert AnswerCache(cache.path).get("k") == cache.get("k")
    cache.put("k", "another")
    assert cache.get("k")["n"] == [1, None], "the first stays"
    assert stat.S_IMODE(cache.path.stat().st_mode) == 0o600


def test_keys_tell_requests_apart():
    assert key_of("u", {"a": 1, "b": 2}) == key_of("u", {"b": 2, "a": 1})
    different = [("u", {"a": 1}), ("u", {"a": 1.5}), ("v", {"a": 1}), ("u", {"a": "1"}), ("u", {"a": None}), ("u",)]
    assert len({key_of(*parts) for parts in different}) == len(different)


def test_two_processes_at_once(tmp_path):
    path = tmp_path / "remote.sqlite"
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("one", "two")]
    assert [process.wait(60) for process in running] == [0, 0]
    cache = AnswerCache(path)
    assert all(cache.get(key_of(name, i)) == i for name in ("one", "two") for i in range(200))
    assert {cache.get(key_of("shared", i))["by"] for i in range(200)} <= {"one", "two"}


def test_a_cache_that_cannot_be_used_is_left_out(tmp_path, caplog):
    broken = tmp_path / "remote.sqlite"
    broken.write_bytes(b"no database" * 100)
    for path in (broken, broken / "below" / "a-file"):
        caplog.clear()
        cache = AnswerCache(path)
        with caplog.at_level(logging.WARNING):
            cache.put("k", 1)
            assert cache.get("k") is None
        assert len(caplog.records) == 1
        assert "is not used" in caplog.text


def test_old_answers_are_forgotten(tmp_path, monkeypatch):
    cache = AnswerCache(tmp_path / "remote.sqlite")
    monkeypatch.setattr("boresight.lm.remote.cache.time.time", lambda: 1_000.0)
    cache.put("old", 1)
    monkeypatch.undo()
    cache.put("new", 2)
    fresh = AnswerCache(cache.path)
    assert (fresh.get("old"), fresh.get("new")) == (None, 2)


@pytest.mark.parametrize(("value", "on"), [(None, True), ("", True), ("on", True), ("off", False), ("0", False)])
def test_the_switch(value, on, monkeypatch):
    if value is not None:
        monkeypatch.setenv("BORESIGHT_REMOTE_CACHE", value)
    assert wanted(None) is on
    assert (wanted(True), wanted(False)) == (True, False)
