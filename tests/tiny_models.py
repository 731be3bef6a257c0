"""Random tiny models built in memory, and what they are built from (the fixtures of conftest.py wrap them)."""

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "Tom has 3 apples and buys 4 more. How many apples does he have now?",
    "Question: what do plants need to grow?\nAnswer: plants need light, water and air.\n",
    "Let's walk through the reasoning steps, one by one:\n\n1. First\n2. Second\n",
    "Ünïcödé, naïve café, 東京, and the emoji 🙂 are bytes too.",
    "user assistant system You are a helpful assistant.",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_tokenizer(specials: tuple[str, ...], *, bos: str | None = None, eos: str, chat_template: str | None = None):
    """A byte-level BPE tokenizer of 400 pieces, trained on SENTENCES; adds `bos` in front when given."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(SENTENCES, trainer)
    if bos:
        core.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, core.token_to_id(bos))]
        )
    named = {"bos_token": bos} if bos else {}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=eos, clean_up_tokenization_spaces=False, **named
    )
    if chat_template:
        tokenizer.chat_template = chat_template
    return tokenizer


def local_model(model, tokenizer, name: str):
    """A LocalModel in float32 around a model built in memory."""
    from boresight.lm.local import LocalModel

    return LocalModel(model.float(), tokenizer, name=name, revision="random")


def build_tiny_llama(seed: int = 0):
    """(model, tokenizer): llama, 2 layers of width 64, 4 heads over 2 key-value heads, with a chat template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer(
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), eos="<|im_end|>", chat_template=CHAT_TEMPLATE
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.2,  # wider than the default, so that the next token is not a coin toss
    )
    torch.manual_seed(seed)
    return LlamaForCausalLM(config), tokenizer


def build_tiny_gemma3(seed: int = 0):
    """(model, tokenizer): Gemma 3, one sliding layer (window 8) and one full, 4 heads over 1; <bos>, no template."""
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    tokenizer = byte_tokenizer(("<pad>", "<eos>", "<bos>"), bos="<bos>", eos="<eos>")
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"],
        max_position_embeddings=512,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        initializer_range=0.2,
    )
    torch.manual_seed(seed)
    model = Gemma3ForCausalLM(config)
    with torch.no_grad():  # tied embeddings: without this every token would predict itself
        model.model.embed_tokens.weight.mul_(0.25)
        model.model.norm.weight.add_(5)
    return model, tokenizer
