"""Judges for tests: a scripted Inspect model, and a local model whose next token is read off a table."""

import math
from collections.abc import Mapping

REPLIES = [str(n) for n in range(101)]


def output(text: str, top: Mapping[str, float] | None = None):
    """A reply of an Inspect model; top: probabilities of its first token's alternatives, where it tells them."""
    from inspect_ai.model import Logprob, Logprobs, ModelOutput, ModelUsage, TopLogprob

    found = ModelOutput.from_content("mockllm/judge", text)
    found.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    if top:
        told = [TopLogprob(token=t, logprob=math.log(p)) for t, p in top.items()]
        found.choices[0].logprobs = Logprobs(content=[Logprob(token=text, logprob=0.0, top_logprobs=told)])
    return found


class Scripted:
    """An Inspect model that replies by the first string of `replies` that its prompt holds.

    tokens: the budget of every request. asked: the prompts.
    """

    def __init__(self, replies, name: str = "judge") -> None:
        from inspect_ai.model import get_model

        self.replies, self.tokens, self.asked = replies, [], []
        self.model = get_model(f"mockllm/{name}", custom_outputs=self._say, memoize=False)

    def _say(self, messages, tools, choice, config):
        text = messages[0].text
        self.tokens.append(config.max_tokens)
        self.asked.append(text)
        return next(reply for key, reply in self.replies.items() if key in text).model_copy(deep=True)


def table_model(weights: Mapping[str, float]):
    """(model, tokenizer): whole numbers are single tokens; an answer begins with one of `weights` and then ends.

    A llama whose layers add nothing and whose embeddings are one-hot, so that its head is a table from token to token.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from tiny_models import CHAT_TEMPLATE

    specials = ["<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*specials, *letters, *[n for n in REPLIES if len(n) > 1]]
    merges = [(n[0], n[1]) for n in REPLIES if len(n) == 2] + [("10", "0")]
    core = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    size = len(tokenizer)
    width = -(-size // 64) * 64
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=width,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    table = torch.full((size, size), -200.0)  # a row: the logits after that token
    table[:, end] = 200.0
    after_prompt = tokenizer.encode("\n", add_special_tokens=False)[-1]
    table[after_prompt] = -200.0
    for text, weight in weights.items():
        table[after_prompt, tokenizer.convert_tokens_to_ids(text)] = math.log(weight)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.zero_()
        model.model.embed_tokens.weight[:, :size] = torch.eye(size)
        model.lm_head.weight.zero_()
        model.lm_head.weight[:, :size] = table.T / math.sqrt(width)  # the last norm makes a one-hot sqrt(width) long
    model.generation_config.eos_token_id = end
    return model, tokenizer
