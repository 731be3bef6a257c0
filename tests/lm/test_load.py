import json
from pathlib import Path

import pytest

import tiny_zoo
from boresight.chat import user
from boresight.errors import ModelError
from boresight.lm import zoo
from boresight.lm.cachedir import cache_dir
from boresight.lm.fetch import file_sha256
from boresight.lm.load import folder_of, folder_revision, load_model, locate


@pytest.fixture
def saved(tiny_llama, tmp_path, empty_cache):
    """A tiny model as a transformers folder."""
    folder = tmp_path / "my-model"
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    return folder


def refused(spec, **how) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(spec, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folder_loads_by_every_way_of_naming_it(saved, tiny_llama, monkeypatch):
    monkeypatch.chdir(saved.parent)
    monkeypatch.setenv("HOME", str(saved.parent))
    expected = tiny_llama.generate([user("Hi")])[0].text
    for spec in (str(saved), saved, "./my-model", "my-model", "~/my-model"):
        assert locate(spec) == ("my-model", saved, "")
    model = load_model("./my-model", dtype="float32")
    assert model.generate([user("Hi")])[0].text == expected
    assert model.name == "my-model"
    assert model.revision == f"sha256:{file_sha256(saved / 'model.safetensors')}"
    assert str(model.device) == "cpu"


def test_revision_is_remembered_and_follows_the_weights(saved):
    first = folder_revision(saved)
    notes = cache_dir() / "revisions.json"
    known = json.loads(notes.read_text())
    assert known[str(saved)]["revision"] == first
    known[str(saved)]["revision"] = "sha256:remembered"
    notes.write_text(json.dumps(known))
    assert folder_revision(saved) == "sha256:remembered", "hashed again although nothing has changed"
    (saved / "model.safetensors").write_bytes(b"other")
    assert folder_revision(saved) not in (first, "sha256:remembered")
    notes.write_text("{")
    assert folder_revision(saved) == f"sha256:{file_sha256(saved / 'model.safetensors')}"


def test_revision_without_a_writable_cache(saved, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BORESIGHT_CACHE", str(tmp_path / "file" / "cache"))
    assert folder_revision(saved).startswith("sha256:")


@pytest.mark.parametrize("name", ["gemma-3-270m", "smollm2-135m-instruct"])
def test_zoo_model_that_was_not_pulled(name, empty_cache):
    flag = " --accept-licence" if name.startswith("gemma") else ""
    assert refused(name) == f"{name} is not in the cache; run boresight models pull {name}{flag}"


def test_embedding_model_is_no_language_model(empty_cache):
    assert "makes sentence embeddings and writes no text" in refused("minilm-l6")
    with pytest.raises(ModelError, match="run boresight models pull minilm-l6"):
        folder_of("minilm-l6")


def test_zoo_name_wins_over_a_folder_of_that_name(saved, empty_cache, monkeypatch):
    monkeypatch.chdir(saved.parent)
    saved.rename(saved.with_name("gemma-3-270m"))
    assert "is not in the cache" in refused("gemma-3-270m")
    assert locate("./gemma-3-270m")[0] == "gemma-3-270m"


def test_zoo_folder_by_path_keeps_its_name_and_revision(saved, empty_cache, monkeypatch):
    folder = empty_cache / "models" / "tiny-index"
    folder.parent.mkdir(parents=True)
    saved.rename(folder)
    files = {f.name: f.stat().st_size for f in folder.iterdir()}
    (folder / "boresight.json").write_text(json.dumps({"name": "tiny", "revision": "sha256:x", "files": files}))
    assert locate(folder) == ("tiny", folder, "sha256:x")
    spec = {"wheels": [], "files": [], "download": 1, "disk": 1}
    base = tiny_zoo.make_spec(saved.parent, {"x": [b""]})
    monkeypatch.setitem(zoo.ENTRIES, "tiny", tiny_zoo.entry_of({**base, **spec}))
    assert locate("tiny") == ("tiny", folder, "sha256:x")
    assert folder_of("tiny") == folder


def test_what_is_not_there_is_said_in_one_sentence(empty_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no model is called 'gemma'; did you mean gemma-3-270m?" in refused("gemma")
    assert "./my-model" in refused("some thing")
    assert refused("org/name") == "org/name is not on this machine; run boresight models pull org/name"
    assert "there is no folder nowhere" in refused("./nowhere")
    assert "there is no folder /nowhere/at/all" in refused("/nowhere/at/all")
    assert "there is no folder nowhere" in refused(Path("nowhere"))
    (tmp_path / "empty").mkdir()
    assert "empty is not a model folder: it has no config.json" in refused("empty")


def test_incomplete_folders(saved):
    weights = saved / "model.safetensors"
    kept = weights.read_bytes()
    weights.unlink()
    (saved / "pytorch_model.bin").write_bytes(b"pickle")
    assert "pickled ones run code" in refused(saved)
    index = saved / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}))
    (saved / "one.safetensors").write_bytes(kept)
    assert refused(saved).endswith("two.safetensors is missing")
    index.write_text("[")
    assert refused(saved).endswith("model.safetensors.index.json cannot be read")
    index.unlink()
    weights.write_bytes(kept)
    (saved / "one.safetensors").unlink()
    (saved / "config.json").write_text("{}")
    assert "cannot be loaded as a causal language model" in refused(saved)


def test_unknown_dtype(saved):
    assert "dtype 'int4' is not known" in refused(saved, dtype="int4")


@pytest.mark.model
def test_zoo_model_by_name(smollm):
    name, folder, revision = locate("smollm2-135m-instruct")
    assert name == "smollm2-135m-instruct" == smollm.name
    assert (folder / "config.json").is_file()
    assert revision.startswith("sha256:")
    assert smollm.dtype.is_floating_point
    assert smollm.generate([user("What is the capital of France?")])[0].text.count("Paris") >= 1
