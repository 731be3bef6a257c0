import os
import resource

import pytest

from boresight.errors import OutputError
from boresight.report.files import new_directory, unless_it_fails, write_json, write_text


def test_a_new_directory_is_made_with_its_parents(tmp_path):
    assert new_directory(tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_directory_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "earlier.txt").write_text("x")
    with pytest.raises(OutputError, match="not empty"):
        new_directory(tmp_path)
    assert (tmp_path / "earlier.txt").read_text() == "x"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"file.* cannot be written"):
        new_directory(tmp_path / "file" / "run")
    with pytest.raises(OutputError, match="cannot be written"):
        new_directory("/proc/boresight")


def test_a_new_directory_goes_again_only_if_nothing_is_in_it(tmp_path):
    for used in (False, True):
        folder = new_directory(tmp_path / "run")
        if used:
            (folder / "x").write_text("x")
        with pytest.raises(KeyError), unless_it_fails(folder):
            raise KeyError
        assert folder.exists() is used


def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            write_text(path, "y" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert path.read_text() == '{\n "a": 1\n}\n'
    assert os.listdir(tmp_path) == ["x.json"]
