"""Does the packed engine run this architecture? Asked once for every model, before anything relies on it.

An architecture that ignores the attention interface, shares caches between layers, keeps a recurrent state or adds
terms of its own would otherwise decode nonsense in silence.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from boresight.errors import ModelError
from boresight.lm.decode import Ask
from boresight.lm.kv import IMPLEMENTATION, attend

if TYPE_CHECKING:
    from boresight.lm.local import LocalModel

PROBE = "The quick brown fox jumps over the lazy dog."


def check_engine(model: "LocalModel") -> None:
    """Compare the packed engine with the model's own forward on a short text; ModelError if they differ.

    The text is shorter than any window, so sliding layers are checked by what they asked of the attention.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(IMPLEMENTATION, attend)
    kind = type(model.model).__name__
    probe = (model.encode(PROBE) * 12)[:12]
    ids = torch.tensor([probe], device=model.device)
    try:
        model.model.set_attn_implementation("eager")
        with torch.no_grad():
            expected = model.model(input_ids=ids, use_cache=False).logits[0].float().softmax(-1)
        model.model.set_attn_implementation(IMPLEMENTATION)
        with model.session() as one, model.session() as other:
            head = model.extend([Ask(one, probe[:-3], range(len(probe) - 3))])[0].logits
            tail = [one.append([t]) for t in probe[-3:]]
            other.append(probe[:2])
            windows = one.pool.windows
        got = torch.cat([head, torch.stack(tail)]).float().softmax(-1)
    except (NotImplementedError, AttributeError, TypeError, ValueError, LookupError, RuntimeError) as error:
        raise ModelError(
            f"{model.name}: the architecture {kind} does not run on the local engine ({error}); "
            "decoder-only transformers with the attention interface do"
        ) from error
    _check_windows(model, windows)
    gap = (got - expected).abs().max().item()
    allowed = 1e-3 if model.dtype in (torch.float32, torch.float64) else 8e-2
    if not gap <= allowed:
        raise ModelError(
            f"{model.name}: the local engine and the model's own forward differ by {gap:.3g} in probability "
            f"(allowed {allowed:g}), so {kind} is not supported"
        )


def _check_windows(model: "LocalModel", asked: Mapping[int, int | None]) -> None:
    """Refuse a model whose configuration limits what a layer sees in a way that its attention calls do not tell."""
    config: Any = model.model.config.get_text_config()
    window, kinds = getattr(config, "sliding_window", None), getattr(config, "layer_types", None)
    for layer, seen in asked.items():
        named = kinds[layer] if kinds else "sliding_attention" if window else "full_attention"
        needed = window if named == "sliding_attention" else None
        known = named in ("sliding_attention", "full_attention")
        if not known or (needed is not None and needed < model.context and seen != needed):
            raise ModelError(
                f"{model.name}: layer {layer} of {type(model.model).__name__} is of the kind {named!r}, which its call "
                "of the attention does not tell the local engine, so the model is not supported"
            )
