"""TextCache: whatever the text does, the cache holds its fresh tokenization and knows what follows."""

import random

import pytest
from architectures import forward
from hypothesis import given, settings
from hypothesis import strategies as st

from boresight.lm.base import ContextFull, Sampling
from boresight.lm.decode import TextStream, drive
from boresight.lm.session import SharedPool, common_prefix
from boresight.lm.textcache import Chunk, TextCache
from random_pairs import KINDS, model_of

PIECES = [*" aeourt.,'\n\t0129", "the", " the", "ing", "é", "ü", "東", "京", "🙂", "👩\u200d🔬", "\u0301", "\u00a0"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def run(steps):
    """The result of a decoder."""
    return drive([lambda: steps], 1)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_cache_follows_any_text_and_never_alters_it(kind):
    model, twin = model_of(kind)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(TEXT, min_size=1, max_size=4), st.randoms(use_true_random=False))
    def follow(parts, rng):
        cache = TextCache(model, SharedPool())
        text = "Q: "
        for part in parts:
            text = text[: rng.randint(0, len(text))] + part if rng.random() < 0.3 else text + part
            ids = cache.ids(text)
            assert ids == model.encode(text)
            token, logprob = run(cache.predict(ids))
            assert cache.session.ids[: len(ids)] == ids  # what was cut off may stay: it may come back
            want = forward(twin, ids)[-1].log_softmax(-1)
            assert logprob == pytest.approx(want.max().item(), abs=1e-4)
            assert want[token].item() == pytest.approx(want.max().item(), abs=1e-4)
            stream = TextStream(model.decode)
            pieces = [stream.push(t) for t in ids]
            assert "".join(pieces) == stream.text == model.decode(ids) == text
            before = cache.passes
            assert run(cache.predict(ids)) == (token, logprob)
            assert cache.passes == before
        cache.close()

    follow()


@pytest.mark.model
def test_the_real_tokenizers_give_back_any_text_they_can_write(gemma, smollm):
    @settings(max_examples=200, deadline=None)
    @given(st.one_of(TEXT, st.text(max_size=30)))
    def follow(text):
        for model in (gemma, smollm):
            ids = model.encode("Q: " + text)
            back = model.decode(ids)
            if model is smollm and back != "Q: " + text:  # its vocabulary lacks some bytes
                continue
            stream = TextStream(model.decode)
            assert "".join(stream.push(t) for t in ids) == back == "Q: " + text

    follow()


@pytest.mark.parametrize("kind", KINDS)
def test_looking_ahead_knows_what_asking_one_by_one_gives(kind):
    model, twin = model_of(kind)
    rng = random.Random(1)
    ids = model.encode("Tom has 3 apples and buys 4 more. How many apples does he have now?")
    want = forward(twin, ids).log_softmax(-1)
    for _ in range(20):
        cache = TextCache(model, SharedPool())
        for _ in range(4):
            lengths = sorted(rng.sample(range(1, len(ids) + 1), rng.randint(1, 5)))
            cut = rng.randint(lengths[-1], len(ids))
            run(cache.look(ids[:cut], lengths))
            for n in lengths:
                assert cache.known[n][1] == pytest.approx(want[n - 1].max().item(), abs=1e-4)
            cache.crop(rng.randint(1, len(cache.session)))
            assert all(n <= len(cache.session) for n in cache.known)
        assert cache.recomputed <= cache.session.forwarded
        cache.close()


def test_a_text_that_changes_the_shared_beginning_leaves_the_pool():
    model, twin = model_of("bytes")
    ids = model.encode("Tom has 3 apples and buys 4 more. How many apples")
    pool = SharedPool(model.prefix(ids[:12]))
    cache, other = TextCache(model, pool), TextCache(model, pool)
    run(other.predict(ids))
    run(cache.predict(ids))
    changed = [*ids[:7], 40, 41, 42]
    assert common_prefix(ids, changed) == 7
    _, logprob = run(cache.predict(changed))
    assert logprob == pytest.approx(forward(twin, changed)[-1].log_softmax(-1).max().item(), abs=1e-4)
    assert cache.session.pool is not pool
    assert cache.passes == 2
    assert other.session.slot == 0
    assert pool.lengths == [len(ids) - 12]


def test_a_chunk_is_the_greedy_continuation_token_by_token():
    model, twin = model_of("gemma")
    cache = TextCache(model, SharedPool())
    chunk = Chunk(cache, "Tom has", 12)
    run(chunk.fill(3))
    assert (len(chunk.tokens), chunk.finished) == (3, False)
    run(chunk.fill())
    assert chunk.finished
    assert chunk.text == "".join(chunk.tokens)
    ids, eos = model.encode("Tom has"), model.eos_ids
    for text, logprob in zip(chunk.tokens, chunk.logprobs, strict=True):
        scores = forward(twin, ids)[-1].log_softmax(-1)
        assert logprob == pytest.approx(scores.max().item(), abs=1e-4)
        ids.append(int(scores.argmax()))
        assert text == "" or ids[-1] not in eos
    assert run(chunk.more()) is False


def test_a_chunk_ends_with_the_context_and_does_not_open_without_room():
    model, _ = model_of("bytes")
    text = "apples " * 40
    n = len(model.encode(text))
    context, model.context = model.context, n + 3
    try:
        chunk = Chunk(TextCache(model, SharedPool()), text, 8)
        run(chunk.fill())
        assert (len(chunk.tokens), chunk.finished, chunk.ended) == (3, True, False)
        model.context = n
        with pytest.raises(ContextFull):
            run(Chunk(TextCache(model, SharedPool()), text, 8).fill())
    finally:
        model.context = context


def test_the_opening_of_a_chunk_tells_a_part_of_a_character_from_an_end(monkeypatch):
    model, _ = model_of("bytes")
    part = model.tokenizer("東", add_special_tokens=False)["input_ids"][0]
    for token, opening in ((part, "\ufffd"), (min(model.eos_ids), ""), (model.encode(" the")[0], " the")):
        cache = TextCache(model, SharedPool())

        def predict(ids, token=token):
            return token, -0.5
            yield

        monkeypatch.setattr(cache, "predict", predict)
        chunk = Chunk(cache, "a", 1)
        run(chunk.fill())
        assert chunk.opening == opening


def test_sampled_continuations_keep_the_untempered_probability():
    model, twin = model_of("bytes")
    cache = TextCache(model, SharedPool(), Sampling(temperature=2.0, seed=1), row=3)
    ids = model.encode("Tom has 3")
    token, logprob = run(cache.predict(ids))
    scores = forward(twin, ids)[-1].log_softmax(-1)
    assert logprob == pytest.approx(scores.max().item(), abs=1e-4)
    drawn = {run(TextCache(model, SharedPool(), Sampling(temperature=2.0, seed=s)).predict(ids))[0] for s in range(20)}
    assert len(drawn) > 3
    again = TextCache(model, SharedPool(), Sampling(temperature=2.0, seed=1), row=3)
    assert run(again.predict(ids)) == (token, logprob)


def test_only_the_last_texts_are_remembered(monkeypatch):
    model, _ = model_of("bytes")
    monkeypatch.setattr("boresight.lm.textcache.REMEMBERED", 2)
    cache = TextCache(model, SharedPool())
    for text in ("a", "b", "c"):
        cache.ids(text)
    assert list(cache._texts) == ["b", "c"]
