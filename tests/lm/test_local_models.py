"""Which models LocalModel refuses, and how a folder becomes one."""

import pytest
import torch
from architectures import forward, raw

from boresight.errors import ModelError
from boresight.lm import machine
from boresight.lm.base import Sampling
from boresight.lm.local import LocalModel, fastest_dtype, load_local

# -- which models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "differs"),
    [
        ("Mamba", {}),
        ("Falcon", {}),
        (
            "GptOss",
            {"head_dim": 16, "num_local_experts": 4, "sliding_window": 8, "layer_types": ["full_attention"] * 2},
        ),
    ],
)
def test_architectures_that_the_engine_cannot_run_are_refused(stem, differs):
    model, tokenizer = raw(stem, **differs)
    with pytest.raises(ModelError, match=f"{stem}ForCausalLM"):
        LocalModel(model, tokenizer, name="odd")


def test_a_sliding_window_that_the_attention_call_does_not_tell_is_refused():
    sizes = {"num_experts": 4, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32}
    kinds = ["full_attention", "sliding_attention"]
    model, tokenizer = raw("Qwen2Moe", layer_types=kinds, use_sliding_window=True, sliding_window=8, **sizes)
    with pytest.raises(ModelError, match="layer 1 of Qwen2MoeForCausalLM is of the kind 'sliding_attention'"):
        LocalModel(model, tokenizer, name="silent")
    model.config.sliding_window = 10_000  # longer than the context: it never matters
    LocalModel(model, tokenizer, name="fine")


def test_a_model_may_be_wrapped_twice():
    model, tokenizer = raw("Llama")
    first = LocalModel(model, tokenizer, name="one").complete(["Tom"], Sampling(max_new_tokens=4))
    assert LocalModel(model, tokenizer, name="two").complete(["Tom"], Sampling(max_new_tokens=4)) != []
    assert first[0].tokens > 0


def test_long_rope_ends_the_context_where_its_rotation_would_change():
    rope = {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "short_factor": [1.0] * 8,
        "long_factor": [2.0] * 8,
        "original_max_position_embeddings": 64,
    }
    model, tokenizer = raw("Phi3", original_max_position_embeddings=64, rope_parameters=rope)
    assert LocalModel(model, tokenizer, name="long").context == 64


# -- loading ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    model, tokenizer = raw("Llama")
    model.save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def test_a_saved_model_is_loaded_as_it_was(folder):
    loaded = load_local(folder, name="mine", dtype="float32", revision="r1")
    model, _ = raw("Llama")
    ids = loaded.encode("Tom has 3 apples")
    with loaded.session() as session:
        got = session.append(ids)
    torch.testing.assert_close(got, forward(model, ids)[-1], rtol=0, atol=1e-4)
    assert (loaded.name, loaded.revision, loaded.dtype) == ("mine", "r1", torch.float32)
    assert load_local(folder, name="mine", dtype="bfloat16").dtype == torch.bfloat16


def test_what_cannot_be_loaded_is_said_in_one_sentence(folder, tmp_path):
    with pytest.raises(ModelError, match=r"is not a model folder: it has no config\.json"):
        load_local(tmp_path, name="none")
    with pytest.raises(ModelError, match="dtype 'int8' is not known; auto"):
        load_local(folder, name="m", dtype="int8")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded as a causal language model") as caught:
        load_local(folder, name="m")
    assert "\n" not in str(caught.value)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_local(folder, name="m")


def test_the_fastest_dtype_is_measured_once_and_used(folder, monkeypatch):
    monkeypatch.setattr(machine, "_FASTEST", None)
    assert fastest_dtype() in (torch.float32, torch.bfloat16)
    for kind in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(machine, "_FASTEST", kind)
        assert fastest_dtype() is kind
        if not torch.cuda.is_available():
            assert load_local(folder, name="m").dtype is kind
