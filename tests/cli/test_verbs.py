import io
import json
import subprocess
import sys

import pytest

from boresight import catalog
from boresight.cli import app

VERBS = ("demo", "audit", "compare", "generate", "chat", "methods", "models", "doctor")


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(cli, verb):
    code, text, _ = cli(verb, "--help")
    assert code == 0
    assert f"boresight {verb}" in " ".join(text.split())
    assert "Example" in text


def test_the_verbs_are_these(cli):
    from typer.main import get_command

    assert set(get_command(app).commands) == set(VERBS)
    code, text, _ = cli("--version")
    assert (code, text.strip()) == (0, "boresight 0.1.0")


def test_an_unknown_verb_is_one_line(one_line):
    assert "align" in one_line("align")


def test_methods(cli, one_line):
    code, text, _ = cli("methods")
    assert code == 0
    assert all(slug in text for slug in catalog.METHODS)
    code, text, _ = cli("methods", "nudging")
    assert "2410.09300" in text
    assert "57.9" in text
    assert [c["slug"] for c in json.loads(cli("methods", "--json")[1])] == list(catalog.METHODS)
    assert json.loads(cli("methods", "urial", "--json")[1])["room"] == "steer"
    assert "did you mean" in one_line("methods", "nudgin")


def test_chat(cli, folders, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("Hi there\nAnd you?\n/new\nHello\n\n"))
    step = f"nudging:nudger={folders / 'chatty'}"
    code, text, _ = cli("chat", folders / "plain", "--steer", step, "--max-new-tokens", 4, "--dtype", "float32")
    assert code == 0
    assert len(text.splitlines()) >= 3


def test_the_module_runs_and_a_broken_pipe_is_quiet():
    done = subprocess.run(
        f"{sys.executable} -m boresight methods | head -c 1", shell=True, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
