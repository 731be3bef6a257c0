"""What is read once: equal prompts of one call, and the prompts of several continuations."""

import pytest
import torch
from architectures import forward, pair

from boresight.lm.base import Sampling
from boresight.lm.decode import SLICE
from tiny_models import build_tiny_llama, local_model

LONG = "Tom has 3 apples and buys 4 more. How many apples does he have now? "
OTHER = "Question: what do plants need to grow? "
DRAWN = Sampling(max_new_tokens=12, temperature=1.0, top_p=0.9, seed=3)


@pytest.fixture
def forwarded(monkeypatch):
    """Tokens of every pass of a model's body, from the moment it is given the model."""

    def watch(model) -> list[int]:
        counted: list[int] = []
        body, own = model.model.base_model, type(model.model.base_model).forward

        def counting(*args, **kwargs):
            counted.append(kwargs["input_ids"].shape[1])
            return own(body, *args, **kwargs)

        monkeypatch.setattr(body, "forward", counting, raising=False)
        return counted

    return watch


def alone(model, prompt: str, row: int, how: Sampling) -> str:
    """What row `row` draws for `prompt` when no other row has the same prompt."""
    fillers = ["abc"[i % 3] * (i + 1) for i in range(row)]
    return model.complete([*fillers, prompt], how)[row].text


@pytest.mark.parametrize("name", ["llama", "gemma3"])
@pytest.mark.parametrize("width", [1, 3, 16])
def test_samples_of_several_prompts_are_what_each_row_draws_alone(name, width, monkeypatch):
    model, _ = pair(name)
    monkeypatch.setattr(model, "width", width)
    prompts = [LONG, OTHER] * 3 + ["a"]
    got = [c.text for c in model.complete(prompts, DRAWN)]
    assert got == [alone(model, p, i, DRAWN) for i, p in enumerate(prompts)]
    assert len(set(got[0::2])) > 1


def test_equal_prompts_are_read_once(forwarded):
    model, _ = pair("llama")
    counted = forwarded(model)
    n = {p: len(model.encode(p)) for p in (LONG, OTHER)}
    model.complete([LONG, OTHER] * 8, Sampling(max_new_tokens=1))
    assert sum(counted) == n[LONG] - 1 + n[OTHER] - 1 + 16  # the last token of a prompt is each row's own
    counted.clear()
    model.complete([LONG, OTHER], Sampling(max_new_tokens=1))
    assert sum(counted) == n[LONG] + n[OTHER]


def test_samples_of_one_chat_are_read_once(forwarded):
    model, _ = pair("llama")
    chat = [{"role": "user", "content": LONG}]
    n = len(model.encode(model.render(chat)))
    model._prefixes.clear()
    counted = forwarded(model)
    got = model.samples(chat, 5, DRAWN)
    assert sum(counted) == n - 1 + sum(c.tokens for c in got)
    assert [c.text for c in got] == [c.text for c in model.generate([chat] * 5, DRAWN)]
    assert len({c.text for c in got}) > 1


def test_rows_that_come_late_find_their_prompt_read(forwarded, monkeypatch):
    model, twin = pair("gemma3")
    monkeypatch.setattr(model, "width", 2)
    counted = forwarded(model)
    how = [Sampling(max_new_tokens=k) for k in (1, 9, 3, 2, 5)]
    prompts = [LONG, LONG, OTHER, LONG, LONG]
    got = model.complete(prompts, how)
    steps = sum(c.tokens for c in got)
    assert sum(counted) == len(model.encode(LONG)) - 1 + len(model.encode(OTHER)) - 1 + steps
    for prompt, completion in zip(prompts, got, strict=True):
        ids = model.encode(prompt)
        assert int(forward(twin, ids)[-1].argmax()) == first_token(model, prompt, completion)


def first_token(model, prompt, completion) -> int:
    with model.session() as session:
        token = int(session.append(model.encode(prompt)).argmax())
    assert completion.text.startswith(model.decode([token]).rstrip("\ufffd"))
    return token


def test_a_run_that_is_broken_off_leaves_no_slot(monkeypatch):
    model, _ = pair("llama")
    pools, make = [], model.pool
    monkeypatch.setattr(model, "pool", lambda *a: pools.append(make(*a)) or pools[-1])
    steps = []

    def stop(rows):
        steps.append(rows)
        if len(steps) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(model, "width", 3)
    with pytest.raises(KeyboardInterrupt):
        model.complete([LONG, OTHER] * 4, DRAWN, on_step=stop)
    assert pools[0].lengths == []


# -- rows join and leave ---------------------------------------------------------------------------------------------


def test_a_long_answer_does_not_hold_short_ones(monkeypatch):
    model, _ = pair("llama")
    monkeypatch.setattr(model, "eos_ids", frozenset())
    monkeypatch.setattr(model, "width", 2)
    steps, done = [], {}
    how = [Sampling(max_new_tokens=40)] + [Sampling(max_new_tokens=4)] * 9
    prompts = ["Tom has 3 apples", *(f"{k} apples" for k in range(9))]
    got = model.complete(prompts, how, on_done=lambda i, c: done.update({i: len(steps)}), on_step=steps.append)
    assert [c.tokens for c in got] == [40] + [4] * 9
    assert len(steps) == 40  # the nine short ones went by beside the long one
    assert sorted(done.values())[0] == 3
    assert done[0] == 39


