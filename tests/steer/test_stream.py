"""Answers while they are written: the pieces add up to what `generate` answers."""

import warnings

import pytest

from boresight.lm.base import Completion, Sampling, Span
from boresight.lm.stream import stream_local
from boresight.steer.nudging import Nudging
from boresight.steer.urial import Urial, UrialPrompt
from boresight.steer.urial import policy as urial_policy
from random_pairs import random_pair

CHAT = [{"role": "user", "content": "What is an apple?"}]
SMALL = UrialPrompt("small", "Answers stand under {answer}.\n", (("Is it?", "Yes, it is."), ("Why?", "Because.")))


def split(stream) -> tuple[list[Span], Completion]:
    *spans, done = stream
    assert all(isinstance(s, Span) and s.text for s in spans)
    assert isinstance(done, Completion)
    return spans, done


def urial(model, **settings) -> Urial:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Urial(model, prompt=SMALL, **settings)


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_a_local_model(tiny_gemma3, temperature):
    how = Sampling(max_new_tokens=20, temperature=temperature, seed=4)
    spans, done = split(stream_local(tiny_gemma3, CHAT, how))
    assert done == tiny_gemma3.generate([CHAT], how)[0]
    assert "".join(s.text for s in spans) == done.text
    assert len(spans) > 3
    with pytest.raises(ValueError, match="no stop strings"):
        next(stream_local(tiny_gemma3, CHAT, Sampling(stop=("a",))))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("settings", [{}, {"template": "v6"}, {"reference_postprocess": True}])
def test_urial_holds_back_what_may_end_the_frame(seed, settings, monkeypatch):
    monkeypatch.setattr(urial_policy, "STOPS", ("e t", " a", "o"))  # such that random models write them
    policy = urial(random_pair(seed)[0], max_new_tokens=30, **settings)
    (whole,) = policy.generate([CHAT])
    spans, done = split(policy.stream_chat(CHAT))
    assert (done.text, done.finish_reason) == (whole.text, whole.finish_reason)
    assert "".join(s.text for s in spans) == done.text


@pytest.mark.parametrize("mode", ["cached", "speculative", "reference"])
@pytest.mark.parametrize("seed", range(6))
def test_nudging_shows_who_writes(seed, mode):
    nudging = Nudging(*random_pair(seed), mode=mode)
    how = Sampling(max_new_tokens=20)
    (whole,) = nudging.generate([CHAT], how)
    spans, done = split(nudging.stream_chat(CHAT, how))
    assert (done.text, done.trace.spans, done.finish_reason) == (whole.text, whole.trace.spans, whole.finish_reason)
    assert [(s.role, s.text) for s in spans] == [(s.role, s.text) for s in done.trace.spans]
    with pytest.raises(ValueError, match="no stop strings"):
        next(nudging.stream_chat(CHAT, Sampling(stop=("a",))))


def test_a_stream_that_is_left_frees_its_cache(tiny_gemma3, monkeypatch):
    from boresight.lm import session

    opened = []
    start = session.SharedPool.__init__
    monkeypatch.setattr(
        session.SharedPool, "__init__", lambda pool, prefix=None: (start(pool, prefix), opened.append(pool))[0]
    )
    stream = stream_local(tiny_gemma3, CHAT, Sampling(max_new_tokens=20))
    next(stream)
    stream.close()
    assert [len(pool.lengths) for pool in opened] == [0] * len(opened)
    assert opened
