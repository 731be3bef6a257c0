import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tiny_zoo
from boresight.errors import ModelError, OutputError
from boresight.lm import fetch, zoo
from boresight.lm.cachedir import cache_dir, marker, models_dir
from tiny_zoo import leftovers, register

PROGRAM = Path(tiny_zoo.__file__)


def test_entries_are_complete():
    assert set(zoo.ENTRIES) == {"smollm2-135m-instruct", "gemma-3-270m", "minilm-l6"}
    for name, entry in zoo.ENTRIES.items():
        assert entry.name == name
        assert all("==" in wheel for wheel in entry.wheels), "an unpinned wheel may change under us"
        assert all(len(file.sha256) == 64 and file.size > 0 for file in entry.files)
        assert entry.licence.link.startswith("https://")
    gemma = zoo.ENTRIES["gemma-3-270m"]
    assert gemma.licence.must_accept
    assert gemma.licence.summary
    assert gemma.files[0].sha256 == "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"


def test_no_registry_host_in_the_code():
    for module in (zoo, fetch):
        assert "pypi" not in Path(module.__file__).read_text().lower()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"BORESIGHT_CACHE": "/a/b", "XDG_CACHE_HOME": "/x"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/boresight"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.cache/boresight"),
        ({"BORESIGHT_CACHE": "", "HOME": "/home/me"}, "/home/me/.cache/boresight"),
        ({"BORESIGHT_CACHE": "~/z", "HOME": "/home/me"}, "/home/me/z"),
    ],
)
def test_cache_dir(environment, expected, monkeypatch):
    for name in ("BORESIGHT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_dir() == Path(expected)


def test_unknown_names_and_sources(empty_cache):
    with pytest.raises(ModelError, match="no model is called 'gema-3'; the zoo has gemma-3-270m"):
        zoo.pull("gema-3")
    with pytest.raises(ModelError, match="source 'web' is not known"):
        zoo.pull("minilm-l6", source="web")
    with pytest.raises(ModelError, match="the package index has the zoo's models only"):
        zoo.pull("org/name", source="index")
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        zoo.pull("org/name")
    assert not empty_cache.exists()


def test_pull_checks_writes_a_marker_and_is_found(plain_entry):
    seen = []
    folder = zoo.pull("tiny", source="index", progress=lambda stage, done, total: seen.append((stage, done, total)))
    assert folder == models_dir() / "tiny-index"
    assert (folder / "model.safetensors").read_bytes() == b"abcdefg"
    said = marker(folder)
    assert said
    assert said["revision"] == f"sha256:{hashlib.sha256(b'abcdefg').hexdigest()}"
    assert (said["name"], said["source"], said["licence"]["accepted"]) == ("tiny", "index", None)
    assert said["files"] == {"config.json": 2, "model.safetensors": 7}
    assert zoo.find("tiny") == zoo.find("tiny", "index") == folder
    assert zoo.find("tiny", "hub") is None
    assert leftovers() == []
    assert {stage for stage, _, _ in seen} <= {"fetching"}
    assert all(0 <= done <= total for _, done, total in seen)


def test_second_pull_asks_nobody(plain_entry, monkeypatch, tmp_path):
    first = zoo.pull("tiny", source="index")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    assert zoo.pull("tiny", source="index") == zoo.pull("tiny") == first


def test_a_folder_without_marker_or_with_a_short_file_is_no_model(plain_entry):
    folder = zoo.pull("tiny", source="index")
    (folder / "model.safetensors").write_bytes(b"abc")
    assert zoo.find("tiny") is None
    assert zoo.pull("tiny", source="index") == folder  # fetched again
    assert (folder / "model.safetensors").read_bytes() == b"abcdefg"
    (folder / "boresight.json").write_text("{")
    assert zoo.find("tiny") is None
    zoo.pull("tiny", source="index")
    assert marker(folder)


def test_hub_is_preferred_when_both_are_there(plain_entry):
    folder = zoo.pull("tiny", source="index")
    twin = folder.with_name("tiny-hub")
    twin.mkdir()
    for file in folder.iterdir():
        (twin / file.name).write_bytes(file.read_bytes())
    assert zoo.find("tiny") == twin
    assert [row["cached"] for row in zoo.overview() if row["name"] == "tiny"] == [
        {"hub": str(twin), "index": str(folder)}
    ]


def test_licence_has_to_be_accepted_once(wheelhouse, empty_cache, monkeypatch):
    terms = {"name": "Tiny Terms", "link": "https://example.org/t", "summary": "Be kind.", "must_accept": True}
    register(monkeypatch, tiny_zoo.make_spec(wheelhouse, {"model.safetensors": [b"x"]}, licence=terms))
    with pytest.raises(ModelError, match=r"Tiny Terms .*boresight models pull tiny --accept-licence"):
        zoo.pull("tiny", source="index")
    with pytest.raises(ModelError, match="accept first"):
        zoo.pull("tiny", source="index", accept_licence=lambda licence: False)
    assert zoo.find("tiny") is None
    assert not (empty_cache / "licences.json").exists()

    asked = []
    folder = zoo.pull("tiny", source="index", accept_licence=lambda licence: asked.append(licence.name) or True)
    assert asked == ["Tiny Terms"]
    recorded = json.loads((empty_cache / "licences.json").read_text())["Tiny Terms"]
    said = marker(folder)
    assert said
    assert said["licence"]["accepted"] == recorded["accepted"]

    for file in folder.iterdir():
        file.unlink()
    zoo.pull("tiny", source="index")  # accepted before: not asked again
    assert marker(folder)


def test_wrong_checksum_removes_the_file(wheelhouse, empty_cache, monkeypatch):
    spec = tiny_zoo.make_spec(wheelhouse, {"model.safetensors": [b"good"]})
    spec["files"][0]["sha256"] = hashlib.sha256(b"evil").hexdigest()
    register(monkeypatch, spec)
    with pytest.raises(ModelError, match=r"model.safetensors has the wrong checksum .*it was removed"):
        zoo.pull("tiny", source="index")
    assert zoo.find("tiny") is None
    assert list(models_dir().iterdir()) == []


def test_index_out_of_reach_is_one_sentence_and_quick(plain_entry, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    began = time.monotonic()
    with pytest.raises(ModelError, match="package index does not answer or does not have tiny-zoo-part0==1") as caught:
        zoo.pull("tiny", source="index")
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 20
    with pytest.raises(ModelError, match=r"neither from the model hub \(HF_HUB_OFFLINE is set\) nor from the index"):
        zoo.pull("tiny")
    assert leftovers() == []


def test_python_without_pip_says_what_to_do(plain_entry, monkeypatch, tmp_path):
    stub = tmp_path / "nopip"
    stub.mkdir()
    (stub / "pip.py").write_text("import sys\nsys.exit('/usr/bin/python: No module named pip')")
    monkeypatch.setenv("PYTHONPATH", str(stub))
    with pytest.raises(ModelError, match="python -m ensurepip"):
        zoo.pull("tiny", source="index")


def test_cache_that_cannot_be_written(plain_entry, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BORESIGHT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match=r"file/cache cannot be written \(Not a directory\)"):
        zoo.pull("tiny", source="index")


def test_too_little_room_is_told_before_anything_is_fetched(wheelhouse, empty_cache, monkeypatch):
    register(monkeypatch, tiny_zoo.make_spec(wheelhouse, {"model.safetensors": [b"x"]}, disk=10**17))
    with pytest.raises(OutputError, match=r"GB free and tiny needs 100000000\.0 GB"):
        zoo.pull("tiny", source="index")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_disk_that_fills_up_leaves_nothing(wheelhouse, empty_cache, tmp_path):
    spec = tiny_zoo.make_spec(wheelhouse, {"model.safetensors": [bytes(3 << 20)]})
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20));"
        f"sys.argv = ['tiny_zoo', {str(tmp_path / 'spec.json')!r}, 'models', 'pull', 'tiny', '--source', 'index'];"
        f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "cannot be written (File too large)" in done.stderr
    assert list(models_dir().iterdir()) == []
