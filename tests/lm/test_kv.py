"""The packed engine against the models' own forward, and its attention against a plain one in float64."""

import random
from types import SimpleNamespace

import pytest
import torch
from architectures import NAMES, forward, pair
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boresight.lm.decode import Ask
from boresight.lm.kv import PASS, Pass, Pool, Prefix, attend
from boresight.lm.session import Session, SharedPool

PREFIX = 21  # tokens; longer than the windows of the sliding models


def tokens(model, rng: random.Random, n: int) -> list[int]:
    return [rng.randrange(3, len(model.tokenizer)) for _ in range(n)]


def random_walk(model, twin, rng: random.Random, prefix: bool, steps: int = 12) -> None:
    """Open, extend, rewind, fork and close sessions of one pool at random; every logit must be the twin's."""
    pool = SharedPool(model.prefix(tokens(model, random.Random(7), PREFIX)) if prefix else None)
    sessions = [Session(model, pool)]
    expected = {id(sessions[0]): list(pool.prefix.ids) if pool.prefix else []}
    for _ in range(steps):
        one = rng.choice(sessions)
        action = rng.choice(("extend", "extend", "extend", "rewind", "fork", "open", "close"))
        if action == "open" and len(sessions) < 6:
            sessions.append(Session(model, pool))
            expected[id(sessions[-1])] = list(pool.prefix.ids) if pool.prefix else []
        elif action == "fork" and len(sessions) < 6:
            sessions.append(one.fork())
            expected[id(sessions[-1])] = list(expected[id(one)])
        elif action == "close" and len(sessions) > 1:
            sessions.remove(one)
            one.close()
        elif action == "rewind":
            n = rng.randint(0, len(one) - pool.offset)
            one.rewind(n)
            del expected[id(one)][len(expected[id(one)]) - n :]
        else:
            asks = []
            for session in rng.sample(sessions, rng.randint(1, len(sessions))):
                n = rng.choice((1, 1, 1, 2, 5, 14))
                keep = sorted(rng.sample(range(n), rng.randint(0, n)))
                asks.append(Ask(session, tokens(model, rng, n), keep))
            for ask, step in zip(asks, model.extend(asks), strict=True):
                known = expected[id(ask.session)]
                start = len(known)
                known.extend(ask.ids)
                if not ask.keep:
                    continue
                want = forward(twin, known)[[start + k for k in ask.keep]]
                torch.testing.assert_close(step.logits, want, rtol=0, atol=1e-4)
                assert step.top_ids == step.logits.argmax(-1).tolist()
                top = want.log_softmax(-1).amax(-1)
                assert step.top_logprobs == pytest.approx(top.tolist(), abs=1e-4)
        for session in sessions:
            assert session.ids == expected[id(session)]
            assert pool.lengths[session.slot] == len(session) - pool.offset
    for session in sessions:
        session.close()
    assert pool.lengths == []


@pytest.mark.parametrize("prefix", [False, True], ids=["alone", "shared-prefix"])
@pytest.mark.parametrize("name", NAMES)
def test_packed_sessions_say_what_the_model_says(name, prefix):
    model, twin = pair(name)

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 10**6))
    def walk(seed):
        random_walk(model, twin, random.Random(seed), prefix)

    walk()


@pytest.mark.parametrize("name", ["gemma3", "gemma2", "mistral"])
def test_the_sliding_window_is_exceeded_one_token_at_a_time(name):
    model, twin = pair(name)
    ids = tokens(model, random.Random(1), 40)
    with model.session() as session:
        got = torch.stack([session.append([t]) for t in ids])
    torch.testing.assert_close(got, forward(twin, ids), rtol=0, atol=1e-4)


def test_rewinding_past_the_window_forgets_exactly_what_was_rewound():
    model, twin = pair("gemma3")
    ids = tokens(model, random.Random(2), 30)
    with model.session() as session:
        session.append(ids)
        session.rewind(20)
        got = session.append(ids[10:12])
        assert session.recomputed == 2
        assert session.forwarded == 32
        assert session.passes == 2
    torch.testing.assert_close(got, forward(twin, ids[:12])[-1], rtol=0, atol=1e-4)


def test_a_prefix_cannot_be_rewound_and_a_session_not_asked_twice(tiny_llama):
    prefix = tiny_llama.prefix([5, 6, 7])
    with tiny_llama.session(prefix) as session:
        session.append([8, 9])
        with pytest.raises(ValueError, match="cannot rewind 3 tokens: 2 were added after the prefix"):
            session.rewind(3)
        with pytest.raises(ValueError, match="twice"):
            tiny_llama.extend([Ask(session, [1], (0,)), Ask(session, [2], (0,))])
        with pytest.raises(ValueError, match="no tokens"):
            session.append([])
        assert session.ids == [5, 6, 7, 8, 9]


