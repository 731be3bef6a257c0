"""kill -9 at random moments, and what a resumed run makes of it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from boresight.report.records import read_records

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
AUDIT_KILLS, GENERATE_KILLS = 20, 8


class Warm:
    """Command lines in forks of one warm process."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def run(self, *arguments: object, kill_after: float | None = None) -> int:
        """The exit code; -9 if the command was killed."""
        assert self.process.stdin
        order = {"arguments": [str(a) for a in arguments], "output": str(self.output)}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        child = int(self._line())
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):  # it was done sooner
                os.kill(child, signal.SIGKILL)
        return int(self._line())

    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    started = Warm(tmp_path_factory.mktemp("warm") / "output.txt")
    yield started
    started.process.stdin.close()
    started.process.wait(60)


def without_times(run: Path) -> dict:
    data = json.loads((run / "results.json").read_text())
    del data["created"], data["seconds"]
    return data


def answers(run: Path) -> dict:
    found = read_records(run)
    assert set(Counter((r.subject, r.measure, r.id) for r in found).values()) == {1}
    return {
        (r.subject, r.measure, r.id): (r.prompt, r.completion.text, r.completion.finish_reason, r.completion.tokens)
        for r in found
    }


def journal_lines(path: Path) -> list[dict]:
    """The whole lines of a journal after its head, as a killed process has left them."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[1:-1]]


@pytest.fixture(scope="module")
def subjects(folders, tmp_path_factory):
    policy = tmp_path_factory.mktemp("policy") / "nudged.yaml"
    policy.write_text(f"model: {folders / 'plain'}\nsteer:\n  - nudging: {{nudger: {folders / 'chatty'}}}\n")
    return folders / "plain", policy


def test_audits_that_are_killed_and_resumed_end_like_one_that_was_not(warm, subjects, tmp_path):
    ask = ("--measure", "facts", "--measure", "text-health", "--limit", 8, "--max-new-tokens", 16, "--dtype", "float32")
    began = time.monotonic()
    assert warm.run("audit", *subjects, *ask, "--out", tmp_path / "whole") == 0, warm.said()
    takes = time.monotonic() - began
    expected, texts = without_times(tmp_path / "whole"), answers(tmp_path / "whole")
    dice = random.Random(0)
    kills = runs = midway = 0
    while kills < AUDIT_KILLS:
        run = tmp_path / f"run-{runs}"
        runs += 1
        code = None
        while code != 0:
            after = dice.uniform(0.02, takes) if kills < AUDIT_KILLS else None
            if (run / "config.yaml").exists():
                code = warm.run("audit", "--resume", run, kill_after=after)
            else:  # killed before there was anything to resume
                code = warm.run("audit", *subjects, *ask, "--out", run, kill_after=after)
            assert code in (0, -signal.SIGKILL), warm.said()
            kills += code != 0
            lines = journal_lines(run / "journal.jsonl")
            given = Counter((e["subject"], e["prompt"], e["number"]) for e in lines if "completion" in e)
            assert not given or set(given.values()) == {1}, "an answer was asked for twice"
            midway += 0 < len(given) < len(texts)
        assert without_times(run) == expected
        assert answers(run) == texts
        assert {p.name for p in run.iterdir()} - {".lock"} == {p.name for p in (tmp_path / "whole").iterdir()}
        assert len(list((run / "logs").iterdir())) == 4
    assert midway >= 3, "no kill came while answers were made: the test proves nothing"


def test_generations_that_are_killed_and_resumed_write_the_same_file(warm, folders, tmp_path):
    prompts = tmp_path / "in.jsonl"
    prompts.write_text("".join(json.dumps({"id": i, "prompt": f"Tom has {i % 9} apples."}) + "\n" for i in range(150)))
    ask = ("generate", folders / "chatty", prompts, "--temperature", 0.8, "--seed", 5, "--max-new-tokens", 80)
    ask = (*ask, "--dtype", "float32", "--out")
    began = time.monotonic()
    assert warm.run(*ask, tmp_path / "whole.jsonl") == 0, warm.said()
    takes = time.monotonic() - began
    expected = (tmp_path / "whole.jsonl").read_bytes()
    rows = [json.loads(line) for line in expected.splitlines()]
    assert [row["index"] for row in rows] == list(range(150))
    assert len({row["completion"] for row in rows}) > 100, "equal prompts must not get equal draws"
    dice = random.Random(1)
    kills = files = midway = 0
    while kills < GENERATE_KILLS:
        out = tmp_path / f"out-{files}.jsonl"
        files += 1
        code = None
        while code != 0:
            after = dice.uniform(0.02, takes) if kills < GENERATE_KILLS else None
            code = warm.run(*ask, out, "--resume", kill_after=after)
            assert code in (0, -signal.SIGKILL), warm.said()
            kills += code != 0
            given = Counter(e["row"] for e in journal_lines(out.with_name(f"{out.name}.part")))
            assert not given or set(given.values()) == {1}
            midway += 0 < len(given) < 150
        assert out.read_bytes() == expected
        assert not out.with_name(f"{out.name}.part").exists()
    assert midway >= 2, "no kill came while answers were made: the test proves nothing"


def test_two_audits_in_one_directory_are_refused(warm, subjects, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "boresight", "audit", str(subjects[0]), "--out", str(out), "--dtype", "float32"]
    other = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (out / "journal.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        before = len(warm.said())
        assert warm.run("audit", "--resume", out) == 2
        assert warm.run("audit", subjects[0], "--out", out) == 2
        said = warm.said()[before:].splitlines()
        assert said[0] == f"boresight: another run is writing to {out}; wait until it has ended"
        assert "is not empty" in said[1]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    assert (out / ".lock").exists()  # left behind by the kill, and free
    assert warm.run("audit", "--resume", out, "--limit", "5") == 2  # contradicts, but is not refused for the lock
    assert "--limit 5 contradicts" in warm.said()
