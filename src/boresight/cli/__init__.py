"""The command line: one file per verb, no logic. `main` turns errors into one line and an exit code."""

import os
import sys
import warnings
from contextlib import suppress
from typing import Annotated

import typer

from boresight import __version__
from boresight.errors import BoresightError

app = typer.Typer(
    name="boresight",
    help="The alignment workbench for language models: audit, steer, compare.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"boresight {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def _register() -> None:
    from boresight.cli import audit, chat, claims, compare, demo, doctor, generate, methods, models, taxonomy

    app.command("demo")(demo.demo)
    app.command("audit")(audit.audit)
    app.command("compare")(compare.compare)
    app.command("generate")(generate.generate)
    app.command("chat")(chat.chat)
    app.command("methods")(methods.methods)
    app.command("taxonomy")(taxonomy.taxonomy)
    app.command("claims")(claims.claims)
    app.add_typer(models.app, name="models")
    app.command("doctor")(doctor.doctor)


_register()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 failed check, 2 bad input, 130 interrupted."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if not (sys.argv[1:] if arguments is None else arguments):
        arguments = ["--help"]
    with warnings.catch_warnings():
        warnings.showwarning = _note  # a warning is for the user too: one line, no source code
        return _run(arguments)


def _run(arguments: list[str] | None) -> int:
    try:
        code = app(args=arguments, prog_name="boresight", standalone_mode=False) or 0
        return _fail("interrupted", 130) if code == 130 else code  # typer turns Ctrl-C into the code 130
    except BoresightError as error:
        return _fail(str(error), error.exit_code)
    except typer.Abort:
        return _fail("stopped: no answer was given", 2)
    except typer.exceptions.TyperException as error:
        return _fail(f"{_words(error)} (see boresight --help)", 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except (BrokenPipeError, SystemExit):  # typer leaves in the second way when the reader of stdout has gone
        _give_up_stdout()
        return 141
    except OSError as error:  # what reads and writes files says more; this is a full disk under stdout, and the like
        _give_up_stdout()
        return _fail(str(error), 2)


def _give_up_stdout() -> None:
    """Nothing more can be written there, not even what Python still holds back for the end."""
    with suppress(OSError, AttributeError):  # it may be closed already, or be no real file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _note(message: Warning | str, *_: object) -> None:
    print(f"note: {message}", file=sys.stderr)


def _words(error: Exception) -> str:
    shown = getattr(error, "format_message", None)
    return " ".join((shown() if shown else str(error)).split())


def _fail(message: str, code: int) -> int:
    print(f"boresight: {' '.join(message.split())}", file=sys.stderr)
    return code
