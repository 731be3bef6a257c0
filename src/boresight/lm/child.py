"""Work in a child process: its memory is given back, its environment is its own, and it dies with its parent.

`call` is the parent's side, `serve` the child's. The child prints one line of JSON, {"result": ...} or
{"error": sentence, "kind": class name}; the parent raises the error as if it had happened here.
"""

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boresight.errors import BoresightError, ModelError, OutputError

Tick = Callable[[int], None]
"""Called a few times a second with the bytes in the folder that the child writes to."""

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EIO}
_DISK_WORDS = ("no space left", "file too large", "read-only file system", "permission denied", "quota exceeded")


@dataclass(frozen=True)
class Done:
    """A command that has ended: exit status and what it printed."""

    code: int
    out: str
    err: str


def run(
    command: Sequence[str],
    folder: Path,
    *,
    tick: Tick | None = None,
    watch: Path | None = None,
    environment: Mapping[str, str | None] = {},
) -> Done:
    """Run `command` in `folder` to its end.

    tick: told the bytes below `watch` (`folder` if None). environment: variables to set, or to remove where None.
    """
    variables = {**os.environ, **{k: v for k, v in environment.items() if v is not None}}
    for name in (k for k, v in environment.items() if v is None):
        variables.pop(name, None)
    with (folder / ".out").open("w+b") as out, (folder / ".err").open("w+b") as err:
        child = subprocess.Popen(
            command, cwd=folder, env=variables, stdin=subprocess.PIPE, stdout=out, stderr=err, bufsize=0
        )
        try:
            while True:
                try:
                    code = child.wait(0.2)
                    break
                except subprocess.TimeoutExpired:
                    if tick:
                        tick(bytes_in(watch or folder))
        except BaseException:
            child.kill()
            child.wait()
            raise
        finally:
            if child.stdin:
                child.stdin.close()
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    return Done(code, *texts)


def call(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    *,
    tick: Tick | None = None,
    watch: Path | None = None,
    environment: Mapping[str, str | None] = {},
) -> Any:
    """Run `python -m module arguments` whose main is `serve`; returns its result or raises its error."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    done = run(
        [sys.executable, "-m", module, *arguments],
        folder,
        tick=tick,
        watch=watch,
        environment={"PYTHONPATH": path, "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
    )
    answer = done.out.strip().rpartition("\n")[2]
    try:
        said = json.loads(answer)
    except ValueError:
        if done.code < 0:
            raise ModelError(f"{module} was killed by signal {-done.code}; is there enough memory?") from None
        last = done.err.strip().rpartition("\n")[2] or f"exit status {done.code}"
        raise ModelError(f"{module} failed: {last}") from None
    if "error" in said:
        raise (OutputError if said["kind"] == "OutputError" else ModelError)(said["error"])
    return said["result"]


def serve(work: Callable[..., Any]) -> None:
    """The main of a child: call `work` with the command line's arguments and print what came of it."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        said = {"result": work(*sys.argv[1:])}
    except BoresightError as error:
        said = {"error": str(error), "kind": type(error).__name__}
    except Exception as error:
        kind = "OutputError" if is_disk(error) else "ModelError"
        lines = str(error).strip().splitlines()
        said = {"error": f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__, "kind": kind}
    print(json.dumps(said), flush=True)


def _die_with_parent() -> None:
    """The parent holds the other end of stdin and never writes: it closes when the parent ends, however it ends."""
    while os.read(0, 1):
        pass
    os._exit(1)


def is_disk(error: BaseException | str) -> bool:
    """Whether an error says that something could not be written (disk full, read-only, not allowed)."""
    if isinstance(error, OSError) and error.errno in _DISK:
        return True
    return any(words in str(error).lower() for words in _DISK_WORDS)


def bytes_in(folder: Path) -> int:
    """Bytes in all files below a folder; files that vanish meanwhile count as none."""
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(base, name), follow_symlinks=False).st_size
    return total
