"""Pooled hidden states against transformers' own, text by text."""

import numpy as np
import pytest
import torch
from architectures import pair

from boresight.errors import ModelError
from boresight.lm.hidden import hidden_states, stacked_states

TEXTS = [
    "Tom has 3 apples and buys 4 more.",
    "a",
    "Question: what do plants need to grow?\nAnswer: plants need light, water and air.\n",
    "The quick brown fox",
    "naïve café 東京 🙂",
]


@torch.no_grad()
def own(model, twin, text) -> np.ndarray:
    """transformers' hidden states of one text, (layers, tokens, width)."""
    ids = model.encode(text) if isinstance(text, str) else text
    out = twin(input_ids=torch.tensor([ids]), use_cache=False, output_hidden_states=True)
    return torch.stack(out.hidden_states)[:, 0].float().numpy()


@pytest.mark.parametrize("name", ["llama", "gemma3", "gemma2", "mistral", "qwen3", "phi3"])
def test_they_are_those_of_transformers(name):
    model, twin = pair(name)
    got = dict(hidden_states(model, TEXTS, pool="none"))
    means, last = stacked_states(model, TEXTS), stacked_states(model, TEXTS, pool="last")
    assert means.shape == last.shape == (5, 3, 64)
    assert means.dtype == last.dtype == got[0].dtype == np.float32
    for i, text in enumerate(TEXTS):
        want = own(model, twin, text)
        scale = np.abs(want).max()
        np.testing.assert_allclose(got[i], want, rtol=0, atol=1e-5 * max(scale, 1))
        behind_first = want[:, 1:] if want.shape[1] > 1 else want
        np.testing.assert_allclose(means[i], behind_first.mean(1), rtol=0, atol=1e-5 * max(scale, 1))
        np.testing.assert_allclose(last[i], want[:, -1], rtol=0, atol=1e-5 * max(scale, 1))


def test_company_and_order_do_not_matter_to_a_text():
    model, _ = pair("gemma3")
    together = stacked_states(model, TEXTS)
    for i, text in enumerate(TEXTS):
        np.testing.assert_allclose(stacked_states(model, [text])[0], together[i], rtol=0, atol=1e-5)
    np.testing.assert_allclose(stacked_states(model, TEXTS[::-1])[::-1], together, rtol=0, atol=1e-5)


def test_every_text_comes_once_and_short_ones_first(monkeypatch):
    model, _ = pair("llama")
    monkeypatch.setattr("boresight.lm.local.PASS_TOKENS", 24)
    found = [i for i, _ in hidden_states(model, TEXTS)]
    assert sorted(found) == list(range(5))
    assert found == sorted(found, key=lambda i: len(model.encode(TEXTS[i])))


@pytest.mark.parametrize("tokens", [3, 10, 25])
@pytest.mark.parametrize("pool", ["mean", "last", "none"])
def test_texts_longer_than_a_pass_are_pooled_over_their_pieces(pool, tokens, monkeypatch):
    model, _ = pair("gemma3")
    spans = [(2, 7), (0, 2), (11, 28), (1, 3), (4, 5)]
    whole = dict(hidden_states(model, TEXTS, pool=pool, spans=spans))
    monkeypatch.setattr("boresight.lm.local.PASS_TOKENS", tokens)
    pieces = dict(hidden_states(model, TEXTS, pool=pool, spans=spans))
    for i, states in whole.items():
        np.testing.assert_allclose(pieces[i], states, rtol=0, atol=1e-4)


def test_layers_may_be_named_from_the_end_and_in_any_order():
    model, _ = pair("llama")
    every = stacked_states(model, TEXTS)
    np.testing.assert_array_equal(stacked_states(model, TEXTS, layers=[-1, 0, -2]), every[:, [2, 0, 1]])
    assert stacked_states(model, TEXTS, layers=[1]).shape == (5, 1, 64)
    for wrong in (3, -4):
        with pytest.raises(ValueError, match=f"has no layer {wrong}; its layers are 0"):
            hidden_states(model, TEXTS, layers=[wrong])


def test_a_span_is_the_answer_alone():
    model, twin = pair("gemma3")
    ids, start = model.joined("Tom has 3 apples.", " How many apples does he have now?")
    got = stacked_states(model, [ids], spans=[(start, len(ids))])[0]
    np.testing.assert_allclose(got, own(model, twin, ids)[:, start:].mean(1), rtol=0, atol=1e-5)
    first = stacked_states(model, [ids], spans=[(0, 3)])[0]  # who names the first token gets it
    np.testing.assert_allclose(first, own(model, twin, ids)[:, :3].mean(1), rtol=0, atol=1e-5)


def test_the_first_token_is_left_out_of_a_mean():
    model, _ = pair("gemma3")
    states = next(hidden_states(model, [TEXTS[0]], pool="none"))[1]
    mean = stacked_states(model, [TEXTS[0]])[0]
    assert np.abs(mean - states[:, 1:].mean(1)).max() < 1e-5
    assert np.abs(mean - states.mean(1)).max() > 1e-3


def test_what_cannot_be_pooled_is_refused_before_anything_runs():
    model, _ = pair("llama")
    with pytest.raises(ValueError, match="pool is 'max'; one of mean, last, none"):
        hidden_states(model, TEXTS, pool="max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there are 1 spans for 5 texts"):
        hidden_states(model, TEXTS, spans=[(0, 1)])
    with pytest.raises(ValueError, match="text 1: the span 3 to 3 is empty"):
        hidden_states(model, TEXTS[:1], spans=[(3, 3)])
    with pytest.raises(ModelError, match="text 2 has 513 tokens and llama reads at most 512"):
        hidden_states(model, ["a", [5] * 513])
    with pytest.raises(ValueError, match="cannot be stacked"):
        stacked_states(model, TEXTS, pool="none")
    with pytest.raises(ValueError, match="no text"):
        stacked_states(model, [])
    assert dict(hidden_states(model, [])) == {}


def test_no_more_than_a_pass_is_alive(monkeypatch):
    """Many texts: what is alive at any time is bounded by a pass, not by the number of texts."""
    model, _ = pair("llama")
    monkeypatch.setattr("boresight.lm.local.PASS_TOKENS", 64)
    stacked, stack = [], torch.stack
    monkeypatch.setattr(torch, "stack", lambda parts, *a: stacked.append(parts[0].shape[0]) or stack(parts, *a))
    each = len(model.encode(TEXTS[0]))
    for seen, (_, states) in enumerate(hidden_states(model, TEXTS[:1] * 40)):
        assert states.shape == (3, 64)
        assert sum(stacked) <= (seen + 1) * each + 64  # passes run when their results are asked for
    assert max(stacked) <= 64
    assert sum(stacked) == 40 * each


@pytest.mark.model
def test_a_real_model_and_its_resting_place(smollm):
    """The first token's state outgrows the others many times: why means leave it out."""
    text = "The sky is blue because of the way in which light is scattered by air."
    states = next(hidden_states(smollm, [text], pool="none"))[1]
    lengths = np.linalg.norm(states[15], axis=-1)
    assert lengths[0] > 5 * lengths[1:].max()
    assert states.shape[0] == 31
