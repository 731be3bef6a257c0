import io
import json
import subprocess
import sys

import pytest

from boresight import catalog
from boresight.cli import app

VERBS = (
    "demo", "audit", "compare", "generate", "chat", "methods", "taxonomy", "claims", "models", "doctor",
)  # fmt: skip


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


def test_without_a_verb_the_help_is_printed_as_help(cli):
    code, text, err = cli()
    assert (code, err) == (0, "")
    assert len(text.splitlines()) > 10


def test_a_full_disk_under_stdout_is_one_line():
    command = [sys.executable, "-m", "boresight", "methods", "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("boresight: ")
    assert len(done.stderr.splitlines()) == 1


def test_closed_standard_input_is_one_line(one_line, folders, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert "closed" in one_line("chat", folders / "plain")
    assert "holds no prompt" in one_line("generate", folders / "plain", "-")


def test_a_warning_is_one_line_without_source_code(cli, folders):
    code, _, err = cli("generate", folders / "plain", "--steer", "urial", "--prompt", "a", "--max-new-tokens", 1)
    assert code == 0
    assert next(line for line in err.splitlines() if "too few for the prompt" in line).startswith("note: ")
    assert "policy.py" not in err


def test_control_characters_do_not_reach_the_terminal(cli, folders, monkeypatch, tiny_gemma3):
    from boresight.lm import stream
    from boresight.lm.base import Completion, Span

    said = [Span("m", "a\x1b"), Span("m", "[31mb"), Completion("a\x1b[31mb", 2, "stop")]
    monkeypatch.setattr("sys.stdin", io.StringIO("Hi\n\n"))
    monkeypatch.setattr(stream, "stream_local", lambda *a, **k: iter(said))
    code, text, _ = cli("chat", folders / "plain")
    assert code == 0
    assert "\x1b[31m" not in text
    assert "a[U+001B][31mb" in text