def test_a_long_prompt_does_not_hold_up_the_rows_that_write():
    model, tokenizer = build_tiny_llama()
    model.config.max_position_embeddings = 4 * SLICE
    model = local_model(model, tokenizer, "long")
    model.eos_ids, model.width = frozenset(), 2
    passes, inner = [], model._forward
    model._forward = lambda asks: passes.append([len(a.ids) for a in asks]) or inner(asks)
    reading = "apples " * 1500
    n = len(model.encode(reading))
    assert 2 * SLICE < n < 4 * SLICE
    lengths = (2, 12, 3, 1, 1)
    got = model.complete([reading, "Tom has", "a", "b", "c"], [Sampling(max_new_tokens=k) for k in lengths])
    assert max(sum(sizes) for sizes in passes) <= SLICE
    beside = [sizes for sizes in passes if len(sizes) == 2 and max(sizes) > 12]
    assert sum(max(sizes) for sizes in beside) >= n - SLICE  # slices of the prompt went beside a row that wrote
    assert got[0].text == model.complete([reading], Sampling(max_new_tokens=2))[0].text
    assert got[1].text == model.complete(["Tom has"], Sampling(max_new_tokens=12))[0].text


def test_a_second_round_is_spared_where_the_caches_stay_small(monkeypatch):
    model, _ = pair("llama")
    monkeypatch.setattr(model, "width", 3)
    monkeypatch.setattr(model, "eos_ids", frozenset())
    how = Sampling(max_new_tokens=5)

    def rounds(n: int) -> int:
        steps = []
        model.complete([f"{k} apples" for k in range(n)], how, on_step=steps.append)
        return len(steps)

    assert [rounds(n) for n in (3, 4, 6, 7)] == [5, 5, 5, 15]
    monkeypatch.setattr("boresight.lm.local.CACHE_BYTES", 1000)
    assert [rounds(n) for n in (3, 4, 6, 7)] == [5, 10, 10, 15]


# -- log-probabilities -----------------------------------------------------------------------------------------------

CHOICES = [" 7 apples", " 12", " a fox that jumps over the lazy dog", " none at all."]


@pytest.mark.parametrize("name", ["llama", "gemma3", "gemma2"])
def test_choices_cost_their_prompt_once_and_score_as_they_do_alone(name, forwarded):
    model, twin = pair(name)
    prompts = [p for p in (LONG, OTHER, "a") for _ in CHOICES]
    rows = [model.joined(p, c) for p, c in zip(prompts, CHOICES * 3, strict=True)]
    model.logprobs(["a"], ["b"])  # the head is made and compared once
    counted = forwarded(model)
    got = model.logprobs(prompts, CHOICES * 3)
    assert len(counted) == 2  # prompts, then continuations
    read_once = {tuple(ids[: start - 1]) for ids, start in rows}
    assert sum(counted) == sum(map(len, read_once)) + sum(len(ids) - start for ids, start in rows)
    for (ids, start), row, prompt, choice in zip(rows, got, prompts, CHOICES * 3, strict=True):
        scores = forward(twin, ids).log_softmax(-1)
        assert row == pytest.approx([scores[k - 1, ids[k]].item() for k in range(start, len(ids))], abs=1e-4)
        assert row == pytest.approx(model.logprobs([prompt], [choice])[0], abs=1e-5)


def test_the_order_of_rows_does_not_change_their_scores():
    model, _ = pair("gemma3")
    prompts = [LONG, OTHER, LONG, "", OTHER, LONG]
    ends = [" 7", " light", " 12 apples", LONG * 3, " water", " 7"]
    ahead = model.logprobs(prompts, ends)
    back = model.logprobs(prompts[::-1], ends[::-1])[::-1]
    for a, b in zip(ahead, back, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    assert ahead[0] == pytest.approx(ahead[5], abs=1e-6)
    assert len(ahead[3]) == len(model.encode(LONG * 3)) - 1


@pytest.mark.model
def test_choices_of_a_real_model(smollm):
    """The likelier ending is the true one, and sharing the prompt does not move a log-probability."""
    prompt = "The capital of France is"
    ends = [" Paris", " Berlin", " a kind of soup", " Madrid"]
    got = smollm.logprobs([prompt] * 4, ends)
    means = [sum(row) / len(row) for row in got]
    assert means.index(max(means)) == 0
    for end, row in zip(ends, got, strict=True):
        ids, start = smollm.joined(prompt, end)
        with torch.no_grad(), smollm.session() as session:
            logits = smollm.extend([_ask(session, ids, start)])[0].logits.float().log_softmax(-1)
        want = [logits[k, ids[start + k]].item() for k in range(len(ids) - start)]
        assert row == pytest.approx(want, abs=1e-3)


def _ask(session, ids, start):
    from boresight.lm.decode import Ask

    return Ask(session, ids[:-1], range(start - 1, len(ids) - 1))
