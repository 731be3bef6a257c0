import pytest
import torch
from architectures import MORE, NAMES, forward, pair, raw

from boresight.errors import ModelError
from boresight.lm import local, scoring
from boresight.lm.scoring import answer_logits
from tiny_models import local_model

SCALED = {
    "cohere": ("Cohere", {"logit_scale": 0.4}),
    "granite": ("Granite", {"logits_scaling": 3.0, "embedding_multiplier": 2.0}),
}


def tiny(name: str):
    """(LocalModel, twin) of an architecture of the engine's list, or of one whose head scales its logits."""
    if name in NAMES:
        return pair(name)
    stem, differs = SCALED[name]
    model, tokenizer = raw(stem, **differs)
    _, twin = model, raw(stem, **differs)[0].float()
    return local_model(model, tokenizer, name), twin


def gathered(model, rows, **how) -> dict[int, torch.Tensor]:
    """Row -> its blocks joined; checks that they come in order and without gaps."""
    found: dict[int, list[torch.Tensor]] = {}
    last = (-1, 0)
    for row, first, logits in answer_logits(model, rows, **how):
        assert first == sum(map(len, found.get(row, ())))
        assert (row, first) > last or last == (-1, 0)
        assert len(logits) <= how.get("block", 64)
        assert logits.dtype == torch.float32
        found.setdefault(row, []).append(logits)
        last = (row, first)
    return {row: torch.cat(parts) for row, parts in found.items()}


