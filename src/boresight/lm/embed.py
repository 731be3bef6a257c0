"""Sentence embeddings with all-MiniLM-L6-v2 from the zoo: for finding similar texts, not for judging them.

Reimers and Gurevych, Sentence-BERT (arXiv 1908.10084): mean of the last hidden states over the real tokens, scaled to
unit length, so that a dot product is the cosine.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from boresight.errors import DataError
from boresight.lm import zoo

MODEL = "minilm-l6"
WIDTH = 384
MAX_TOKENS = 256  # the length that the model's own configuration sets; longer texts are cut there


def embed(texts: Sequence[str], batch_size: int = 32) -> np.ndarray:
    """Embeddings of texts, (len(texts), 384) float32 of unit length; neither batch size nor order changes a row.

    Raises ModelError if the model has not been pulled, DataError if `texts` is not a list of strings.
    """
    if isinstance(texts, str) or not all(isinstance(t, str) for t in texts):
        raise DataError("embed needs a list of texts")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
    tokenizer, model = _load(zoo.held(MODEL))
    import torch

    rows = tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS, padding=False)["input_ids"] if texts else []
    out = np.zeros((len(rows), WIDTH), np.float32)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # texts of like length share a batch
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        longest = len(rows[chosen[-1]])
        ids = torch.zeros(len(chosen), longest, dtype=torch.long)
        mask = torch.zeros(len(chosen), longest)
        for k, i in enumerate(chosen):
            ids[k, : len(rows[i])] = torch.tensor(rows[i])
            mask[k, : len(rows[i])] = 1
        with torch.no_grad():
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        out[chosen] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
    return out


@lru_cache(maxsize=1)
def _load(folder: Path) -> tuple[Any, Any]:
    from boresight.lm.local import quiet_libraries

    quiet_libraries()
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True, use_safetensors=True)
    return tokenizer, model.eval()
