"""A reward model as annotator: it prefers the answer with the higher reward (discretion sheet, section 2.1)."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from boresight.chat import plain
from boresight.errors import ModelError
from boresight.measure.behaviour.discretion.comparisons import Comparison
from boresight.measure.behaviour.discretion.metrics import discretise

BATCH = 8


def reward_folder(name: str) -> Path:
    """The folder of a reward model; ModelError if it is none: a config.json with weights beside it is needed."""
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise ModelError(f"rm:{name}: this is not a model folder, it has no config.json")
    return folder


def rewards(folder: str | Path, comparisons: Sequence[Comparison]) -> np.ndarray:
    """Rewards of answer 1 and answer 0 of each comparison, float (n, 2); higher is better.

    The model has one output, as those that TRL trains; it reads the prompt and the answer in its chat template (plain
    turns if it has none), cut from the left to what it can attend to. Raises ModelError if it cannot be loaded or has
    another number of outputs.
    """
    import torch

    model, tokenizer = _loaded(str(folder))
    texts = [_text(tokenizer, c.prompt, answer) for c in comparisons for answer in (c.response_1, c.response_0)]
    found = np.zeros(len(texts))
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # rows of like lengths waste little padding
    limit = getattr(model.config, "max_position_embeddings", None)
    for at in range(0, len(order), BATCH):
        some = order[at : at + BATCH]
        how: dict[str, Any] = {"truncation": True, "max_length": limit} if limit else {}
        batch = tokenizer([texts[i] for i in some], return_tensors="pt", padding=True, add_special_tokens=False, **how)
        with torch.no_grad():
            found[some] = model(**batch).logits[:, 0].double().numpy()
    return found.reshape(len(comparisons), 2)


def reward_choices(folder: str | Path, comparisons: Sequence[Comparison]) -> list[int]:
    """+1, -1 or 0 (equal rewards, or one that is no number) of each comparison."""
    return discretise(rewards(folder, comparisons)[:, None, :]).tolist() if comparisons else []


def _text(tokenizer: Any, prompt: str, answer: str) -> str:
    chat = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    if getattr(tokenizer, "chat_template", None):
        return tokenizer.apply_chat_template(chat, tokenize=False)
    return plain(chat[:1]) + answer


@lru_cache(maxsize=1)
def _loaded(folder: str) -> tuple[Any, Any]:
    from boresight.lm.local import quiet_libraries

    quiet_libraries()
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, truncation_side="left", padding_side="right"
        )
        model, about = AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"rm:{folder} cannot be loaded as a reward model: {first}") from error
    if model.config.num_labels != 1:
        raise ModelError(f"rm:{folder} has {model.config.num_labels} outputs; a reward model has one")
    if about["missing_keys"]:
        raise ModelError(f"rm:{folder} is no reward model: it has no weights for {sorted(about['missing_keys'])[0]}")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    return model.eval(), tokenizer
