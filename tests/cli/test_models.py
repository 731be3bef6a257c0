import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tiny_zoo
from boresight.cli import main, models
from boresight.lm import zoo

PROGRAM = Path(tiny_zoo.__file__)
TERMS = {"name": "Tiny Terms", "link": "https://example.org/terms", "summary": "Be kind.", "must_accept": True}


@pytest.fixture
def tiny(tmp_path, monkeypatch, empty_cache):
    """A zoo of one model whose licence has to be accepted, with its wheel in a local folder; its spec's path."""
    tiny_zoo.wheels_only(monkeypatch, tmp_path)
    spec = tiny_zoo.make_spec(tmp_path, {"model.safetensors": [b"abc"]}, licence=TERMS)
    for name in list(zoo.ENTRIES):
        monkeypatch.delitem(zoo.ENTRIES, name)
    monkeypatch.setitem(zoo.ENTRIES, "tiny", tiny_zoo.entry_of(spec))
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def test_list_is_what_models_prints_by_itself(empty_cache):
    bare, listed = (CliRunner().invoke(models.app, arguments) for arguments in ([], ["list"]))
    assert bare.exit_code == listed.exit_code == 0
    assert bare.stdout == listed.stdout
    for name in zoo.ENTRIES:
        assert name in bare.stdout
    assert "(accept first)" in " ".join(bare.stdout.split())


@pytest.mark.parametrize("arguments", [["--json"], ["list", "--json"]])
def test_list_as_json(arguments, empty_cache):
    said = json.loads(CliRunner().invoke(models.app, arguments).stdout)
    assert [row["name"] for row in said] == list(zoo.ENTRIES)
    gemma = next(row for row in said if row["name"] == "gemma-3-270m")
    assert gemma["must_accept"]
    assert gemma["accepted"] is None
    assert gemma["cached"] == {}


@pytest.mark.parametrize("command", [[], ["list"], ["pull"], ["path"]])
def test_help_has_an_example(command):
    done = CliRunner().invoke(models.app, [*command, "--help"])
    assert done.exit_code == 0
    assert "Example: boresight models" in done.stdout


def test_path_and_pull_errors_are_one_line_and_two(empty_cache, capsys):
    for arguments, words in [
        (["path", "minilm-l6"], "run boresight models pull minilm-l6"),
        (["path", "nothing"], "no model is called 'nothing'"),
        (["pull", "smolm"], "no model is called 'smolm'; the zoo has smollm2-135m-instruct"),
        (["pull", "minilm-l6", "--source", "web"], "source 'web' is not known"),
        (["pull", "gemma-3-270m"], "--accept-licence"),
        (["pull", "org/name"], "HF_HUB_OFFLINE is set"),
    ]:
        assert main(["models", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        last = captured.err.strip().splitlines()[-1]
        assert last.startswith("boresight: ")
        assert words in last


def test_pull_prints_the_licence_and_the_folder(tiny, empty_cache, capsys):
    assert main(["models", "pull", "--accept-licence", "--source", "index"]) == 0  # no name: the whole zoo
    captured = capsys.readouterr()
    folder = empty_cache / "models" / "tiny-index"
    assert captured.out.strip() == str(folder)
    assert "tiny: licence Tiny Terms, https://example.org/terms" in captured.err
    assert "\x1b" not in captured.err, "no bar where there is no terminal"
    assert main(["models", "path", "tiny"]) == 0
    assert capsys.readouterr().out.strip() == str(folder)
    assert main(["models"]) == 0
    assert "index" in capsys.readouterr().out


def at_a_terminal(spec: Path, answer: str) -> tuple[int, str, str]:
    """Run `boresight models pull tiny` at a pseudo-terminal and type `answer`: (exit code, stdout, what was shown)."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [sys.executable, str(PROGRAM), str(spec), "models", "pull", "tiny", "--source", "index"]
    process = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True)
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    out = process.stdout.read() if process.stdout else ""
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    return process.wait(), out, shown.decode()


def test_asks_at_a_terminal_and_takes_no_for_an_answer(tiny, empty_cache):
    code, out, shown = at_a_terminal(tiny, "n")
    assert code == 2
    assert out == ""
    assert "Be kind." in shown
    assert "Do you accept these terms? [y/n] (n)" in " ".join(re.sub(r"\x1b\[[0-9;]*m", "", shown).split())
    assert "boresight: tiny comes under the Tiny Terms" in shown
    assert not (empty_cache / "models").exists()

    code, out, shown = at_a_terminal(tiny, "y")
    assert code == 0, shown
    assert out.strip() == str(empty_cache / "models" / "tiny-index")
    assert json.loads((empty_cache / "licences.json").read_text())["Tiny Terms"]["accepted"]


def test_bar_moves_on_a_terminal(monkeypatch):
    import io

    from rich.console import Console

    monkeypatch.setenv("TERM", "xterm")
    bar = models.PullBar("tiny")
    bar._console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with bar:
        bar("fetching", 500_000, 1_000_000)
        assert (bar._bars.tasks[0].completed, bar._bars.tasks[0].total) == (500_000, 1_000_000)
        bar("converting", 12, 0)
        assert [task.description for task in bar._bars.tasks] == ["tiny: converting"]
        assert bar._bars.tasks[0].total is None
    assert "tiny: fetching" in bar._console.file.getvalue()
