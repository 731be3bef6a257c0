import errno
import json
import subprocess
import sys
import time

import pytest

from boresight.errors import ModelError, OutputError
from boresight.lm.child import bytes_in, call, is_disk, run


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module that a child can run: module(source) gives its name."""

    def write(source: str) -> str:
        (tmp_path / "code").mkdir(exist_ok=True)
        (tmp_path / "code" / "work_for_child.py").write_text(f"from boresight.lm.child import serve\n{source}")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
        return "work_for_child"

    return write


def test_result_and_arguments_travel(module, tmp_path, monkeypatch):
    monkeypatch.setenv("Y", "not for the child")
    name = module("from os import environ as e\nserve(lambda a, b: [int(a) + int(b), e.get('X'), e.get('Y')])")
    assert call(name, ["2", "3"], tmp_path, environment={"X": "here", "Y": None}) == [5, "here", None]


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("from boresight.errors import ModelError\n    raise ModelError('not good')", ModelError, "^not good$"),
        ("from boresight.errors import OutputError\n    raise OutputError('full')", OutputError, "^full$"),
        ("raise OSError(28, 'No space left on device')", OutputError, "No space left on device"),
        ("raise RuntimeError('I/O error: File too large (os error 27)')", OutputError, "File too large"),
        ("raise KeyError('two\\nlines')", ModelError, "^KeyError: "),
        ("raise RuntimeError", ModelError, "^RuntimeError$"),
        ("import os\n    os._exit(3)", ModelError, "failed: exit status 3"),
        ("import os\n    os.kill(os.getpid(), 9)", ModelError, "killed by signal 9; is there enough memory"),
    ],
)
def test_errors_are_raised_on_this_side(body, kind, message, module, tmp_path):
    name = module(f"def work():\n    {body}\nserve(work)")
    with pytest.raises(kind, match=message) as caught:
        call(name, [], tmp_path)
    assert "\n" not in str(caught.value)


def test_tick_sees_the_folder_grow_and_stops_the_child_when_it_raises(tmp_path):
    program = "import time; open('x', 'wb').write(bytes(1000)); time.sleep(60)"
    seen = []

    def tick(size: int) -> None:
        seen.append(size)
        if size >= 1000:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run([sys.executable, "-c", program], tmp_path, tick=tick)
    assert time.monotonic() - began < 30
    assert seen[-1] == 1000
    assert bytes_in(tmp_path) == 1000


def test_child_ends_when_its_parent_does(tmp_path):
    program = "import time\nfrom boresight.lm.child import serve\nserve(lambda: time.sleep(60))"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(2)
    assert child.stdin
    child.stdin.close()  # what the system does when a parent ends
    assert child.wait(20) == 1
    assert child.stdout
    child.stdout.close()


def test_serve_in_this_process_prints_one_line_of_json(capsys, monkeypatch):
    from boresight.lm import child

    monkeypatch.setattr(child, "_die_with_parent", lambda: None)
    monkeypatch.setattr(sys, "argv", ["module", "a"])
    child.serve(lambda x: [x])
    assert json.loads(capsys.readouterr().out) == {"result": ["a"]}
    child.serve(lambda x: 1 / 0)
    assert json.loads(capsys.readouterr().out) == {"error": "ZeroDivisionError: division by zero", "kind": "ModelError"}


def test_is_disk():
    assert is_disk(OSError(errno.EROFS, "Read-only file system"))
    assert is_disk("ERROR: [Errno 28] No space left on device")
    assert not is_disk(OSError(errno.ECONNREFUSED, "Connection refused"))
