"""Every ```python block of the README and the docs runs, page by page, in an empty folder."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^```(?:bash|console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.mark.model
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_the_examples_run(
    page, tmp_path, monkeypatch, gemma, smollm
):  # the fixtures see to it that the models are there
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for number, block in enumerate(blocks(page), 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in COMMAND.findall(page.read_text(encoding="utf-8")):
            text = block.replace("\\\n", " ")
            found += [
                (page.name, line.lstrip("$ "))
                for line in text.splitlines()
                if line.lstrip("$ ").startswith("boresight ")
            ]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_the_commands_name_verbs_and_options_that_exist(page, line):
    import shlex

    from typer.main import get_command

    from boresight.cli import app

    words = shlex.split(line.split("|")[0].split(">")[0], comments=True)[1:]
    command = get_command(app)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help", "--json"}
    assert not hasattr(command, "commands") or not words or words[0].startswith("-"), f"{page}: no verb {words[0]}"
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, f"{page}: {line}"
