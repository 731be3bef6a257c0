"""Tokens per second of a base model alone, nudged, and nudged speculatively, in the sizes that people use.

    PYTHONPATH=src python bench/gpu.py           7B + 0.5B in bfloat16 on a GPU
    PYTHONPATH=src python bench/gpu.py --tiny    the same in miniature on a CPU, to see that it runs

Nothing is downloaded: the weights are made here, in the shapes of a 7B llama and a 0.5B model, and only torch,
transformers and this repository are needed. What such models write is made to be like what real ones do, by their
weights alone: each token has one successor, on one cycle through the whole vocabulary, so that nothing repeats; the
base is sure of it (0.95) for most tokens and unsure (0.12) for a share --unsure of them, which gamma = 0.3 tells apart;
the nudger agrees for a share --agree of the tokens. The blocks' output is scaled down so that it does not disturb this;
it is computed in full. Texts are therefore meaningless, but every mode must write the same. The last line printed is
one JSON object.
"""

import argparse
import json
import math
import platform
import time
from datetime import date

import torch

SHAPES = {  # hidden, MLP, blocks, heads, key-value heads
    "7b": (4096, 11008, 32, 32, 32),
    "0.5b": (896, 4864, 24, 14, 2),
    "tiny": (128, 256, 4, 4, 2),
    "tinier": (64, 128, 2, 4, 2),
}
SURE, UNSURE = 0.95, 0.12
GAMMA = 0.3
SPECIALS = ("<unk>", "<eos>")


