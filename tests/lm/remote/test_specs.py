import re
import subprocess
import sys

import pytest

from boresight.errors import ModelError
from boresight.lm.load import load_model
from boresight.lm.remote import PROVIDERS, is_address, is_inspect
from boresight.lm.remote.endpoint import concurrency_asked, key_for, parse


def test_the_providers_are_those_that_inspect_brings_along():
    import inspect_ai.model._providers.providers as module

    with open(module.__file__, encoding="utf-8") as source:
        named = set(re.findall(r'@modelapi\(name="([^"]+)"', source.read()))
    assert named - {"none"} == PROVIDERS


def test_which_specs_are_remote():
    assert is_address("http://127.0.0.1:8080/v1#m")
    assert is_address("HTTPS://host/v1")
    assert is_inspect("openai/gpt-x")
    assert is_inspect("openai-api/service/org/model")
    for spec in ("gemma-3-270m", "./openai/x", "HuggingFaceTB/SmolLM2", "org/name", "openai", "openai/", "boresight/x"):
        assert not is_address(spec)
        assert not is_inspect(spec)


def test_a_model_of_the_hub_that_is_here_is_not_asked_for_elsewhere(tiny_llama, tmp_path, monkeypatch):
    tiny_llama.model.save_pretrained(tmp_path / "openai" / "tiny")
    tiny_llama.tokenizer.save_pretrained(tmp_path / "openai" / "tiny")
    monkeypatch.chdir(tmp_path)
    assert load_model("openai/tiny", dtype="float32").name == "tiny"


def test_a_provider_that_cannot_be_used(empty_cache, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError) as caught:
        load_model("openai/gpt-x")
    assert str(caught.value).startswith("Inspect cannot use openai/gpt-x: ")
    assert str(caught.value).endswith(
        "; for the model hub's openai/gpt-x, run boresight models pull openai/gpt-x first"
    )
    assert "OPENAI_API_KEY" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("http://127.0.0.1:8080/v1", ("http://127.0.0.1:8080/v1", "")),
        ("https://host/v1/#org/model", ("https://host/v1", "org/model")),
        ("http://[::1]:80/v1#m", ("http://[::1]:80/v1", "m")),
        ("http://host:8000/a/b/v1#m#n", ("http://host:8000/a/b/v1", "m#n")),
    ],
)
def test_addresses(spec, parts):
    assert parse(spec) == parts


@pytest.mark.parametrize("spec", ["http://", "http:///v1", "http://host:x/v1", "http://host:0/v1", "http://[::1/v1"])
def test_what_is_no_address(spec):
    with pytest.raises(ModelError, match="is no address"):
        parse(spec)


@pytest.mark.parametrize("spec", ["http://user:secret@host/v1", "http://key@host/v1", "http://host/v1?key=secret"])
def test_an_address_holds_no_key(spec):
    with pytest.raises(ModelError, match="holds no user name, key or query") as caught:
        parse(spec)
    assert "secret" not in str(caught.value)


def test_whose_key_goes_where(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert key_for("https://api.openai.com/v1") == "openai-key"
    assert key_for("http://127.0.0.1:8000/v1") == key_for("http://localhost/v1") == "openai-key"
    for elsewhere in ("https://example.org/v1", "http://api.openai.com/v1", "https://127.0.0.1.example.org/v1"):
        assert key_for(elsewhere) == "", "a key does not go to strangers"
    monkeypatch.setenv("OPENAI_BASE_URL", "https://example.org/v1/")
    assert key_for("https://example.org/v1") == "openai-key"
    monkeypatch.setenv("BORESIGHT_API_KEY", " own-key\n")
    assert key_for("https://example.org/v1") == key_for("http://localhost/v1") == "own-key"
    for odd in ("a\nb", "schlüssel"):
        monkeypatch.setenv("BORESIGHT_API_KEY", odd)
        with pytest.raises(ModelError, match="characters that no key has") as caught:
            key_for("http://localhost/v1")
        assert odd not in str(caught.value)


def test_concurrency(monkeypatch):
    assert concurrency_asked() == 8
    monkeypatch.setenv("BORESIGHT_REMOTE_CONCURRENCY", "64")
    assert concurrency_asked() == 64
    for wrong in ("0", "many", "-1"):
        monkeypatch.setenv("BORESIGHT_REMOTE_CONCURRENCY", wrong)
        with pytest.raises(ModelError, match="a whole number from 1 on is needed"):
            concurrency_asked()


def test_telling_specs_apart_loads_nothing_heavy():
    code = (
        "import sys; from boresight.lm.load import load_model\n"
        "try: load_model('org/name')\n"
        "except Exception: pass\n"
        "print([m for m in ('torch', 'inspect_ai', 'httpx', 'openai') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