def test_long_prompts_are_read_in_several_passes_with_the_same_result(monkeypatch):
    model, twin = pair("gemma3")
    rng = random.Random(3)
    rows = [tokens(model, rng, n) for n in (70, 5, 33)]
    monkeypatch.setattr("boresight.lm.local.PASS_TOKENS", 16)
    pool = SharedPool()
    sessions = [Session(model, pool) for _ in rows]
    steps = model.extend([Ask(s, r, (len(r) - 1,)) for s, r in zip(sessions, rows, strict=True)])
    for row, step in zip(rows, steps, strict=True):
        torch.testing.assert_close(step.logits[0], forward(twin, row)[-1], rtol=0, atol=1e-4)
    assert sessions[0].passes > 1
    assert model.extend([]) == []


def test_a_prefix_made_behind_a_prefix_is_the_whole_beginning():
    model, twin = pair("gemma3")
    ids = tokens(model, random.Random(4), 50)
    with model.session(model.prefix(ids[:20])) as session:
        session.append(ids[20:40])
        longer = session.pool.freeze(session.slot, tuple(ids[:40]))
    with model.session(longer) as session:
        got = session.append(ids[40:])
    torch.testing.assert_close(got, forward(twin, ids)[-1], rtol=0, atol=1e-4)


# -- the attention alone, in float64 ------------------------------------------------------------------------------


def plain_attention(query, keys, values, scale, window, softcap):
    """One query (heads, dim) at the last position of keys and values (kv_heads, n, dim); written out head by head."""
    heads, kv_heads, n = query.shape[0], keys.shape[0], keys.shape[1]
    out = []
    for h in range(heads):
        k, v = keys[h * kv_heads // heads], values[h * kv_heads // heads]
        scores = (k @ query[h]) * scale
        if softcap:
            scores = torch.tanh(scores / softcap) * softcap
        if window:
            scores[: max(0, n - window)] = float("-inf")
        out.append(scores.softmax(0) @ v)
    return torch.stack(out)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(4, 4), (4, 2), (4, 1)]),
    st.sampled_from([None, 1, 5, 9]),
    st.sampled_from([None, 3.0]),
    st.sampled_from([0, 6, 17]),
)
def test_attention_equals_a_plain_one_in_float64(seed, heads, window, softcap, shared):
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    (n_heads, kv_heads), dim = heads, 8

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    frozen = (draw(kv_heads, shared, dim), draw(kv_heads, shared, dim))
    pool = Pool(Prefix(tuple(range(shared)), (frozen,)) if shared else None)
    slots = rng.randint(1, 5)
    history = []
    for _ in range(slots):
        pool.open()
        history.append([frozen[0].clone(), frozen[1].clone()])
    layer = SimpleNamespace(layer_idx=0)
    for _ in range(4):
        spans, at = [], 0
        for slot in rng.sample(range(slots), rng.randint(1, slots)):
            n = rng.choice((1, 1, 3, 10))
            spans.append((slot, pool.lengths[slot], at, at + n))
            at += n
        q, k, v = draw(1, n_heads, at, dim), draw(1, kv_heads, at, dim), draw(1, kv_heads, at, dim)
        pool.reserve(max(before + end - start for _, before, start, end in spans))
        mark = PASS.set(Pass(pool, spans, torch.device("cpu")))
        try:
            got, _ = attend(layer, q, k, v, None, sliding_window=window, softcap=softcap)  # type: ignore[arg-type]
        finally:
            PASS.reset(mark)
        for slot, _, start, end in spans:
            pool.lengths[slot] += end - start
            for i in range(start, end):
                keys, values = history[slot]
                history[slot] = [torch.cat([keys, k[0, :, i : i + 1]], 1), torch.cat([values, v[0, :, i : i + 1]], 1)]
                want = plain_attention(q[0, :, i], *history[slot], dim**-0.5, window, softcap)
                torch.testing.assert_close(got[0, i], want, rtol=0, atol=1e-9)


def test_an_attention_argument_that_is_not_understood_is_refused():
    with pytest.raises(NotImplementedError, match="s_aux"):
        attend(SimpleNamespace(), *[torch.zeros(1, 1, 1, 4)] * 3, None, s_aux=torch.zeros(1))  # type: ignore[arg-type]


def test_closing_a_session_moves_the_last_one_into_its_slot():
    model, twin = pair("llama")
    rng = random.Random(5)
    pool = SharedPool()
    rows = [tokens(model, rng, n) for n in (4, 9, 6)]
    sessions = [Session(model, pool) for _ in rows]
    model.extend([Ask(s, r, ()) for s, r in zip(sessions, rows, strict=True)])
    sessions[0].close()
    sessions[0].close()  # a second time is harmless
    assert [s.slot for s in sessions] == [-1, 1, 0]
    assert pool.lengths == [6, 9]
    for session, row in zip(sessions[1:], rows[1:], strict=True):
        torch.testing.assert_close(session.append([3]), forward(twin, [*row, 3])[-1], rtol=0, atol=1e-4)
