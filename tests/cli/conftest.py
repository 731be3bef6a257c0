import json

import pytest

from boresight.cli import main


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
