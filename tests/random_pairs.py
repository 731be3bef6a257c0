"""Random tiny pairs of models that write in words, with tokenizers of three different kinds."""

import copy
import json
import random
from functools import cache

import torch

from boresight.lm.local import LocalModel
from tiny_models import CHAT_TEMPLATE, SENTENCES, build_tiny_gemma3, build_tiny_llama, byte_tokenizer, local_model

PROMPT = "Tom has 3 apples and buys 4 more.\n"
KINDS = ("bytes", "bos", "gemma", "llama2")
CHAT_PROMPT = "<|im_start|>user\nTom has 3 apples and buys 4 more.<|im_end|>\n<|im_start|>assistant\n"


def metaspace_tokenizer(dummy_prefix: bool):
    """A BPE tokenizer over whole texts with "▁" for spaces and bytes as a last resort, as Gemma and Llama 2 have it.

    dummy_prefix: a space is put before every text and taken away again when decoding (Llama 2).
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    specials = ["<unk>", "<eos>", "<bos>"]
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=260, special_tokens=specials, show_progress=False)
    trained.train_from_iterator([s for s in SENTENCES if s.isascii()], trainer)
    learned = json.loads(trained.to_str())["model"]
    pieces = [*specials, *(f"<0x{i:02X}>" for i in range(256)), *(p for p in learned["vocab"] if p not in specials)]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    merges = [tuple(m) for m in learned["merges"]]
    core = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    replace = normalizers.Replace(" ", "▁")
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace]) if dummy_prefix else replace
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    core.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if dummy_prefix else steps)
    core.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<bos>", eos_token="<eos>", clean_up_tokenization_spaces=False
    )


def tokenizer_of(kind: str):
    """bytes, bos (bytes behind a <bos>), gemma or llama2; all with the test's chat template."""
    if kind == "bytes":
        tokenizer = byte_tokenizer(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), eos="<|im_end|>")
    elif kind == "bos":
        tokenizer = byte_tokenizer(("<pad>", "<eos>", "<bos>"), bos="<bos>", eos="<eos>")
    else:
        tokenizer = metaspace_tokenizer(dummy_prefix=kind == "llama2")
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def writes_words(model, tokenizer, rng: random.Random, ends: float) -> None:
    """Make a random model prefer pieces of clean text, some of them words, and end now and then."""
    head = torch.nn.Linear(64, len(tokenizer), bias=True)
    torch.nn.init.normal_(head.weight, std=rng.choice((0.05, 0.15, 0.3)))
    with torch.no_grad():
        for i in range(len(tokenizer)):
            text = tokenizer.decode([5, i], skip_special_tokens=True)[len(tokenizer.decode([5])) :]
            clean = bool(text) and all(c.isalnum() or c in " .\n,'" for c in text)
            head.bias[i] = (2.0 if text.startswith(" ") else 0.0) if clean else -4.0
        head.bias[tokenizer.eos_token_id] = ends
    model.lm_head = head
    model.config.tie_word_embeddings = False


@cache
def model_of(kind: str):
    """(LocalModel over one kind of tokenizer, its twin with transformers' own attention)."""
    tokenizer = tokenizer_of(kind)
    model, own = build_tiny_llama(3)
    model.resize_token_embeddings(max(len(tokenizer), len(own)), mean_resizing=False)
    model.set_attn_implementation("eager")
    twin = copy.deepcopy(model.float().eval())
    return local_model(model, tokenizer, kind), twin


def random_pair(seed: int, context: int = 512) -> tuple[LocalModel, LocalModel]:
    """(base, nudger): a random Gemma 3 or llama each, over tokenizers drawn from the three kinds."""
    rng = random.Random(seed)
    kinds = rng.sample(KINDS, 2) if rng.random() < 0.8 else ["bytes", "bytes"]
    models = []
    for role, kind in zip(("base", "nudger"), kinds, strict=True):
        build = rng.choice((build_tiny_gemma3, build_tiny_llama))
        tokenizer = tokenizer_of(kind)
        model, own = build(seed * 2 + len(models))
        model.resize_token_embeddings(max(len(tokenizer), len(own)), mean_resizing=False)
        writes_words(model, tokenizer, rng, ends=rng.choice((-1.0, 1.0, 3.0)))
        model.config.max_position_embeddings = context
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        models.append(local_model(model, tokenizer, f"{role}-{kind}"))
    return models[0], models[1]
