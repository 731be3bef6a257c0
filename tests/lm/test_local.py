"""LocalModel: prompts, batches, contexts, log-probabilities; `test_local_models` has which models and loading."""

import random

import pytest
import torch
from architectures import forward, pair, raw

from boresight.errors import DataError, ModelError
from boresight.lm import local
from boresight.lm.base import Sampling
from boresight.lm.local import top1
from boresight.lm.session import Session
from tiny_models import byte_tokenizer, local_model

PROMPTS = [
    "Tom has 3 apples.",
    "The quick brown fox",
    "a",
    "Question: what do plants need to grow? " * 3,
    "naïve café 東京 🙂",
    "user assistant system",
    "the lazy dog. The lazy dog.",
]
BEGINNING = "Let's walk through the reasoning steps, one by one, and be brief. You are a helpful assistant."


def greedy(model, twin, prompt, n):
    """(text, tokens) of the twin's greedy answer, without any cache."""
    ids, out = model.encode(prompt), []
    while len(out) < n and not (out and out[-1] in model.eos_ids):
        out.append(int(forward(twin, [*ids, *out])[-1].argmax()))
    return model.decode(out).rstrip("\ufffd"), len(out)


# -- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "gemma3", "gemma2", "mistral"])
def test_width_and_order_do_not_change_greedy_answers(name):
    model, twin = pair(name)
    how = Sampling(max_new_tokens=24)
    want = [greedy(model, twin, p, 24) for p in PROMPTS]
    width = model.width
    try:
        for model.width in (1, 2, 3, 16):
            got = model.complete(PROMPTS, how)
            assert [(c.text.rstrip("\ufffd"), c.tokens) for c in got] == want
        assert [c.text for c in model.complete(PROMPTS[::-1], how)][::-1] == [c.text for c in got]
    finally:
        model.width = width
    assert [c.prompt_tokens for c in got] == [len(model.encode(p)) for p in PROMPTS]


@pytest.mark.parametrize("name", ["llama", "gemma3", "gemma2"])
def test_a_shared_beginning_is_read_once_and_changes_nothing(name, monkeypatch):
    model, twin = pair(name)
    prompts = [f"{BEGINNING}\n{p}" for p in PROMPTS]
    forwarded, inner = [], model._forward
    monkeypatch.setattr(model, "_forward", lambda asks: forwarded.append(sum(len(a.ids) for a in asks)) or inner(asks))
    model._prefixes.clear()
    got = model.complete(prompts, Sampling(max_new_tokens=1))
    shared = len(model.encode(BEGINNING + "\n")) - 1
    lengths = [len(model.encode(p)) for p in prompts]
    assert sum(forwarded) <= sum(lengths) - (len(prompts) - 1) * shared
    assert [c.text.rstrip("\ufffd") for c in got] == [greedy(model, twin, p, 1)[0] for p in prompts]
    before = sum(forwarded)
    model.complete(prompts, Sampling(max_new_tokens=1))
    assert sum(forwarded) - before <= before - shared  # kept for the next call


def test_equal_prompts_keep_one_token_of_their_own():
    model, twin = pair("llama")
    got = model.complete([BEGINNING] * 3, Sampling(max_new_tokens=5))
    assert {c.text for c in got} == {greedy(model, twin, BEGINNING, 5)[0]}


def test_every_row_has_its_own_settings_and_callbacks_hear_of_each():
    model, _ = pair("llama")
    how = [Sampling(max_new_tokens=n) for n in (1, 7, 3)]
    done, steps = {}, []
    got = model.complete(PROMPTS[:3], how, on_done=lambda i, c: done.update({i: c}), on_step=steps.append)
    assert [c.tokens for c in got] == [1, 7, 3]
    assert [done[i] for i in range(3)] == got
    assert sum(steps) == 11
    assert {c.finish_reason for c in got} == {"length"}


def test_nothing_to_answer_is_answered_with_nothing():
    model, _ = pair("llama")
    assert model.complete([]) == []
    assert model.generate([]) == []


def test_sampled_answers_depend_on_seed_and_row_not_on_the_batch():
    model, _ = pair("llama")
    how = Sampling(max_new_tokens=12, temperature=1.0, top_p=0.95, seed=5)
    width = model.width
    try:
        texts = []
        for model.width in (1, 4):
            texts.append([c.text for c in model.complete(["Tom has"] * 4, how)])
    finally:
        model.width = width
    assert texts[0] == texts[1]
    assert len(set(texts[0])) == 4
    assert model.complete(["Tom has"], how)[0].text == texts[0][0]


def test_stop_strings_cut_across_tokens():
    model, _ = pair("llama")
    whole = model.complete(["Tom has 3 apples"], Sampling(max_new_tokens=30))[0].text
    assert len(whole) > 12
    for start in (3, 5, 8):
        stop = whole[start : start + 3]
        cut = model.complete(["Tom has 3 apples"], Sampling(max_new_tokens=30, stop=("never seen", stop)))[0]
        assert (cut.text, cut.finish_reason) == (whole[: whole.find(stop)], "stop_string")


