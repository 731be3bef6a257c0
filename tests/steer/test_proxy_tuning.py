import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from boresight.chat import plain
from boresight.errors import TokenizerMismatch
from boresight.lm.base import LanguageModel, Sampling
from boresight.steer.proxy_tuning import ProxyTuning, proxy_logits
from tiny_models import build_tiny_llama, local_model

CHAT = [{"role": "user", "content": "What is an apple?"}]
ROWS = hnp.arrays(np.float64, (3, 5), elements=st.floats(-8, 8))


def test_the_product_by_hand():
    base, tuned, untuned = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.6, 0.3]), np.array([0.2, 0.4, 0.4])
    # products 0.25, 0.45, 0.15; their sum is 0.85
    want = np.array([0.25, 0.45, 0.15]) / 0.85
    assert np.exp(proxy_logits(np.log(base), np.log(tuned), np.log(untuned))) == pytest.approx(want, abs=1e-15)
    assert proxy_logits(np.array([1.0, 2]), np.array([-np.inf, 0]), np.array([0.0, 0])).tolist() == [-np.inf, 0.0]
    with pytest.raises(ValueError, match="same vocabulary"):
        proxy_logits(np.zeros(3), np.zeros(4), np.zeros(3))
    with pytest.raises(ValueError, match="excludes a token"):
        proxy_logits(np.zeros(2), np.zeros(2), np.array([-np.inf, 0]))


@given(ROWS, ROWS, ROWS)
def test_it_is_normalised_and_says_what_it_should(base, tuned, untuned):
    got = proxy_logits(base, tuned, untuned)
    assert np.exp(got).sum(-1) == pytest.approx(np.ones(3))
    assert proxy_logits(base + 3, tuned - 2, untuned + 7) == pytest.approx(got, abs=1e-9)
    alone = proxy_logits(base, tuned, tuned)  # tuning changed nothing: the base model is left as it is
    assert np.exp(alone) == pytest.approx(np.exp(base) / np.exp(base).sum(-1, keepdims=True), abs=1e-9)


@pytest.fixture(scope="module")
def family():
    """Three llamas over one vocabulary."""
    return [local_model(*build_tiny_llama(seed), f"llama{seed}") for seed in (1, 2, 3)]


def test_it_writes_what_whole_passes_would(family):
    base, tuned, untuned = family
    policy = ProxyTuning(base, tuned, untuned, max_new_tokens=9)
    assert isinstance(policy, LanguageModel)
    (answer,) = policy.generate([CHAT])
    prompts = [m.encode(t) for m, t in zip(family, (plain(CHAT), tuned.render(CHAT), plain(CHAT)), strict=True)]
    ids: list[int] = []
    for _ in range(9):
        said = []
        for model, prompt in zip(family, prompts, strict=True):
            with model.session() as session:
                said.append(session.append([*prompt, *ids]).double().numpy())
        ids.append(int(np.argmax(said[0] + said[1] - said[2])))
        if ids[-1] in base.eos_ids:
            break
    assert answer.text == base.decode(ids).strip()
    assert answer.tokens == len(ids)
    assert [c.text for c in policy.generate([CHAT] * 2, Sampling(max_new_tokens=9))] == [answer.text] * 2
    assert policy.describe()["policy"] == "proxy-tuning(tuned=llama2, untuned=llama3)"


def test_tuning_that_changed_nothing_leaves_the_base_as_it_is(family):
    base, _, untuned = family
    policy = ProxyTuning(base, untuned, untuned, max_new_tokens=12)
    policy._prompts = lambda chat: (plain(chat),) * 3  # the same prompt, or the template itself would be the change
    (answer,) = policy.generate([CHAT])
    assert answer.text == base.complete([plain(CHAT)], Sampling(max_new_tokens=12))[0].text.strip()


def test_vocabularies_must_be_the_same(tiny_gemma3, tiny_llama):
    with pytest.raises(TokenizerMismatch, match="tiny-gemma3 and tiny-llama have different vocabularies"):
        ProxyTuning(tiny_gemma3, tiny_llama, tiny_gemma3)
    with pytest.raises(ValueError, match="repetition_penalty"):
        ProxyTuning(tiny_llama, tiny_llama, tiny_llama).generate([CHAT], Sampling(repetition_penalty=2.0))