def ids_of(length: int, seed: int, vocabulary: int = 300) -> list[int]:
    return torch.randint(5, vocabulary, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


ROWS = [(ids_of(40, 1), 9), (ids_of(12, 2), 11), (ids_of(25, 3), 1), (ids_of(70, 4), 30)]


@pytest.mark.parametrize("name", ["llama", "gemma3", "gemma2", "mistral", "qwen3", *SCALED])
def test_they_are_the_logits_of_the_models_own_forward(name):
    model, twin = tiny(name)
    got = gathered(model, ROWS, block=16)
    for i, (ids, start) in enumerate(ROWS):
        expected = forward(twin, ids)[start - 1 : -1].float()
        torch.testing.assert_close(got[i], expected, atol=2e-4, rtol=1e-4)


def test_the_architectures_differ_where_it_matters():
    assert MORE["gemma2"][1]["final_logit_softcapping"]
    _, twin = tiny("cohere")
    states = twin.model(torch.tensor([ids_of(5, 0)])).last_hidden_state
    assert not torch.allclose(twin.lm_head(states), twin(torch.tensor([ids_of(5, 0)])).logits)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_change_nothing(tiny_llama, block):
    whole = gathered(tiny_llama, ROWS)
    for row, logits in gathered(tiny_llama, ROWS, block=block).items():
        torch.testing.assert_close(logits, whole[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("tokens", [16, 41, 60])
def test_long_rows_and_small_passes_change_nothing(tiny_gemma3, monkeypatch, tokens):
    whole = gathered(tiny_gemma3, ROWS)
    monkeypatch.setattr(local, "PASS_TOKENS", tokens)
    for row, logits in gathered(tiny_gemma3, ROWS).items():
        torch.testing.assert_close(logits, whole[row], atol=1e-4, rtol=1e-4)


def test_the_order_of_rows_changes_nothing(tiny_llama):
    ahead, back = gathered(tiny_llama, ROWS), gathered(tiny_llama, ROWS[::-1])
    for row, logits in ahead.items():
        torch.testing.assert_close(back[len(ROWS) - 1 - row], logits, atol=1e-5, rtol=1e-5)


def test_a_shared_beginning_is_read_once(tiny_llama):
    start = ids_of(local.MIN_SHARED + 10, 9)
    rows = [([*start, *ids_of(5 + i, i)], len(start) + 1 + i) for i in range(3)]
    alone = [gathered(tiny_llama, [row])[0] for row in rows]
    tiny_llama._prefixes.clear()
    counted = passes(tiny_llama)
    together = gathered(tiny_llama, rows)
    assert len(counted) == 2
    assert sum(counted) < 2 * len(start)
    for i, logits in enumerate(alone):
        torch.testing.assert_close(together[i], logits, atol=1e-4, rtol=1e-4)


def test_many_answers_to_each_of_several_prompts_read_each_prompt_once(tiny_llama, monkeypatch):
    prompts = [ids_of(40, 1), ids_of(44, 2), ids_of(30, 3)]
    rows = [([*p, *ids_of(1 + i % 3, i)], len(p)) for p in prompts[:2] for i in range(20)]
    rows[20:20] = [([*prompts[2], 7, 8], 30), ([*prompts[2], 9], 30)]  # a group that fits stands between them
    alone = [gathered(tiny_llama, [row])[0] for row in rows]
    monkeypatch.setattr(local, "PASS_TOKENS", 128)  # 20 caches of 40 tokens do not fit 4 passes' worth
    tiny_llama._prefixes.clear()
    counted = passes(tiny_llama)
    together = gathered(tiny_llama, rows)
    del tiny_llama.model.base_model.forward
    answers = sum(len(ids) - start for ids, start in rows)
    assert sum(counted) <= sum(map(len, prompts)) + answers + len(rows)
    assert list(together) == list(range(len(rows)))
    for i, logits in enumerate(alone):
        torch.testing.assert_close(together[i], logits, atol=1e-4, rtol=1e-4)


def passes(model) -> list[int]:
    """Tokens of every pass of the model's body from here on."""
    counted: list[int] = []
    body, own = model.model.base_model, type(model.model.base_model).forward

    def forward(*args, **kwargs):
        counted.append(kwargs["input_ids"].shape[1])
        return own(body, *args, **kwargs)

    body.forward = forward
    return counted


def test_one_pass_serves_all_rows_and_only_one_block_is_alive(tiny_llama):
    list(answer_logits(tiny_llama, ROWS))  # the head is made and checked once
    counted = passes(tiny_llama)
    import gc
    import weakref

    alive: list[weakref.ref] = []
    for _, _, logits in answer_logits(tiny_llama, ROWS, block=8):
        alive.append(weakref.ref(logits))
        del logits
        gc.collect()
        assert sum(ref() is not None for ref in alive) <= 1
    assert len(counted) == 1
    del tiny_llama.model.base_model.forward


def test_the_model_is_left_as_it_was(tiny_llama):
    before = dict(tiny_llama.model._modules)
    scoring._HEADS.pop(tiny_llama, None)
    gathered(tiny_llama, ROWS)
    assert dict(tiny_llama.model._modules) == before
    head = scoring._HEADS[tiny_llama]
    assert head.lm_head is tiny_llama.model.lm_head


def test_rows_without_an_answer_are_passed_over(tiny_llama):
    assert gathered(tiny_llama, [(ids_of(8, 1), 8)]) == {}
    assert set(gathered(tiny_llama, [(ids_of(8, 1), 8), (ids_of(8, 1), 3)])) == {1}
    assert gathered(tiny_llama, []) == {}


def test_what_cannot_be_scored_is_refused(tiny_llama):
    with pytest.raises(ValueError, match="begins at 0"):
        list(answer_logits(tiny_llama, [([5, 6], 0)]))
    with pytest.raises(ValueError, match="block is 0"):
        list(answer_logits(tiny_llama, ROWS, block=0))
    with pytest.raises(ModelError, match="reads at most 512"):
        list(answer_logits(tiny_llama, [(ids_of(514, 1), 3)]))
    assert len(gathered(tiny_llama, [(ids_of(513, 1), 512)])[0]) == 1


def test_a_head_that_is_not_the_models_own_is_refused(tiny_llama, monkeypatch):
    monkeypatch.setattr(scoring, "_HEADS", {})
    monkeypatch.setattr(scoring, "_logits", lambda head, states: 2 * tiny_llama.model.lm_head(states))
    with pytest.raises(ModelError, match="its head alone"):
        list(answer_logits(tiny_llama, ROWS))


def test_float64_models_are_scored_in_float64():
    model, _ = raw("Llama")
    from boresight.lm.local import LocalModel

    wide = LocalModel(model.double(), raw("Llama")[1], name="wide")
    assert next(answer_logits(wide, ROWS))[2].dtype == torch.float64


@pytest.mark.model
def test_a_real_head_of_262144_rows(gemma):
    ids = gemma.encode("The sky is blue because of the way in which light is scattered by air.")
    with gemma.session() as session:
        from boresight.lm.decode import Ask

        expected = gemma.extend([Ask(session, ids[:-1], range(4, len(ids) - 1))])[0].logits.float()
    got = gathered(gemma, [(ids, 5)], block=6)[0]
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-4)
