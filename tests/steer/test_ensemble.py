import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.errors import ModelError
from boresight.lm.base import LanguageModel, Sampling
from boresight.steer.ensemble import Ensemble, ensemble_probs
from boresight.steer.nudging import Nudging
from random_pairs import random_pair

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is an apple?"}]
TOPS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1), max_size=6).map(
    lambda d: {k: v / max(1.0, sum(d.values())) for k, v in d.items()}
)


def test_the_mean_over_what_either_lists():
    # worked out by hand: (0.5 + 0.25) / 2, 0.25 / 2, (0 + 0.625) / 2
    assert ensemble_probs({" a": 0.5, " b": 0.25}, {" a": 0.25, "": 0.625}) == {" a": 0.375, " b": 0.125, "": 0.3125}
    assert ensemble_probs({}, {}) == {}
    with pytest.raises(ValueError, match="negative"):
        ensemble_probs({1: -0.1}, {})
    with pytest.raises(ValueError, match="not above 1"):
        ensemble_probs({1: 0.6, 2: 0.6}, {})


@given(TOPS, TOPS)
def test_it_is_symmetric_keeps_mass_and_agreement(first, second):
    mixed = ensemble_probs(first, second)
    assert mixed == pytest.approx(ensemble_probs(second, first))
    assert math.fsum(mixed.values()) == pytest.approx((math.fsum(first.values()) + math.fsum(second.values())) / 2)
    assert ensemble_probs(first, first) == pytest.approx(first)
    assert all(min(first.get(t, 0), second.get(t, 0)) - 1e-12 <= p <= 1 for t, p in mixed.items())


def by_hand(base, partner, top, length):
    """The greedy ensemble with whole passes of transformers' own models, token by token."""
    import torch

    from boresight.chat import plain

    out, prompts = "", (plain(CHAT), partner.render(CHAT))
    for _ in range(length):
        mean: dict[str, float] = {}
        for model, prompt in zip((base, partner), prompts, strict=True):
            ids = model.encode(prompt + out)
            with model.session() as session:
                probs = session.append(ids).double().softmax(-1)
            order = torch.argsort(probs, descending=True, stable=True)[:top].tolist()
            for token in order:
                text = model.decode([*ids[-6:], token])[len(model.decode(ids[-6:])) :]
                text = "" if token in model.eos_ids else text
                if "\ufffd" not in text and (text or token in model.eos_ids):
                    mean[text] = mean.get(text, 0) + float(probs[token]) / 2
        best = max(mean, key=mean.__getitem__)
        if best == "":
            break
        out += best
    return out.strip()


@pytest.mark.parametrize("seed", range(4))
def test_it_writes_what_whole_passes_would(seed):
    base, partner = random_pair(seed)
    ensemble = Ensemble(base, partner, top=20, max_new_tokens=10)
    assert isinstance(ensemble, LanguageModel)
    (answer,) = ensemble.generate([CHAT])
    assert answer.text == by_hand(base, partner, 20, 10)
    assert answer.finish_reason in ("stop", "length")
    assert ensemble.generate([CHAT] * 3, Sampling(max_new_tokens=10))[2].text == answer.text


def test_settings_and_what_it_tells():
    base, partner = random_pair(1)
    ensemble = Ensemble(base, partner)
    warm = Sampling(max_new_tokens=8, temperature=1.0, seed=3)
    texts = [c.text for c in ensemble.generate([CHAT] * 3, warm)]
    assert texts == [c.text for c in ensemble.generate([CHAT] * 3, warm)]
    assert len(set(texts)) > 1
    about = ensemble.describe()
    assert (about["policy"], about["partner"]["model"]) == (f"ensemble(partner={partner.name}, top=100)", partner.name)
    with pytest.raises(ValueError, match="repetition_penalty"):
        ensemble.generate([CHAT], Sampling(repetition_penalty=1.1))
    with pytest.raises(ValueError, match="top is 0"):
        Ensemble(base, partner, top=0)
    with pytest.raises(ModelError, match="ensemble cannot stand on nudging"):
        Ensemble(Nudging(base, partner), partner)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"as its partner, and .*\+nudging is a policy \(nudging\)"):
        Ensemble(base, Nudging(base, partner))  # type: ignore[arg-type]


def test_a_full_context_and_stop_strings_end_it():
    base, partner = random_pair(5, context=70)
    short = [{"role": "user", "content": "Tom"}]
    (answer,) = Ensemble(base, partner).generate([short], Sampling(max_new_tokens=99))
    assert answer.finish_reason in ("context", "stop")
    whole = answer.text
    if len(whole) > 6:
        stop = whole[3:6]
        (cut,) = Ensemble(base, partner).generate([short], Sampling(max_new_tokens=99, stop=(stop,)))
        assert cut.finish_reason == "stop_string"
        assert cut.text == whole[: whole.find(stop)].strip()