def tokenizer_of(words: int):
    """One token per word, a space before each; decoding what was written and encoding it again gives the same ids."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = {special: i for i, special in enumerate(SPECIALS)}
    for i in range(words - len(SPECIALS)):
        word = "".join(letters[i // 26**k % 26] for k in range(4))
        vocabulary[f" {word}"] = len(vocabulary)
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(" [a-z]+"), "isolated")
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", eos_token="<eos>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %} answer"
    return tokenizer


def successors(words: int, generator: torch.Generator) -> torch.Tensor:
    """(words,) the next token of each: one cycle through all that are no specials."""
    cycle = torch.randperm(words - len(SPECIALS), generator=generator) + len(SPECIALS)
    following = torch.full((words,), int(cycle[0]))
    following[cycle] = cycle.roll(-1)
    return following


@torch.no_grad()
def build(shape: str, words: int, following: torch.Tensor, sure: torch.Tensor, device: str, dtype: torch.dtype):
    """A llama whose token t is followed by following[t], with probability SURE where sure[t], else UNSURE."""
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, mlp, blocks, heads, kv_heads = SHAPES[shape]
    config = LlamaConfig(
        vocab_size=words,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    for block in model.model.layers:
        block.self_attn.o_proj.weight.mul_(1e-3)
        block.mlp.down_proj.weight.mul_(1e-3)
    embedding, head = model.model.embed_tokens.weight, model.lm_head.weight
    embedding.normal_()
    # A unit logit of the successor needs its row to be the embedding over its squared length; softmax over the other
    # words, whose logits are near 0, gives p = e^s / (e^s + words).
    p = torch.where(sure, SURE, UNSURE)
    strength = (math.log(words) + (p / (1 - p)).log()).to(device, torch.float32)
    wide = embedding.float()
    rows = wide * (strength / hidden**0.5 / wide.norm(dim=1))[:, None]
    head.zero_()
    real = slice(len(SPECIALS), None)  # specials lead into the cycle as well, but own no row of the head
    head[following.to(device)[real]] = rows[real].to(dtype)
    return model


def pair(options, device: str, dtype: torch.dtype):
    """(base, nudger) as LocalModels over one tokenizer."""
    from boresight.lm.local import LocalModel

    generator = torch.Generator().manual_seed(0)
    words = options.words
    tokenizer = tokenizer_of(words)
    following = successors(words, generator)
    agrees = torch.rand(words, generator=generator) < options.agree
    other = torch.where(agrees, following, successors(words, generator))
    unsure = torch.rand(words, generator=generator) < options.unsure
    every = torch.ones(words, dtype=torch.bool)
    shapes = ("tiny", "tinier") if options.tiny else ("7b", "0.5b")
    models = [
        build(shape, words, after, sure, device, dtype)
        for shape, after, sure in zip(shapes, (following, other), (~unsure, every), strict=True)
    ]
    return [LocalModel(m, tokenizer, name=s, revision="random") for m, s in zip(models, shapes, strict=True)]


def timed(call, device: str):
    """(result, seconds) of a call, the device's queue included."""
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = call()
    if device != "cpu":
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def hf_tokens(base, prompt: str, tokens: int) -> int:
    """Tokens that transformers' own generate writes, with its attention of choice."""
    own = base.model.config._attn_implementation
    base.model.set_attn_implementation("sdpa")
    try:
        ids = torch.tensor([base.encode(prompt)], device=base.device)
        with torch.no_grad():
            out = base.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens)
        return out.shape[1] - ids.shape[1]
    finally:
        base.model.set_attn_implementation(own)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="miniature models on the CPU")
    parser.add_argument("--prompts", type=int, default=8, help="requests, also the size of the batch (default 8)")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of each answer (default 128)")
    parser.add_argument("--unsure", type=float, default=0.15, help="share of tokens after which the base is unsure")
    parser.add_argument("--agree", type=float, default=0.7, help="share of tokens for which the nudger agrees")
    parser.add_argument("--words", type=int, default=32_000, help="vocabulary (default 32000)")
    options = parser.parse_args()
    if not options.tiny and not torch.cuda.is_available():
        raise SystemExit("there is no GPU here; --tiny runs the same in miniature on the CPU")
    device = "cpu" if options.tiny else "cuda"
    dtype = torch.float32 if options.tiny else torch.bfloat16

    from boresight.lm.base import Sampling
    from boresight.steer.nudging import Nudging

    base, nudger = pair(options, device, dtype)
    generator = torch.Generator().manual_seed(1)
    starts = torch.randint(len(SPECIALS), options.words, (options.prompts, 64), generator=generator)
    questions = [base.decode(row.tolist()) for row in starts]
    how = {"gamma": GAMMA, "max_new_tokens": options.tokens, "max_rounds": options.tokens}
    ways = {mode: Nudging(base, nudger, mode=mode, **how) for mode in ("cached", "speculative")}
    prompts = [ways["cached"].prompts([{"role": "user", "content": q}]) for q in questions]
    only = Sampling(max_new_tokens=options.tokens)
    rows: dict[str, dict] = {}
    texts: dict[str, list[str]] = {}

    def count(way: str, tokens: int, seconds: float) -> None:
        rows[way] = {"tokens": tokens, "seconds": round(seconds, 3), "tokens_per_s": round(tokens / seconds, 1)}
        print(f"{way:32}{tokens:8}{seconds:9.2f}{tokens / seconds:10.1f}")

    shares = []
    print(f"{'':32}{'tokens':>8}{'seconds':>9}{'tokens/s':>10}")
    hf_tokens(base, prompts[0][0], 4)
    tokens, seconds = timed(lambda: sum(hf_tokens(base, b, options.tokens) for b, _ in prompts), device)
    count("transformers generate, single", tokens, seconds)
    base.complete([prompts[0][0]], Sampling(max_new_tokens=4))
    done, seconds = timed(lambda: [base.complete([b], only)[0] for b, _ in prompts], device)
    count("base only, single", sum(c.tokens for c in done), seconds)
    done, seconds = timed(lambda: base.complete([b for b, _ in prompts], only), device)
    count("base only, batch", sum(c.tokens for c in done), seconds)
    for mode, policy in ways.items():
        policy.run(*prompts[0])
        for size, call in (
            ("single", lambda p=policy: [p.run(*pair) for pair in prompts]),
            ("batch", lambda p=policy: p.run_batch(prompts)),
        ):
            results, seconds = timed(call, device)
            texts[f"{mode}, {size}"] = [r.text for r in results]
            count(f"nudged {mode}, {size}", sum(base.count_tokens(r.raw_text) for r in results), seconds)
        shares = [r.nudge_token_ratio for r in results]
    same = {way: sum(map(str.__eq__, found, texts["cached, single"])) for way, found in texts.items()}
    share = sum(shares) / len(shares)
    print(f"the nudger wrote {share:.0%} of the tokens; texts equal to cached, single, of {len(prompts)}: {same}")

    def ratio(way: str, to: str) -> float:
        return round(rows[way]["tokens_per_s"] / rows[to]["tokens_per_s"], 3)

    result = {
        "bench": "gpu",
        "date": date.today().isoformat(),
        "hardware": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        "torch": torch.__version__,
        "pair": [base.name, nudger.name],
        "dtype": str(dtype)[6:],
        "ways": rows,
        "nudged_share": round(share, 3),
        "same_texts": same,
        "prompts": len(prompts),
        "ratios": {
            "base/transformers": ratio("base only, single", "transformers generate, single"),
            "cached/base": ratio("nudged cached, single", "base only, single"),
            "speculative/base": ratio("nudged speculative, single", "base only, single"),
            "cached/base, batch": ratio("nudged cached, batch", "base only, batch"),
            "speculative/base, batch": ratio("nudged speculative, batch", "base only, batch"),
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
