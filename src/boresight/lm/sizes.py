"""How much a model holds, as its transformers configuration tells it."""

from typing import Any


def context_of(config: Any) -> int:
    """Tokens that a model reads at most.

    Long RoPE changes the rotation of every key once its original length is passed, so caches end there.
    """
    context = int(getattr(config, "max_position_embeddings", None) or 2048)
    rope = getattr(config, "rope_parameters", None) or {}
    for one in (rope, *(v for v in rope.values() if isinstance(v, dict))):
        if one.get("rope_type") == "longrope":
            context = min(context, int(one.get("original_max_position_embeddings") or context))
    return context


def cached_numbers(config: Any) -> int:
    """Keys and values that one token adds to a cache, over all layers."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * dim
