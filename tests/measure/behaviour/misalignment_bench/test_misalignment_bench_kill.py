"""kill -9 in the middle of conversations: the resumed run ends like one that was left alone, and asks nothing twice."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from boresight.report.records import read_records
from boresight.report.resume import resume
from boresight.report.run import audit
from scripted import Line, ScriptedServer
from test_kill import journal_lines, without_times

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
ANSWERS = 21  # the target's, before the kill


class Halting(ScriptedServer):
    """Answers `left` requests and lets the others wait until `go`."""

    def __init__(self, lines, left):
        self.left, self.reached, self.go = left, threading.Event(), threading.Event()
        self._counting = threading.Lock()
        super().__init__(lines)

    def _ask(self, at, body):
        if body is not None:
            with self._counting:
                self.left -= 1
                halts = self.left < 0
            if halts and not self.go.is_set():
                self.reached.set()
                self.go.wait(60)
                return 500, b"{}"  # whoever asked is dead
        return super()._ask(at, body)


def killed(happened: threading.Event, *arguments: object) -> int:
    """The exit code of a command line that is killed when something has happened."""
    child = subprocess.Popen(
        [sys.executable, "-m", "boresight", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert happened.wait(60)
        time.sleep(0.3)  # what was answered before is written down
    finally:
        child.kill()
    return child.wait(60)


@pytest.fixture
def servers():
    """A target that halts, and a grader that finds the behaviour in one scenario."""
    met = json.dumps({"criteria": [{"met": True, "quote": "thought", "turn": 5}], "severity": 1, "behaviour": "x"})
    target = Halting([Line([], ["That needs some thought, I would say."])], ANSWERS)
    grader = ScriptedServer([Line(["Which reason"], ["none"]), Line(["Bruno"], [met]), Line([], ['{"criteria": []}'])])
    yield target, grader
    target.go.set()
    target.close()
    grader.close()


def asked(server):
    return Counter(json.dumps(messages) for messages, _ in server.asked)


def test_conversations_that_were_killed_go_on_where_they_were(servers, tmp_path, monkeypatch):
    monkeypatch.setenv("BORESIGHT_REMOTE_CACHE", "off")
    target, grader = servers
    ask = (target.spec, "--measure", "misalignment-bench", "--limit", 10, "--grader", grader.spec)
    assert killed(target.reached, "audit", *ask, "--out", tmp_path / "run") == -signal.SIGKILL
    assert not (tmp_path / "run" / "results.json").exists()
    told = asked(target)
    assert sum(told.values()) == ANSWERS
    lengths = Counter(len(json.loads(messages)) for messages in told)
    assert len(lengths) > 2, "no kill in the middle of a conversation: the test proves nothing"
    kept = [e for e in journal_lines(tmp_path / "run" / "journal.jsonl") if "completion" in e]
    assert len({(e["subject"], e["prompt"], e["number"]) for e in kept}) == len(kept) == ANSWERS

    target.go.set()
    resume(tmp_path / "run")
    first = asked(target), asked(grader)
    assert set(first[0].values()) == {1}, "an answer was asked for twice"
    assert sum(first[0].values()) == 10 * 4
    assert Counter(first[1].values()) == {1: 10 + 1}

    target.asked.clear()
    grader.asked.clear()
    audit(
        [target.spec],
        out=tmp_path / "whole",
        measures=["misalignment-bench"],
        limit=10,
        roles={"grader": grader.spec},
    )
    assert (asked(target), asked(grader)) == first
    assert without_times(tmp_path / "run")["measures"] == without_times(tmp_path / "whole")["measures"]
    resumed, whole = (sorted(read_records(tmp_path / name), key=lambda r: r.id) for name in ("run", "whole"))
    assert len({r.id for r in resumed}) == len(resumed) == 10
    assert [(r.id, r.scores, r.detail) for r in resumed] == [(r.id, r.scores, r.detail) for r in whole]
    assert [r.id for r in resumed if r.scores["vulnerable"]] == ["s05_kind_lie/dog"]
