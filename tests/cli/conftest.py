import json

import pytest

from boresight.cli import main


@pytest.fixture(scope="session")
def folders(tiny_llama, tiny_gemma3, tmp_path_factory):
    """Model folders on disk: a chat model (llama) and a base model (gemma)."""
    root = tmp_path_factory.mktemp("models")
    for name, local in (("chatty", tiny_llama), ("plain", tiny_gemma3)):
        attention = local.model.config._attn_implementation
        local.model.set_attn_implementation("eager")
        local.model.save_pretrained(root / name)
        local.model.set_attn_implementation(attention)
        local.tokenizer.save_pretrained(root / name)
    return root


@pytest.fixture
def cli(capsys):
    """Run the command line in this process: (exit code, stdout, stderr)."""

    def run(*arguments) -> tuple[int, str, str]:
        code = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def one_line(cli):
    """Run a command that must fail with exit code 2 and one line on stderr; returns the line."""

    def run(*arguments, code: int = 2) -> str:
        got, out, err = cli(*arguments)
        lines = [line for line in err.splitlines() if line.startswith("boresight: ")]
        assert got == code, err
        assert len(lines) == 1
        assert "Traceback" not in err
        assert not out.strip() or json.loads(out.splitlines()[0])
        return lines[0]

    return run
