"""Random tiny models of the architectures the local engine must run, each with an untouched twin to compare with."""

import copy
from functools import cache

import torch
import transformers

from tiny_models import CHAT_TEMPLATE, build_tiny_gemma3, build_tiny_llama, byte_tokenizer, local_model

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
MORE = {  # name -> (class stem, what differs from SIZES)
    "gemma2": (
        "Gemma2",
        {
            "head_dim": 16,
            "sliding_window": 8,
            "query_pre_attn_scalar": 16,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 10.0,
        },
    ),
    "mistral": ("Mistral", {"sliding_window": 8, "head_dim": 16}),
    "qwen2": ("Qwen2", {}),
    "qwen2-sliding": ("Qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "phi3": ("Phi3", {"sliding_window": 8}),
}
NAMES = ("llama", "gemma3", *MORE)


def raw(stem: str, seed: int = 0, **differs):
    """A random model of transformers' class <stem>ForCausalLM over the llama test tokenizer, and that tokenizer."""
    tokenizer = byte_tokenizer(
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), eos="<|im_end|>", chat_template=CHAT_TEMPLATE
    )
    config = getattr(transformers, f"{stem}Config")(vocab_size=len(tokenizer), **{**SIZES, **differs})
    config._attn_implementation = "eager"
    torch.manual_seed(seed)
    return getattr(transformers, f"{stem}ForCausalLM")(config).eval(), tokenizer


@cache
def pair(name: str):
    """(LocalModel, twin): the twin keeps transformers' eager attention and runs without a cache."""
    if name == "llama":
        model, tokenizer = build_tiny_llama()
    elif name == "gemma3":
        model, tokenizer = build_tiny_gemma3()
    else:
        stem, differs = MORE[name]
        model, tokenizer = raw(stem, **differs)
    model.set_attn_implementation("eager")
    twin = copy.deepcopy(model.float().eval())
    return local_model(model, tokenizer, name), twin


@torch.no_grad()
def forward(twin, ids) -> torch.Tensor:
    """Logits of the twin after every one of `ids`, (tokens, vocabulary)."""
    return twin(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