def test_a_step_that_raises_frees_the_slots(monkeypatch):
    model, _ = pair("llama")
    pools = []
    keep = model.pool
    monkeypatch.setattr(model, "pool", lambda *a: pools.append(keep(*a)) or pools[-1])

    def stop(rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.complete(PROMPTS, on_step=stop)
    assert pools[0].lengths == []
    assert model.complete(["Tom"], Sampling(max_new_tokens=2))[0].tokens == 2


# -- the context -----------------------------------------------------------------------------------------------------


def test_an_answer_ends_where_the_context_does(monkeypatch):
    model, _ = pair("llama")
    n = len(model.encode("Tom has 3 apples"))
    whole = model.complete(["Tom has 3 apples"], Sampling(max_new_tokens=4))[0]
    monkeypatch.setattr(model, "context", n + 4)
    done = model.complete(["Tom has 3 apples"], Sampling(max_new_tokens=30))[0]
    assert (done.text, done.tokens, done.finish_reason) == (whole.text, 4, "context")


def test_a_prompt_that_fills_the_context_is_refused_with_both_lengths():
    model, _ = pair("llama")
    prompt = "apples " * 600
    n = len(model.encode(prompt))
    with pytest.raises(ModelError, match=rf"prompt 2 of 2 has {n} tokens and llama reads at most 512"):
        model.complete(["fine", prompt])
    with model.session() as session, pytest.raises(ModelError, match=r"513 tokens do not fit the 512 of llama"):
        session.append([5] * 513)


# -- text ------------------------------------------------------------------------------------------------------------


def test_a_begin_token_comes_once():
    model, _ = pair("gemma3")
    bos = model.tokenizer.bos_token_id
    assert model.encode("Tom")[0] == bos
    assert model.encode("<bos>Tom") == model.encode("Tom")
    assert model.encode("") == [bos]
    assert model.decode(model.encode("Tom has")) == "Tom has"
    assert model.count_tokens("Tom") == len(model.encode("Tom")) - 1


def test_a_chat_template_that_writes_the_begin_token_does_not_double_it():
    tokenizer = byte_tokenizer(("<pad>", "<eos>", "<bos>"), bos="<bos>", eos="<eos>")
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    model = local_model(pair("gemma3")[0].model, tokenizer, "with-bos")
    ids = model.encode(model.render([{"role": "user", "content": "Tom"}]))
    assert ids == model.encode("Tom\n")
    assert ids.count(tokenizer.bos_token_id) == 1


def test_an_end_token_that_the_tokenizer_adds_is_taken_off():
    from tokenizers import processors

    tokenizer = byte_tokenizer(("<pad>", "<eos>", "<bos>"), bos="<bos>", eos="<eos>")
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )
    model = local_model(pair("gemma3")[0].model, tokenizer, "with-eos")
    assert model.encode("Tom") == pair("gemma3")[0].encode("Tom")
    assert model.encode("Tom<eos>")[-1] == 1


def test_the_empty_prompt_of_a_tokenizer_without_begin_token_is_its_end_token():
    model, _ = pair("llama")
    assert model.encode("") == [model.tokenizer.eos_token_id]


def test_chats_render_through_the_template_or_plainly():
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    assert pair("llama")[0].render(chat).endswith("<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n")
    assert pair("gemma3")[0].render(chat) == "Be brief.\nWhy?\n"
    with pytest.raises(ModelError, match="gemma3 has no chat template"):
        pair("gemma3")[0].render_template(chat)
    with pytest.raises(DataError, match="turn 1"):
        pair("llama")[0].render([{"role": "user", "content": ""}])


def test_a_template_that_refuses_a_chat_says_so():
    tokenizer = byte_tokenizer(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), eos="<|im_end|>")
    tokenizer.chat_template = "{{ raise_exception('no system role here') }}"
    model = local_model(pair("llama")[0].model, tokenizer, "strict")
    with pytest.raises(ModelError, match="the chat template of strict refused the chat: no system role here"):
        model.generate([[{"role": "user", "content": "Why?"}]])


def test_generate_answers_the_rendered_chat():
    model, _ = pair("llama")
    chat = [{"role": "user", "content": "Why?"}]
    how = Sampling(max_new_tokens=6)
    assert model.generate([chat], how)[0].text == model.complete([model.render(chat)], how)[0].text
    assert model.describe()["template"] == "chat"
    assert model.describe()["dtype"] == "float32"


# -- ends ------------------------------------------------------------------------------------------------------------


def test_all_end_tokens_of_the_generation_config_end_an_answer():
    model, tokenizer = raw("Qwen2")
    model.generation_config.eos_token_id = [0, 7]
    assert local_model(model, tokenizer, "two").eos_ids == {0, 7, tokenizer.eos_token_id}
    model.generation_config.eos_token_id = None
    assert local_model(model, tokenizer, "none").eos_ids == {tokenizer.eos_token_id}


def test_an_end_token_is_counted_but_not_written(monkeypatch):
    model, twin = pair("llama")
    ids = model.encode("Tom has 3")
    first = int(forward(twin, ids)[-1].argmax())
    second = int(forward(twin, [*ids, first])[-1].argmax())
    monkeypatch.setattr(model, "eos_ids", frozenset([second]))
    done = model.complete(["Tom has 3"], Sampling(max_new_tokens=9))[0]
    if first != second:
        written = model.decode([first]).rstrip("\ufffd")
        assert (done.text, done.tokens, done.finish_reason) == (written, 2, "stop")
        assert done.trace.stop_reason == "eos"


# -- log-probabilities -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "gemma3", "gemma2"])
def test_logprobs_are_those_of_a_plain_forward(name):
    model, twin = pair(name)
    pairs = [("Tom has", " 3 apples and buys 4 more."), ("", "Tom has"), ("The quick", " brown fox " * 40), ("a", "")]
    got = model.logprobs([p for p, _ in pairs], [c for _, c in pairs])
    for (prompt, continuation), row in zip(pairs, got, strict=True):
        ids = model.encode(prompt + continuation)
        n = len(ids) - len(row)
        scores = forward(twin, ids).log_softmax(-1)
        want = [scores[k - 1, ids[k]].item() for k in range(n, len(ids))]
        assert row == pytest.approx(want, abs=1e-4)
        begin = 1 if prompt == "" else len(model.encode(prompt))
        assert n == begin
    assert got[3] == []


def test_logprobs_need_as_many_continuations_as_prompts():
    with pytest.raises(ValueError, match="zip"):
        pair("llama")[0].logprobs(["a"], [])


def test_top1_takes_the_lowest_id_of_a_tie_and_its_exact_probability():
    logits = torch.randn(19, 50, generator=torch.Generator().manual_seed(0))
    logits[3, 7] = logits[3, 30] = 9.0
    ids, logprobs = top1(logits)
    best = logits.log_softmax(-1)
    assert ids[3] == 7
    assert ids == best.argmax(-1).tolist()
    assert logprobs == pytest.approx(best.amax(-1).tolist(), abs=1e-6)
    assert top1(torch.empty(0, 0)) == ([], [])


def test_prefixes_are_kept_a_few_at_a_time():
    model, _ = pair("llama")
    model._prefixes.clear()
    first = model.prefix([5, 6, 7])
    assert model.prefix([5, 6, 7]) is first
    for k in range(5):
        model.prefix([k + 10, 5])
    assert len(model._prefixes) == 4
    assert model.prefix([5, 6, 7]) is not first


# -- the real ones ---------------------------------------------------------------------------------------------------


@pytest.mark.model
def test_real_models_say_alone_what_they_say_in_a_batch(gemma, smollm):
    prompts = ["Why is the sky blue?\n", "The capital of France is", "Write a haiku about rain.\n", "1 2 3 4"]
    for model in (gemma, smollm):
        how = Sampling(max_new_tokens=12)
        width = model.width
        together = [c.text for c in model.complete(prompts, how)]
        model.width = 1
        alone = [c.text for c in model.complete(prompts, how)]
        model.width = width
        assert together == alone
        assert len(set(together)) == len(prompts)


@pytest.mark.model
def test_the_real_gemma_is_right_behind_its_sliding_window(gemma):
    """More tokens than its window of 512, in pieces, against transformers' own forward."""
    rng = random.Random(0)
    ids = [2, *(rng.randrange(100, 20_000) for _ in range(599))]
    with torch.no_grad(), gemma.session() as session:
        gemma.extend([local.Ask(session, ids[:560], ())])
        session.rewind(30)
        for a in (530, 540, 541):
            gemma.extend([local.Ask(session, ids[a : a + (10 if a == 530 else 1)], ())])
        got = session.append(ids[542:])
        attention = gemma.model.config._attn_implementation
        gemma.model.set_attn_implementation("eager")
        want = gemma.model(input_ids=torch.tensor([ids]), use_cache=False, logits_to_keep=1).logits[0, -1]
        gemma.model.set_attn_implementation(attention)
    torch.testing.assert_close(got, want, rtol=0, atol=2e-3)


def test_sessions_are_context_managers_and_fork():
    model, twin = pair("llama")
    pool = model.pool()
    with Session(model, pool) as one:
        one.append([5, 6, 7])
        two = one.fork()
        two.append([8])
        got = one.append([9])
        torch.testing.assert_close(got, forward(twin, [5, 6, 7, 9])[-1], rtol=0, atol=1e-4)
        assert (len(one), len(two), two.recomputed) == (4, 4, 0)
        two.close()
    assert pool.lengths == []
